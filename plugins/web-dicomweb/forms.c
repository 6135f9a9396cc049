/* In which form frames leave: as stored, decoded, or encoded anew (PS3.18 8.7.3.3, tables 8.7.3-4 and 8.7.3-5).
 *
 * All forms there could be are offers; the client's header chooses, and what it chose is tried on the
 * first frame before the answer is begun. What no codec can do is taken back and the client asked
 * again, so that it gets the next best, or 406 with the codec's reason.
 *
 * Nothing is lost unasked: syntaxes that lose are offered only to a client that names them. "image/jpeg" alone
 * is lossless JPEG, which is the standard's default as well.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

#define OCTETS   "application/octet-stream"
#define EXPLICIT "1.2.840.10008.1.2.1"

/* PS3.18 table 8.7.3-5. Prefixes, the longer ones first where one is part of the other. */
static const char *media_of(const char *syntax)
{
    static const struct {
        const char *prefix, *media;
    } table[] = {
        {"1.2.840.10008.1.2.5", "image/dicom-rle"}, {"1.2.840.10008.1.2.4.5", "image/jpeg"},
        {"1.2.840.10008.1.2.4.6", "image/jpeg"},    {"1.2.840.10008.1.2.4.70", "image/jpeg"},
        {"1.2.840.10008.1.2.4.80", "image/jls"},    {"1.2.840.10008.1.2.4.81", "image/jls"},
        {"1.2.840.10008.1.2.4.90", "image/jp2"},    {"1.2.840.10008.1.2.4.91", "image/jp2"},
        {"1.2.840.10008.1.2.4.92", "image/jpx"},    {"1.2.840.10008.1.2.4.93", "image/jpx"},
        {"1.2.840.10008.1.2.4.100", "video/mpeg2"}, {"1.2.840.10008.1.2.4.101", "video/mpeg2"},
        {"1.2.840.10008.1.2.4.107", "video/H265"},  {"1.2.840.10008.1.2.4.108", "video/H265"},
        {"1.2.840.10008.1.2.4.10", "video/mp4"},    {"1.2.840.10008.1.2.4.11", "image/jxl"},
        {"1.2.840.10008.1.2.4.20", "image/jphc"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(syntax, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].media;
    return OCTETS;
}

/* What frames are encoded to, in the order that decides for a client that likes several as much: within a media type
 * the standard's default first. Deflated frames have no media type of their own in it. */
static const struct {
    const char *syntax;
    bool may_lose;
} encodings[] = {{"1.2.840.10008.1.2.4.80", false},  {"1.2.840.10008.1.2.4.201", false},
                 {"1.2.840.10008.1.2.4.202", false}, {"1.2.840.10008.1.2.4.90", false},
                 {"1.2.840.10008.1.2.4.70", false},  {"1.2.840.10008.1.2.4.57", false},
                 {"1.2.840.10008.1.2.5", false},     {"1.2.840.10008.1.2.4.110", false},
                 {"1.2.840.10008.1.2.8.1", false},   {"1.2.840.10008.1.2.4.81", true},
                 {"1.2.840.10008.1.2.4.203", true},  {"1.2.840.10008.1.2.4.91", true},
                 {"1.2.840.10008.1.2.4.50", true},   {"1.2.840.10008.1.2.4.51", true},
                 {"1.2.840.10008.1.2.4.112", true}};
enum { N_ENCODINGS = sizeof encodings / sizeof *encodings, FORMS_MAX = 3 + N_ENCODINGS };

struct forms {
    struct web_form of[FORMS_MAX];
    size_t n;
};

static void add(struct forms *forms, enum web_way way, const char *media, const char *syntax,
                uint64_t n_parts)
{
    forms->of[forms->n++] =
        (struct web_form){.way = way, .media = media, .syntax = syntax, .n_parts = n_parts};
}

static bool is_named(const char *accept, const char *syntax)
{
    struct web_range range;
    while (accept != NULL && web_range_next(&accept, &range))
        if (strcmp(range.syntax, syntax) == 0 && range.quality > 0)
            return true;
    return false;
}

/* The order is our liking, which decides for clients that take anything: as it lies; then decoded pixels, which cost a run
 * of the codec; then encoded ones, which cost the most. An octet stream of a compressed syntax is
 * for those who name it, or take any. */
static void forms_make(const char *accept, const struct web_pixels *pixels, struct forms *forms)
{
    const char *stored = pixels->stored;
    forms->n = 0;
    if (pixels->is_value) {
        add(forms, WEB_VALUE, OCTETS, NULL, 1);
    } else {
        add(forms, WEB_STORED, media_of(stored), stored, pixels->n);
        add(forms, WEB_STORED, OCTETS, stored, pixels->n);
        if (strcmp(stored, EXPLICIT) != 0)
            add(forms, WEB_DECODED, OCTETS, EXPLICIT, pixels->n);
    }
    for (size_t i = 0; stored != NULL && i < N_ENCODINGS; i++) {
        const char *syntax = encodings[i].syntax;
        if (strcmp(syntax, stored) != 0 && (!encodings[i].may_lose || is_named(accept, syntax)))
            add(forms, WEB_ENCODED, media_of(syntax), syntax, pixels->n);
    }
}

/* Parts of the forms' media types first, then one part alone where there is only one. */
static bool best_of(const char *accept, const struct forms *forms, size_t *at, bool *is_single)
{
    struct web_offer offers[2 * FORMS_MAX];
    size_t of[2 * FORMS_MAX], n = 0;
    for (size_t i = 0; i < forms->n; i++, n++) {
        offers[n] = (struct web_offer){NULL, forms->of[i].media, forms->of[i].syntax};
        of[n] = i;
    }
    for (size_t i = 0; i < forms->n; i++) {
        if (forms->of[i].n_parts != 1)
            continue;
        offers[n] = (struct web_offer){forms->of[i].media, NULL, forms->of[i].syntax};
        of[n++] = i;
    }
    int best = web_accept(accept, offers, n);
    if (best < 0)
        return false;
    *at = of[best];
    *is_single = (size_t)best >= forms->n;
    return true;
}

/* The form at `at` cannot be had; of a frame that cannot be decoded no other than the stored one either. */
static void forms_drop(struct forms *forms, size_t at, bool is_broken)
{
    size_t kept = 0;
    for (size_t i = 0; i < forms->n; i++) {
        bool is_made = forms->of[i].way == WEB_DECODED || forms->of[i].way == WEB_ENCODED;
        if (i != at && !(is_broken && is_made))
            forms->of[kept++] = forms->of[i];
    }
    forms->n = kept;
}

hilum_rc web_form_choose(const char *accept, const struct web_pixels *pixels, struct web_form *out)
{
    struct forms forms;
    hilum_rc failed = HILUM_EUNSUP;
    bool is_single = false;
    size_t at = 0;
    forms_make(accept, pixels, &forms);
    while (best_of(accept, &forms, &at, &is_single)) {
        *out = forms.of[at];
        out->is_single = is_single;
        hilum_rc rc = out->way == WEB_DECODED || out->way == WEB_ENCODED
                          ? pixels->try(pixels->arg, out)
                          : HILUM_OK;
        if (rc == HILUM_OK)
            return rc;
        if (rc != HILUM_EUNSUP)
            failed = rc;
        forms_drop(&forms, at, rc != HILUM_EUNSUP);
    }
    return failed;
}

void web_form_type(const struct web_form *form, char out[WEB_TYPE_MAX])
{
    if (form->syntax != NULL)
        snprintf(out, WEB_TYPE_MAX, "%s; transfer-syntax=%s", form->media, form->syntax);
    else
        snprintf(out, WEB_TYPE_MAX, "%s", form->media);
}

/* 406 that only says no helps nobody: what is there, and what a codec said of what is not. */
hilum_rc web_form_refuse(const struct web_call *call, const struct web_pixels *pixels,
                         const char *why)
{
    char text[900];
    if (pixels->stored == NULL)
        return web_refuse(call, 406, "this value is sent as " OCTETS);
    snprintf(text, sizeof text,
             "these frames are stored as %s; transfer-syntax=%s. They can be had as that, decoded "
             "as " OCTETS ", and, where a codec keeps such pixels, as image/jls, image/jphc, "
             "image/jp2, image/jpeg, image/dicom-rle and image/jxl; with loss only by its "
             "transfer-syntax%s%s",
             media_of(pixels->stored), pixels->stored, why[0] != '\0' ? ": " : "", why);
    return web_refuse(call, 406, text);
}
