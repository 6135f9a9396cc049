/* Capability `database`: sessions, transactions, prepared statements. It executes and holds no schema;
 * the kernel's tables are the kernel's. SPDX-License-Identifier: MIT */
#ifndef HILUM_DATABASE_H
#define HILUM_DATABASE_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HILUM_DB_NULL = 0,
    HILUM_DB_INT = 1,
    HILUM_DB_REAL = 2,
    HILUM_DB_TEXT = 3,
    HILUM_DB_BLOB = 4
};

/* A parameter or a column. Frozen for the major. Bytes are borrowed: parameters until the statement
 * is reset, columns until the next step. TEXT is UTF-8, n bytes, NUL-terminated in columns. */
struct hilum_value {
    uint32_t type, reserved;
    uint64_t n;
    int64_t integer;
    double real;
    const void *bytes;
};

enum {
    HILUM_DB_READ = 0,
    HILUM_DB_WRITE =
        1 /* the kernel's; plugins write with hilum_host.record. At most one open at a time; commits are durable when commit() returns */
};

/* Sessions may be used by one thread at a time; different sessions in parallel. Errors every member
 * may return: HILUM_EIO (device), HILUM_EFULL, HILUM_EDENIED (read-only or not this session's table),
 * HILUM_EAGAIN (locked), HILUM_ECORRUPT, HILUM_EINVAL (the statement), HILUM_EEXISTS (a unique
 * constraint), HILUM_ECANCELLED (interrupted). */
struct hilum_database {
    struct hilum_cap cap;
    const char *dialect; /* "sqlite", "postgres": names the variant of a statement to use */
    /* scope NULL: the kernel's tables. Otherwise a plugin's id: the session sees p_<scope>_* only. */
    hilum_rc (*open)(void *self, uint32_t mode, const char *scope, void **session);
    void (*close)(void *session);
    /* Runs a script of statements without results. */
    hilum_rc (*exec)(void *session, const char *sql);
    /* Parameters are written ?1, ?2 ... */
    hilum_rc (*prepare)(void *session, const char *sql, void **statement);
    /* Binds all parameters and rewinds. */
    hilum_rc (*bind)(void *statement, const struct hilum_value *values, uint32_t n);
    /* 1: a row, 0: done, negative: error. */
    hilum_rc (*step)(void *statement);
    hilum_rc (*column)(void *statement, uint32_t i, struct hilum_value *out);
    void (*reset)(void *statement);
    void (*finish)(void *statement);
    hilum_rc (*begin)(void *session);
    hilum_rc (*commit)(void *session);
    hilum_rc (*rollback)(void *session);
    uint64_t (*changes)(void *session); /* rows changed by the last statement */
    int64_t (*last_id)(void *session);  /* row id of the last insert */
    void (*interrupt)(void *session);   /* any thread: the running statement ends with ECANCELLED */
    /* Bounds the write-ahead log; called by the host when it is idle. */
    hilum_rc (*checkpoint)(void *session);
    /* Optional, the two together. As commit, but what was written need not be durable before the next commit() or flush(),
     * of which each covers everything before it; a power loss takes the last commits away, never some in between. */
    hilum_rc (*commit_unflushed)(void *session);
    hilum_rc (*flush)(void *session);
    /* Optional; without it plugins record nothing (hilum_host.record). Until confine(session, NULL, 0) what is prepared
     * in this session sees p_<scope>_* only and cannot end the transaction, and what runs longer than ms from now ends
     * with HILUM_ECANCELLED. */
    hilum_rc (*confine)(void *session, const char *scope, uint32_t ms);
};

/* A statement of a recorded unit (hilum_host.record). Element of arrays: frozen for the major. */
struct hilum_record_step {
    const char *sql; /* parameters ?1, ?2 ... */
    const struct hilum_value *values;
    uint32_t n_values, reserved;
    int64_t rows; /* how many it must change; -1: any number */
};

#ifdef __cplusplus
}
#endif
#endif
