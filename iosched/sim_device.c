/*
 * Commands of a simulation: what happens to one when it is handed over and when it completes.
 *
 *   sim_submit: the fault table is asked, a write's data is captured, a time is drawn
 *   sim_step:   the earliest command takes effect on its file and is given back
 *
 * Completions are ordered by time, then by submission, so a seed gives the same run everywhere.
 */
#include "iosched/sim_model.h"

#include <errno.h>
#include <string.h>

#include <keel/iosched.h>

#include "base/trace.h"

#define SERVICE_NS  2000u /* of each command, on a disk that serves one after the other */
#define SLOW_FACTOR 1000u

/* ---------------------------------------------------------------- queue of completions */

static bool due_before(const struct sim_due *a, const struct sim_due *b)
{
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->seq < b->seq;
}

static void queue_push(struct keel_sim *sim, struct sim_cmd *cmd, uint64_t when_ns)
{
    struct sim_due due = {.when_ns = when_ns, .seq = sim->due_seq++, .cmd = cmd};

    sim->due = sim_pool_grow(sim->pool, sim->due, sim->dues, &sim->dues_room, sizeof(*sim->due));

    uint32_t at = sim->dues++;
    while (at > 0 && due_before(&due, &sim->due[(at - 1) / 2])) {
        sim->due[at] = sim->due[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->due[at] = due;
}

static struct sim_due queue_pop(struct keel_sim *sim)
{
    KEEL_ASSERT(sim->dues > 0);

    struct sim_due first = sim->due[0];
    struct sim_due last = sim->due[--sim->dues];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < sim->dues && due_before(&sim->due[child + 1], &sim->due[child]))
            child++;
        if (child >= sim->dues || !due_before(&sim->due[child], &last))
            break;
        sim->due[at] = sim->due[child];
        at = child;
    }
    sim->due[at] = last;
    return first;
}

/* ---------------------------------------------------------------- writes */

static size_t write_bytes(uint32_t blocks)
{
    return sizeof(struct sim_write) + blocks * sizeof(struct sim_block *);
}

void sim_write_free(struct sim_pool *pool, struct sim_write *write)
{
    KEEL_DCHECK(!list_linked(&write->link));

    for (uint32_t i = 0; i < write->blocks; i++)
        sim_block_put(pool, write->block[i]);
    sim_pool_free(pool, write, write_bytes(write->blocks));
}

static bool all_zero(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return word == 0 && memcmp(data, data + sizeof(word), SIM_BLOCK_BYTES - sizeof(word)) == 0;
}

/* Sectors from the one that offset lies in to the end of its block. */
static uint8_t mask_from(uint64_t offset)
{
    return (uint8_t)(SIM_MASK_ALL << offset % SIM_BLOCK_BYTES / SIM_SECTOR_BYTES);
}

/* Copy data that is to land at offset into blocks. len > 0. */
static struct sim_write *write_new(struct keel_sim *sim, struct sim_file *file, uint64_t offset,
                                   const void *buf, uint32_t len)
{
    uint64_t first = offset / SIM_BLOCK_BYTES;
    uint64_t end = offset + len;
    uint32_t blocks = (uint32_t)((end + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES - first);
    struct sim_write *write = sim_pool_alloc(sim->pool, write_bytes(blocks));
    const uint8_t *from = buf;

    KEEL_ASSERT(len > 0);
    list_init(&write->link);
    write->file = file;
    write->first = first;
    write->blocks = blocks;
    write->mask_first = mask_from(offset);
    write->mask_last = end % SIM_BLOCK_BYTES ? (uint8_t)~mask_from(end) : (uint8_t)SIM_MASK_ALL;
    write->event_submitted = sim->events;

    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t at = i == 0 ? (uint32_t)(offset % SIM_BLOCK_BYTES) : 0;
        uint32_t n = SIM_BLOCK_BYTES - at < len ? SIM_BLOCK_BYTES - at : len;

        if (n < SIM_BLOCK_BYTES || !all_zero(from)) {
            write->block[i] = sim_block_new(sim->pool);
            memcpy(write->block[i]->data + at, from, n);
        }
        from += n;
        len -= n;
    }
    return write;
}

/* Does the block at index still lie in the file? It does not when the file has shrunk since. */
static bool in_file(const struct sim_file *file, uint64_t index)
{
    return index * SIM_BLOCK_BYTES < file->bytes;
}

/* Reads see the write from here on. Blocks that it wrote in part are completed from what was there,
 * so that it is whole blocks from now on. */
static void write_to_live(struct keel_sim *sim, struct sim_write *write)
{
    struct sim_file *file = write->file;
    uint64_t seq = sim->seq_base + write->event_completed;

    for (uint32_t i = 0; i < write->blocks; i++) {
        uint8_t mask = sim_write_mask(write, i);
        uint64_t index = write->first + i;

        if (mask != SIM_MASK_ALL) {
            struct sim_block *part = write->block[i];
            const struct sim_block *old = sim_image_block(&file->live, index);

            write->block[i] = sim_block_merge(sim->pool, old, part, mask);
            sim_block_put(sim->pool, part);
        }
        if (in_file(file, index))
            sim_image_set(sim->pool, &file->live, index, write->block[i], seq);
    }
}

/* The write is on the medium. What was written after it and got there before it stays. */
static void write_to_durable(struct keel_sim *sim, struct sim_write *write, uint64_t now)
{
    struct sim_file *file = write->file;
    uint64_t seq = sim->seq_base + write->event_completed;

    KEEL_ASSERT(write->event_completed > 0);
    KEEL_ASSERT(write->event_durable == 0);
    KEEL_ASSERT(now >= write->event_completed);

    write->event_durable = now;
    for (uint32_t i = 0; i < write->blocks; i++) {
        uint64_t index = write->first + i;

        if (in_file(file, index) && sim_image_seq(&file->durable, index) < seq)
            sim_image_set(sim->pool, &file->durable, index, write->block[i], seq);
    }
    if (list_linked(&write->link))
        list_remove(&write->link);
    if (!sim->history)
        sim_write_free(sim->pool, write);
}

/* Changes of the file's size up to the event are durable. */
static void sync_size(struct keel_sim *sim, struct sim_file *file, uint64_t event, uint64_t now)
{
    bool left = false;

    if (!file->resized)
        return;
    for (uint32_t i = sim->ops_durable; i < sim->ops; i++) {
        struct sim_op *op = &sim->op[i];

        if (op->file != file || op->kind != SIM_OP_RESIZE || op->event_durable != 0)
            continue;
        if (op->event <= event)
            op->event_durable = now;
        else
            left = true;
    }
    file->resized = left;
}

void sim_make_durable(struct keel_sim *sim, struct sim_file *file, uint64_t event, uint64_t now)
{
    KEEL_ASSERT(event <= now);

    sync_size(sim, file, event, now);
    list_for_each_safe (link, &file->pending) {
        struct sim_write *write = container_of(link, struct sim_write, link);

        if (write->event_completed > event)
            break; /* they stand in the order of completion */
        write_to_durable(sim, write, now);
    }
}

/* A failed sync: nobody knows what became of the writes it should have covered, and no later sync
 * covers them, as on a real kernel. A power cut decides. */
static void forsake(struct keel_sim *sim, struct sim_file *file, uint64_t event)
{
    list_for_each_safe (link, &file->pending) {
        struct sim_write *write = container_of(link, struct sim_write, link);

        if (write->event_completed > event)
            break;
        list_remove(link);
        if (!sim->history)
            sim_write_free(sim->pool, write);
    }
}

void sim_overwrite(struct keel_sim *sim, struct sim_file *file, uint64_t offset, const void *buf,
                   uint32_t len)
{
    uint64_t event = ++sim->events;
    uint64_t seq = sim->seq_base + event;
    uint64_t first = offset / SIM_BLOCK_BYTES;
    uint64_t end = (offset + len + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES;

    KEEL_ASSERT(len > 0 && offset + len <= file->bytes);
    sim_image_write(sim->pool, &file->live, offset, buf, len, seq);
    sim_image_write(sim->pool, &file->durable, offset, buf, len, seq);
    if (!sim->history)
        return;

    uint32_t blocks = (uint32_t)(end - first);
    struct sim_write *write = sim_pool_alloc(sim->pool, write_bytes(blocks));

    list_init(&write->link);
    write->file = file;
    write->first = first;
    write->blocks = blocks;
    write->mask_first = write->mask_last = SIM_MASK_ALL;
    write->event_submitted = write->event_completed = write->event_durable = event;
    for (uint32_t i = 0; i < blocks; i++) {
        write->block[i] = sim_image_block(&file->durable, first + i);
        sim_block_get(write->block[i]);
    }
    sim->write = sim_pool_grow(sim->pool, sim->write, sim->writes, &sim->writes_room,
                               sizeof(struct sim_write *));
    sim->write[sim->writes++] = write;
}

/* ---------------------------------------------------------------- submit */

static void flip_bit(struct keel_sim *sim, uint8_t *data, uint32_t len)
{
    uint64_t bit = prng_below(&sim->prng, (uint64_t)len * 8);

    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* How much of a command takes place, and its result. */
static void apply_fault(struct keel_sim *sim, struct sim_cmd *cmd, const struct keel_fault *fault)
{
    uint32_t sectors = cmd->transfer / SIM_SECTOR_BYTES;

    cmd->fault = fault->kind;
    TRACE(SIM_FAULT, trace_id(cmd->file), "struck", cmd->offset, cmd->len, fault->kind);
    switch (fault->kind) {
    case KEEL_FAULT_SHORT:
        /* One that is to be untorn is never split, so it cannot go half its way. */
        if (sectors > 1 && !cmd->atomic)
            cmd->transfer = sectors / 2 * SIM_SECTOR_BYTES;
        cmd->res = (int32_t)cmd->transfer;
        return;
    case KEEL_FAULT_ERROR:
        /* Nothing, all of it or its beginning has happened; where it is untorn, not its beginning:
         * a device promises that for errors as for power (NVM Command Set 1.0, AWUPF). */
        cmd->transfer = (uint32_t)prng_below(&sim->prng, sectors + 1u) * SIM_SECTOR_BYTES;
        if (cmd->atomic && cmd->transfer < cmd->len)
            cmd->transfer = 0;
        cmd->res = fault->error ? fault->error : -EIO;
        return;
    case KEEL_FAULT_LOST:
        cmd->transfer = 0;
        return;
    default:
        return;
    }
}

/* Take a copy of what a write is going to leave behind. */
static void capture(struct keel_sim *sim, struct sim_cmd *cmd)
{
    struct sim_file *file = cmd->file;
    uint64_t offset = cmd->offset;
    uint32_t len = cmd->transfer;

    if (cmd->fault == KEEL_FAULT_MISDIRECT)
        offset += SIM_BLOCK_BYTES;
    if (offset >= file->bytes || len == 0)
        return; /* it leaves nothing */
    if (len > file->bytes - offset)
        len = (uint32_t)(file->bytes - offset);

    struct sim_write *write = write_new(sim, file, offset, cmd->buf, len);

    write->atomic = cmd->atomic;
    if (cmd->fault == KEEL_FAULT_FLIP) {
        uint64_t at = offset + prng_below(&sim->prng, len);
        struct sim_block **block = &write->block[at / SIM_BLOCK_BYTES - write->first];

        if (!*block)
            *block = sim_block_merge(sim->pool, NULL, NULL, 0);
        flip_bit(sim, (*block)->data + at % SIM_BLOCK_BYTES, 1);
    }
    cmd->write = write;
    if (!sim->history)
        return;
    sim->write = sim_pool_grow(sim->pool, sim->write, sim->writes, &sim->writes_room,
                               sizeof(struct sim_write *));
    sim->write[sim->writes++] = write;
}

/* What a kernel refuses at once or cuts short: res, and the bytes that take place. */
static void check_range(struct sim_cmd *cmd)
{
    const struct sim_file *file = cmd->file;
    bool outside = cmd->offset >= file->bytes;
    uint64_t room = outside ? 0 : file->bytes - cmd->offset;

    cmd->transfer = 0;
    cmd->res = 0;
    if (cmd->op == KEEL_OP_SYNC)
        return;
    KEEL_ASSERT(cmd->op == KEEL_OP_READ || cmd->op == KEEL_OP_WRITE);
    if (cmd->offset % SIM_SECTOR_BYTES != 0 || cmd->len % SIM_SECTOR_BYTES != 0 || cmd->len == 0 ||
        cmd->len > INT32_MAX) {
        cmd->res = -EINVAL;
        return;
    }
    if (cmd->op == KEEL_OP_WRITE && !file->open_exclusive) {
        cmd->res = -EBADF; /* opened for reading */
        return;
    }
    if (cmd->op == KEEL_OP_WRITE && outside) {
        cmd->res = -ENOSPC; /* as a block device: a write never makes its device longer */
        return;
    }
    cmd->transfer = cmd->len < room ? cmd->len : (uint32_t)room;
    cmd->res = (int32_t)cmd->transfer;
}

/* What the command is going to do, and its result. */
static void begin(struct keel_sim *sim, struct sim_cmd *cmd)
{
    struct sim_file *file = cmd->file;
    struct keel_fault fault;

    KEEL_ASSERT(file->opens > 0);
    check_range(cmd);
    file->writes += cmd->op == KEEL_OP_WRITE;
    file->syncs += cmd->op == KEEL_OP_SYNC;
    if (cmd->res < 0)
        return;

    sim_faults_strike(&sim->faults, file->name->text, cmd->op, &fault);
    if (fault.kind != KEEL_FAULT_NONE)
        apply_fault(sim, cmd, &fault);
    if (cmd->op == KEEL_OP_WRITE)
        capture(sim, cmd);
}

void sim_start(struct keel_sim *sim, struct sim_cmd *cmd)
{
    cmd->fault = KEEL_FAULT_NONE;
    cmd->write = NULL;
    cmd->event_submitted = sim->events;
    cmd->res = 0;
    if (cmd->op != KEEL_OP_NOP)
        begin(sim, cmd);
}

void sim_submit(struct keel_sim *sim, struct sim_cmd *cmd)
{
    uint64_t latency_ns = sim_draw_latency(sim);

    sim_start(sim, cmd);
    if (cmd->fault == KEEL_FAULT_SLOW)
        latency_ns *= SLOW_FACTOR;
    uint64_t served_ns = sim->now_ns;
    if (sim->serves) {
        if (sim->free_ns < sim->now_ns)
            sim->free_ns = sim->now_ns;
        sim->free_ns += SERVICE_NS + cmd->len * 1000000000ull / sim->bytes_per_s;
        served_ns = sim->free_ns;
    }
    queue_push(sim, cmd, served_ns + latency_ns);
}

/* ---------------------------------------------------------------- complete */

static void complete_read(struct keel_sim *sim, struct sim_cmd *cmd)
{
    if (cmd->transfer == 0)
        return;

    sim_image_read(&cmd->file->live, cmd->offset, cmd->buf, cmd->transfer);
    if (cmd->fault == KEEL_FAULT_FLIP)
        flip_bit(sim, cmd->buf, cmd->transfer);
}

static void complete_write(struct keel_sim *sim, struct sim_cmd *cmd)
{
    struct sim_write *write = cmd->write;
    uint64_t event = ++sim->events;

    cmd->write = NULL;
    if (!write)
        return;

    write->event_completed = event;
    write_to_live(sim, write);
    list_push_tail(&cmd->file->pending, &write->link);
    if (cmd->dsync && cmd->fault != KEEL_FAULT_ERROR) {
        sync_size(sim, cmd->file, cmd->event_submitted, event);
        write_to_durable(sim, write, event);
    }
}

static void complete_sync(struct keel_sim *sim, struct sim_cmd *cmd)
{
    uint64_t event = ++sim->events;

    if (cmd->fault == KEEL_FAULT_ERROR)
        forsake(sim, cmd->file, cmd->event_submitted);
    else if (cmd->fault != KEEL_FAULT_LOST)
        sim_make_durable(sim, cmd->file, cmd->event_submitted, event);
}

void sim_finish(struct keel_sim *sim, struct sim_cmd *cmd)
{
    switch (cmd->op) {
    case KEEL_OP_READ:
        complete_read(sim, cmd);
        break;
    case KEEL_OP_WRITE:
        complete_write(sim, cmd);
        break;
    case KEEL_OP_SYNC:
        complete_sync(sim, cmd);
        break;
    default:
        KEEL_ASSERT(cmd->op == KEEL_OP_NOP);
        break;
    }
}

struct sim_cmd *sim_step(struct keel_sim *sim, uint64_t until_ns)
{
    if (sim->dues == 0 || sim->due[0].when_ns > until_ns) {
        if (until_ns != UINT64_MAX && until_ns > sim->now_ns)
            sim->now_ns = until_ns;
        return NULL;
    }

    struct sim_due due = queue_pop(sim);
    struct sim_cmd *cmd = due.cmd;

    /* Operations on names move the clock past completions that were due: those are late then. */
    if (due.when_ns > sim->now_ns)
        sim->now_ns = due.when_ns;
    sim_finish(sim, cmd);
    return cmd;
}
