/*
 * fork, exec, read until end-of-file, wait4. A second, close-on-exec pipe carries the errno of a
 * failed exec back.
 */
#include "bench/lib/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

static void __attribute__((noreturn)) become(const char *const argv[], int out, int error_fd)
{
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    /* execvp does not change the strings; its type is older than const. */
    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv};
    execvp(argv[0], args.out);
    int error = errno;
    ssize_t written = write(error_fd, &error, sizeof(error));
    keel_ignore((int)written, "the exit status says it too");
    _exit(127);
}

static void read_all(int fd, struct proc_output *ret)
{
    char sink[4096];
    for (;;) {
        size_t room = sizeof(ret->text) - 1 - ret->len;
        ssize_t len = room ? read(fd, ret->text + ret->len, room) : read(fd, sink, sizeof(sink));
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            break;
        if (room)
            ret->len += (size_t)len;
    }
    ret->text[ret->len] = '\0';
}

static uint64_t timeval_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

int proc_run(const char *const argv[], struct proc_output *ret)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    int exec_error = 0, rc = 0;
    ret->missing = false;
    ret->len = 0;
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        rc = -errno;
        goto out;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, out[1], err[1]);
    if (pid < 0) {
        rc = -errno;
        goto out;
    }
    close(out[1]);
    close(err[1]);
    out[1] = err[1] = -1;
    read_all(out[0], ret);

    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    ret->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    if (read(err[0], &exec_error, sizeof(exec_error)) == (ssize_t)sizeof(exec_error)) {
        ret->missing = exec_error == ENOENT;
        rc = ret->missing ? 0 : -exec_error;
    }
out:
    for (int i = 0; i < 2; i++) {
        if (out[i] >= 0)
            close(out[i]);
        if (err[i] >= 0)
            close(err[i]);
    }
    return rc;
}

const char *proc_last_line(struct proc_output *output)
{
    size_t end = output->len;
    while (end && (output->text[end - 1] == '\n' || output->text[end - 1] == '\r'))
        end--;
    output->text[end] = '\0';
    const char *line = strrchr(output->text, '\n');
    return line ? line + 1 : output->text;
}

uint64_t proc_cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}
