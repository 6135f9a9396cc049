/* Colours of pictures that say what theirs mean: an ICC profile (PS3.3 C.11.15) to the space a picture leaves in
 * (PS3.18 8.3.5.1.5). By Little CMS; profiles are looked at by hand before it reads them.
 *
 * Threads: a transform is made under the lock and used outside it, counted, by any number at
 * once (NOCACHE makes it stateless).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

/* 8 ways kept: a department has two or three profiles. 8 MiB: beyond any real profile of RGB. */
enum { HEAD = 128, TAGS_MAX = 100, PROFILE_MAX = 8 << 20, KEPT = 8, PATHS_MAX = 64 };

/* A way from one profile to a space. Whoever uses it counts; the least recently used one goes. */
struct way {
    uint64_t n, used;
    enum colour_space to;
    uint8_t *profile; /* the bytes that it is a way from */
    cmsHTRANSFORM transform;
    unsigned users;
};

/* clock counts uses; ways are under the lock, what a way does is not: whoever took it holds it
 * by `users`. */
struct colours {
    pthread_mutex_t lock;
    cmsContext context;
    uint64_t clock;
    struct way ways[KEPT];
};

/* A context of our own: lcms's global one is shared with whoever else is in the process. */
struct colours *colours_new(void)
{
    struct colours *colours = calloc(1, sizeof *colours);
    if (colours == NULL)
        return NULL;
    colours->context = cmsCreateContext(NULL, NULL);
    if (colours->context == NULL) {
        free(colours);
        return NULL;
    }
    pthread_mutex_init(&colours->lock, NULL);
    return colours;
}

static void way_fini(struct way *way)
{
    if (way->transform != NULL)
        cmsDeleteTransform(way->transform);
    free(way->profile);
    *way = (struct way){.n = 0};
}

/* Nobody uses a way any more: the plugin has been drained. */
void colours_free(struct colours *colours)
{
    if (colours == NULL)
        return;
    for (int i = 0; i < KEPT; i++)
        way_fini(&colours->ways[i]);
    cmsDeleteContext(colours->context);
    pthread_mutex_destroy(&colours->lock);
    free(colours);
}

/* ---- profiles ---- */

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ICC.1 7.2, 7.3: of RGB, of one of the kinds that have colours go in, with every tag inside
 * it. A damaged profile costs the colours' exactness and not the picture. */
static bool is_sound(const uint8_t *p, uint64_t n)
{
    if (n < HEAD + 4 || n > PROFILE_MAX || memcmp(p + 36, "acsp", 4) != 0 ||
        memcmp(p + 16, "RGB ", 4) != 0)
        return false;
    bool is_kind = memcmp(p + 12, "scnr", 4) == 0 || memcmp(p + 12, "mntr", 4) == 0 ||
                   memcmp(p + 12, "prtr", 4) == 0 || memcmp(p + 12, "spac", 4) == 0;
    uint64_t size = word(p), n_tags = word(p + HEAD);
    if (!is_kind || size > n || n_tags == 0 || n_tags > TAGS_MAX || HEAD + 4 + 12 * n_tags > size)
        return false;
    for (uint64_t i = 0; i < n_tags; i++) {
        const uint8_t *tag = p + HEAD + 4 + 12 * i;
        if ((uint64_t)word(tag + 4) + word(tag + 8) > size)
            return false;
    }
    return true;
}

/* The caller closes it. One curve for all three. */
static cmsHPROFILE of_primaries(cmsContext context, const cmsCIExyY *white,
                                const cmsCIExyYTRIPLE *primaries, int kind, const double *curve)
{
    cmsToneCurve *tone = cmsBuildParametricToneCurve(context, kind, curve);
    cmsToneCurve *const curves[] = {tone, tone, tone};
    cmsHPROFILE profile =
        tone != NULL ? cmsCreateRGBProfileTHR(context, white, primaries, curves) : NULL;
    cmsFreeToneCurve(tone);
    return profile;
}

/* Primaries and curves as in the spaces' definitions (Adobe RGB (1998), ISO 22028-2, SMPTE RP
 * 431-2, IEC 61966-2-1). */
static cmsHPROFILE space_open(cmsContext context, enum colour_space space)
{
    static const cmsCIExyY d65 = {0.3127, 0.3290, 1}, d50 = {0.3457, 0.3585, 1};
    static const cmsCIExyYTRIPLE adobe = {{0.64, 0.33, 1}, {0.21, 0.71, 1}, {0.15, 0.06, 1}};
    static const cmsCIExyYTRIPLE romm = {
        {0.7347, 0.2653, 1}, {0.1596, 0.8404, 1}, {0.0366, 0.0001, 1}};
    static const cmsCIExyYTRIPLE p3 = {{0.680, 0.320, 1}, {0.265, 0.690, 1}, {0.150, 0.060, 1}};
    static const double adobe_curve[] = {2.19921875}, romm_curve[] = {1.8, 1, 0, 1.0 / 16, 0.03125};
    static const double srgb_curve[] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    switch (space) {
    case SPACE_ADOBE: return of_primaries(context, &d65, &adobe, 1, adobe_curve);
    case SPACE_ROMM: return of_primaries(context, &d50, &romm, 4, romm_curve);
    case SPACE_P3: return of_primaries(context, &d65, &p3, 4, srgb_curve);
    default: return cmsCreate_sRGBProfileTHR(context);
    }
}

/* ---- ways ---- */

/* From NULL: from sRGB. */
static cmsHTRANSFORM transform_make(cmsContext context, const void *profile, uint64_t n,
                                    enum colour_space to)
{
    cmsHPROFILE in = profile != NULL
                         ? cmsOpenProfileFromMemTHR(context, profile, (cmsUInt32Number)n)
                         : cmsCreate_sRGBProfileTHR(context);
    cmsHPROFILE out = in != NULL ? space_open(context, to) : NULL;
    cmsHTRANSFORM transform = NULL;
    if (out != NULL)
        transform = cmsCreateTransformTHR(context, in, TYPE_RGB_8, out, TYPE_RGB_8,
                                          INTENT_PERCEPTUAL, cmsFLAGS_NOCACHE);
    if (out != NULL)
        cmsCloseProfile(out);
    if (in != NULL)
        cmsCloseProfile(in);
    return transform;
}

/* With the lock. Bytes against bytes, which ends where they differ. */
static struct way *find(struct colours *colours, const void *profile, uint64_t n,
                        enum colour_space to)
{
    for (int i = 0; i < KEPT; i++) {
        struct way *way = &colours->ways[i];
        if (way->transform != NULL && way->n == n && way->to == to &&
            (n == 0 || memcmp(way->profile, profile, (size_t)n) == 0))
            return way;
    }
    return NULL;
}

/* With the lock. NULL: all are in use. */
static struct way *oldest(struct colours *colours)
{
    struct way *found = NULL;
    for (int i = 0; i < KEPT; i++) {
        struct way *way = &colours->ways[i];
        if (way->users == 0 && (found == NULL || way->used < found->used))
            found = way;
    }
    return found;
}

/* With the lock. Takes the transform if there is room for it. */
static struct way *keep(struct colours *colours, const struct way *made, const void *profile)
{
    struct way *way = oldest(colours);
    uint8_t *copy = malloc((size_t)made->n + 1);
    if (way == NULL || copy == NULL) {
        free(copy);
        return NULL;
    }
    if (made->n > 0)
        memcpy(copy, profile, (size_t)made->n);
    way_fini(way);
    *way = *made;
    way->profile = copy;
    return way;
}

/* A way, counted as used: a way of *own where none could be kept. NULL: Little CMS does not
 * take the profile. Making one takes milliseconds, during which others wait: rare, and better
 * than making it twice. */
static struct way *way_take(struct colours *colours, const void *profile, uint64_t n,
                            enum colour_space to, struct way *own)
{
    pthread_mutex_lock(&colours->lock);
    struct way *way = find(colours, profile, n, to);
    if (way == NULL) {
        *own = (struct way){.n = n, .to = to};
        own->transform = transform_make(colours->context, n > 0 ? profile : NULL, n, to);
        way = own->transform != NULL ? keep(colours, own, profile) : NULL;
        if (way == NULL && own->transform != NULL)
            way = own;
    }
    if (way != NULL) {
        way->users++;
        way->used = ++colours->clock;
    }
    pthread_mutex_unlock(&colours->lock);
    return way;
}

/* A way of the cache stays for the next picture; one made for this picture goes. */
static void way_give(struct colours *colours, struct way *way, struct way *own)
{
    pthread_mutex_lock(&colours->lock);
    way->users--;
    if (way == own)
        way_fini(own);
    pthread_mutex_unlock(&colours->lock);
}

/* ---- what a data set says ---- */

/* Of a slide's paths of light the one that the frame was taken by (PS3.3 C.8.12.5). */
static hilum_rc path_profile(const struct scene *scene, uint32_t i, const void **bytes, uint64_t *n)
{
    char path[ATTRIBUTE_PATH], named[65] = "";
    const char *name =
        attribute_grouped(scene, i, "OpticalPathIdentificationSequence", "OpticalPathIdentifier");
    snprintf(named, sizeof named, "%s", name != NULL ? name : "");
    uint64_t n_paths = attribute_items(scene, i, "OpticalPathSequence");
    unsigned found = 0;
    for (unsigned k = 0; k < n_paths && k < PATHS_MAX; k++) {
        snprintf(path, sizeof path, "OpticalPathSequence[%u].OpticalPathIdentifier", k);
        if (named[0] != '\0' && attribute_is(scene, i, path, named))
            found = k;
    }
    snprintf(path, sizeof path, "OpticalPathSequence[%u].ICCProfile", found);
    return n_paths > 0 ? attribute_bytes(scene, i, path, bytes, n) : HILUM_ENOTFOUND;
}

/* A presentation state of colours has a profile that counts instead of the image's (PS3.3 A.33.2). */
static bool profile_find(const struct scene *scene, uint32_t i, const void **bytes, uint64_t *n)
{
    uint32_t state;
    *bytes = NULL;
    *n = 0;
    if ((!scene_state(scene, &state) ||
         attribute_bytes(scene, state, "ICCProfile", bytes, n) != HILUM_OK) &&
        attribute_bytes(scene, i, "ICCProfile", bytes, n) != HILUM_OK &&
        path_profile(scene, i, bytes, n) != HILUM_OK)
        *n = 0;
    return *n > 0;
}

/* ---- the picture ---- */

static void transform(const struct way *way, struct picture *picture)
{
    size_t row = (size_t)picture->width * 3;
    uint8_t *p = picture->pixels;
    for (uint32_t y = 0; y < picture->height; y++, p += row)
        cmsDoTransform(way->transform, p, p, picture->width);
}

/* A damaged profile is a warning, not a failure: a picture in slightly wrong colours beats
 * none, and says so in the log. */
hilum_rc icc_apply(const struct scene *scene, const struct request *request,
                   struct picture *picture)
{
    struct colours *colours = scene->render->colours;
    const void *bytes;
    uint64_t n;
    struct way own, *way = NULL;
    enum colour_space to =
        request->icc > ICC_SRGB ? (enum colour_space)(request->icc - ICC_SRGB) : SPACE_SRGB;
    if (picture->channels != 3 || picture->depth != 8 || request->icc == ICC_YES)
        return HILUM_OK;
    bool has_profile = profile_find(scene, request->slice, &bytes, &n);
    if (!has_profile && to == SPACE_SRGB)
        return HILUM_OK;
    if (!has_profile || is_sound(bytes, n))
        way = way_take(colours, bytes, n, to, &own);
    if (way == NULL) {
        scene->render->host->log(scene->render->self, HILUM_LOG_WARN,
                                 "a picture's ICC profile is damaged or not of RGB: its colours "
                                 "are taken as sRGB");
        return HILUM_OK;
    }
    transform(way, picture);
    way_give(colours, way, &own);
    return HILUM_OK;
}

/* Twice: the first call tells the size. Free with free(). */
static hilum_rc space_bytes(const struct render *render, enum colour_space space, void **out,
                            uint32_t *n)
{
    cmsContext context = render->colours->context;
    cmsHPROFILE profile = space_open(context, space);
    cmsUInt32Number size = 0;
    *out = NULL;
    if (profile != NULL && cmsSaveProfileToMem(profile, NULL, &size))
        *out = malloc(size);
    bool is_good = *out != NULL && cmsSaveProfileToMem(profile, *out, &size);
    if (profile != NULL)
        cmsCloseProfile(profile);
    *n = size;
    if (is_good)
        return HILUM_OK;
    free(*out);
    *out = NULL;
    return render_fail(render, HILUM_ENOMEM, "no memory for a colour profile");
}

/* A profile is said only where it was asked for: browsers take pictures without one as sRGB,
 * which these are. */
hilum_rc icc_embedded(const struct scene *scene, const struct request *request,
                      const struct picture *picture, void **out, uint32_t *n)
{
    const void *bytes = NULL;
    uint64_t length = 0;
    *out = NULL;
    *n = 0;
    if (request->icc == ICC_DEFAULT || request->icc == ICC_NO || picture->channels != 3)
        return HILUM_OK;
    if (request->icc != ICC_YES)
        return space_bytes(scene->render, (enum colour_space)(request->icc - ICC_SRGB), out, n);
    if (!profile_find(scene, request->slice, &bytes, &length) || !is_sound(bytes, length))
        return space_bytes(scene->render, SPACE_SRGB, out, n);
    *n = word(bytes); /* without what fills the value up to an even length */
    *out = malloc(*n);
    if (*out == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a colour profile");
    memcpy(*out, bytes, *n);
    return HILUM_OK;
}
