/* What the acceptor's files share: the server, its connections and their lists, who may touch what.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_UL_SERVER_H
#define HL_UL_SERVER_H

#include "core/base/pool.h"
#include "core/dicom/ul/internal.h"

#include <pthread.h>

/* First member of everything epoll points at. */
enum hl_ul_source_kind { HL_UL_WAKE, HL_UL_LISTENER, HL_UL_CONN, HL_UL_LINGER };
struct hl_ul_source {
    enum hl_ul_source_kind kind;
};

struct hl_ul_listener {
    struct hl_ul_source source;
    int fd;
    struct hl_ul_tls *tls; /* under the server's lock: replaced by reload */
};

/* Where a connection is. CONNECTING belongs to the loop thread alone; BUSY to one task or to the
 * loop while it handles an event; PARKED to whoever takes it off the list under the lock. SECURING
 * belongs to the task that waits for or is in a step of its TLS handshake; DOOMED likewise, but the
 * loop has given it up and the task ends it. */
enum hl_ul_place {
    HL_UL_CONNECTING,
    HL_UL_PARKED,
    HL_UL_BUSY,
    HL_UL_SECURING,
    HL_UL_DOOMED,
    HL_UL_PLACES
};

struct hl_ul_conn {
    struct hl_ul_source source;
    struct hl_ul_server *server;
    struct hl_ul_conn *prev, *next;
    enum hl_ul_place place;
    int64_t deadline;
    uint32_t idle_ms;
    bool is_secured;    /* the TLS handshake is over; at once for plain */
    bool is_negotiated; /* negotiate() ran: closed() is due */
    char address[64];
    uint16_t port;
    struct hl_buf request; /* the A-ASSOCIATE-RQ's body */
    void *user;
    struct hl_ul_assoc assoc;
};

/* Ordered by deadline, soonest first. */
struct hl_ul_list {
    struct hl_ul_conn *first, *last;
    uint32_t n;
};

/* A socket we are done with: read until the peer closes, so that our last PDU is not lost to a
 * reset (the ARTIM wait of state 13, PS3.8 9.2). */
struct hl_ul_linger {
    struct hl_ul_source source;
    struct hl_ul_linger *prev, *next;
    int fd;
    int64_t deadline;
    size_t discarded;
};

struct hl_ul_server {
    pthread_mutex_t lock; /* limits, tls of listeners, lists, lingers, stopping */
    struct hl_ul_limits limits;
    struct hl_ul_list places[HL_UL_PLACES];
    struct hl_ul_linger *lingers, *last_linger;
    uint32_t n_lingers;
    bool is_stopping, is_over;
    int64_t stop_at; /* busy associations are cut then */
    struct hl_ul_handler handler;
    struct hl_ul_listener *listeners;
    size_t n_listeners;
    struct hl_pool *messages, *control; /* control: negotiate(), closed(), refused() */
    struct hl_pool *handshakes;         /* what TLS computes before there is an association */
    pthread_t thread;
    int epoll, wake, spare;
    int files; /* a connection's descriptor is below it: the rest is for those who are served */
    int64_t told_at; /* that descriptors run out */
    struct hl_ul_source wake_source;
    struct hl_ul_conn *buried; /* loop thread: freed after the batch of events */
    atomic_uint ended;         /* connections freed since memory was last trimmed */
    int64_t trim_at;
};

/* "[::]:104", ":0", "127.0.0.1:11112" to a listening socket and its port. */
hilum_rc hl_ul_listen_open(const char *address, int *fd, uint16_t *port);

/* With the lock held: moves a connection to a list (place HL_UL_PLACES: off all lists). */
void hl_ul_conn_move(struct hl_ul_conn *conn, enum hl_ul_place place, int64_t deadline);
/* Loop thread. A new connection; takes fd. */
void hl_ul_conn_accept(struct hl_ul_listener *listener, struct hl_ul_server *server, int fd,
                       const struct sockaddr_storage *from);
/* Loop thread. Its socket is ready. */
void hl_ul_conn_event(struct hl_ul_conn *conn);
/* Loop thread. Its deadline passed. */
void hl_ul_conn_expire(struct hl_ul_conn *conn);
/* Loop thread. Drops a connection without an association request. */
void hl_ul_conn_drop(struct hl_ul_conn *conn, const char *why);
/* Loop thread. Aborts a parked association taken off its list (now BUSY). */
void hl_ul_conn_cancel(struct hl_ul_conn *conn, enum hl_ul_end end, const char *why);
/* Loop thread. Frees what was buried. */
void hl_ul_conn_bury(struct hl_ul_server *server);

/* Closes a descriptor the loop has watched. Any thread. Closing alone is not enough: while a child that was just forked
 * still holds the socket, epoll goes on to tell of it, with the address of what was freed. */
void hl_ul_forget(struct hl_ul_server *server, int fd);
/* Any thread, with the lock held. Takes a half-closed socket: the loop waits for the peer's close.
 */
void hl_ul_linger_start(struct hl_ul_server *server, int fd);
/* Loop thread. */
void hl_ul_linger_event(struct hl_ul_server *server, struct hl_ul_linger *linger);
/* Loop thread. Closes those whose time is over (all of them: now = INT64_MAX). */
void hl_ul_linger_expire(struct hl_ul_server *server, int64_t now);

#endif
