/*
 * The main of a fuzz target where there is no fuzzer: each file of the corpus once, as a test.
 *
 * usage: fuzz_TARGET FILE|FOLDER...
 *
 * Each input has ten seconds, which is far more than any needs, and the process a quarter of a GiB
 * (not under a sanitizer, whose shadow is larger).
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX  (4u << 20)
#define MEMORY_MAX (256u << 20)
#define SECONDS    10u

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static unsigned inputs_run;

static int fail(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    return 1;
}

static int run_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");

    if (!file)
        return fail(path, strerror(errno));
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);

    /* A copy of the exact size, so that reading behind its end shows. */
    uint8_t *input = malloc(len ? len : 1);
    if (!input)
        return fail(path, "out of memory");
    memcpy(input, bytes, len);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
    alarm(SECONDS);
    LLVMFuzzerTestOneInput(input, len);
    alarm(0);
    free(input);
    inputs_run++;
    return 0;
}

static int run_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    int status = 0;

    if (count < 0)
        return fail(path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char name[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
            status |= run_file(name);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

int main(int argc, char **argv)
{
    struct rlimit limit = {MEMORY_MAX, MEMORY_MAX};
    int status = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    if (!SANITIZED && setrlimit(RLIMIT_DATA, &limit) != 0)
        return fail(argv[0], strerror(errno));
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0)
            status |= fail(argv[i], strerror(errno));
        else
            status |= S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
    }
    printf("%u inputs\n", inputs_run);
    return status || inputs_run == 0;
}
