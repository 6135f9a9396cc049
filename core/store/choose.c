/* What rules choose about the keeping of one object: its store, and what becomes of other content under a known UID.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <jansson.h>
#include <string.h>

#include "core/base/error.h"

static const char STORE[] = "store", DUPLICATES[] = "duplicates";

bool hl_choice_is(const char *verb)
{
    return strcmp(verb, STORE) == 0 || strcmp(verb, DUPLICATES) == 0;
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

static hilum_rc choice_take(struct hl_ingest *ingest, const struct hl_plan_step *step)
{
    json_t *arguments = json_loads(step->arguments, 0, NULL);
    bool is_store = strcmp(step->verb, STORE) == 0;
    const char *text = json_string_value(json_object_get(arguments, is_store ? "store" : "policy"));
    hilum_rc rc = HILUM_OK;
    if (is_store) {
        const struct hl_store_provider *chosen =
            hl_provider_find(ingest->store, text != NULL ? text : "");
        ingest->chosen = chosen;
        rc = chosen != NULL ? HILUM_OK : HILUM_ENOTFOUND;
    } else {
        ingest->has_policy = text != NULL && hl_duplicate_policy_named(text, &ingest->policy);
        if (!ingest->has_policy)
            rc = hl_fail(HILUM_EINVAL, "duplicates: expected keep-first, replace, version or "
                                       "quarantine");
    }
    json_decref(arguments);
    return rc == HILUM_OK ? rc : hl_fail_in(rc, "rule %s", step->rule);
}

hilum_rc hl_choices_take(struct hl_ingest *ingest, const hilum_event *event)
{
    hilum_rc rc = HILUM_OK;
    size_t n = hl_event_plan_count(event);
    for (size_t i = 0; i < n && rc == HILUM_OK; i++) {
        const struct hl_plan_step *step = hl_event_plan_at(event, i);
        if (hl_choice_is(step->verb))
            rc = choice_take(ingest, step);
    }
    return rc;
}
