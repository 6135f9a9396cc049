/* The objects a path names, from the catalogue.
 *
 * The one place where a path becomes objects, and so the one where access is decided: the
 * catalogue is asked as the user of the exchange and tells only what that user may see. What is
 * there and withheld altogether is HILUM_EDENIED with a row in the audit record: who has its UID
 * knows of it already. A search just does not find it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

/* Series of functional MRI have 100,000 instances; a study of a million is taken for an
 * attempt to use up memory. */
enum { ITEMS_MAX = 1000000 }; /* of one request: 16 MB */

/* Objects of a study share a syntax or two: a number in place of 64 bytes an item. */
static bool syntax_index(struct web_list *list, const char *syntax, unsigned *out)
{
    for (*out = 0; *out < list->n_syntaxes; ++*out)
        if (strcmp(list->syntaxes[*out], syntax) == 0)
            return true;
    if (list->n_syntaxes == WEB_SYNTAXES)
        return false;
    snprintf(list->syntaxes[list->n_syntaxes++], sizeof *list->syntaxes, "%s", syntax);
    return true;
}

/* Called on this thread for each object, whose texts are good until it returns. */
static hilum_rc item_add(void *arg, const struct hilum_object_ref *object)
{
    struct web_list *list = arg;
    if (list->n == ITEMS_MAX)
        return HILUM_EFULL;
    if (list->n == list->cap) {
        size_t cap = list->cap > 0 ? 2 * list->cap : 64;
        struct web_item *grown = realloc(list->items, cap * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        list->items = grown;
        list->cap = cap;
    }
    struct web_item *item = &list->items[list->n];
    item->instance = object->instance;
    item->is_report = web_is_report(object->sop_class);
    item->is_state = web_is_state(object->sop_class);
    if (!syntax_index(list, object->transfer_syntax, &item->syntax))
        return HILUM_EFULL;
    list->n++;
    return HILUM_OK;
}

/* Keys only where the path has that level; the catalogue answers rows of all below. */
hilum_rc web_list_make(const struct web_call *call, struct web_list *out)
{
    static const uint32_t tags[] = {TAG_STUDY, TAG_SERIES, TAG_SOP_INSTANCE};
    const struct web *web = call->web;
    struct hilum_catalog_key keys[3];
    uint32_t n = 0;
    for (size_t i = 0; i < 3; i++)
        if (call->uids[i] != NULL)
            keys[n++] = (struct hilum_catalog_key){tags[i], 0, call->uids[i]};
    hilum_rc rc = web->host->catalog->objects(web->self, call->api->request(call->http)->who, keys,
                                              n, &out->as_of, item_add, out);
    if (rc == HILUM_EFULL)
        return web->host->fail(web->self, rc, "too many instances for one answer: ask by series");
    if (rc >= 0 && out->n == 0)
        return web->host->fail(web->self, HILUM_ENOTFOUND, "nothing is stored under this path");
    return rc < 0 ? rc : HILUM_OK;
}

void web_list_fini(struct web_list *list)
{
    free(list->items);
    list->items = NULL;
    list->n = 0;
}

bool web_list_has_state(const struct web_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].is_state)
            return true;
    return false;
}

hilum_rc web_go_on(void *arg)
{
    const struct web_call *call = arg;
    return call->api->go_on(call->http);
}

void web_for_client(const struct web_call *call, hilum_object *object)
{
    call->web->host->objects->while_wanted(object, web_go_on, (void *)(uintptr_t)call);
}

/* Where a UID is stored under two patients' studies the path tells which: all three UIDs are
 * keys. The tag grows by the list even though that has one item: the number of corrections is
 * in it. */
hilum_rc web_open_one(const struct web_call *call, hilum_object **out, struct web_tag *tag)
{
    const struct web *web = call->web;
    struct web_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return HILUM_ENOMEM;
    *out = NULL;
    hilum_rc rc = web_list_make(call, list);
    if (rc == HILUM_OK)
        rc = web->host->objects->open(web->self, call->api->request(call->http)->who,
                                      list->items[0].instance, list->as_of, out);
    if (rc == HILUM_OK)
        web_tag_list(tag, list);
    web_list_fini(list);
    free(list);
    return rc;
}
