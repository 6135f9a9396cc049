/* Who sent an object and how its words were taken, written into its own file meta information: private information
 * (PS3.10 7.1, (0002,0100) and (0002,0102)) as a line of JSON. A catalogue that is lost comes back from objects, and this the
 * data set does not tell. It costs no flush and no second place that could disagree.
 *
 * It holds nothing of the patient, and never leaves: what leaves gets a meta header of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/origin.h"

#include <string.h>

#include "core/base/hex.h"

static void text_add(struct hl_buf *out, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    hl_buf_printf(out, "%s\"%s\":", out->len > 0 ? "," : "{", name);
    hl_buf_json_string(out, text);
}

void hl_origin_write(const struct hl_ingest_source *source, const uint8_t *digest_received,
                     struct hl_buf *out)
{
    char hex[33] = "";
    if (digest_received != NULL)
        hl_hex(digest_received, 16, hex);
    text_add(out, "peer", source->peer);
    text_add(out, "calling", source->calling_aet);
    text_add(out, "called", source->called_aet);
    text_add(out, "address", source->address);
    text_add(out, "issuer", source->default_issuer);
    text_add(out, "charset", source->charset_repair);
    text_add(out, "received", hex);
    if (out->len > 0)
        hl_buf_byte(out, '}');
}

json_t *hl_origin_read(const uint8_t *head, const struct hl_part10 *part10)
{
    if (part10->origin_length == 0)
        return NULL;
    return json_loadb((const char *)head + part10->origin_at, part10->origin_length, 0, NULL);
}

const char *hl_origin_text(const json_t *origin, const char *name)
{
    const char *text = json_string_value(json_object_get(origin, name));
    return text != NULL ? text : "";
}

bool hl_origin_digest(const json_t *origin, uint8_t out[16])
{
    const char *hex = hl_origin_text(origin, "received");
    return strlen(hex) == 32 && hl_hex_read(hex, 16, out);
}
