/* Every member answers as an archive without objects would, so that a plugin's start runs
 * through its ordinary paths. Nothing is allocated. SPDX-License-Identifier: Apache-2.0 */
#include "core/check/empty.h"

/* HILUM_EAGAIN: the catalogue cannot be asked now, which a plugin has to bear from a real one as
 * well. */
static hilum_rc none_open(hilum_self *self, const hilum_principal *who,
                          const struct hilum_catalog_query *query, hilum_cursor **out)
{
    (void)self, (void)who, (void)query;
    *out = NULL;
    return HILUM_EAGAIN;
}

static hilum_rc none_next(hilum_cursor *cursor)
{
    (void)cursor;
    return 0;
}

static const char *none_value(hilum_cursor *cursor, uint32_t tag)
{
    (void)cursor, (void)tag;
    return NULL;
}

static const char *none_position(hilum_cursor *cursor)
{
    (void)cursor;
    return "";
}

static void none_close(hilum_cursor *cursor)
{
    (void)cursor;
}

static hilum_rc none_objects(hilum_self *self, const hilum_principal *who,
                             const struct hilum_catalog_key *keys, uint32_t n_keys, int64_t *as_of,
                             hilum_object_cb each, void *arg)
{
    (void)self, (void)who, (void)keys, (void)n_keys, (void)each, (void)arg;
    *as_of = 0;
    return HILUM_OK;
}

static int32_t none_has(uint32_t level, uint32_t tag)
{
    (void)level, (void)tag;
    return 0;
}

static int32_t none_takes(uint32_t level, const struct hilum_catalog_key *key)
{
    (void)level, (void)key;
    return 1;
}

static uint32_t none_at(uint32_t level, uint32_t i)
{
    (void)level, (void)i;
    return 0;
}

const struct hilum_catalog_api hl_empty_catalog = {
    .size = sizeof hl_empty_catalog,
    .open = none_open,
    .next = none_next,
    .value = none_value,
    .position = none_position,
    .close = none_close,
    .objects = none_objects,
    .has_attribute = none_has,
    .takes_key = none_takes,
    .attribute_at = none_at,
};

static hilum_rc none_opens(hilum_self *self, const hilum_principal *who, int64_t instance,
                           int64_t as_of, hilum_object **out)
{
    (void)self, (void)who, (void)instance, (void)as_of;
    *out = NULL;
    return HILUM_ENOTFOUND;
}

static void none_closes(hilum_object *object)
{
    (void)object;
}

static hilum_rc none_receives(hilum_self *self, const hilum_principal *who,
                              const struct hilum_intake_source *source, hilum_intake **out)
{
    (void)self, (void)who, (void)source;
    *out = NULL;
    return HILUM_EAGAIN;
}

static void none_intake(hilum_intake *intake)
{
    (void)intake;
}

static hilum_rc none_lends(hilum_object *object, uint64_t *length)
{
    (void)object, (void)length;
    return HILUM_ENOTFOUND;
}

const struct hilum_object_api hl_empty_objects = {
    .size = sizeof hl_empty_objects,
    .open = none_opens,
    .close = none_closes,
    .receive = none_receives,
    .intake_close = none_intake,
    .lends = none_lends,
};

/* ---- commands ---- */

static hilum_rc none_listed(hilum_self *self, struct hilum_sink *out)
{
    (void)self, (void)out;
    return HILUM_EUNSUP;
}

static hilum_rc none_runs(hilum_self *self, const struct hilum_command_run *run)
{
    (void)self, (void)run;
    return HILUM_ENOTFOUND;
}

static hilum_rc nothing_logged(hilum_self *self, uint64_t after, uint64_t *last,
                               void (*line)(void *arg, uint64_t number, const char *json),
                               void *arg)
{
    (void)self, (void)line, (void)arg;
    *last = after;
    return HILUM_OK;
}

static hilum_rc nobody_kept(hilum_self *self, const hilum_principal *who, hilum_principal **out)
{
    (void)self, (void)who;
    *out = NULL;
    return HILUM_EUNSUP;
}

const struct hilum_command_api hl_empty_commands = {
    .size = sizeof hl_empty_commands,
    .list = none_listed,
    .run = none_runs,
    .log_tail = nothing_logged,
    .keep = nobody_kept,
};
