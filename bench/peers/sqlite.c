/*
 * SQLite: journal_mode=WAL, synchronous=FULL, so that each commit syncs the write-ahead log. It has
 * one writer at a time; the threads share one connection and take turns by a mutex, since its own
 * way of waiting for the writer is to sleep and to ask again.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/mem.h"
#include "bench/peers/peer.h"

struct peer_db {
    sqlite3 *sqlite;
    sqlite3_stmt *update; /* under mutex */
    pthread_mutex_t mutex;
};

static int prefill(struct peer_db *db, const struct peer_config *config)
{
    sqlite3_stmt *insert;
    int rc = sqlite3_exec(db->sqlite, "BEGIN", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db->sqlite, "INSERT INTO t VALUES (?, zeroblob(?))", -1, &insert,
                                NULL);
    if (rc != SQLITE_OK)
        return rc;
    for (uint32_t key = 0; rc == SQLITE_OK && key < peer_key(config->threads, 0); key++) {
        sqlite3_bind_int64(insert, 1, key);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)config->value_bytes);
        rc = sqlite3_step(insert) == SQLITE_DONE ? sqlite3_reset(insert)
                                                 : sqlite3_errcode(db->sqlite);
    }
    sqlite3_finalize(insert);
    return rc != SQLITE_OK ? rc : sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
}

int peer_open(const struct peer_config *config, struct peer_db **ret)
{
    static const char *const steps[] = {
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)",
    };
    struct peer_db *db = mem_alloc(sizeof(*db));
    char path[700];

    if (!db)
        return SQLITE_NOMEM;
    pthread_mutex_init(&db->mutex, NULL);
    snprintf(path, sizeof(path), "%s/sqlite.db", config->folder);
    int rc = sqlite3_open(path, &db->sqlite);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
        rc = sqlite3_exec(db->sqlite, steps[i], NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = prefill(db, config);
    if (rc == SQLITE_OK)
        rc =
            sqlite3_prepare_v2(db->sqlite, "UPDATE t SET v = ? WHERE k = ?", -1, &db->update, NULL);
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

    pthread_mutex_lock(&db->mutex);
    sqlite3_bind_blob(db->update, 1, value, (int)bytes, SQLITE_STATIC);
    sqlite3_bind_int64(db->update, 2, key);
    int rc = sqlite3_step(db->update); /* without BEGIN: a transaction of its own */
    int reset = sqlite3_reset(db->update);
    if (rc == SQLITE_DONE && sqlite3_changes(db->sqlite) != 1)
        reset = SQLITE_NOTFOUND;
    pthread_mutex_unlock(&db->mutex);
    return rc == SQLITE_DONE || reset != SQLITE_OK ? reset : rc;
}

void peer_leave(void *session)
{
    (void)session;
}

void peer_close(struct peer_db *db)
{
    sqlite3_finalize(db->update);
    sqlite3_close(db->sqlite);
    pthread_mutex_destroy(&db->mutex);
    mem_free(db);
}

const char *peer_error(int error)
{
    return sqlite3_errstr(error);
}

const char *peer_note(void)
{
    return "SQLite " SQLITE_VERSION
           " journal_mode=WAL synchronous=FULL, one connection, UPDATE by rowid";
}
