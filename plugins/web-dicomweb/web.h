/* What the files of web-dicomweb share. The Studies Service of PS3.18 10 over the host's catalogue and objects.
 *
 * How a request goes. http matches a route (web-dicomweb.c) and runs its handler on one of its
 * workers; HANDLER puts a web_call together and refuses a path whose parts are no UIDs. From
 * there each transaction has a file: search.c, retrieve.c, metadata.c, frames.c, rendered.c,
 * thumbnails.c, store.c, stow.c. Those that send do much the same: list.c asks the catalogue
 * which objects the path names, as that user; accept.c settles the media type; an entity tag is
 * made of all that the answer depends on (etag.c), and a client that has it gets 304 without a
 * body being made; the audit row is written before the first byte leaves.
 *
 * Three ways a body leaves. Put together in memory of http (begin, write, end): small answers,
 * which can be compressed and whose failure in the middle is still an answer. Lent (lend.c,
 * frames.c): mapped objects, sent by the kernel without a copy, their length known, so that
 * ranges work. Streamed (parts.c, metadata.c): made while it leaves, one worker's turn a piece,
 * so that a slow client holds neither a worker nor the whole in memory; an error then can only
 * cut the connection.
 *
 * Threads: handlers run at once on as many workers as http has; a streamed body moves from
 * worker to worker, never on two at a time. All that requests share is in struct web, and each
 * of its members says what guards it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_DICOMWEB_H
#define WEB_DICOMWEB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/renderer.h"
#include "hilum/route.h"
#include "multipart.h"
#include "uid.h"

#define WEB_ROOT "/dicom-web"

struct web_conf {
    int64_t max_results;            /* of one search */
    int64_t metadata_cache;         /* bytes */
    int64_t thumbnails;             /* bytes of files */
    int64_t metadata_max, bulk_max; /* bytes of a STOW-RS of metadata */
    int64_t picture_memory;         /* bytes of pictures drawn at once */
    const char *ffmpeg;             /* path */
};

/* So many pairs of a user and a study at once are a large hospital's. */
enum { WEB_SEEN = 256 };

/* ---- study_job.c: what is prepared of a study once it is complete ---- */
struct web;
struct web_study_job {
    const char *name; /* of the job and of the verb */
    const char *hook, *summary;
    hilum_rc (*run)(struct web *web, const char *study, struct hilum_call *call);
};
enum { WEB_JOB_METADATA, WEB_JOB_THUMBNAILS, WEB_JOBS };
struct web_planned {
    struct web *web;
    const struct web_study_job *job;
};
/* From init only; `job` outlives the plugin. Errors: the host's. */
hilum_rc web_study_job(struct web *web, unsigned which, const struct web_study_job *job);

struct web {
    /* The three of the kernel's: valid from init to fini. */
    const struct hilum_host *host;
    hilum_self *self;
    const struct web_conf *conf;
    pthread_mutex_t lock; /* of the following */
    struct {
        uint64_t hash;
        int64_t at_s;
    } seen[WEB_SEEN]; /* who looked at which study lately */
    unsigned next_seen;
    /* Has a lock of its own: it is held while text is copied, and no row of the audit waits
     * for that. */
    struct web_blobs *blobs;
    struct web_drawing *drawing; /* likewise */
    /* Counters without the lock: each is only counted up and down, and what is decided by one
     * may be off by the requests under way. */
    atomic_uint n_thumbnails; /* written */
    atomic_uint n_children;   /* running */
    atomic_size_t n_lent;     /* objects open for answers under way (lend.c) */
    /* The only lock that is held while the disk is written to: a second STOW-RS of metadata
     * waits for the first to be stored (stow.c). */
    pthread_mutex_t unfolding; /* held while a STOW-RS has its metadata unfolded */
    uint64_t secret[3]; /* of boundaries; and what tells one life of the server from another */
    struct web_planned planned[WEB_JOBS]; /* arguments of the host's calls */
};

/* One exchange, as the handlers pass it on. Lives on the handler's stack; what outlives the
 * handler (a stream) copies it. Its pointers are good until the exchange has ended. */
struct web_call {
    struct web *web;
    const struct hilum_http_api *api;
    hilum_http *http;
    const char
        *uids[3]; /* of study, series, instance: the path's, or those of a query; NULL: not named */
};

/* Is the client of this exchange still there (hilum_http_api.go_on)? arg: struct web_call. */
hilum_rc web_go_on(void *arg);
/* What is decoded and drawn of the object is for that client only. The call outlives the object. */
void web_for_client(const struct web_call *call, hilum_object *object);

enum {
    TAG_SOP_INSTANCE = 0x00080018,
    TAG_RETRIEVE_URL = 0x00081190,
    TAG_STUDY = 0x0020000D,
    TAG_SERIES = 0x0020000E
};

#define WEB_JSON "application/dicom+json"

/* ---- Accept (RFC 9110 12.5.1, PS3.18 8.7): accept.c, no state, fuzzed ---- */

enum { WEB_QUALITY_ONE = 1000 };

/* One media range. Texts are in lower case where they are not sensitive to it. */
struct web_range {
    char media[80];  /* "multipart/related", "image/" "*", "*" "/" "*" */
    char type[80];   /* of multipart/related; "" */
    char syntax[68]; /* transfer-syntax: a UID, "*", "" */
    int quality;     /* 0 to WEB_QUALITY_ONE */
};
/* Reads the range at *text and moves behind it. False: no more. What is no media range is left out. */
bool web_range_next(const char **text, struct web_range *out);

/* What could be sent. `type` NULL: the media type itself, otherwise a part's type in multipart/related. `syntax`
 * NULL where the type has none. */
struct web_offer {
    const char *media, *type, *syntax;
};
/* The offer the client likes best, the earlier of equals; -1: none. NULL and "": the first. */
int web_accept(const char *accept, const struct web_offer *offers, size_t n);

/* What attributes are told in: 0 JSON, 1 parts of XML, -1 the client takes neither. */
int web_json_or_xml(const struct web_call *call);
/* The Accept header, or the query parameter that stands for it (PS3.18 8.3.3.1). */
const char *web_accept_of(const struct web_call *call);

/* ---- forms of frames (forms.c) ---- */

/* As one value, whatever is in it; frame by frame: as they lie, in native form, in another compressed syntax. */
enum web_way { WEB_VALUE, WEB_STORED, WEB_DECODED, WEB_ENCODED };
struct web_form {
    enum web_way way;
    const char *media;
    const char *syntax; /* NULL: the type has none */
    uint64_t n_parts;
    bool is_single; /* the only part alone */
};
/* What there is of an object's pixel data, or of another value. */
struct web_pixels {
    const char *stored; /* the frames' syntax; NULL: a value that is none */
    bool is_value;      /* leaves as one value, if not encoded */
    uint64_t n;         /* frames that are wanted */
    /* Can the first of them be had in this form? HILUM_EUNSUP: no; else it is broken. */
    hilum_rc (*try)(void *arg, const struct web_form *form);
    void *arg;
};
/* The one the client likes best of those that can be had; its texts are static, or pixels->stored. HILUM_EUNSUP: none. Another
 * error: of a frame that is broken, in a form that the client takes. */
hilum_rc web_form_choose(const char *accept, const struct web_pixels *pixels, struct web_form *out);
void web_form_type(const struct web_form *form, char out[WEB_TYPE_MAX]);
/* Answers 406; why: what a codec said, "" nothing. */
hilum_rc web_form_refuse(const struct web_call *call, const struct web_pixels *pixels,
                         const char *why);

/* ---- small things ---- */

/* Takes the UIDs of the path. HILUM_EINVAL: one is none. */
hilum_rc web_check_path(struct web_call *call);
/* Answers and returns HILUM_OK. As problem details (RFC 9457), where no hilum_rc has that
 * status: 406, 415, 404. */
hilum_rc web_refuse(const struct web_call *call, uint32_t status, const char *why);

enum { WEB_PATH_MAX = 4096 };
/* The plugin's own folder of the data directory, or one in it ("": itself), made where it is missing. HILUM_EIO: with the
 * reason. */
hilum_rc web_folder(const struct web *web, const char *inner, char *out, size_t size);

/* ---- metadata sent lately (blobs.c); all functions take NULL: there is no memory for them ---- */

struct web_blobs;
struct web_blobs *web_blobs_new(uint64_t max); /* NULL: 0 bytes, or no memory */
void web_blobs_free(struct web_blobs *blobs);
/* Writes it. HILUM_ENOTFOUND: not here. */
hilum_rc web_blobs_find(struct web_blobs *blobs, int64_t instance, int64_t as_of,
                        const struct hilum_sink *sink);
/* Whatever is kept of it, in any state. */
void web_blobs_forget(struct web_blobs *blobs, int64_t instance);
void web_blobs_keep(struct web_blobs *blobs, int64_t instance, int64_t as_of, const char *text,
                    size_t n);

/* Reads an instance's metadata into that memory, for whoever asks next; `who` NULL: the plugin itself (metadata.c). */
hilum_rc web_metadata_prepare(struct web *web, const hilum_principal *who, int64_t instance,
                              int64_t as_of);
/* Declares the job that does so for a study that is complete (prepare.c). */
hilum_rc web_prepare_init(struct web *web);

/* ---- the Native DICOM Model (xml.c) ---- */

#define WEB_XML "application/dicom+xml"

/* Zero-initialised is empty; failed: there was no memory for some of it. */
struct web_text {
    char *bytes;
    size_t n, cap;
    bool failed;
};
void web_text_add(struct web_text *text, const char *bytes, size_t n);
/* The same as the write() of a sink whose ctx is the text; HILUM_ENOMEM. */
hilum_rc web_text_write(void *text, const void *bytes, uint64_t n);
void web_text_put(struct web_text *text, const char *words);
void web_text_fini(struct web_text *text);
/* A document of one object of the DICOM JSON Model. HILUM_EINVAL: it is none; HILUM_ENOMEM. */
hilum_rc web_xml(const struct hilum_dicom_api *dicom, const char *json, size_t n,
                 struct web_text *out);

/* ---- attributes the catalogue does not keep (extras.c) ---- */

enum { WEB_EXTRAS = 192 };
struct web_extras {
    uint32_t tags[WEB_EXTRAS];
    size_t n;
    bool has_all; /* that an instance has */
};
/* The i-th attribute of a study or series (and of what is above) that "all" asks for; 0: no more (levels.c). */
uint32_t web_level_attribute(uint32_t level, size_t i);
/* Puts what the instance (of a study and series) has of them into its JSON. Without an instance or a series one
 * of the study's, or the series', stands for them. */
hilum_rc web_extras_add(const struct web_call *call, const struct web_extras *extras,
                        char uids[3][68], struct web_text *json);
/* The metadata of the call's instance (metadata.c). */
hilum_rc web_instance_json(const struct web_call *call, struct web_text *out);

/* ---- what a path names (list.c) ---- */

enum { WEB_SYNTAXES = 64 };

struct web_item {
    int64_t instance;
    unsigned syntax; /* it is stored in: index */
    bool is_report, is_state;
};
/* Objects of a study, series or instance, in the order of series and instance numbers.
 * Zero-initialised is empty. Five kilobytes for its syntaxes: allocated, not put on a stack.
 * One number of corrections (as_of) holds for all: an answer that is sent for minutes shows
 * one state of the catalogue, whatever is corrected meanwhile. */
struct web_list {
    struct web_item *items;
    size_t n, cap;
    char syntaxes[WEB_SYNTAXES][68];
    unsigned n_syntaxes;
    int64_t as_of;
};
/* HILUM_ENOTFOUND: nothing is stored under this path. */
hilum_rc web_list_make(const struct web_call *call, struct web_list *out);
void web_list_fini(struct web_list *list);
/* Is a presentation state among them? What one shows depends on another object, which may be
 * replaced or corrected: no entity tag can tell. */
bool web_list_has_state(const struct web_list *list);

/* ---- entity tags (etag.c) ---- */

/* A digest of everything an answer depends on. Zero-initialised is empty. 128 bits, not keyed:
 * a client can make one up, and gains nothing by it. What must not be foreseen is the
 * boundary. */
struct web_tag {
    uint64_t a, b;
    bool is_weak; /* the same meaning, not the same bytes */
};
void web_tag_add(struct web_tag *tag, uint64_t value);
void web_tag_text(struct web_tag *tag, const char *text);
/* What was asked for, as a type, of this version of Hilum: for what is drawn. */
void web_tag_request(struct web_tag *tag, const struct web_call *call, const char *type);
/* One part alone, or several with a boundary, which is of this life of the server. */
void web_tag_form(struct web_tag *tag, const struct web *web, bool is_single);
void web_tag_list(struct web_tag *tag, const struct web_list *list);
/* The same for the same tag, while the server runs; nobody can foretell it. */
void web_tag_boundary(const struct web *web, const struct web_tag *tag, char out[33]);
/* Adds it as ETag. Does the client have that already? Then web_unchanged() answers. */
bool web_tag_show(const struct web_call *call, const struct web_tag *tag);
hilum_rc web_unchanged(const struct web_call *call);

/* ---- whole answers without a copy (lend.c) ---- */

/* Answers with the list's objects as stored, in parts; boundary NULL: its only one alone. HILUM_EUNSUP: not this way, and
 * nothing was begun. */
hilum_rc web_lend(const struct web_call *call, uint32_t status, const struct web_list *list,
                  const char *boundary);

/* ---- bodies of parts (parts.c) ---- */

/* A part as a file of an archive. */
struct web_file {
    char name[200];
    uint64_t length; /* HILUM_LENGTH_UNKNOWN: it is made as it leaves */
    bool is_compressed;
};

/* A multipart/related body, or its only part alone, as it leaves. Whoever makes one puts its
 * own state behind. A `class` with two methods: the transaction says which parts there are and
 * what is in them, parts.c puts lines between. is_in_part and is_over are the state of a small
 * machine: before a part, in it, behind the last. */
struct web_parts {
    struct web *web;
    const hilum_principal *who; /* of the exchange, which outlives the body */
    bool is_single;
    /* Goes to the next part and writes its media type. 1: there is one; 0: no more; or an error. */
    hilum_rc (*begin)(struct web_parts *parts, char type[WEB_TYPE_MAX]);
    hilum_rc (*read)(struct web_parts *parts, const void **bytes, uint64_t *n); /* *n 0: its end */
    void (*free)(struct web_parts *parts);
    /* For ranges; NULL where lengths are not known before all is made. Of the part that was just begun: its bytes; that
     * the first n of them are left out. And back to before the first part. */
    hilum_rc (*length)(struct web_parts *parts, uint64_t *n);
    hilum_rc (*skip)(struct web_parts *parts, uint64_t n);
    void (*rewind)(struct web_parts *parts);
    uint64_t n_parts; /* with these */
    /* For web_zip_send: as which file the part that was just begun is told. */
    hilum_rc (*file)(struct web_parts *parts, struct web_file *out);
    char boundary[33]; /* web_tag_boundary */
    /* ---- of parts.c ---- */
    char text[WEB_LINE_MAX];
    const char *rest; /* of a line that a range begins in; NULL: none */
    unsigned n_begun;
    bool is_in_part, is_over;
};
/* Answers with it, and frees it in every case. type: the parts' media type; of a single part its whole one. */
hilum_rc web_parts_send(const struct web_call *call, uint32_t status, const char *type,
                        struct web_parts *parts);

#define WEB_ZIP "application/zip"
/* The same as an archive NAME.zip (zip.c). */
hilum_rc web_zip_send(const struct web_call *call, uint32_t status, const char *name,
                      struct web_parts *parts);

/* For a body put together otherwise, of one part: the whole's media type, what comes before the part and behind it. */
void web_parts_texts(struct web_parts *parts, const char *type, const char *part_type,
                     char whole[WEB_LINE_MAX], char head[WEB_LINE_MAX], char tail[WEB_LINE_MAX]);

/* ---- answers to a STOW-RS (outcome.c) ---- */

/* What became of the objects of a request, as JSON or as native DICOM model (is_xml). Text is
 * appended as each object is stored, so that an answer for 100,000 objects needs no tree of
 * them. */
struct web_outcome {
    char *text[3]; /* items: stored, failed, without a name */
    size_t length[3], cap[3];
    bool is_xml, has_failed;
    uint64_t n_stored, n_warned, n_failed, n_busy;
};
hilum_rc web_outcome_add(struct web_outcome *outcome, const char *study_url,
                         const struct hilum_intake_result *result);
/* A part nothing is known of. */
hilum_rc web_outcome_add_other(struct web_outcome *outcome, unsigned reason);
hilum_rc web_outcome_send(const struct web_call *call, const struct web_outcome *outcome);
void web_outcome_fini(struct web_outcome *outcome);

/* An object of a STOW-RS arrives; and what became of it (store.c). */
hilum_rc web_intake_begin(const struct web_call *call, const char *study, hilum_intake **out);
hilum_rc web_intake_tell(const struct web_call *call, struct web_outcome *outcome,
                         const struct hilum_intake_result *result);

/* ---- who did what (audit.c) ---- */

void web_audit_query(const struct web_call *call, uint64_t n_answers);
/* is_piece: one of many requests that show a study to a viewer; told once in five minutes. */
void web_audit_retrieve(const struct web_call *call, const char *what, uint64_t n, bool is_piece);

/* ---- pictures (view.c, rendered.c) ---- */

/* A view as the query asks for it. Texts and parameters live as long as this. frame is apart
 * from view.slice, which counts from 0 and cannot say "none was named". A region waits for the
 * picture's size, which only its source knows (rendered.c). */
struct web_view {
    struct hilum_view view;
    char *parameters;                 /* JSON */
    const char *state, *state_series; /* UIDs of a presentation state to draw by; NULL: none */
    uint64_t frame;                   /* from 1; 0: not named */
    enum { WEB_NO_REGION, WEB_IN_PIXELS, WEB_IN_PARTS } region_in;
    double
        region[4]; /* left, top, width, height: pixels (a negative extent mirrors), or parts of 1 */
};
/* From the query parameters of WADO-RS (PS3.18 8.3.5), or those of WADO-URI (9.4.1.2). HILUM_EINVAL: with the reason.
 * Free with web_view_fini in every case. */
hilum_rc web_view_read(const struct web_call *call, struct web_view *out);
hilum_rc web_view_read_uri(const struct web_call *call, struct web_view *out);
void web_view_fini(struct web_view *view);

/* A picture in memory. Grows by doubling and is used again for the next frame: n = 0 empties
 * it and keeps its room. */
struct web_picture {
    char *bytes;
    size_t n, cap;
    bool is_over; /* more was to be written than it takes */
};
void web_picture_fini(struct web_picture *picture);
/* Room for the pictures drawn at once (drawing.c): `most` bytes. NULL: no memory. Freed after the last picture. */
struct web_drawing *web_drawing_new(uint64_t most);
void web_drawing_free(struct web_drawing *drawing);
/* Waits until there is room for a picture and for the `laid` bytes of what is laid on it, for its turn; *taken is for
 * web_drawing_end() afterwards. Not within another picture: it would wait for itself. HILUM_ECLOSED: nobody waits for it
 * any more; nothing is taken. */
hilum_rc web_drawing_begin(struct web_drawing *drawing, const struct hilum_source *source,
                           const struct hilum_view *view, uint64_t laid, uint64_t *taken);
void web_drawing_end(struct web_drawing *drawing, uint64_t bytes);

/* The slice, from 0, that stands for all (PS3.3 C.7.6.6), or the one in the middle. */
uint32_t web_representative(const struct hilum_source *source);
/* Draws a frame (from 1; 0: the one that stands for all) of a source. laid: bytes that others it is drawn with take. */
hilum_rc web_picture_draw_source(const struct web *web, const struct hilum_source *source,
                                 const struct web_view *wanted, uint64_t frame, uint64_t laid,
                                 struct web_picture *out);
/* Draws a frame of an object (states.c); a presentation state is drawn as its first image, with those that it blends with it.
 * HILUM_ENOTFOUND: it has no pixels. */
hilum_rc web_picture_draw(const struct web_call *call, hilum_object *object,
                          const struct web_view *view, uint64_t frame, struct web_picture *out);

/* The first image a state is made for; the caller closes it. HILUM_ENOTFOUND: it names none. (states.c) */
hilum_rc web_state_image(const struct web_call *call, hilum_object *state, hilum_object **out);
/* A frame of an image by a state; NULL: by none. */
hilum_rc web_state_draw(const struct web_call *call, hilum_object *image, hilum_object *state,
                        const struct web_view *view, uint64_t frame, struct web_picture *out);

/* "1,2,7" into out; how many, 0: no such list (frames.c). */
uint64_t web_frame_numbers(const char *text, uint64_t *out, uint64_t max);

/* The same for an image, without an exchange. */
hilum_rc web_picture_draw_plain(struct web *web, hilum_object *object, const struct web_view *view,
                                uint64_t frame, struct web_picture *out);
/* A file of at most 16 MiB. */
bool web_picture_read(const char *path, struct web_picture *out);

/* A sink's write(); ctx: the picture. HILUM_EFULL past 256 MiB. */
hilum_rc web_picture_write(void *ctx, const void *bytes, uint64_t n);

/* ---- moving pictures (cine.c) ---- */

bool web_is_video(const struct web *web, hilum_object *object); /* MPEG-2, H.264, HEVC as stored */
/* One picture that shows what a stored video is about. HILUM_EUNSUP: ffmpeg is not to be had; HILUM_EAGAIN: others are
 * being made. */
hilum_rc web_video_still(struct web *web, hilum_object *object, const struct web_view *view,
                         struct web_picture *out);
/* All frames, or a stored video, as MP4. */
hilum_rc web_cine(const struct web_call *call, hilum_object *object, const struct web_view *view,
                  struct web_picture *out);
/* The frames of the image that a presentation state is for, drawn by that, in the order and at the rates it says. */
hilum_rc web_cine_state(const struct web_call *call, hilum_object *state,
                        const struct web_view *view, struct web_picture *out);
/* Removes what a life that was killed left; what another life of the plugin works on stays. */
void web_streams_sweep(const struct web *web);
/* A file of everything web_cine makes with a view nobody changed, opened; negative: none. Made where there is none. */
hilum_rc web_cine_kept(const struct web_call *call, hilum_object *object, int64_t instance, int *fd,
                       uint64_t *length);

/* Declares the job that makes them and the hook that plans it. */
hilum_rc web_thumbnails_init(struct web *web);
/* Takes away the files of an object, of all its frames. */
void web_thumbnails_forget(struct web *web, const char *sop_instance, int64_t instance);
/* forget.c: has the two asked when an object is erased. */
hilum_rc web_forget_init(struct web *web);

/* ---- what requests understand (params.c) ---- */
extern const struct hilum_route_param web_accept_params[], web_search_params[], web_known_params[],
    web_retrieve_params[], web_rendered_params[], web_thumbnail_params[], web_uri_params[];

/* ---- transactions ---- */
hilum_rc web_search(const struct web_call *call, uint32_t level);
/* Study, series or instance (PS3.18 10.4.1.1.1). */
hilum_rc web_retrieve(const struct web_call *call, const char *accept);
hilum_rc web_metadata(const struct web_call *call);
hilum_rc web_frames(const struct web_call *call);
hilum_rc web_bulk(const struct web_call *call);
hilum_rc web_store(const struct web_call *call);
hilum_rc web_rendered(const struct web_call *call); /* of any level */
hilum_rc web_thumbnail(const struct web_call *call);
bool web_is_state(const char *sop_class); /* presentation states (states.c) */
/* Structured reports, key object selections (report.c). */
bool web_is_report(const char *sop_class);
/* The one instance of the call, which is such a report, as text. */
hilum_rc web_report(const struct web_call *call, const char *accept);
hilum_rc web_uri_rendered(const struct web_call *call, const char *content_type);
hilum_rc web_stow(const struct web_call *call, const char *type, bool is_answer_xml); /* metadata */
hilum_rc web_uri(struct web_call *call);                                              /* WADO-URI */
hilum_rc web_capabilities(const struct web_call *call, const struct hilum_route *routes, size_t n);
/* The object of the path, which names one instance; adds it to the tag. */
hilum_rc web_open_one(const struct web_call *call, hilum_object **out, struct web_tag *tag);

#endif
