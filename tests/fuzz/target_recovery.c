/*
 * Recovery of a whole log (image.h says how it is described): it opens or is refused; what opens
 * can be replayed, written on, closed and opened again.
 */
#include "base/assert.h"
#include "tests/fuzz/image.h"
#include "wal/wal_format.h"

struct seen {
    keel_lsn last_lsn;
    uint64_t bytes, groups;
};

static int each(void *arg, const struct keel_wal_entry *entry)
{
    struct seen *seen = arg;

    KEEL_ASSERT(entry->lsn > seen->last_lsn && entry->group_lsn <= entry->lsn);
    KEEL_ASSERT(entry->end_lsn > entry->lsn && entry->type != 0);
    fuzz_touch(entry->data, entry->len);
    seen->last_lsn = entry->lsn;
    seen->bytes += entry->len;
    seen->groups += entry->last;
    return 0;
}

static void options_small(struct keel_wal_options *options, struct fuzz_device *fuzz)
{
    *options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    options->method = KEEL_METHOD_SIM;
    options->sim = fuzz->sim;
    options->batch_bytes_max = 16384;
    options->buffer_bytes = 65536;
}

/* One group, durable. False: the log is full. */
static bool write_group(struct keel_wal *wal)
{
    struct iovec part = {(void *)(uintptr_t) "after recovery", 14};
    struct keel_wal_record record = {&part, 1, 1};
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end;

    int rc = keel_wal_credit_take(wal, &credit, keel_wal_credit_bytes(14, 1));
    if (rc == KEEL_ELOGFULL)
        return false;
    KEEL_ASSERT(rc == 0);
    rc = keel_wal_append(wal, &credit, keel_wal_mark(wal), &record, 1, &lsn, &end);
    keel_wal_credit_put(wal, &credit);
    KEEL_ASSERT(rc == 0);
    rc = keel_wal_commit(wal, end);
    KEEL_ASSERT(rc == 0);
    return true;
}

/* Start, write, close, open: the same groups and the new one. */
static void go_on(struct fuzz_device *fuzz, const struct keel_wal_options *options,
                  struct keel_wal *wal, const struct seen *before)
{
    struct seen after = {0};

    int rc = keel_wal_start(fuzz->ctx, wal);
    KEEL_ASSERT(rc == 0 || rc == KEEL_EFULL);
    bool wrote = rc == 0 && write_group(wal);
    bool started = rc == 0;
    rc = keel_wal_close(fuzz->ctx, wal);
    KEEL_ASSERT(rc == 0);
    rc = keel_wal_open(fuzz->ctx, fuzz->device, options, NULL, &wal);
    KEEL_ASSERT(rc == 0);
    KEEL_ASSERT(!started || keel_wal_report(wal)->clean);
    rc = keel_wal_replay(fuzz->ctx, wal, 0, each, &after);
    KEEL_ASSERT(rc == 0 && after.groups == before->groups + wrote);
    rc = keel_wal_close(fuzz->ctx, wal);
    KEEL_ASSERT(rc == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keel_wal_options options;
    struct keel_err_info info;
    struct fuzz_device fuzz;
    struct seen seen = {0};
    struct keel_wal *wal;

    uint8_t flags = image_open(&fuzz, data, size);
    options_small(&options, &fuzz);
    options.read_only = flags & IMAGE_READ_ONLY;
    int rc = keel_wal_open(fuzz.ctx, fuzz.device, &options, &info, &wal);
    if (rc == 0) {
        const struct keel_wal_report *report = keel_wal_report(wal);
        KEEL_ASSERT(report->end_lsn >= report->promise_lsn);
        rc = keel_wal_replay(fuzz.ctx, wal, 0, each, &seen);
        KEEL_ASSERT(rc == 0 || rc == KEEL_ECORRUPT);
        if (rc == 0 && !options.read_only)
            go_on(&fuzz, &options, wal, &seen);
        else
            keel_ignore(keel_wal_close(fuzz.ctx, wal), "it never wrote");
    }
    fuzz_device_close(&fuzz);
    return 0;
}
