/*
 * LMDB with its default settings: each commit writes the changed pages, syncs, and writes the
 * meta page with O_DSYNC. It has one writer at a time, which it arranges by a mutex of its own.
 */
#include <lmdb.h>

#include "base/mem.h"
#include "bench/peers/peer.h"

#define MAP_BYTES (1u << 30)

struct peer_db {
    MDB_env *env;
    MDB_dbi dbi;
};

int peer_open(const struct peer_config *config, struct peer_db **ret)
{
    struct peer_db *db = mem_alloc(sizeof(*db));
    MDB_txn *txn;

    if (!db)
        return MDB_PANIC;
    int rc = mdb_env_create(&db->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(db->env, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_open(db->env, config->folder, 0, 0644);
    if (rc == 0)
        rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &db->dbi);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    *ret = db;
    return rc;
}

int peer_enter(struct peer_db *db, uint32_t thread, void **ret_session)
{
    (void)thread;
    *ret_session = db;
    return 0;
}

int peer_commit(void *session, uint32_t key, const void *value, size_t bytes)
{
    struct peer_db *db = session;
    MDB_val name = {sizeof(key), &key};
    MDB_val data = {bytes, (void *)(uintptr_t)value};
    MDB_txn *txn;

    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_put(txn, db->dbi, &name, &data, 0);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

void peer_leave(void *session)
{
    (void)session;
}

void peer_close(struct peer_db *db)
{
    mdb_env_close(db->env);
    mem_free(db);
}

const char *peer_error(int error)
{
    return mdb_strerror(error);
}

const char *peer_note(void)
{
    return MDB_VERSION_STRING " with its default (synced) commits";
}
