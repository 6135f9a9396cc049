/* The header scan judged by DCMTK: where both take a data set, they must see the same top level.
 * For tests only. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCAN_JUDGE_H
#define TEST_SCAN_JUDGE_H

#include <stdio.h>
#include <string.h>

#include "core/dicom/dcmtk/dataset.h"
#include "core/store/scan.h"

enum { JUDGED_VALUE = 4096 };

static inline bool is_uid_text(const struct hl_element *e)
{
    for (uint64_t i = 0; i < e->length; i++)
        if (e->value[i] && !strchr("0123456789.", e->value[i]))
            return false;
    return true;
}

/* DCMTK keeps numbers in host order, and of text what is before a NUL or the padding. */
static inline bool is_same_value(const struct hl_element *e, const struct hl_field *f,
                                 bool is_big_endian)
{
    if (!e->value || !f->raw || is_big_endian || e->length > JUDGED_VALUE)
        return true;
    if (strcmp(f->vr, "UI") == 0 && !is_uid_text(e))
        return true; /* it takes what looks like blanks out of UIDs */
    if (f->length == e->length)
        return memcmp(e->value, f->raw, f->length) == 0;
    size_t n = strnlen((const char *)e->value, e->length);
    while (n && e->value[n - 1] == ' ')
        n--;
    return f->length >= n && memcmp(e->value, f->raw, n) == 0;
}

static inline bool is_same_vr(const struct hl_element *e, const struct hl_field *f)
{
    if (!e->vr[0] || strcmp(e->vr, f->vr) == 0)
        return true;
    /* UN of undefined length is a sequence to DCMTK, which names some others after its dictionary. */
    return strcmp(e->vr, "UN") == 0 || e->is_undefined;
}

/* "" or what differs. */
static inline const char *judge(const struct hl_scan *scan, const struct hl_dataset *dataset)
{
    static char verdict[200];
    size_t n = hl_scan_count(scan);
    verdict[0] = '\0';
    if (n != hl_dataset_count(dataset)) {
        snprintf(verdict, sizeof verdict, "%zu elements, DCMTK sees %zu", n,
                 hl_dataset_count(dataset));
        return verdict;
    }
    for (size_t i = 0; i < n && !verdict[0]; i++) {
        const struct hl_element *e = hl_scan_at(scan, i);
        struct hl_field f;
        if (!hl_dataset_at(dataset, i, &f) || f.tag != e->tag)
            snprintf(verdict, sizeof verdict, "element %zu is %08X, not %08X", i, f.tag, e->tag);
        else if (!is_same_vr(e, &f))
            snprintf(verdict, sizeof verdict, "%08X: VR %s, not %s", e->tag, f.vr, e->vr);
        else if (!is_same_value(e, &f, hl_scan_is_big_endian(scan)))
            snprintf(verdict, sizeof verdict, "%08X: another value (%zu bytes, not %llu)", e->tag,
                     f.length, (unsigned long long)e->length);
    }
    return verdict;
}

#endif
