/* What rules choose about the keeping of one object: its store, and what becomes of other content under a known UID.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"

static const char STORE[] = "store", DUPLICATES[] = "duplicates", COMPRESS[] = "compress";

/* Steps of the plan that are met here and never become jobs. */
bool hl_choice_is(const struct hl_plan_step *step)
{
    if (strcmp(step->verb, STORE) == 0 || strcmp(step->verb, DUPLICATES) == 0)
        return true;
    if (strcmp(step->verb, COMPRESS) != 0)
        return false;
    json_t *arguments = json_loads(step->arguments ? step->arguments : "{}", 0, NULL);
    const char *when = json_string_value(json_object_get(arguments, "when"));
    bool is_ingest = when != NULL && strcmp(when, "ingest") == 0;
    json_decref(arguments);
    return is_ingest;
}

bool hl_duplicate_policy_named(const char *text, enum hl_duplicate_policy *out)
{
    static const char *const names[] = {[HL_KEEP_FIRST] = "keep-first",
                                        [HL_REPLACE] = "replace",
                                        [HL_VERSION] = "version",
                                        [HL_QUARANTINE] = "quarantine"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum hl_duplicate_policy)i;
            return true;
        }
    }
    return false;
}

static hilum_rc take_store(struct hl_ingest *ingest, const json_t *arguments)
{
    const char *text = json_string_value(json_object_get(arguments, "store"));
    ingest->chosen = hl_provider_find(ingest->store, text != NULL ? text : "");
    return ingest->chosen != NULL ? HILUM_OK : HILUM_ENOTFOUND;
}

static hilum_rc take_policy(struct hl_ingest *ingest, const json_t *arguments)
{
    const char *text = json_string_value(json_object_get(arguments, "policy"));
    ingest->has_policy = text != NULL && hl_duplicate_policy_named(text, &ingest->policy);
    return ingest->has_policy ? HILUM_OK
                              : hl_fail(HILUM_EINVAL, "duplicates: expected keep-first, replace, "
                                                      "version or quarantine");
}

/* Only without loss, for the original is not kept: with loss objects are encoded on their way
 * out, under a UID of their own (PS3.3 C.7.6.1.1.5). */
static hilum_rc take_compress(struct hl_ingest *ingest, const json_t *arguments, const char *rule)
{
    const char *text = json_string_value(json_object_get(arguments, "syntax"));
    const struct hl_syntax *syntax = text != NULL ? hl_uid_syntax_named(text) : NULL;
    if (syntax == NULL || !(syntax->flags & HL_SYNTAX_ENCAPSULATED) ||
        syntax->flags & HL_SYNTAX_LOSSY)
        return hl_fail(HILUM_EINVAL, "compress: expected a syntax that loses nothing");
    ingest->has_compress = true;
    ingest->compress = (struct hl_pack_wish){0};
    snprintf(ingest->compress.transfer_syntax, sizeof ingest->compress.transfer_syntax, "%s",
             syntax->uid);
    snprintf(ingest->compress_rule, sizeof ingest->compress_rule, "%s", rule != NULL ? rule : "");
    ingest->compress_min = (uint64_t)json_integer_value(json_object_get(arguments, "min_bytes"));
    return HILUM_OK;
}

/* A store that is not configured fails the rule; the object is then held where it is by
 * default (rules.c). json_loads may fail on nothing here: the rule's arguments were checked
 * when it was read, and a NULL object answers NULL to every question. */
static hilum_rc choice_take(struct hl_ingest *ingest, const struct hl_plan_step *step)
{
    json_t *arguments = json_loads(step->arguments ? step->arguments : "{}", 0, NULL);
    hilum_rc rc = strcmp(step->verb, STORE) == 0 ? take_store(ingest, arguments)
                  : strcmp(step->verb, DUPLICATES) == 0
                      ? take_policy(ingest, arguments)
                      : take_compress(ingest, arguments, step->rule);
    json_decref(arguments);
    return rc == HILUM_OK ? rc : hl_fail_in(rc, "rule %s", step->rule);
}

/* In order: the last rule that chooses has its way. */
hilum_rc hl_choices_take(struct hl_ingest *ingest, const hilum_event *event)
{
    hilum_rc rc = HILUM_OK;
    size_t n = hl_event_plan_count(event);
    for (size_t i = 0; i < n && rc == HILUM_OK; i++) {
        const struct hl_plan_step *step = hl_event_plan_at(event, i);
        if (hl_choice_is(step))
            rc = choice_take(ingest, step);
    }
    return rc;
}
