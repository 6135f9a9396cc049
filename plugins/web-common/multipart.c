/* multipart/related as it arrives: a window over the body, cut at delimiters; and the lines of one that leaves. It knows
 * nothing of what the parts are.
 *
 * A delimiter may be cut anywhere by the network: what could be its beginning stays in the
 * window until more has come (step_content keeps its length less one). Everything else is told
 * at once, so a part of gigabytes passes through 128 KiB. Each step uses up bytes or wants
 * more: a loop of them ends.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "multipart.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* In the order a body goes through them; STALLED is a step's result, not a state. */
enum { PREAMBLE, AFTER_DELIMITER, HEAD, BODY, EPILOGUE, STALLED = 1 };

/* ---- the boundary ---- */

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

/* The value of a parameter, quoted or not; "" none. A quoted boundary may hold what a token
 * may not. Backslashes in it are not undone: no client sends any. */
static void parameter_of(const char *type, const char *name, char *out, size_t size)
{
    size_t n = strlen(name), at = 0;
    *out = '\0';
    for (const char *p = strchr(type, ';'); p != NULL; p = strchr(p, ';')) {
        p = skip_space(p + 1);
        if (strncasecmp(p, name, n) != 0 || *skip_space(p + n) != '=')
            continue;
        p = skip_space(skip_space(p + n) + 1);
        const char *end = *p == '"' ? "\"" : "; \t";
        p += *p == '"';
        while (*p != '\0' && strchr(end, *p) == NULL && at + 1 < size)
            out[at++] = *p++;
        out[at] = '\0';
        return;
    }
}

bool web_multipart_init(struct web_multipart *multipart, const char *content_type,
                        const struct web_multipart_calls *calls)
{
    char boundary[WEB_BOUNDARY_MAX + 2];
    parameter_of(content_type, "boundary", boundary, sizeof boundary);
    size_t n = strlen(boundary);
    if (n == 0 || n > WEB_BOUNDARY_MAX)
        return false;
    multipart->calls = calls;
    multipart->state = PREAMBLE;
    multipart->n_delimiter =
        (size_t)snprintf(multipart->delimiter, sizeof multipart->delimiter, "\r\n--%s", boundary);
    /* The first delimiter may have no line before it. */
    memcpy(multipart->window, "\r\n", 2);
    multipart->fill = 2;
    return true;
}

/* ---- heads ---- */

/* Names of fields are not sensitive to case (RFC 9110 5.1). */
static void field_take(const char *line, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return;
    line = skip_space(line + n + 1);
    snprintf(out, size, "%.*s", (int)strcspn(line, "\r\n"), line);
}

/* n bytes of whole lines. */
static void head_read(const char *text, size_t n, struct web_part_head *out)
{
    char line[sizeof out->location + 64], type[256] = "";
    *out = (struct web_part_head){0};
    for (const char *p = text; p < text + n;) {
        const char *end = memchr(p, '\n', (size_t)(text + n - p));
        size_t length = end != NULL ? (size_t)(end - p) : (size_t)(text + n - p);
        snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1),
                 p);
        field_take(line, "Content-Type", type, sizeof type);
        field_take(line, "Content-Location", out->location, sizeof out->location);
        p += length + 1;
    }
    parameter_of(type, "transfer-syntax", out->syntax, sizeof out->syntax);
    snprintf(out->type, sizeof out->type, "%.*s", (int)strcspn(type, "; \t"), type);
    for (char *p = out->type; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* ---- steps: each uses bytes from the window's beginning, or wants more ---- */

/* A memmove of what is left; at most a window. */
static void drop(struct web_multipart *multipart, size_t n)
{
    multipart->fill -= n;
    memmove(multipart->window, multipart->window + n, multipart->fill);
}

/* A state beyond the last: every further call is HILUM_EINVAL too. */
static hilum_rc bad(struct web_multipart *multipart)
{
    multipart->state = EPILOGUE + 1;
    return HILUM_EINVAL;
}

/* Bytes before the next delimiter; where none is in sight those that cannot belong to one. */
static hilum_rc step_content(struct web_multipart *multipart)
{
    const struct web_multipart_calls *calls = multipart->calls;
    const char *found =
        memmem(multipart->window, multipart->fill, multipart->delimiter, multipart->n_delimiter);
    size_t keep = multipart->n_delimiter - 1;
    size_t n = found != NULL            ? (size_t)(found - multipart->window)
               : multipart->fill > keep ? multipart->fill - keep
                                        : 0;
    hilum_rc rc = HILUM_OK;
    bool is_body = multipart->state == BODY;
    if (n > 0 && is_body)
        rc = calls->data(calls->arg, multipart->window, n);
    drop(multipart, n);
    if (found == NULL)
        return rc < 0 ? rc : STALLED;
    drop(multipart, multipart->n_delimiter);
    multipart->state = AFTER_DELIMITER;
    return rc == HILUM_OK && is_body ? calls->end(calls->arg) : rc;
}

/* "--": it was the last; spaces and a line's end: a part. 256 spaces: padding is allowed (RFC
 * 2046 5.1.1), endless padding is not. */
static hilum_rc step_delimiter(struct web_multipart *multipart)
{
    if (multipart->fill < 2)
        return STALLED;
    if (memcmp(multipart->window, "--", 2) == 0) {
        multipart->state = EPILOGUE;
        return HILUM_OK;
    }
    size_t n = strspn(multipart->window, " \t");
    if (multipart->fill < n + 2)
        return n > 256 ? bad(multipart) : STALLED;
    if (memcmp(multipart->window + n, "\r\n", 2) != 0)
        return bad(multipart);
    drop(multipart, n); /* the line's end stays: it may be the head's as well */
    multipart->state = HEAD;
    return HILUM_OK;
}

static hilum_rc step_head(struct web_multipart *multipart)
{
    struct web_part_head head;
    const char *end = memmem(multipart->window, multipart->fill, "\r\n\r\n", 4);
    if (end == NULL)
        return multipart->fill > WEB_PART_HEAD ? bad(multipart) : STALLED;
    size_t n = (size_t)(end - multipart->window);
    head_read(multipart->window, n, &head);
    drop(multipart, n + 4);
    multipart->state = BODY;
    return multipart->calls->begin(multipart->calls->arg, &head);
}

char *web_multipart_room(struct web_multipart *multipart, size_t *n)
{
    /* One byte stays free for the end of a text. */
    *n = sizeof multipart->window - 1 - multipart->fill;
    return multipart->window + multipart->fill;
}

/* The NUL is for strspn, which looks for the end of a text; memmem does without. */
hilum_rc web_multipart_put(struct web_multipart *multipart, size_t n)
{
    hilum_rc rc = HILUM_OK;
    multipart->fill += n;
    while (rc == HILUM_OK) {
        multipart->window[multipart->fill] = '\0';
        switch (multipart->state) {
        case PREAMBLE:
        case BODY: rc = step_content(multipart); break;
        case AFTER_DELIMITER: rc = step_delimiter(multipart); break;
        case HEAD: rc = step_head(multipart); break;
        case EPILOGUE: multipart->fill = 0; return HILUM_OK;
        default: return HILUM_EINVAL;
        }
    }
    return rc == STALLED ? HILUM_OK : rc;
}

bool web_multipart_is_whole(const struct web_multipart *multipart)
{
    return multipart->state == EPILOGUE;
}

/* ---- as it leaves ---- */

void web_multipart_type(const char *type, const char *boundary, char out[WEB_LINE_MAX])
{
    snprintf(out, WEB_LINE_MAX, "multipart/related; type=\"%s\"; boundary=%s", type, boundary);
}

size_t web_multipart_line(const char *boundary, bool is_first, const char *type,
                          char out[WEB_LINE_MAX])
{
    const char *lead = is_first ? "" : "\r\n";
    int n = type == NULL ? snprintf(out, WEB_LINE_MAX, "%s--%s--\r\n", lead, boundary)
                         : snprintf(out, WEB_LINE_MAX, "%s--%s\r\nContent-Type: %s\r\n\r\n", lead,
                                    boundary, type);
    return (size_t)n;
}
