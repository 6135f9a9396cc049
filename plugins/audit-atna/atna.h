/* What the files of audit-atna share: rows of the audit record become messages of PS3.15 A.5, and those leave by syslog.
 *
 * How they work together: one thread (audit-atna.c) reads rows behind its cursor, looks up the
 * study each is about, has a message made (message.c), a frame around it (syslog.c), and sends
 * it (transport.c). Nothing is queued here: the audit record of the kernel is the queue, and
 * what was sent is a number in the database. So no row is lost when the collector is away for
 * a month, and some are sent twice when we die between sending and noting: at least once, as
 * audit wants it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_ATNA_H
#define AUDIT_ATNA_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hilum/host.h"

enum { TEXT_MAX = 30000 /* bytes of a message: what every collector takes, and one datagram */ };

struct atna_conf {
    const char *collector, *ca, *certificate, *key, *server_name;
    const char *source, *site, *from;
    int64_t retry, timeout;
};

/* ---- text.c: a text in the making, cut off at TEXT_MAX ---- */
struct text {
    char bytes[TEXT_MAX + 1];
    size_t n;
    bool is_cut;
};
void text_add(struct text *text, const char *more);
/* As an attribute's value: escaped; what XML 1.0 forbids becomes '?'. */
void text_add_escaped(struct text *text, const char *more);
void text_add_base64(struct text *text, const char *more);
/* name="value", after a blank. */
void text_attribute(struct text *text, const char *name, const char *value);

/* ---- message.c ---- */
/* What the catalogue knows of the study a row is about; "" where it knows nothing. */
struct study {
    char patient_id[200], patient_name[400], accession[100];
};
/* The AuditMessage (PS3.15 A.5.1) of a row. false: the row is of no interest to a collector.
 * false and out->is_cut: it does not fit TEXT_MAX. */
bool atna_message(const struct atna_conf *conf, const struct hilum_audit_row *row,
                  const struct study *study, struct text *out);
/* Is the row about a study, by its UID? */
bool atna_is_study(const struct hilum_audit_row *row);

/* ---- syslog.c ---- */
/* The RFC 5424 frame of a message. time: microseconds since 1970. */
void atna_frame(const char *host_name, int64_t at_us, const struct text *message, struct text *out);

/* ---- transport.c: one connection; one thread ---- */
struct transport;
/* "udp:HOST:PORT", "tcp:...", "tls:...". NULL: the reason is in `why`. Connects with the first message. */
struct transport *transport_new(const struct atna_conf *conf, char why[200]);
void transport_free(struct transport *transport);
bool transport_is_open(const struct transport *transport);
bool transport_open(struct transport *transport, char why[200]);
/* RFC 5425 counts octets, RFC 5426 sends one message a datagram. false: closed; messages since
 * the last transport_settle may be lost. Blocks for conf->timeout at most. After false the
 * transport is closed: open it and begin behind the cursor. */
bool transport_send(struct transport *transport, const struct text *frame, char why[200]);
/* Waits until the other side's kernel has taken all that was sent: nearer than that syslog does not confirm. */
bool transport_settle(struct transport *transport, char why[200]);
void transport_close(struct transport *transport);

#endif
