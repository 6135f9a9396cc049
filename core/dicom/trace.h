/* The memory of associations: who proposed what, what he got and why not, for people who ask
 * afterwards. It decides nothing. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_TRACE_H
#define HL_DICOM_TRACE_H

#include "core/base/buf.h"
#include "core/dicom/negotiate.h"

struct hl_trace; /* thread-safe; bounded in entries per peer and in bytes over all */

/* Empty; HILUM_ENOMEM. free: no other call may be under way, NULL is fine. All other functions:
 * any thread. */
hilum_rc hl_trace_new(struct hl_trace **out);
void hl_trace_free(struct hl_trace *trace);

/* One negotiation. whys: a line per context, NULL if it did not come to that; ours is told from the results of
 * the peer. */
struct hl_trace_note {
    const char *peer; /* configured name; NULL: unknown */
    bool is_outbound; /* we asked; `keep` counts each direction by itself */
    bool has_failed;  /* there was no answer, `why` says what was instead */
    const struct hl_ul_params *params;
    const struct hl_ul_reject *reject; /* result 0: accepted */
    const char *why;                   /* of the rejection or failure */
    char (*whys)[HL_WHY_MAX];
    unsigned keep; /* associations remembered per peer; 0: none */
};
/* Returns the number for hl_trace_end; 0: nothing was kept. */
uint64_t hl_trace_add(struct hl_trace *trace, const struct hl_trace_note *note);
/* Something worth telling happened on it: a sentence. The first few of an association are kept. */
void hl_trace_say(struct hl_trace *trace, uint64_t number, const char *what);
/* It is over: how ("released", or what was wrong) and after how many messages. An entry
 * forgotten meanwhile is no fault. */
void hl_trace_end(struct hl_trace *trace, uint64_t number, const char *how, unsigned messages);
/* A connection that never became a proposal. */
void hl_trace_refused(struct hl_trace *trace, const char *address, const char *why, unsigned keep);

/* JSON array, newest first. peer: name, AE title or address; NULL: all. */
void hl_trace_json(struct hl_trace *trace, const char *peer, struct hl_buf *json);

#endif
