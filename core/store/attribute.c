/* One attribute of a stored instance by keyword: for rules that run after the answer. Reads the object's
 * header only as far as it must. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include "core/base/error.h"

/* A header that has not shown the attribute by then is not searched further. */
enum { HEADER_MAX = 16 << 20 };

/* Elements come in ascending order: past the tag it cannot come any more. The last but one:
 * the last element's value may still be arriving. */
static bool is_past(const struct hl_scan *scan, uint32_t tag)
{
    size_t n = hl_scan_count(scan);
    return n > 1 && hl_scan_at(scan, n - 2)->tag > tag;
}

static hilum_rc feed_until(struct hl_outgoing *outgoing, struct hl_scan *scan, uint32_t tag)
{
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !is_past(scan, tag) && hl_scan_length(scan) < HEADER_MAX) {
        const void *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_next(outgoing, &bytes, &n);
        if (rc == HILUM_OK && n == 0)
            return hl_scan_end(scan);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(scan, bytes, n);
    }
    return rc;
}

/* The data set as it leaves, so that corrections are seen. */
static hilum_rc attribute_read(struct hl_outgoing *outgoing, uint32_t tag, const char *vr,
                               struct hl_buf *out)
{
    struct hl_scan *scan = NULL;
    const struct hl_scan_limits limits = {0};
    hilum_rc rc = hl_scan_new(hl_outgoing_stored(outgoing)->transfer_syntax, &limits, &scan);
    if (rc == HILUM_OK)
        rc = feed_until(outgoing, scan, tag);
    bool was_repaired = false;
    if (rc == HILUM_OK && !hl_header_text(scan, tag, vr, NULL, out, &was_repaired))
        rc = HILUM_ENOTFOUND;
    hl_scan_free(scan);
    return rc;
}

hilum_rc hl_store_attribute(struct hl_store *store, int64_t instance_id, const char *keyword,
                            struct hl_buf *out)
{
    const char *vr = NULL;
    uint32_t tag = hl_store_tag(store, keyword, &vr);
    if (tag == 0)
        return hl_fail(HILUM_ENOTFOUND, "%s: no such DICOM keyword", keyword);
    struct hl_outgoing *outgoing = NULL;
    hilum_rc rc = hl_outgoing_open(store, instance_id, 0, &outgoing);
    if (rc < 0)
        return rc;
    rc = attribute_read(outgoing, tag, vr, out);
    hl_outgoing_close(outgoing);
    return rc;
}
