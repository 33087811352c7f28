/*
 * Reading the costs out of a profile: the whole of it or nothing.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "keel/sched.h"
#include "tests/support/tmpdir.h"

TestSuite(sched_profile, .timeout = 20);

static const char good[] =
    "{\"profile\": 1, \"costs\": {\"sync_ns\": 700, \"points\": [\n"
    "  {\"bytes\": 4096, \"read_ns\": 11000, \"write_ns\": 12000},\n"
    "  {\"write_ns\": 50000, \"bytes\": 65536, \"read_ns\": 40000}]},\n \"points\": []}\n";

static int load(const char *text, size_t len, struct keel_sched_costs *ret)
{
    struct tmpdir dir;
    char path[600];

    tmpdir_create(&dir);
    tmpdir_join(&dir, "profile", path, sizeof(path));
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, len, file), len);
    fclose(file);
    int rc = keel_sched_costs_load(path, ret);
    tmpdir_destroy(&dir);
    return rc;
}

Test(sched_profile, costs_are_read)
{
    struct keel_sched_costs costs;

    cr_assert_eq(load(good, strlen(good), &costs), 0);
    cr_assert_eq(costs.size, sizeof(costs));
    cr_assert_eq(costs.point_count, 2);
    cr_assert_eq(costs.sync_ns, 700);
    cr_assert_eq(costs.points[0].bytes, 4096);
    cr_assert_eq(costs.points[0].read_ns, 11000);
    cr_assert_eq(costs.points[1].write_ns, 50000);
    cr_assert_eq(keel_sched_costs_load("/nowhere/at/all", &costs), KEEL_ENOTFOUND);
}

/* Cut off anywhere before the costs end, it is refused, and nothing was written. */
Test(sched_profile, half_a_profile_is_refused)
{
    size_t end = (size_t)(strstr(good, "]}") + 2 - good);

    for (size_t len = 0; len < end; len++) {
        struct keel_sched_costs costs = {.point_count = 77};
        cr_assert_eq(load(good, len, &costs), KEEL_EFORMAT, "%zu bytes", len);
        cr_assert_eq(costs.point_count, 77);
    }
}

Test(sched_profile, what_is_no_number_or_no_known_name_is_refused)
{
    static const char *const bad[] = {
        "{\"costs\": {\"points\": [{\"bytes\": -4096}]}}",
        "{\"costs\": {\"points\": [{\"bytes\": 99999999999}]}}",
        "{\"costs\": {\"points\": [{\"bites\": 4096}]}}",
        "{\"costs\": {\"points\": []}}",
        "{\"costs\": {\"sync_ns\": 5}}",
        "{\"costs\": 7}",
        "{}",
    };
    struct keel_sched_costs costs;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(load(bad[i], strlen(bad[i]), &costs), KEEL_EFORMAT, "%s", bad[i]);
}
