/* The row of an object as bytes, for the log of a store. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_NOTE_H
#define HL_STORE_NOTE_H

#include "core/bus/bus.h"
#include "core/record/record.h"

/* What replay.c reads back at once. A store may take less (store-fs: a block of its log); a
 * note that is too long is not written, and its row is flushed instead. */
enum { HL_NOTE_BYTES_MAX = 4096, HL_NOTE_PLAN_MAX = 256 };

/* Zero-initialised is empty. row points into it: not to be copied. */
struct hl_note {
    struct hl_instance row; /* but store and key; received_us orders notes */
    struct hl_attrs attrs;
    struct hl_plan_step plan[HL_NOTE_PLAN_MAX];
};

/* Appends. false: no memory, or a text of more than 64 KiB. */
bool hl_note_write(const struct hl_instance *row, int64_t time, struct hl_buf *out);
/* HILUM_ECORRUPT, HILUM_ENOMEM. hl_note_fini also after a failure. */
hilum_rc hl_note_read(const void *bytes, size_t n, struct hl_note *note);
void hl_note_fini(struct hl_note *note);

#endif
