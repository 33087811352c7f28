/*
 * sim_log: the log alone, through lives that end by power cuts.
 *
 * usage: sim_log [--seeds N] [--first S] [--bug NAME]      2,000 seeds from 1 on by default
 *
 * A seed is one log in a few lives. In each the log is opened, its records are compared with the
 * model, it is started, and groups are appended and committed in every way and at every level there
 * is, blocking and asynchronous, with checkpoints, promises, clean closes and, in some lives, a
 * device that fails, lies or is late. Then the power fails at any event so far, in any mode, and
 * the next life begins with what is left; half of the time the recovery is itself cut, and has to
 * find the same again. Before that the process may be killed alone, and go on from what recovery
 * finds.
 *
 * What must hold (docs/invariants.md):
 *   W1  every group that was reported durable before the cut is there, and after a kill every one
 *       that was reported written
 *   W2  the durable LSN never goes back; asynchronous answers come in LSN order
 *   W4  after a failure nothing is reported durable
 *   W3, W6  what is there is what was appended, in order, without a gap; nothing of a lost tail
 *       ever comes back
 *   W5  every group behind the last truncation is there, and in half of the seeds every group that
 *       a follower has not read yet, over all lives; and a full log has room for what its
 *       checkpoint appends
 *   E2  what recovery has found stays, also when it was only in the device's cache until then
 *   W7  where the device lied (a sync that did nothing, a flipped bit, a misdirected write) the log
 *       is refused, or what is there is still a prefix of what was appended
 *
 * A seed takes milliseconds; one that has computed for SEED_SECONDS waits for something that does
 * not come, which is a violation too (I6).
 *
 * Exit: 0 as it should be, 1 violation, 2 wrong usage. With --bug, 1 says that it was caught.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <keel/sim.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/bug.h"
#include "base/endian.h"
#include "base/prng.h"
#include "tests/support/share.h"
#include "wal/log.h"

#define PATH        "wal.keel"
#define RING        (256u * 1024u)
#define SEEDS       TEST_SHARE(2000u)
#define LIVES       3u
#define STEPS       48u
#define GROUPS_MAX  2048u
#define RECORD_MIN  16u
#define RECORD_MAX  9000u
#define COMMITS_MAX 256u
#define MARKS_MAX   4096u

#define SEED_SECONDS 10 /* of processor time */

/* A group as the model knows it. Numbers go on over the lives; those of lost groups are given
 * again, with another life. */
struct group {
    uint32_t life;
    uint32_t len;
};

/* Something that was said at an event: groups up to this number are durable, or truncated. */
struct mark {
    uint64_t event;
    uint64_t number;
};

struct marks {
    struct mark marks[MARKS_MAX];
    uint32_t count;
};

/* How far the follower had read at an event. */
struct place {
    uint64_t event;
    keel_lsn lsn;
    uint64_t number;
};

/* Reads the log behind the writers and holds what it has not read. */
struct follower {
    bool on;
    struct keel_wal_holder *holder; /* of this run of the log, or NULL */
    struct place places[MARKS_MAX]; /* the last one is where it is */
    uint32_t count;
};

struct life {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_wal *wal;
};

struct test {
    uint64_t seed;
    struct prng prng;
    struct keel_wal_options options;
    struct life now;
    uint32_t life;
    uint64_t born;                   /* event from which on there is a log */
    struct group groups[GROUPS_MAX]; /* 1 to appended */
    keel_lsn ends[GROUPS_MAX];       /* in this life */
    uint64_t appended;
    struct marks acked, written, kept; /* kept: groups above the number must be there */
    keel_lsn durable;
    struct keel_commit commits[COMMITS_MAX];
    uint64_t commit_number[COMMITS_MAX];
    uint32_t commit_count, answers;
    uint64_t answered; /* last group that an asynchronous commit was answered for */
    struct follower follower;
    bool reserve_whole; /* somebody else was given space after the last use of the reserve */
    bool lied;          /* the device did, in this life */
    bool none;          /* the last inspection found no group */
    bool bad;
};

struct totals {
    uint64_t cuts, recovered, refused, poisoned, groups, twice, truncated, async, killed, followed;
};
static struct totals totals;

static void violation(struct test *test, const char *what)
{
    if (!test->bad)
        printf("VIOLATION seed %llu, life %u: %s\n", (unsigned long long)test->seed, test->life,
               what);
    test->bad = true;
}

static void note(struct marks *marks, uint64_t event, uint64_t number)
{
    KEEL_ASSERT(marks->count < MARKS_MAX);
    marks->marks[marks->count++] = (struct mark){event, number};
}

/* The largest number that was said by then. */
static uint64_t said(const struct marks *marks, uint64_t event)
{
    uint64_t number = 0;

    for (uint32_t i = 0; i < marks->count; i++) {
        if (marks->marks[i].event <= event && marks->marks[i].number > number)
            number = marks->marks[i].number;
    }
    return number;
}

/* ---------------------------------------------------------------- records */

static uint8_t byte_of(uint64_t number, uint32_t life, uint32_t at)
{
    return (uint8_t)(number * 31 + life * 101 + at * 7 + at / 251);
}

static void fill(uint8_t *bytes, uint64_t number, const struct group *group)
{
    for (uint32_t i = 0; i < group->len; i++)
        bytes[i] = byte_of(number, group->life, i);
    store_le64(bytes, number);
    store_le32(bytes + 8, group->life);
}

struct found {
    const struct test *test;
    uint64_t first, last;
    bool wrong;
};

static int look(void *arg, const struct keel_wal_entry *entry)
{
    static uint8_t want[RECORD_MAX];
    struct found *found = arg;
    const struct test *test = found->test;
    uint64_t number = entry->len >= RECORD_MIN ? load_le64(entry->data) : 0;

    if (number == 0 || number > test->appended || entry->len != test->groups[number].len ||
        (found->last > 0 && number != found->last + 1)) {
        found->wrong = true;
        return 1;
    }
    fill(want, number, &test->groups[number]);
    if (memcmp(want, entry->data, entry->len) != 0) {
        found->wrong = true;
        return 1;
    }
    if (found->first == 0)
        found->first = number;
    found->last = number;
    return 0;
}

/* ---------------------------------------------------------------- lives */

static void must(int rc)
{
    KEEL_ASSERT(rc == 0);
}

static void attach(struct life *life, uint64_t create_bytes)
{
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;

    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = life->sim;
    must(keel_ctx_open(&ctx, &life->ctx));
    device.create_bytes = create_bytes;
    must(keel_device_open(life->ctx, PATH, &device, NULL, &life->device));
    life->wal = NULL;
}

static void detach(struct life *life)
{
    keel_sim_fault_clear(life->sim);
    if (life->wal)
        keel_ignore(keel_wal_close(life->ctx, life->wal), "its life is over");
    keel_device_close(life->device);
    keel_ctx_close(life->ctx);
    keel_sim_destroy(life->sim);
}

static int open_log(struct test *test, struct life *life)
{
    struct keel_err_info info;

    test->options.sim = life->sim;
    return keel_wal_open(life->ctx, life->device, &test->options, &info, &life->wal);
}

/* ---------------------------------------------------------------- what happens in a life */

static bool poisoned(const struct test *test)
{
    return keel_wal_poisoned(test->now.wal) != 0;
}

static void acked(struct test *test, uint64_t number, enum keel_level level)
{
    if (poisoned(test))
        violation(test, "W4: acknowledged after a failure");
    if (level == KEEL_LEVEL_NONE)
        return;
    note(level == KEEL_LEVEL_DURABLE ? &test->acked : &test->written,
         keel_sim_events(test->now.sim), number);
}

static enum keel_level draw_level(struct test *test)
{
    return prng_chance(&test->prng, 1, 2) ? KEEL_LEVEL_DURABLE
                                          : (enum keel_level)prng_below(&test->prng, 3);
}

static void look_at_durable(struct test *test)
{
    keel_lsn durable = keel_wal_durable(test->now.wal);

    if (durable < test->durable)
        violation(test, "W2: the durable LSN went back");
    test->durable = durable;
}

static void answered(struct keel_commit *commit)
{
    struct test *test = commit->user;
    uint64_t number = test->commit_number[commit - test->commits];

    if (number < test->answered)
        violation(test, "W2: answered out of order");
    test->answered = number;
    test->answers++;
    if (commit->res == 0)
        acked(test, number, commit->level);
}

/* Wait for every asynchronous commit; their places are free again. */
static void settle(struct test *test)
{
    while (test->answers < test->commit_count) {
        int rc = keel_ctx_poll(test->now.ctx, 0, -1);
        KEEL_ASSERT(rc >= 0);
    }
    test->commit_count = 0;
    test->answers = 0;
    test->answered = 0;
}

/* ---------------------------------------------------------------- the follower */

static struct place *place(struct test *test)
{
    return &test->follower.places[test->follower.count - 1];
}

static void place_add(struct test *test, struct place at)
{
    KEEL_ASSERT(test->follower.count < MARKS_MAX);
    test->follower.places[test->follower.count++] = at;
}

/* At this event of the life before, it was where it now is. */
static void place_go_back(struct test *test, uint64_t event, uint64_t born)
{
    struct follower *follower = &test->follower;

    while (follower->count > 1 && place(test)->event > event)
        follower->count--;
    follower->places[0] = *place(test);
    follower->places[0].event = born;
    follower->count = 1;
    follower->holder = NULL;
}

/* Between open and start: what it has not read is held again. */
static void follower_hold(struct test *test)
{
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;

    if (!test->follower.on)
        return;
    options.name = "follower";
    options.lsn = place(test)->lsn;
    options.beyond = KEEL_WAL_WAIT;
    if (keel_wal_hold(test->now.wal, &options, &test->follower.holder) != 0)
        violation(test, "W5: what the follower has not read is gone");
}

/* Read up to `groups` further groups. */
static void follow(struct test *test, uint32_t groups)
{
    struct place at = *place(test);
    struct found found = {.test = test, .last = at.number};
    struct keel_wal_reader *reader = NULL;
    struct keel_wal_entry entry;
    int rc;

    if (!test->follower.on || poisoned(test) || test->follower.count == MARKS_MAX)
        return;
    rc = keel_wal_reader_open(test->now.ctx, test->now.wal, at.lsn, NULL, &reader);
    for (; rc == 0 && groups > 0; groups--) {
        rc = keel_wal_reader_next(reader, &entry);
        if (rc <= 0)
            break;
        rc = look(&found, &entry);
        at.lsn = entry.end_lsn;
        at.number = found.last;
        totals.followed++;
    }
    if ((rc != 0 && !test->lied) || found.wrong)
        violation(test, found.wrong ? "W5: the follower read what was not appended, or not in order"
                                    : keel_err_name(rc));
    if (rc != 0) {
        test->follower.on = false; /* the device lied to it */
        keel_wal_hold_end(test->follower.holder);
    } else {
        at.event = keel_sim_events(test->now.sim);
        place_add(test, at);
        must(keel_wal_hold_move(test->follower.holder, at.lsn));
    }
    if (reader)
        keel_wal_reader_close(reader);
}

/* ---------------------------------------------------------------- appending and truncating */

static bool append_one(struct test *test, uint32_t len, bool of_reserve);

/* A record without which this owner does not truncate. */
static void append_checkpoint(struct test *test)
{
    if (test->options.reserve_bytes == 0)
        return;
    if (!append_one(test, 100, true) && !poisoned(test) && test->reserve_whole)
        violation(test, "W5: a full log cannot checkpoint itself free");
}

static void truncate_log(struct test *test)
{
    append_checkpoint(test);
    uint64_t number = test->appended;
    keel_lsn cut = keel_wal_cut(test->now.wal);

    settle(test);
    if (keel_wal_commit(test->now.wal, cut) != 0)
        return;
    acked(test, number, KEEL_LEVEL_DURABLE);
    /* From the moment that it is asked for, groups up to number may be gone. */
    note(&test->kept, keel_sim_events(test->now.sim), number);
    totals.truncated += keel_wal_truncate(test->now.ctx, test->now.wal, cut) == 0;
}

/* False: there is no room, or the log is poisoned. */
static bool append_one(struct test *test, uint32_t len, bool of_reserve)
{
    static uint8_t bytes[RECORD_MAX];
    struct keel_wal_credit credit = {.of_reserve = of_reserve};
    struct iovec part = {bytes, len};
    struct keel_wal_record record = {&part, 1, 1};
    struct group group = {.life = test->life, .len = len};
    keel_lsn lsn, end;

    if (keel_wal_credit_take(test->now.wal, &credit, keel_wal_credit_bytes(len, 1)) != 0)
        return false;
    test->reserve_whole = !of_reserve;
    fill(bytes, test->appended + 1, &group);
    /* In the model before it can be in the log: appending may drive. */
    test->groups[++test->appended] = group;
    int rc = keel_wal_append(test->now.wal, &credit, keel_wal_mark(test->now.wal), &record, 1, &lsn,
                             &end);
    keel_wal_credit_put(test->now.wal, &credit);
    if (rc != 0) {
        KEEL_ASSERT(rc == KEEL_EPOISON);
        return false;
    }
    test->ends[test->appended] = end;
    totals.groups++;
    return true;
}

static void append(struct test *test)
{
    uint32_t len = RECORD_MIN + (uint32_t)prng_below(&test->prng, prng_chance(&test->prng, 1, 5)
                                                                      ? RECORD_MAX - RECORD_MIN
                                                                      : 600);

    if (test->appended + 2 >= GROUPS_MAX || poisoned(test) || append_one(test, len, false))
        return;
    if (prng_chance(&test->prng, 1, 2))
        follow(test, UINT32_MAX);
    truncate_log(test);
    if (!poisoned(test))
        append_one(test, len, false);
}

/* Of the groups of this life, one of the last few. */
static uint64_t recent(struct test *test)
{
    uint64_t back = prng_below(&test->prng, 4);
    uint64_t number = test->appended > back ? test->appended - back : test->appended;

    return test->ends[number] != 0 ? number : 0;
}

static void commit_one(struct test *test)
{
    uint64_t number = recent(test);

    if (number == 0)
        return;
    enum keel_level level = draw_level(test);
    if (keel_wal_commit_level(test->now.wal, test->ends[number], level) == 0)
        acked(test, number, level);
}

static void commit_async(struct test *test)
{
    uint64_t number = recent(test);
    uint32_t index = test->commit_count;

    if (index == COMMITS_MAX || number == 0 ||
        (index > 0 && number < test->commit_number[index - 1]))
        return;
    test->commit_number[index] = number;
    test->commits[index] = (struct keel_commit){
        .lsn = test->ends[number], .done = answered, .user = test, .level = draw_level(test)};
    test->commit_count++;
    must(keel_wal_commit_async(test->now.ctx, test->now.wal, &test->commits[index]));
    totals.async++;
}

static void fault(struct test *test)
{
    static const struct keel_fault faults[] = {
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_ERROR},
        {.op = KEEL_OP_SYNC, .kind = KEEL_FAULT_ERROR},
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_ERROR, .error = -ENODATA},
        {.kind = KEEL_FAULT_SLOW},
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_SHORT},
        {.op = KEEL_OP_SYNC, .kind = KEEL_FAULT_LOST},
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_LOST},
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_FLIP},
        {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_MISDIRECT},
    };
    struct keel_fault fault = faults[prng_below(&test->prng, sizeof(faults) / sizeof(faults[0]))];

    fault.countdown = (uint32_t)prng_below(&test->prng, 20);
    if (keel_sim_fault(test->now.sim, &fault) != 0)
        return;
    if (fault.kind == KEEL_FAULT_LOST || fault.kind == KEEL_FAULT_FLIP ||
        fault.kind == KEEL_FAULT_MISDIRECT)
        test->lied = true;
}

/* Close in order and open again, within a life. */
static void restart(struct test *test)
{
    uint64_t number = test->appended;

    settle(test);
    int rc = keel_wal_close(test->now.ctx, test->now.wal);
    test->now.wal = NULL;
    if (rc == 0 && number > 0)
        note(&test->acked, keel_sim_events(test->now.sim), number);
}

static void step(struct test *test)
{
    switch (prng_below(&test->prng, 16)) {
    case 0:
    case 1:
    case 2:
        commit_one(test);
        break;
    case 3:
    case 4:
        commit_async(test);
        break;
    case 5:
        KEEL_ASSERT(keel_ctx_poll(test->now.ctx, 0, 0) >= 0);
        break;
    case 6:
        keel_wal_kick(test->now.wal);
        break;
    case 7:
        keel_wal_promise(test->now.wal);
        break;
    case 8:
        if (prng_chance(&test->prng, 1, 3) && test->appended + 2 < GROUPS_MAX)
            truncate_log(test);
        break;
    case 9:
        follow(test, (uint32_t)prng_below(&test->prng, 6));
        break;
    default:
        append(test);
        break;
    }
    look_at_durable(test);
}

/* ---------------------------------------------------------------- the cut, and what is left */

/* What is there becomes the model; from this event on. */
static void go_on_from(struct test *test, uint64_t event, uint64_t last, uint64_t kept)
{
    test->follower.on = test->follower.on && !test->lied;
    test->acked.count = 0;
    test->written.count = 0;
    test->kept.count = 0;
    test->born = event;
    test->appended = last;
    memset(test->ends, 0, sizeof(test->ends));
    note(&test->acked, event, last);
    /* Where nothing was found, all of it may be gone from now on. */
    note(&test->kept, event, kept < last && !test->none ? kept : last);
}

enum end { POWER_CUT, KILL };

/* Compare with the model. ret_last: what is there. False: refused. */
static bool inspect(struct test *test, struct life *life, enum end end, uint64_t event,
                    uint64_t *ret_last)
{
    struct found found = {.test = test};
    uint64_t owed = said(&test->acked, event), kept = said(&test->kept, event);
    uint64_t written = said(&test->written, event);

    if (end == KILL && written > owed)
        owed = written;

    int rc = open_log(test, life);
    if (rc == 0)
        rc = keel_wal_replay(life->ctx, life->wal, 0, look, &found);
    if (found.wrong) {
        violation(test, "W3: found what was not appended, or not in order");
        return false;
    }
    if (rc != 0) {
        if (!test->lied || (rc != KEEL_ECORRUPT && rc != KEEL_ESUPER))
            violation(test, keel_err_name(rc));
        totals.refused++;
        return false;
    }
    /* A log without a group in it says nothing about numbers. */
    uint64_t last = found.last > 0 ? found.last : kept > owed ? kept : owed;
    if (!test->lied && found.last > 0 && last < owed)
        violation(test, "W1: acknowledged groups are lost");
    if (!test->lied && found.last == 0 && owed > kept)
        violation(test, "W1: all acknowledged groups are lost");
    if (!test->lied && found.first > kept + 1)
        violation(test, "W5: groups behind the truncation are gone");
    *ret_last = last;
    test->none = found.last == 0;
    totals.recovered++;
    return true;
}

/*
 * The process dies and the power does not: what it wrote may still be in the device's cache alone.
 * What the recovery of the log then finds has to outlive every later cut (E2).
 */
static bool die_and_return(struct test *test)
{
    uint64_t last = 0, events;

    keel_wal_poison(test->now.wal, -EIO);
    settle(test);
    keel_ignore(keel_wal_close(test->now.ctx, test->now.wal), "it is killed");
    test->now.wal = NULL;
    keel_sim_fault_clear(test->now.sim);
    events = keel_sim_events(test->now.sim);
    if (!inspect(test, &test->now, KILL, events, &last))
        return false;
    totals.killed++;
    place_go_back(test, events, keel_sim_events(test->now.sim));
    go_on_from(test, keel_sim_events(test->now.sim), last, said(&test->kept, events));
    test->life++; /* groups that take the numbers of lost ones look different */
    return true;
}

static void work(struct test *test)
{
    follower_hold(test);
    test->reserve_whole = false;
    if (keel_wal_start(test->now.ctx, test->now.wal) != 0)
        return;
    test->durable = keel_wal_durable(test->now.wal);
    if (prng_chance(&test->prng, 1, 3))
        fault(test);
    uint64_t steps = STEPS / 4 + prng_below(&test->prng, STEPS);
    for (uint64_t i = 0; i < steps && !test->bad; i++)
        step(test);
    totals.poisoned += poisoned(test);
}

/* From an opened log to where the power may fail; the process may be killed before. */
static void live(struct test *test)
{
    work(test);
    if (prng_chance(&test->prng, 1, 3) && die_and_return(test))
        work(test);
    if (!test->now.wal)
        return;
    if (prng_chance(&test->prng, 1, 6))
        restart(test);
    else if (prng_chance(&test->prng, 1, 2))
        settle(test);
}

static void cut(struct test *test, const struct life *from, uint64_t event, struct life *ret)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    enum keel_cut_mode mode = (enum keel_cut_mode)prng_below(&test->prng, KEEL_CUT_MODES);

    options.seed = prng_u64(&test->prng);
    options.history = true;
    must(keel_sim_cut(from->sim, event, mode, prng_u64(&test->prng), &options, NULL, &ret->sim));
    attach(ret, 0);
    totals.cuts++;
}

/* Recovery of `life` was cut: the same has to be found again. */
static void recover_twice(struct test *test, struct life *life, uint64_t event, uint64_t want)
{
    struct life again;
    uint64_t last = 0;

    cut(test, life, prng_below(&test->prng, keel_sim_events(life->sim) + 1), &again);
    if (!inspect(test, &again, POWER_CUT, event, &last) || last != want)
        violation(test, "E2: recovery that was cut finds something else");
    totals.twice++;
    detach(&again);
}

/* The power fails; ret: the next life, opened. False: it ends here. */
static bool next_life(struct test *test)
{
    uint64_t events = keel_sim_events(test->now.sim);
    uint64_t event = test->born + prng_below(&test->prng, events + 1 - test->born);
    struct life next;
    uint64_t last = 0;

    if (prng_chance(&test->prng, 1, 3))
        event = events;
    cut(test, &test->now, event, &next);
    bool good = inspect(test, &next, POWER_CUT, event, &last);
    if (good && !test->lied && prng_chance(&test->prng, 1, 2))
        recover_twice(test, &next, event, last);
    if (test->now.wal)
        settle(test); /* whatever they are told now, nobody is owed it */
    detach(&test->now);
    test->now = next;
    place_go_back(test, event, 0);
    go_on_from(test, 0, last, said(&test->kept, event));
    test->lied = false;
    return good && !test->bad;
}

/* ---------------------------------------------------------------- program */

static void draw_options(struct test *test)
{
    static const enum keel_sync_method syncs[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK, KEEL_SYNC_FLUSH};

    test->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    test->options.method = KEEL_METHOD_SIM;
    test->options.sync = syncs[prng_below(&test->prng, 3)];
    test->options.batch_bytes_max = 4096u << prng_below(&test->prng, 3);
    test->options.buffer_bytes = 65536;
    test->options.inflight_max = 1 + (uint32_t)prng_below(&test->prng, 8);
    test->options.pipeline_bytes = 4096u << prng_below(&test->prng, 2);
    test->options.reserve_bytes = prng_chance(&test->prng, 1, 2) ? 2 * WAL_BLOCK : 0;
    test->follower.on = prng_chance(&test->prng, 1, 2);
    place_add(test, (struct place){.lsn = WAL_LSN_FIRST});
}

static bool run_seed(uint64_t seed)
{
    static struct test test;
    struct keel_sim_options sim = KEEL_SIM_OPTIONS_DEFAULT;

    memset(&test, 0, sizeof(test));
    test.seed = seed;
    prng_seed(&test.prng, seed);
    draw_options(&test);
    sim.seed = seed;
    sim.history = true;
    must(keel_sim_create(&sim, &test.now.sim));
    attach(&test.now, RING + WAL_SUPER_BYTES);
    must(keel_wal_create(test.now.ctx, test.now.device, &test.options, NULL));
    test.born = keel_sim_events(test.now.sim);
    must(open_log(&test, &test.now));
    bool good = true;
    for (uint32_t i = 0; good && i < LIVES; i++) {
        test.life++;
        live(&test);
        good = next_life(&test);
    }
    settle(&test);
    detach(&test.now);
    return !test.bad;
}

static void endless(int signal)
{
    static const char text[] = "VIOLATION I6: this seed does not come to an end\n";

    (void)signal;
    keel_ignore((int)write(STDOUT_FILENO, text, sizeof(text) - 1), "the exit status says it too");
    _exit(1);
}

/* Processor time from here on, so a busy machine is no violation. */
static void watch_seed(void)
{
    const struct itimerval limit = {.it_value = {.tv_sec = SEED_SECONDS}};

    must(setitimer(ITIMER_VIRTUAL, &limit, NULL));
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--seeds N] [--first S] [--bug NAME]\n", program);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t seeds = SEEDS, first = 1;

    for (int i = 1; i < argc; i += 2) {
        uint64_t *value = strcmp(argv[i], "--seeds") == 0   ? &seeds
                          : strcmp(argv[i], "--first") == 0 ? &first
                                                            : NULL;
        if (i + 1 == argc)
            return usage(argv[0]);
        if (value && argv[i + 1][0] >= '0' && argv[i + 1][0] <= '9') {
            *value = strtoull(argv[i + 1], NULL, 10);
            continue;
        }
        if (strcmp(argv[i], "--bug") != 0 || seeded_bug_find(argv[i + 1]) == SEEDED_BUG_NONE)
            return usage(argv[0]);
#ifdef KEEL_SEEDED_BUGS
        keel_seeded_bug = seeded_bug_find(argv[i + 1]);
#else
        fprintf(stderr, "%s: the library was built without seeded bugs\n", argv[0]);
        return 2;
#endif
    }
    KEEL_ASSERT(signal(SIGVTALRM, endless) != SIG_ERR);
    bool good = true;
    for (uint64_t seed = first; seed < first + seeds && good; seed++) {
        watch_seed();
        good = run_seed(seed);
    }
    printf("%llu power cuts, %llu recovered, %llu refused, %llu recoveries cut, %llu kills; %llu "
           "groups, %llu "
           "asynchronous commits, %llu truncations, %llu lives poisoned, %llu groups followed\n",
           (unsigned long long)totals.cuts, (unsigned long long)totals.recovered,
           (unsigned long long)totals.refused, (unsigned long long)totals.twice,
           (unsigned long long)totals.killed, (unsigned long long)totals.groups,
           (unsigned long long)totals.async, (unsigned long long)totals.truncated,
           (unsigned long long)totals.poisoned, (unsigned long long)totals.followed);
    return good ? 0 : 1;
}
