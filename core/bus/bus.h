/* Events and hooks: order from names, `where` matched in C, verdicts, plans. One immutable
 * generation of hooks at a time; a reload publishes the next. It knows nothing of DICOM, of the
 * database, of Lua. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BUS_H
#define HL_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/event.h"

struct hl_bus;
struct hl_faults; /* core/config/config.h */

/* A bus with the kernel's events and no hooks. HILUM_ENOMEM. */
hilum_rc hl_bus_new(struct hl_bus **out);
/* NULL is fine. Nobody may dispatch, replace or settle any more; release callbacks of hooks
 * still registered run here. */
void hl_bus_free(struct hl_bus *bus);

/* Declares an event ("instance.received") with the phases it has (or-ed 1 << HILUM_FILTER ...). The
 * kernel's own are declared by hl_bus_new. HILUM_EEXISTS. */
hilum_rc hl_bus_declare(struct hl_bus *bus, const char *event, unsigned phases);
/* How to know a DICOM keyword, so that a misspelt one in a `where` is a fault. Event fields begin with a small
 * letter and are not checked. Before the first hl_bus_replace; without it nothing is checked. */
void hl_bus_set_keywords(struct hl_bus *bus, bool (*is_keyword)(const char *name));
/* Is the event declared? Any thread. */
bool hl_bus_has_event(struct hl_bus *bus, const char *event);

/* A hook with where it was written, for faults. `owner` groups hooks that are replaced together:
 * "core", "plugin:store-fs", "rules", "routes". */
struct hl_hook_source {
    struct hilum_hook hook; /* strings are copied */
    const char *file;       /* may be NULL */
    unsigned line;
};
/* Replaces all hooks of `owner` by these n (0: none) and publishes a new generation, in which order
 * is computed from before/after over all owners. Faults (unknown event or phase, unknown hook name
 * without
 * '?', cycle, bad `where`, two hooks of one name) are added to *faults; then nothing changes and
 * HILUM_EINVAL is returned. `release(release_arg)` is called when no dispatch uses the *replaced*
 * (old) hooks of this owner any more: at once when there were none, otherwise on the thread that
 * leaves them last. So the caller passes what the old hooks needed, not the new. It is not called
 * on failure or in a dry run. dry_run: checks only. May be called from within a hook; calls are
 * serialised. Names are unique per event; only the owners "core" and "core-rules" may use names
 * "core/...". Ties of the order: "core" first, then owners by name, then as given. HILUM_EAGAIN: 64
 * older generations are still in use. */
hilum_rc hl_bus_replace(struct hl_bus *bus, const char *owner, const struct hl_hook_source *hooks,
                        size_t n, void (*release)(void *arg), void *release_arg, bool dry_run,
                        struct hl_faults *faults);
/* Is anyone subscribed to this event and phase? One atomic load and a lookup. */
bool hl_bus_wants(struct hl_bus *bus, const char *event, unsigned phase);
/* Hook names in order for `event`, one line each "phase name where owner", for people. */
void hl_bus_describe(struct hl_bus *bus, const char *event, struct hl_buf *out);

/* ---- events ---- */

/* A value the event itself does not carry, by DICOM keyword: writes UTF-8 into out and returns
 * true, or false if absent. Called on the dispatching thread only. */
typedef bool (*hl_event_resolver)(void *arg, const char *keyword, struct hl_buf *out);
/* An edit a TRANSFORM hook asks for. HILUM_EDENIED for what may not change. */
typedef hilum_rc (*hl_event_editor)(void *arg, const char *keyword, const char *utf8);

/* Steps of one event. Two events of one object come into one row, whose note has room for both. */
enum { HL_EVENT_PLAN_MAX = 128 };

/* One verb of a plan. Unique by (event id, rule, ordinal). */
struct hl_plan_step {
    const char *rule;      /* hook name */
    unsigned ordinal;      /* from 0 within the rule */
    const char *verb;      /* "send", "tag", a plugin's */
    const char *arguments; /* JSON object */
};

hilum_event *hl_event_new(const char *name); /* NULL: out of memory */
void hl_event_free(hilum_event *event);
/* Borrowed until the event is freed. */
const char *hl_event_name(const hilum_event *event);
/* Sets a field of the event's own; texts are copied. A field lost for want of memory, or beyond
 * 512, makes every later dispatch treat the event as incomplete: at best HOLD. */
void hl_event_set_text(hilum_event *event, const char *field, const char *utf8);
void hl_event_set_int(hilum_event *event, const char *field, int64_t value);
/* Where attributes come from, and who edits them; any may be NULL. What an earlier resolver said
 * is forgotten. `arg` is borrowed for as long as it is set. */
void hl_event_set_resolver(hilum_event *event, hl_event_resolver resolve, hl_event_editor edit,
                           void *arg);
/* Journal number. Hooks read it as the field "event_id"; there is none while not journaled. */
void hl_event_set_id(hilum_event *event, int64_t id);
/* A field or, through the resolver, an attribute; NULL if absent. Borrowed until the event is
 * freed. */
const char *hl_event_text(hilum_event *event, const char *field);
/* As a number: an integer field, or a text that is one (IS). false: absent, or no number. */
bool hl_event_int(hilum_event *event, const char *field, int64_t *out);
/* How hl_event_int reads a text: decimal digits, blanks after them ignored. false: it is no integer. */
bool hl_event_text_int(const char *text, int64_t *out);
/* From within a TRANSFORM hook only: HILUM_EDENIED otherwise, or when the event has no editor;
 * else what the editor says. */
hilum_rc hl_event_edit(hilum_event *event, const char *keyword, const char *utf8);
/* Adds a verb to the running hook's plan; texts are copied. HILUM_EDENIED: no hook is running;
 * HILUM_EINVAL: no JSON object; HILUM_ENOMEM, also beyond HL_EVENT_PLAN_MAX steps. Dropped again if the hook
 * fails. */
hilum_rc hl_event_plan(hilum_event *event, const char *verb, const char *arguments_json);
/* Why the running hook decides as it does; cut to 255 bytes, between characters. */
void hl_event_reason(hilum_event *event, const char *utf8);
/* The hook that is running will answer HILUM_SUSPEND; hl_bus_settle of this ticket answers for it. Once a hook.
 * HILUM_EDENIED: no hook of a bus is running, or it has suspended already; HILUM_EFULL. */
hilum_rc hl_event_suspend(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                          void *arg, uint64_t *ticket);
/* All steps so far, in order; the pointer is good until the next step is added. */
size_t hl_event_plan_count(const hilum_event *event);
const struct hl_plan_step *hl_event_plan_at(const hilum_event *event, size_t i);
/* The event's own fields as a JSON object and back, for the journal. */
void hl_event_to_json(const hilum_event *event, struct hl_buf *out);
hilum_event *hl_event_from_json(const char *name, const char *json);

/* ---- dispatch ---- */

struct hl_verdict {
    int32_t verdict; /* HILUM_PASS unless a hook decided otherwise */
    char hook[96];   /* who decided */
    char reason[256];
    unsigned matched; /* hooks whose `where` matched */
    unsigned failed;  /* hooks that failed (an overrun alone is no failure) */
    unsigned overran; /* hooks that passed their deadline: logged, their verdict stands */
};
/* Runs the phase's hooks in order on this thread. Hooks of owners "core" and "core-rules" always
 * run; site hooks end at HILUM_ACCEPT, and all end at REJECT, DEFER or DISCARD; HOLD is remembered
 * and the rest goes on. A hook that fails (negative) or is out of the phase's verdicts counts as
 * HILUM_HOLD (in HILUM_COMMIT, whose work was then not done: HILUM_DEFER) with its error as reason,
 * and the steps it appended to the plan are dropped. In HILUM_NOTIFY hooks are independent: ACCEPT
 * is PASS, and the first failure is returned in verdict = the negative code after all other hooks
 * ran. No lock is held while a hook runs but the hook's own, if it is SERIAL; such a hook that
 * re-enters itself fails. `out` is filled completely. */
void hl_bus_dispatch(struct hl_bus *bus, hilum_event *event, unsigned phase,
                     struct hl_verdict *out);

/* The verdict of a hook that suspended its event, with its reason (may be NULL). Any thread, once: HILUM_ENOTFOUND when
 * it was settled before or its deadline has passed, in which case the hook has failed with HILUM_ETIMEDOUT. The
 * dispatching thread waits meanwhile, for at most 60 s; a SERIAL hook may be entered by others. */
hilum_rc hl_bus_settle(struct hl_bus *bus, uint64_t ticket, int32_t verdict, const char *reason);

/* NOTIFY of a single hook by name (retry of one failed rule), if its `where` matches.
 * HILUM_ENOTFOUND. */
hilum_rc hl_bus_dispatch_one(struct hl_bus *bus, hilum_event *event, unsigned phase,
                             const char *hook, struct hl_verdict *out);
/* Names of the NOTIFY hooks whose `where` matches, joined by '\n': the journal runner runs each by
 * itself. */
void hl_bus_matching(struct hl_bus *bus, hilum_event *event, unsigned phase, struct hl_buf *out);

/* ---- `where`, alone (routes, tests, fuzzing) ---- */
struct hl_where;
/* HILUM_EINVAL says where in the text and what was expected. NULL or "": matches always. At most
 * 4,096 bytes; blanks around fields and values are ignored. Equality and globs take the value as a
 * whole
 * ("ImageType~*PRIMARY*"); an empty value ("PatientID=") equals an absent field. < > compare
 * numbers when both sides are numbers, text otherwise; an absent field is neither smaller nor
 * larger. */
hilum_rc hl_where_parse(const char *text, struct hl_where **out);
/* The first field that cannot be: no keyword although it looks like one, or a keyword but for its first
 * letter. NULL: none. */
const char *hl_where_unknown(const struct hl_where *where, bool (*is_keyword)(const char *name));
/* Does every condition hold? Any thread; the event belongs to the calling one. Allocates only
 * through the event's cache. */
bool hl_where_match(const struct hl_where *where, hilum_event *event);
void hl_where_free(struct hl_where *where);

#endif
