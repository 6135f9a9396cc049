/* What `hilum status` tells, as Prometheus reads it: every number and every yes or no by its path.
 *
 * Numbers are found by walking the JSON of `status`, so that a part that adds a count there
 * needs no second list here. Names are the path: hilum_record_instances, hilum_store_objects.
 * A renamed member renames a metric, which dashboards notice: members of `status` are kept.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 160, LABEL_SIZE = 160, DEPTH = 6 };

/* A name has letters, digits and '_'. A name that is too long is cut, which could make two
 * equal; paths are some 40 characters. */
static void name_join(const char *prefix, const char *key, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s_%s", prefix, key);
    for (char *p = out; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p))
            *p = '_';
}

/* Without a TYPE line: values are untyped by default, and a second line for one name is an
 * error to a reader. 17 digits are enough to give a double back as it was. */
static void write_value(struct hl_buf *out, const char *name, const char *label, double value)
{
    hl_buf_printf(out, "%s%s %.17g\n", name, label, value);
}

/* An element of a list is told by its first text: {store="fs"}. Quotes, backslashes and
 * newlines become '_': escaping them would be valid, and nobody has such names. */
static void label_of(const json_t *item, char out[LABEL_SIZE])
{
    const char *key = NULL;
    json_t *member = NULL;
    out[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)item, key, member)
    {
        const char *text = json_string_value(member);
        if (text == NULL)
            continue;
        int n = snprintf(out, LABEL_SIZE, "{%.40s=\"", key);
        for (; *text != '\0' && n < LABEL_SIZE - 4; text++) {
            out[n] = *text;
            if (strchr("\"\\\n", *text) != NULL)
                out[n] = '_';
            n++;
        }
        memcpy(out + n, "\"}", 3);
        return;
    }
}

/* `depth` ends what a part might nest. Text members are no metrics, but one of them is the
 * label of a list's element. */
static void write_node(struct hl_buf *out, const char *name, const char *label, const json_t *node,
                       int depth)
{
    char inner[NAME_SIZE], told[LABEL_SIZE];
    const char *key = NULL;
    json_t *member = NULL;
    if (json_is_number(node))
        write_value(out, name, label, json_number_value(node));
    else if (json_is_boolean(node))
        write_value(out, name, label, json_is_true(node) ? 1 : 0);
    if (depth == 0)
        return;
    json_object_foreach((json_t *)(uintptr_t)node, key, member)
    {
        name_join(name, key, inner);
        write_node(out, inner, label, member, depth - 1);
    }
    for (size_t i = 0; i < json_array_size(node); i++) {
        const json_t *item = json_array_get(node, i);
        label_of(item, told);
        if (told[0] != '\0') /* nothing else tells the elements apart */
            write_node(out, name, told, item, depth - 1);
    }
}

/* Any thread, until plugins are drained. Plugins' own metrics follow as they wrote them,
 * checked by the host (core/plugin/metrics.c). */
hilum_rc hl_server_metrics(void *arg, const struct hilum_sink *sink)
{
    struct hl_server *server = arg;
    struct hl_buf text = {0};
    json_t *status = hl_server_status(server);
    write_value(&text, "hilum_up", "", 1);
    hl_buf_printf(&text, "# TYPE hilum_start_time_seconds gauge\nhilum_start_time_seconds %.3f\n",
                  (double)server->started_us / 1e6);
    write_node(&text, "hilum", "", status, DEPTH);
    json_decref(status);
    hl_plugins_metrics(server->plugins, &text);
    hilum_rc rc = text.failed ? HILUM_ENOMEM : sink->write(sink->ctx, text.data, text.len);
    hl_buf_fini(&text);
    return rc;
}
