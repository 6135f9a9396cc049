/* Capability `hl7` (preview): what is done with HL7 v2 messages of some types, and how such messages are
 * made. Sockets, MLLP framing, acknowledgement and retries are the host's. SPDX-License-Identifier: MIT */
#ifndef HILUM_HL7_H
#define HILUM_HL7_H

#include "hilum/event.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_hl7_message hilum_hl7_message; /* a parsed message; one thread at a time */

/* Reading a message. Answers are borrowed until the handler returns. */
struct hilum_hl7_api {
    uint32_t size, reserved;
    /* Text of a field in UTF-8, unescaped, whatever MSH-18 says: "PID-3.1", "PID-3[1].4" (second repetition),
     * "OBX[2]-5" (third OBX). NULL: absent; "": present and empty; "\"\"" is HL7's "delete". */
    const char *(*text)(hilum_hl7_message *message, const char *path);
    /* How many segments of this name ("OBX"), or repetitions of a field ("PID-3"). */
    uint32_t (*count)(hilum_hl7_message *message, const char *path);
    /* The message as it came, *n bytes, in its own character set. */
    const void *(*bytes)(hilum_hl7_message *message, uint64_t *n);
    const char *(*type)(hilum_hl7_message *message);   /* "ADT^A08" */
    const char *(*source)(hilum_hl7_message *message); /* name of the configured peer */
};

/* How a message is answered. The caller fills in size; the handler writes. */
struct hilum_hl7_answer {
    uint32_t size;
    uint32_t error;         /* HL7 table 0357: 0, 100..207; 0 with an error: 207 */
    struct hilum_sink text; /* MSA-3 / ERR: one line for the sender's operator, no patient data */
    struct hilum_sink
        segments; /* further segments after MSA, each ended by CR: answers to queries */
};

/* Handlers of one type are asked in the configuration's order until one does not PASS. Threads: messages of
 * one sender come in order; senders run in parallel with HILUM_PARALLEL. Isolatable. */
struct hilum_hl7 {
    struct hilum_cap cap;
    const char *const *accepts; /* "ORM^O01", "ADT^*"; NULL-ended */
    const char *const *makes;   /* what compose() can make; NULL-ended, or NULL */
    /* HILUM_OK: done and durable (the sender hears AA); HILUM_PASS_ON: not for me; HILUM_EAGAIN: later (no
     * answer, the sender repeats); HILUM_EINVAL: the message is wrong (AR); others: AE. */
    hilum_rc (*receive)(void *self, const struct hilum_hl7_api *api, hilum_hl7_message *message,
                        struct hilum_hl7_answer *answer);
    /* Optional. Writes a whole message of `type` in UTF-8, MSH included, for an event or, with cause NULL,
     * from arguments (JSON). The host sets MSH-7, MSH-10 and MSH-18, sends it and keeps it until it is
     * acknowledged. */
    hilum_rc (*compose)(void *self, const char *type, hilum_event *cause,
                        const char *arguments_json, struct hilum_sink *out);
};
enum { HILUM_PASS_ON = 1 };

#ifdef __cplusplus
}
#endif
#endif
