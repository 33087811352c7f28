/*
 * WiredTiger: a row store with its log, transaction_sync by fsync. A session and a cursor for each
 * thread; the log groups the commits of several threads.
 */
#include <stdio.h>
#include <wiredtiger.h>

#include "base/mem.h"
#include "bench/peers/peer.h"

#define CONFIG                                                                   \
    "create,cache_size=256MB,session_max=256,log=(enabled=true,file_max=100MB)," \
    "transaction_sync=(enabled=true,method=fsync)"
#define TABLE "table:t"

struct peer_db {
    WT_CONNECTION *connection;
};

struct session {
    WT_SESSION *session;
    WT_CURSOR *cursor;
};

int peer_open(const struct peer_config *config, struct peer_db **ret)
{
    struct peer_db *db = mem_alloc(sizeof(*db));
    WT_SESSION *session;

    if (!db)
        return WT_PANIC;
    int rc = wiredtiger_open(config->folder, NULL, CONFIG, &db->connection);
    if (rc == 0)
        rc = db->connection->open_session(db->connection, NULL, NULL, &session);
    if (rc == 0)
        rc = session->create(session, TABLE, "key_format=Q,value_format=u");
    if (rc == 0)
        rc = session->close(session, NULL);
    *ret = db;
    return rc;
}

int peer_enter(struct peer_db *db, uint32_t thread, void **ret_session)
{
    struct session *session = mem_alloc(sizeof(*session));

    (void)thread;
    if (!session)
        return WT_PANIC;
    int rc = db->connection->open_session(db->connection, NULL, NULL, &session->session);
    if (rc == 0)
        rc = session->session->open_cursor(session->session, TABLE, NULL, "overwrite=true",
                                           &session->cursor);
    if (rc != 0) {
        mem_free(session);
        return rc;
    }
    *ret_session = session;
    return 0;
}

int peer_commit(void *arg, uint32_t key, const void *value, size_t bytes)
{
    struct session *session = arg;
    WT_CURSOR *cursor = session->cursor;
    WT_ITEM item = {.data = value, .size = bytes};

    int rc = session->session->begin_transaction(session->session, NULL);
    if (rc != 0)
        return rc;
    cursor->set_key(cursor, (uint64_t)key);
    cursor->set_value(cursor, &item);
    rc = cursor->insert(cursor); /* overwrites */
    if (rc == 0)
        return session->session->commit_transaction(session->session, "sync=on");
    session->session->rollback_transaction(session->session, NULL);
    return rc;
}

void peer_leave(void *arg)
{
    struct session *session = arg;

    session->session->close(session->session, NULL);
    mem_free(session);
}

void peer_close(struct peer_db *db)
{
    db->connection->close(db->connection, NULL);
    mem_free(db);
}

const char *peer_error(int error)
{
    return wiredtiger_strerror(error);
}

const char *peer_note(void)
{
    static char note[160];

    snprintf(note, sizeof(note), "WiredTiger %d.%d.%d log and sync=on at each commit, method=fsync",
             WIREDTIGER_VERSION_MAJOR, WIREDTIGER_VERSION_MINOR, WIREDTIGER_VERSION_PATCH);
    return note;
}
