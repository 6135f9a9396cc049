/* What a STOW-RS answer says of an object (PS3.18 10.5.3, annex I). SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "client.h"

/* The first value of an attribute of an item. */
static json_t *value_of(const json_t *item, const char *tag)
{
    return json_array_get(json_object_get(json_object_get(item, tag), "Value"), 0);
}

/* The item of a sequence that references the object; NULL: none. */
static const json_t *item_of(const json_t *answer, const char *sequence, const char *sop_instance)
{
    const json_t *items = json_object_get(json_object_get(answer, sequence), "Value");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *uid = json_string_value(value_of(json_array_get(items, i), "00081155"));
        if (uid != NULL && strcmp(uid, sop_instance) == 0)
            return json_array_get(items, i);
    }
    return NULL;
}

/* Failed first: an object told in both is not stored. The answer is read again for each object
 * of its request, at most 64 times. */
int answer_find(const char *json, size_t n, const char *sop_instance, unsigned *reason)
{
    json_t *whole = json != NULL ? json_loadb(json, n, 0, NULL) : NULL;
    const json_t *answer = json_is_array(whole) ? json_array_get(whole, 0) : whole;
    const json_t *failed = item_of(answer, "00081198", sop_instance);
    int found = ANSWER_UNKNOWN;
    *reason = 0;
    if (failed != NULL) {
        found = ANSWER_FAILED;
        *reason = (unsigned)json_integer_value(value_of(failed, "00081197"));
    } else if (item_of(answer, "00081199", sop_instance) != NULL) {
        found = ANSWER_STORED;
    }
    json_decref(whole);
    return found;
}
