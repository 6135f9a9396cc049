/* Moving pictures: multi-frame objects as MP4, stored videos as MP4 and as a still. All coding is done by ffmpeg, a child
 * process the host runs where the configuration names it: its licence (GPL) allows no more.
 *
 * Why a child and not a library: the coders that browsers need are GPL or patented, and a decoder
 * of video from strangers is the last thing to have in a process that holds everybody's images.
 * The host runs it without a shell, only if `programs` of the configuration names it, with limits
 * of memory, time and output, and kills it with all its children (core/plugin/child.c).
 *
 * Two kinds of input. Frames are drawn by our own renderer, so that the film shows what a picture
 * shows (window, colours), and go in by a pipe as JPEG. A stored video goes in as a file that
 * only its owner can read, deleted as soon as the child has ended.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "playback.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A film takes a core or two while it is made: two of them leave a small server something to
 * serve with. Three minutes end what hangs, and what nobody waits for any more. */
enum {
    CHILDREN = 2, /* at once; who comes then is told to come again */
    DEADLINE = 180000,
    ARGUMENTS = 40,
    ERROR_MAX = 200
};
static const uint64_t memory_max = (uint64_t)6 << 30; /* of addresses: x264 reserves a lot */

/* ---- the child ---- */

struct complaint {
    char text[ERROR_MAX];
    size_t n;
};

/* The first line of what ffmpeg says is the reason; the rest is its usual noise, and is read
 * so that the child does not block on a full pipe. */
static hilum_rc complain(void *ctx, const void *bytes, uint64_t n)
{
    struct complaint *c = ctx;
    size_t room = sizeof c->text - 1 - c->n, taken = n < room ? (size_t)n : room;
    memcpy(c->text + c->n, bytes, taken);
    c->n += taken;
    c->text[c->n] = '\0';
    c->text[strcspn(c->text, "\r\n")] = '\0';
    return HILUM_OK;
}

/* EDENIED: the configuration does not allow the program. ENOTFOUND: it is not installed. To
 * the client both are the same: not to be had here. A child that ends with an error is blamed
 * on the object: it is what differs from one call to the next. */
static hilum_rc judge(const struct web *web, hilum_rc rc, int32_t status,
                      const struct complaint *complaint)
{
    char why[ERROR_MAX + 100];
    if (rc == HILUM_EDENIED || rc == HILUM_ENOTFOUND)
        return web->host->fail(web->self, HILUM_EUNSUP,
                               "moving pictures need ffmpeg: install it and write programs = ( "
                               "\"/usr/bin/ffmpeg\" ) beside web-dicomweb");
    if (rc == HILUM_EFULL)
        return web->host->fail(web->self, rc, "over 256 MiB of moving pictures");
    if (rc != HILUM_OK || status == 0)
        return rc;
    snprintf(why, sizeof why, "ffmpeg ended with %d: %s", status, complaint->text);
    return web->host->fail(web->self, HILUM_ECORRUPT, why);
}

/* Two at most: each takes a core. Taken before anything is drawn or copied for the child, which costs more than a
 * refusal may; child_end gives it back. */
static hilum_rc child_begin(struct web *web)
{
    if (atomic_fetch_add(&web->n_children, 1) < CHILDREN)
        return HILUM_OK;
    atomic_fetch_sub(&web->n_children, 1);
    return web->host->fail(web->self, HILUM_EAGAIN, "other moving pictures are being made");
}

static void child_end(struct web *web)
{
    atomic_fetch_sub(&web->n_children, 1);
}

/* Blocks the worker until the child has ended: at most CHILDREN of http's workers wait so. call: whoever it is for; NULL:
 * for all who will ask. */
static hilum_rc run(struct web *web, const struct web_call *call, const char *const *arguments,
                    const struct web_picture *input, struct web_picture *out)
{
    struct complaint complaint = {"", 0};
    struct hilum_sink output = {.size = sizeof output, .write = web_picture_write, .ctx = out};
    struct hilum_sink errors = {.size = sizeof errors, .write = complain, .ctx = &complaint};
    const char *argv[ARGUMENTS] = {web->conf->ffmpeg, "-hide_banner", "-nostdin", "-loglevel",
                                   "error"};
    size_t n = 5;
    int32_t status = 0;
    for (; *arguments != NULL && n < ARGUMENTS - 1; arguments++)
        argv[n++] = *arguments;
    const struct hilum_child child = {.size = sizeof child,
                                      .deadline_ms = DEADLINE,
                                      .argv = argv,
                                      .input = input != NULL ? input->bytes : NULL,
                                      .n = input != NULL ? input->n : 0,
                                      .memory_max = memory_max,
                                      .output_max = 256u << 20,
                                      .output = &output,
                                      .errors = &errors,
                                      .go_on = call != NULL ? web_go_on : NULL,
                                      .go_on_arg = (void *)(uintptr_t)call};
    hilum_rc rc = web->host->run_child(web->self, &child, &status);
    return judge(web, rc, status, &complaint);
}

/* What browsers play: H.264 of even sides, its index before its pictures. veryfast: a client
 * is waiting. crf 20: near to what cannot be told from the original. Fragmented, since a pipe
 * cannot be gone back in to write the index. yuv420p and even sides are what H.264 of browsers
 * demands. */
#define PLAYABLE                                                                                   \
    "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "2", "-pix_fmt",    \
        "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-movflags",                            \
        "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", "pipe:1", NULL

/* ---- frames to a film ---- */

/* Pictures a second, as the object says (PS3.3 C.7.6.5). Order: what the maker recommends,
 * then how it was acquired, then the time between frames. Values out of all reason are taken
 * for not given, and 10 a second for a guess nobody gets seasick of. */
static double rate_of(const struct hilum_object_api *objects, hilum_object *object)
{
    static const char *const rates[] = {"RecommendedDisplayFrameRate", "CineRate"};
    for (size_t i = 0; i < 2; i++) {
        const char *value = objects->text(object, rates[i]);
        double rate = value != NULL ? strtod(value, NULL) : 0;
        if (rate >= 0.1 && rate <= 200)
            return rate;
    }
    const char *time = objects->text(object, "FrameTime");
    double ms = time != NULL ? strtod(time, NULL) : 0;
    return ms >= 5 && ms <= 10000 ? 1000 / ms : 10;
}

/* Quality 95: a film's pictures are coded a second time. */
static struct web_view frame_view(const struct web_view *view)
{
    struct web_view each = *view;
    each.view.media_type = "image/jpeg";
    each.view.quality = 95;
    return each;
}

/* Of a film's pictures: in memory, since the host feeds the child's pipe from there and no picture of a patient lies on
 * the disk; no more of them than web_picture_write takes. */
static hilum_rc judge_pictures(const struct web *web, hilum_rc rc)
{
    return rc != HILUM_EFULL
               ? rc
               : web->host->fail(web->self, HILUM_EUNSUP,
                                 "over 256 MiB of pictures: ask for a smaller viewport");
}

/* All frames as JPEG, one behind the other. */
static hilum_rc draw_frames(struct web *web, hilum_object *object, const struct web_view *view,
                            uint64_t n, struct web_picture *out)
{
    const struct web_view each = frame_view(view);
    hilum_rc rc = HILUM_OK;
    if (n > WEB_FILM_MAX)
        return web->host->fail(web->self, HILUM_EUNSUP, "over 20,000 frames");
    for (uint64_t i = 1; rc == HILUM_OK && i <= n; i++)
        rc = web_picture_draw_plain(web, object, &each, i, out);
    return judge_pictures(web, rc);
}

/* JPEGs behind each other become a film of so many a second. */
static hilum_rc code(const struct web_call *call, const struct web_picture *input, double rate,
                     struct web_picture *out)
{
    char text[32];
    snprintf(text, sizeof text, "%.4f", rate);
    const char *const arguments[] = {"-f", "mjpeg", "-framerate", text, "-i", "pipe:0", PLAYABLE};
    return run(call->web, call, arguments, input, out);
}

static hilum_rc film(const struct web_call *call, hilum_object *object, const struct web_view *view,
                     struct web_picture *out)
{
    struct web *web = call->web;
    struct web_picture input = {.bytes = NULL};
    struct hilum_frames frames = {.size = sizeof frames};
    hilum_rc rc = web->host->objects->frames(object, &frames);
    if (rc == HILUM_OK)
        rc = draw_frames(web, object, view, frames.n, &input);
    if (rc == HILUM_OK)
        rc = code(call, &input, rate_of(web->host->objects, object), out);
    web_picture_fini(&input);
    return rc;
}

/* ---- a state's film ---- */

/* The picture that out holds from begin on, so many times more. */
static hilum_rc repeat(struct web_picture *out, size_t begin, uint32_t times)
{
    size_t length = out->n - begin;
    char *copy = times > 0 ? malloc(length + 1) : NULL; /* the room itself may move as it grows */
    hilum_rc rc = times > 0 && copy == NULL ? HILUM_ENOMEM : HILUM_OK;
    if (copy != NULL)
        memcpy(copy, out->bytes + begin, length);
    for (uint32_t k = 0; rc == HILUM_OK && k < times; k++)
        rc = web_picture_write(out, copy, length);
    free(copy);
    return rc;
}

/* A frame stands for more than one picture where others play faster. */
static hilum_rc draw_shots(const struct web_call *call, hilum_object *image, hilum_object *state,
                           const struct web_view *view, const struct web_playback *playback,
                           struct web_picture *out)
{
    const struct web_view each = frame_view(view);
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < playback->n; i++) {
        size_t begin = out->n;
        rc = web_state_draw(call, image, state, &each, playback->shots[i].frame, out);
        if (rc == HILUM_OK)
            rc = repeat(out, begin, playback->shots[i].times - 1);
    }
    return judge_pictures(call->web, rc);
}

static hilum_rc state_film(const struct web_call *call, hilum_object *state,
                           const struct web_view *view, struct web_picture *out)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    struct hilum_frames frames = {.size = sizeof frames};
    struct web_picture input = {.bytes = NULL};
    struct web_playback playback = {.n = 0};
    hilum_object *image = NULL;
    hilum_rc rc = web_state_image(call, state, &image);
    if (rc == HILUM_OK)
        rc = objects->frames(image, &frames);
    if (rc == HILUM_OK)
        rc = web_playback_read(call, image, state, frames.n, rate_of(objects, image), &playback);
    if (rc == HILUM_OK)
        rc = draw_shots(call, image, state, view, &playback, &input);
    if (rc == HILUM_OK)
        rc = code(call, &input, playback.rate, out);
    web_playback_fini(&playback);
    web_picture_fini(&input);
    objects->close(image);
    return rc;
}

/* ---- stored videos ---- */

/* PS3.6 A-1: 1.2.840.10008.1.2.4.100 to .108; one further digit, hence the length.
 * Fragmentable ones (.100.1) are not among them. */
bool web_is_video(const struct web *web, hilum_object *object)
{
    struct hilum_object_names names = {.size = sizeof names};
    static const char mpeg[] = "1.2.840.10008.1.2.4.10";
    size_t n = strlen(mpeg);
    return web->host->objects->names(object, &names) == HILUM_OK &&
           strncmp(names.transfer_syntax, mpeg, n) == 0 && strlen(names.transfer_syntax) == n + 1 &&
           names.transfer_syntax[n] <= '8';
}

#define STREAM "stream-"

/* A stored video's stream as a file, locked while it is of use. The lock (flock) is how a life
 * of the plugin tells its own files from those a killed one left: a lock ends with its
 * process, a name does not. */
struct stream {
    char path[WEB_PATH_MAX];
    int fd;
};

/* Another life of the plugin may sweep between the making and the lock: then a new one. */
static hilum_rc stream_open(const struct web *web, struct stream *out)
{
    char folder[WEB_PATH_MAX];
    struct stat st = {.st_nlink = 0};
    hilum_rc rc = web_folder(web, "", folder, sizeof folder - 20);
    while (rc == HILUM_OK && st.st_nlink == 0) {
        snprintf(out->path, sizeof out->path, "%.*s/" STREAM "XXXXXX", WEB_PATH_MAX - 20, folder);
        out->fd = mkostemp(out->path, O_CLOEXEC);
        if (out->fd < 0)
            return web->host->fail(web->self, HILUM_EIO, "no room for a video's stream");
        if (flock(out->fd, LOCK_EX) == 0 && fstat(out->fd, &st) == 0 && st.st_nlink > 0)
            return HILUM_OK;
        close(out->fd);
    }
    return rc;
}

/* First the name, then the lock: a sweep between the two would take away the name, and the
 * unlink after it that of a file made under it since. */
static void stream_close(struct stream *stream)
{
    unlink(stream->path);
    close(stream->fd);
}

/* At the start of the plugin; while an exchange of plugins (reload) the old life still serves,
 * its streams are locked and stay. O_NOFOLLOW: nobody else writes in this folder, but nothing
 * is opened by a link all the same. */
void web_streams_sweep(const struct web *web)
{
    char folder[WEB_PATH_MAX];
    DIR *dir = web_folder(web, "", folder, sizeof folder) == HILUM_OK ? opendir(folder) : NULL;
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        if (strncmp(e->d_name, STREAM, strlen(STREAM)) != 0)
            continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (dir != NULL)
        closedir(dir);
}

static hilum_rc stream_write(const struct web *web, int fd, const char *bytes, uint64_t n)
{
    for (uint64_t at = 0; at < n;) {
        ssize_t written = write(fd, bytes + at, (size_t)(n - at));
        if (written < 0 && errno != EINTR)
            return web->host->fail(web->self, HILUM_EFULL, "no room for a video's stream");
        at += written > 0 ? (uint64_t)written : 0;
    }
    return HILUM_OK;
}

/* A file, since a container may have its index behind its pictures, which a pipe cannot go back to. stream_close when it
 * is HILUM_OK. */
static hilum_rc stream_save(const struct web *web, hilum_object *object, struct stream *out)
{
    const struct hilum_object_api *objects = web->host->objects;
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = stream_open(web, out);
    if (rc != HILUM_OK)
        return rc;
    rc = objects->frame(object, 0);
    while (rc == HILUM_OK && n > 0) {
        rc = objects->next_part(object, &bytes, &n);
        if (rc == HILUM_OK)
            rc = stream_write(web, out->fd, bytes, n);
    }
    if (rc != HILUM_OK)
        stream_close(out);
    return rc;
}

/* H.264 is put into another container as it is; what no browser plays is coded anew. The last
 * digit tells: .102 to .106 are H.264, .100 and .101 MPEG-2, .107 and .108 HEVC. */
static hilum_rc play(const struct web_call *call, hilum_object *object, struct web_picture *out)
{
    struct web *web = call->web;
    struct hilum_object_names names = {.size = sizeof names};
    struct stream stream;
    web->host->objects->names(object, &names);
    hilum_rc rc = stream_save(web, object, &stream);
    if (rc != HILUM_OK)
        return rc;
    const char *const anew[] = {"-i", stream.path, PLAYABLE};
    const char *const same[] = {"-i",   stream.path, "-c",
                                "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof",
                                "-f",   "mp4",       "pipe:1",
                                NULL};
    char last = names.transfer_syntax[strlen(names.transfer_syntax) - 1];
    rc = run(web, call, last >= '2' && last <= '6' ? same : anew, NULL, out);
    stream_close(&stream);
    return rc;
}

/* ffmpeg's filter `thumbnail` picks, of the first fifty pictures, the one nearest to their
 * mean: rarely the black one a film begins with. */
static hilum_rc still(struct web *web, hilum_object *object, const struct web_view *view,
                      struct web_picture *out)
{
    struct stream stream;
    char size[160] = "thumbnail=50";
    const char *type = view->view.media_type != NULL ? view->view.media_type : "";
    const char *coder = strcmp(type, "image/png") == 0   ? "png"
                        : strcmp(type, "image/gif") == 0 ? "gif"
                                                         : "mjpeg";
    const char *container = strcmp(coder, "gif") == 0 ? "gif" : "image2pipe";
    hilum_rc rc = stream_save(web, object, &stream);
    if (rc != HILUM_OK)
        return rc;
    if (view->view.width > 0 && view->view.height > 0)
        snprintf(size, sizeof size, "thumbnail=50,scale=%u:%u:force_original_aspect_ratio=decrease",
                 view->view.width, view->view.height);
    const char *const arguments[] = {"-i",   stream.path, "-vf",     size,   "-frames:v",
                                     "1",    "-f",        container, "-c:v", coder,
                                     "-q:v", "3",         "pipe:1",  NULL};
    rc = run(web, NULL, arguments, NULL, out);
    stream_close(&stream);
    return rc == HILUM_OK && out->n == 0
               ? web->host->fail(web->self, HILUM_ECORRUPT, "the video holds no picture")
               : rc;
}

/* The one thing a thumbnail waits for a child for; HILUM_EAGAIN is a 503 with Retry-After. */
hilum_rc web_video_still(struct web *web, hilum_object *object, const struct web_view *view,
                         struct web_picture *out)
{
    hilum_rc rc = child_begin(web);
    if (rc != HILUM_OK)
        return rc;
    rc = still(web, object, view, out);
    child_end(web);
    return rc;
}

hilum_rc web_cine_state(const struct web_call *call, hilum_object *state,
                        const struct web_view *view, struct web_picture *out)
{
    hilum_rc rc = child_begin(call->web);
    if (rc != HILUM_OK)
        return rc;
    rc = state_film(call, state, view, out);
    child_end(call->web);
    return rc;
}

hilum_rc web_cine(const struct web_call *call, hilum_object *object, const struct web_view *view,
                  struct web_picture *out)
{
    struct web *web = call->web;
    hilum_rc rc = child_begin(web);
    if (rc != HILUM_OK)
        return rc;
    rc = web_is_video(web, object) ? play(call, object, out) : film(call, object, view, out);
    child_end(web);
    return rc;
}
