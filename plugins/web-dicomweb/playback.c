/* How a state of XA has its frames played: ranges at rates of their own, ranges that are skipped, to and fro (PS3.3 C.11.21).
 *
 * A film has one rate, the fastest of all ranges; frames of slower ranges are repeated.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "playback.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ITEMS_MAX: of a list; what comes behind is not looked at. */
enum { ITEMS_MAX = 1000, PATH = 200 };

static const char *text(const struct web_call *call, hilum_object *object, const char *item,
                        const char *name)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s%s", item, name);
    const char *value = call->web->host->objects->text(object, path);
    return value != NULL && *value != '\0' ? value : NULL;
}

static double number(const struct web_call *call, hilum_object *object, const char *item,
                     const char *name, double otherwise)
{
    const char *value = text(call, object, item, name);
    double is = value != NULL ? strtod(value, NULL) : otherwise;
    return isfinite(is) ? is : otherwise;
}

void web_playback_fini(struct web_playback *playback)
{
    free(playback->shots);
    *playback = (struct web_playback){.n = 0};
}

/* ---- which of its items is for the image ---- */

/* 1: it is; 0: it is for others; negative: there is no such item. */
static int names_image(const struct web_call *call, hilum_object *state, const char *item,
                       const char *instance)
{
    char name[100];
    for (unsigned k = 0; k < ITEMS_MAX; k++) {
        snprintf(name, sizeof name, "ReferencedImageSequence[%u].ReferencedSOPInstanceUID", k);
        const char *named = text(call, state, item, name);
        if (named == NULL && k > 0)
            return 0;
        if (named == NULL)
            return text(call, state, item, "FrameDisplaySequence[0].StartTrim") != NULL ? 1 : -1;
        if (strcmp(named, instance) == 0)
            return 1;
    }
    return 0;
}

static bool find_item(const struct web_call *call, hilum_object *image, hilum_object *state,
                      char out[64])
{
    struct hilum_object_names names = {.size = sizeof names};
    if (call->web->host->objects->names(image, &names) != HILUM_OK)
        return false;
    for (unsigned k = 0; k < ITEMS_MAX; k++) {
        snprintf(out, 64, "MultiFramePresentationSequence[%u].", k);
        int found = names_image(call, state, out, names.sop_instance);
        if (found != 0)
            return found > 0;
    }
    return false;
}

/* ---- its ranges ---- */

struct range {
    uint64_t first, last;
    double rate; /* 0: it is skipped */
};

/* False: there are fewer. Rates out of all reason are taken for not given. */
static bool read_range(const struct web_call *call, hilum_object *state, const char *item,
                       unsigned k, const struct web_playback *playback, uint64_t n_frames,
                       struct range *out)
{
    char of[120];
    snprintf(of, sizeof of, "%sFrameDisplaySequence[%u].", item, k);
    double first = number(call, state, of, "StartTrim", 0);
    double last = number(call, state, of, "StopTrim", first);
    const char *flag = text(call, state, of, "SkipFrameRangeFlag");
    bool is_skipped = flag != NULL && strcmp(flag, "SKIP") == 0;
    double rate = number(call, state, of, "RecommendedDisplayFrameRateInFloat", 0);
    double most = n_frames < WEB_FILM_MAX ? (double)n_frames : WEB_FILM_MAX;
    first = first >= 1 ? first : 1;
    *out = (struct range){.first = (uint64_t)fmin(first, most + 1),
                          .last = (uint64_t)fmax(fmin(last, most), 0)};
    out->rate = is_skipped ? 0 : rate >= 0.1 && rate <= 200 ? rate : playback->rate;
    return text(call, state, of, "StartTrim") != NULL;
}

static hilum_rc add(const struct web_call *call, struct web_playback *playback, uint64_t frame,
                    uint32_t times)
{
    if (playback->n == WEB_FILM_MAX)
        return call->web->host->fail(call->web->self, HILUM_EUNSUP, "over 20,000 frames");
    if (playback->n == playback->cap) {
        size_t cap = playback->cap > 0 ? 2 * playback->cap : 256;
        struct web_shot *grown = realloc(playback->shots, cap * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        playback->shots = grown;
        playback->cap = cap;
    }
    playback->shots[playback->n++] = (struct web_shot){frame, times};
    return HILUM_OK;
}

/* The fastest range first, since it says how often the others' frames come. */
static double fastest(const struct web_call *call, hilum_object *state, const char *item,
                      const struct web_playback *playback, uint64_t n_frames)
{
    struct range range;
    double most = 0;
    for (unsigned k = 0;
         k < ITEMS_MAX && read_range(call, state, item, k, playback, n_frames, &range); k++)
        most = fmax(most, range.rate);
    return most;
}

static hilum_rc add_ranges(const struct web_call *call, hilum_object *state, const char *item,
                           uint64_t n_frames, struct web_playback *out)
{
    struct range range;
    hilum_rc rc = HILUM_OK;
    double rate = fastest(call, state, item, out, n_frames);
    for (unsigned k = 0;
         rc == HILUM_OK && k < ITEMS_MAX && read_range(call, state, item, k, out, n_frames, &range);
         k++)
        for (uint64_t i = range.first; rc == HILUM_OK && range.rate > 0 && i <= range.last; i++)
            rc = add(call, out, i, (uint32_t)fmax(floor(rate / range.rate + 0.5), 1));
    if (rate > 0)
        out->rate = rate;
    return rc;
}

/* To and fro: back from the last but one to the second, after which it begins again. */
static hilum_rc add_way_back(const struct web_call *call, struct web_playback *out)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = out->n; rc == HILUM_OK && i-- > 2;)
        rc = add(call, out, out->shots[i - 1].frame, out->shots[i - 1].times);
    return rc;
}

hilum_rc web_playback_read(const struct web_call *call, hilum_object *image, hilum_object *state,
                           uint64_t n_frames, double rate, struct web_playback *out)
{
    char item[64];
    hilum_rc rc = HILUM_OK;
    *out = (struct web_playback){.rate = rate};
    bool has_item = find_item(call, image, state, item);
    bool has_ranges = has_item && text(call, state, item, "FrameDisplaySequence[0].StartTrim");
    if (has_ranges)
        rc = add_ranges(call, state, item, n_frames, out);
    for (uint64_t i = 1; rc == HILUM_OK && !has_ranges && i <= n_frames; i++)
        rc = add(call, out, i, 1);
    if (rc == HILUM_OK && has_item &&
        number(call, state, item, "PreferredPlaybackSequencing", 0) == 1)
        rc = add_way_back(call, out);
    uint64_t pictures = 0;
    for (size_t i = 0; i < out->n; i++)
        pictures += out->shots[i].times;
    if (rc == HILUM_OK && (pictures == 0 || pictures > WEB_FILM_MAX))
        return call->web->host->fail(call->web->self, HILUM_EUNSUP,
                                     "the state shows no frame of its image, or over 20,000 "
                                     "(0008,9458)");
    return rc;
}
