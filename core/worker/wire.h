/* The words between the server and hilum-worker: one message a datagram of a SOCK_SEQPACKET pair, written and read
 * with bounds on both sides, since the worker runs code nobody vouches for. Pixels do not travel here: they lie in
 * shared memory. It knows nothing of what the words mean.
 *
 * Both sides are of one build: numbers are in the machine's own order and there is no version
 * but that of HL_WIRE_OPEN. What is checked is bounds, not good will: the server takes every
 * length, code and place from a worker for a stranger's word.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_WIRE_H
#define HL_WORKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/codec.h"

/* What a worker is started with, besides its three standard descriptors. */
enum { HL_WIRE_SOCKET = 3, HL_WIRE_MEMORY = 4 };
/* A message; more than any descriptor or schema needs. */
enum { HL_WIRE_MAX = 64 * 1024 };
/* One text in it: parameters and schemata of operators. */
enum { HL_WIRE_TEXT_MAX = 32 * 1024 };
/* The reason of a failure: the first bytes of every reply, filled up with NUL. */
enum { HL_WIRE_REASON = 512 };
/* Parts of the shared memory begin at multiples of this, so that any sample type is aligned. */
enum { HL_WIRE_ALIGN = 4096 };

/* Requests come from the server; each is answered by one HL_WIRE_REPLY of the same number. HL_WIRE_LOG may come from
 * the worker at any time and is answered by nothing; HL_WIRE_ASK comes during a call and is answered at once. */
enum hl_wire_type {
    HL_WIRE_OPEN =
        1, /* version, flags, memory, file, folders to be read -> what jail, the descriptor */
    HL_WIRE_INIT, /* values of the options, data directory -> capabilities */
    HL_WIRE_START,
    HL_WIRE_CALL, /* enum hl_wire_op, capability, bytes of shared memory, what the operation needs */
    HL_WIRE_END,  /* drain, fini; the worker ends after its reply */
    HL_WIRE_REPLY = 64,
    HL_WIRE_LOG,
    HL_WIRE_ASK, /* the worker needs something to go on with its call: enum hl_wire_ask as number, arguments */
    HL_WIRE_ANSWER, /* the server's, in the form of a reply */
    /* Before a reply, answered by nothing: a number of the plugin's own. rc 0: what it is; else enum hl_metric_change */
    HL_WIRE_METRIC
};

enum hl_wire_op {
    HL_OP_CODEC_INFO = 1,
    HL_OP_CODEC_DECODE,
    HL_OP_CODEC_ENCODE,
    HL_OP_OPERATOR_PLAN,
    HL_OP_OPERATOR_APPLY,
    HL_OP_REPORT_WRITE,
    HL_OP_REPORT_PARSE,
    HL_OP_HOOK_RUN,
    HL_OP_RENDERER_OPEN,
    HL_OP_RENDERER_RENDER,
    HL_OP_RENDERER_QUERY,
    HL_OP_RENDERER_CLOSE,
    HL_OP_HL7_RECEIVE,
    HL_OP_HL7_COMPOSE,
    HL_OP_ROUTE_RUN,
    HL_OP_ROUTE_NEXT, /* of a body that leaves: number, bytes of the window -> bytes in it; 0: the end */
    HL_OP_ROUTE_CLOSE, /* number */
    HL_OP_CODEC_REPACK
};

enum hl_wire_ask {
    HL_ASK_ATTACHMENT =
        1,            /* name, media type -> bytes in all; the server keeps them for HL_ASK_MORE */
    HL_ASK_STYLE,     /* name -> the same */
    HL_ASK_MORE,      /* from -> up to HL_WIRE_CHUNK bytes */
    HL_ASK_TEXT,      /* field of the event -> text */
    HL_ASK_INT,       /* field -> number */
    HL_ASK_PLAN,      /* verb, arguments */
    HL_ASK_REASON,    /* text */
    HL_ASK_SLICE,     /* i -> the slice, its texts, its frame */
    HL_ASK_PIXELS,    /* i, bytes -> bytes in all, for HL_ASK_MORE */
    HL_ASK_ATTRIBUTE, /* i, path -> text */
    HL_ASK_HL7_TEXT,  /* path -> text */
    HL_ASK_HL7_COUNT, /* path -> number */
    HL_ASK_BYTES,     /* i, path -> bytes in all, for HL_ASK_MORE */
    HL_ASK_ITEMS,     /* i, path -> number */
    HL_ASK_REDUCED,   /* i, bytes, reduce -> as HL_ASK_PIXELS */
    /* Any call: a program of the plugin's configuration. Its input first, in pieces; its output stays with the server. */
    HL_ASK_CHILD_INPUT, /* from, bytes */
    HL_ASK_CHILD, /* bytes of input, limits, wants output, wants errors, arguments -> status */
    HL_ASK_CHILD_MORE, /* 0 output, 1 errors, from -> bytes there are, up to HL_WIRE_CHUNK; fewer: the end */
    HL_ASK_HTTP_PARAM,      /* name, 0 -> text */
    HL_ASK_HTTP_QUERY,      /* name, i -> text */
    HL_ASK_HTTP_QUERY_AT,   /* i -> name, value */
    HL_ASK_HTTP_HEADER,     /* name, 0 -> text */
    HL_ASK_HTTP_ALLOW,      /* action, resource */
    HL_ASK_HTTP_ADD_HEADER, /* name, value */
    HL_ASK_HTTP_BEGIN,      /* status, media type, length */
    HL_ASK_HTTP_WRITE,      /* bytes that lie in the window */
    HL_ASK_HTTP_END,
    HL_ASK_HTTP_PROBLEM, /* status, code, detail */
    HL_ASK_HTTP_STREAM,  /* status, media type, length, number of the body */
    HL_ASK_GO_ON         /* of a renderer and of a route: does anybody wait? */
};
enum { HL_WIRE_CHUNK = 32 * 1024 };
/* What a report or another document may come to in the shared memory. */
enum { HL_WIRE_DOCUMENT = 64 * 1024 * 1024 };

/* Flags of HL_WIRE_OPEN: go on where the kernel has no seccomp or no Landlock ("process-weak"). */
enum { HL_WIRE_MAY_BE_WEAK = 1 };
/* What HL_WIRE_OPEN's reply says is in force. */
enum { HL_JAIL_SECCOMP = 1, HL_JAIL_LANDLOCK = 2, HL_JAIL_MEMORY = 4 };

/* Little else than who asks what: number ties a reply to its request. */
struct hl_wire_head {
    uint32_t magic, type, number;
    int32_t rc; /* of a reply; level of a log line */
};

/* A message being written or read, one after the other. `bad`: it was too long, or ended before what
 * was read from it. `crowded_until_ns` outlives messages: until then (monotonic clock) nobody waits
 * awake for the next, since others want the processor. */
struct hl_wire {
    int64_t crowded_until_ns;
    size_t len, at;
    bool bad;
    _Alignas(8) unsigned char bytes[HL_WIRE_MAX];
};

/* ---- writing ---- */
/* An empty message with its head; what was in it before is gone. put_*: append; what does not
 * fit makes the message `bad`, and then nothing is sent. */
void hl_wire_begin(struct hl_wire *wire, enum hl_wire_type type, uint32_t number, int32_t rc);
void hl_wire_put_u32(struct hl_wire *wire, uint32_t value);
void hl_wire_put_u64(struct hl_wire *wire, uint64_t value);
void hl_wire_put_text(struct hl_wire *wire, const char *text); /* NULL stays NULL */
void hl_wire_put_bytes(struct hl_wire *wire, const void *bytes, size_t n);
void hl_wire_put_frame(struct hl_wire *wire, const struct hilum_frame *frame);

/* A reply or an answer: the outcome, known last, stands first, where it is read whatever follows. begin; results; finish. */
void hl_wire_begin_reply(struct hl_wire *wire, enum hl_wire_type type, uint32_t number);
void hl_wire_finish_reply(struct hl_wire *wire, int32_t rc, const char *why);

/* ---- reading: zero, NULL and `bad` past the end ---- */
/* What the message begins with; of one received its magic has been checked. */
struct hl_wire_head hl_wire_head(const struct hl_wire *wire);
/* In the order in which they were put. */
uint32_t hl_wire_u32(struct hl_wire *wire);
uint64_t hl_wire_u64(struct hl_wire *wire);
/* NUL-terminated and borrowed from the message. */
const char *hl_wire_text(struct hl_wire *wire);
/* false and zeroes: fewer are left. */
bool hl_wire_bytes(struct hl_wire *wire, void *out, size_t n);
/* out->size says how long the caller's struct is; what it has and the sender had not is zero. */
void hl_wire_frame(struct hl_wire *wire, struct hilum_frame *out);

/* The outcome of a reply, as one of ours whoever sent it; a failure's reason is recorded. First of all to be read. */
hilum_rc hl_wire_outcome(struct hl_wire *wire);

/* ---- the socket ---- */

/* HILUM_OK; HILUM_ECLOSED: nobody is there any more; HILUM_EFULL: the message was too long. */
hilum_rc hl_wire_send(int fd, const struct hl_wire *wire);
/* Waits until deadline_ms (hl_mono_ms; INT64_MAX: for ever). HILUM_ETIMEDOUT, HILUM_ECLOSED, HILUM_ECORRUPT. */
hilum_rc hl_wire_receive(int fd, struct hl_wire *wire, int64_t deadline_ms);

/* Where the next part of the shared memory begins. */
uint64_t hl_wire_align(uint64_t at);

#endif
