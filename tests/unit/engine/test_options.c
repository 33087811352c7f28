/*
 * Options: defaults, and the rules that join two of them. (Each range on its own is tested through
 * keel_open, in tests/integration/input.c.)
 */
#include "engine/options.h"

#include <criterion/criterion.h>
#include <stddef.h>

Test(options, none_at_all_are_the_documented_defaults)
{
    struct store_config config;

    cr_assert_eq(options_check(NULL, NULL, &config), 0);

    cr_assert_eq(config.background, KEEL_THREADS);
    cr_assert_eq(config.method, KEEL_METHOD_AUTO);
    cr_assert_eq(config.page_bytes, 4096);
    cr_assert_eq(config.log_bytes, 256u << 20);
    cr_assert_eq(config.space_bytes, 16u << 20);
    cr_assert_eq(config.space_bytes_max, (uint64_t)1 << 40);
    cr_assert_eq(config.cache_bytes, 64u << 20);
    cr_assert_eq(config.tx_max, 256);
}

Test(options, a_small_log_buffer_gets_batches_that_fit)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct store_config config;

    options.log_buffer_bytes = 65536;
    cr_assert_eq(options_check(&options, NULL, &config), 0);
    cr_assert_eq(config.batch_bytes_max, 32768);

    options.batch_bytes_max = 65536;
    cr_assert_eq(options_check(&options, NULL, &config), KEEL_EOPTION);
}

Test(options, a_simulation_goes_with_its_method_and_with_one_thread)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct store_config config;
    int some_place;

    options.sim = (struct keel_sim *)(void *)&some_place; /* only compared with NULL */
    cr_assert_eq(options_check(&options, &info, &config), KEEL_EOPTION);
    cr_assert_str_eq(info.object, "sim");
    options.method = KEEL_METHOD_SIM;
    cr_assert_eq(options_check(&options, &info, &config), KEEL_EOPTION);
    cr_assert_str_eq(info.object, "background");
    options.background = KEEL_MANUAL;
    cr_assert_eq(options_check(&options, &info, &config), 0);
}

Test(options, what_an_older_caller_does_not_know_is_a_default)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct store_config config;

    options.tx_max = 7;
    options.size = offsetof(struct keel_options, tx_max);
    cr_assert_eq(options_check(&options, NULL, &config), 0);
    cr_assert_eq(config.tx_max, 256);
}
