/* multipart bodies (RFC 2046 5.1) with the parts of DICOMweb's messages: cut as they arrive, their lines as they leave. No
 * state outside, fuzzed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_COMMON_MULTIPART_H
#define WEB_COMMON_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "hilum/abi.h"

#define WEB_DICOM "application/dicom"

enum {
    WEB_BOUNDARY_MAX = 200 /* RFC 2046 has 70; Orthanc sends 73 */,
    WEB_PART_HEAD = 8192,
    WEB_WINDOW = 128 * 1024,
    WEB_TYPE_MAX = 200,               /* a part's media type */
    WEB_LINE_MAX = WEB_TYPE_MAX + 280 /* what web_multipart_line writes, and web_multipart_type */
};

/* Cut to size: a longer media type or location is none that anything matches. */
struct web_part_head {
    char type[128];     /* media type in lower case, without parameters; "" none given */
    char syntax[68];    /* its transfer-syntax parameter; "" */
    char location[512]; /* Content-Location */
};
/* In this order for each part; an error of one ends the reading and is what web_multipart_put
 * returns. data: whole bytes of the part's body, as many calls as it takes. */
struct web_multipart_calls {
    hilum_rc (*begin)(void *arg, const struct web_part_head *head);
    hilum_rc (*data)(void *arg, const void *bytes, size_t n);
    hilum_rc (*end)(void *arg);
    void *arg;
};
/* 128 KiB: allocate it. The window holds what is not told yet: at most a head, or a
 * delimiter's length and what came last. */
struct web_multipart {
    const struct web_multipart_calls *calls;
    char delimiter[WEB_BOUNDARY_MAX + 5]; /* CR LF "--" boundary */
    size_t n_delimiter;
    int state;
    size_t fill;
    char window[WEB_WINDOW];
};
/* False: no boundary of 1 to WEB_BOUNDARY_MAX characters in the media type. */
bool web_multipart_init(struct web_multipart *multipart, const char *content_type,
                        const struct web_multipart_calls *calls);
/* Where to put the next bytes, at most *n; and that so many were put there. HILUM_EINVAL: not of the form; otherwise
 * what a call returned. */
char *web_multipart_room(struct web_multipart *multipart, size_t *n);
hilum_rc web_multipart_put(struct web_multipart *multipart, size_t n);
/* Has the last delimiter come? */
bool web_multipart_is_whole(const struct web_multipart *multipart);

/* ---- bodies that leave ---- */

/* The media type of a whole whose parts are of `type` (RFC 2387). */
void web_multipart_type(const char *type, const char *boundary, char out[WEB_LINE_MAX]);
/* The line before a part of media type `type`, with its head; NULL: the one behind the last. Its length. */
size_t web_multipart_line(const char *boundary, bool is_first, const char *type,
                          char out[WEB_LINE_MAX]);

#endif
