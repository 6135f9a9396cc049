/* hilum_dicom_api's data sets: hl_dataset with the memory that lent texts live in. One thread at
 * a time uses a data set; every entry reports by code, since exceptions end in dcmtk/. It knows
 * no exchange. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/dataset_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"

/* On failure the data set is freed all the same: the caller has one thing less to undo. */
hilum_dataset *hl_dataset_api_wrap(struct hl_dataset *data)
{
    hilum_dataset *wrapped = calloc(1, sizeof *wrapped);
    if (wrapped)
        wrapped->data = data;
    else
        hl_dataset_free(data);
    return wrapped;
}

hilum_dataset *hl_dataset_api_new(void)
{
    struct hl_dataset *data;
    if (hl_dataset_new(&data))
        return NULL;
    /* In UTF-8 until it is sent, so that nothing a plugin puts in is lost. */
    if (hl_dataset_put(data, "SpecificCharacterSet", "ISO_IR 192")) {
        hl_dataset_free(data);
        return NULL;
    }
    return hl_dataset_api_wrap(data);
}

void hl_dataset_api_free(hilum_dataset *dataset)
{
    if (!dataset)
        return;
    hl_dataset_free(dataset->data);
    hl_arena_fini(&dataset->texts);
    free(dataset);
}

/* The text lives until the data set changes or goes: a plugin may hold several at once, and
 * frees none. */
const char *hl_dataset_api_get(hilum_dataset *dataset, const char *path)
{
    struct hl_buf text = {0};
    const char *lent = NULL;
    if (hl_dataset_get(dataset->data, path, &text) == HILUM_OK)
        lent = hl_arena_strdup(&dataset->texts, hl_buf_str(&text));
    hl_buf_fini(&text);
    return lent;
}

hilum_rc hl_dataset_api_put(hilum_dataset *dataset, const char *path, const char *utf8)
{
    hilum_rc rc =
        utf8 ? hl_dataset_put(dataset->data, path, utf8) : hl_dataset_remove(dataset->data, path);
    /* only now: utf8 may be one of them */
    hl_arena_fini(&dataset->texts);
    dataset->texts = (struct hl_arena){0};
    return !utf8 && rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

hilum_rc hl_dataset_api_at(hilum_dataset *dataset, uint64_t i, uint32_t *tag, char vr[3])
{
    struct hl_field field;
    if (!hl_dataset_at(dataset->data, i, &field))
        return HILUM_ENOTFOUND;
    *tag = field.tag;
    memcpy(vr, field.vr, 3);
    return HILUM_OK;
}

/* Eight hexadecimal digits and the NUL. */
enum { PATH_SIZE = 9 };

static const char *path_of(uint32_t tag, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%08X", (unsigned)tag);
    return path;
}

const char *hl_dataset_api_get_tag(hilum_dataset *dataset, uint32_t tag)
{
    char path[PATH_SIZE];
    return hl_dataset_api_get(dataset, path_of(tag, path));
}

hilum_rc hl_dataset_api_put_tag(hilum_dataset *dataset, uint32_t tag, const char *utf8)
{
    char path[PATH_SIZE];
    return hl_dataset_api_put(dataset, path_of(tag, path), utf8);
}

uint64_t hl_dataset_api_items(hilum_dataset *dataset, const char *path)
{
    return hl_dataset_items(dataset->data, path);
}

hilum_rc hl_dataset_api_parse(const void *bytes, uint64_t n, const char *transfer_syntax,
                              hilum_dataset **out)
{
    struct hl_dataset *data;
    hilum_rc rc = hl_dataset_parse(bytes, (size_t)n, transfer_syntax, &data);
    if (rc)
        return rc;
    *out = hl_dataset_api_wrap(data);
    return *out ? HILUM_OK : hl_fail(HILUM_ENOMEM, "data set: out of memory");
}

hilum_rc hl_dataset_api_write(hilum_dataset *dataset, const char *transfer_syntax,
                              struct hilum_sink *out)
{
    struct hl_buf bytes = {0};
    hilum_rc rc = hl_dataset_write(dataset->data, transfer_syntax, &bytes);
    if (rc >= 0)
        rc = out->write(out->ctx, hl_buf_str(&bytes), bytes.len);
    hl_buf_fini(&bytes);
    return rc;
}

hilum_rc hl_dataset_api_json(hilum_dataset *dataset, const struct hilum_sink *sink)
{
    struct hl_buf json = {0};
    hilum_rc rc = hl_dataset_json(dataset->data, &json);
    if (rc == HILUM_OK)
        rc = sink->write(sink->ctx, json.data, json.len);
    hl_buf_fini(&json);
    return rc;
}
