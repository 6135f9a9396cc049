/* Which of several media types a client wants (RFC 9110 12.5.1; PS3.18 8.7.4 to 8.7.8).
 *
 * Every kind of answer there could be is an offer, in the order of our liking; the client's
 * header gives each a quality; the best of them wins, and the order decides between equals. So a
 * client that says nothing gets the first, and one that takes anything gets what costs us least.
 *
 * Lenient where clients are careless (a malformed range is left out, an unreadable quality is
 * 1), strict where a wrong guess sends what the client cannot read: a transfer syntax that is
 * named is met exactly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* ---- one media range ---- */

/* RFC 9110 5.6.2, and '/', so that a media type is one token. */
static bool is_token(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~/", c) != NULL);
}

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

/* A token, or a quoted string without its quotes, cut to size. Lower case throughout: media
 * types and names of parameters are not sensitive to it, and UIDs have no letters. */
static const char *take_value(const char *p, char *out, size_t size)
{
    size_t n = 0;
    bool is_quoted = *p == '"';
    p += is_quoted;
    while (*p != '\0' && (is_quoted ? *p != '"' : is_token(*p))) {
        if (is_quoted && *p == '\\' && p[1] != '\0')
            p++;
        if (n + 1 < size)
            out[n++] = (char)tolower((unsigned char)*p);
        p++;
    }
    out[n] = '\0';
    return p + (is_quoted && *p == '"');
}

/* "0.5" in thousandths; what is no quality is 1. RFC 9110 12.4.2: up to three digits behind
 * the point; more are cut, so that no float is needed to compare. */
static int quality_read(const char *text)
{
    int value = 0, unit = WEB_QUALITY_ONE / 10;
    if (text[0] != '0' && text[0] != '1')
        return WEB_QUALITY_ONE;
    if (text[0] == '1' || text[1] != '.')
        return (text[0] - '0') * WEB_QUALITY_ONE;
    for (const char *p = text + 2; isdigit((unsigned char)*p) && unit > 0; p++, unit /= 10)
        value += (*p - '0') * unit;
    return value;
}

/* What is unknown (charset, boundary) is no reason to leave a range out. value is as long as
 * the longest of them and zeroed, hence memcpy. */
static void parameter_note(const char *name, const char *value, struct web_range *out)
{
    if (strcmp(name, "q") == 0)
        out->quality = quality_read(value);
    else if (strcmp(name, "type") == 0)
        memcpy(out->type, value, sizeof out->type);
    else if (strcmp(name, "transfer-syntax") == 0)
        memcpy(out->syntax, value, sizeof out->syntax);
}

static const char *parameters_read(const char *p, struct web_range *out)
{
    char name[32], value[sizeof out->type];
    for (p = skip_space(p); *p == ';'; p = skip_space(p)) {
        p = take_value(skip_space(p + 1), name, sizeof name);
        p = skip_space(p);
        memset(value, 0, sizeof value);
        if (*p == '=')
            p = take_value(skip_space(p + 1), value, sizeof value);
        parameter_note(name, value, out);
    }
    return p;
}

/* A comma in a quoted string does not end a range: take_value has taken it. */
bool web_range_next(const char **text, struct web_range *out)
{
    const char *p = *text;
    for (;;) {
        p += strspn(p, " \t,");
        if (*p == '\0')
            return false;
        *out = (struct web_range){.quality = WEB_QUALITY_ONE};
        p = take_value(p, out->media, sizeof out->media);
        p = parameters_read(p, out);
        bool is_whole = *p == '\0' || *p == ',';
        p += strcspn(p, ",");
        *text = p;
        if (is_whole && strchr(out->media, '/') != NULL)
            return true;
    }
}

/* ---- the best of several ---- */

static bool media_matches(const char *range, const char *media)
{
    size_t n = strlen(range);
    if (strcmp(range, "*/*") == 0)
        return true;
    if (n > 2 && strcmp(range + n - 2, "/*") == 0)
        return strncmp(range, media, n - 1) == 0;
    return strcasecmp(range, media) == 0;
}

/* A range that names no transfer syntax means the default of its type (PS3.18 8.7.3.5.2), for images and videos here
 * any of the type's; one that names nothing at all, anything. */
static bool syntax_matches(const struct web_range *range, const char *media, const char *syntax)
{
    if (syntax == NULL || strcmp(range->syntax, "*") == 0 || strcmp(range->media, "*/*") == 0)
        return true;
    if (range->syntax[0] == '\0' && strncmp(media, "application/", 12) != 0)
        return true;
    if (range->syntax[0] == '\0' && strcmp(range->media, "multipart/related") == 0 &&
        range->type[0] == '\0')
        return true;
    return strcmp(range->syntax[0] != '\0' ? range->syntax : "1.2.840.10008.1.2.1", syntax) == 0;
}

static bool range_matches(const struct web_range *range, const struct web_offer *offer)
{
    const char *media = offer->type != NULL ? "multipart/related" : offer->media;
    if (!media_matches(range->media, media))
        return false;
    if (offer->type != NULL && range->type[0] != '\0' && !media_matches(range->type, offer->type))
        return false;
    return syntax_matches(range, offer->type != NULL ? offer->type : offer->media, offer->syntax);
}

/* Of the range that describes it most closely. RFC 9110 12.5.1: the most specific range
 * counts, not the best: "a/b;q=0" beside any other type of a is still no to a/b. Closeness:
 * the media type outweighs both parameters, a transfer syntax outweighs the type of the parts. */
static int quality_of(const char *accept, const struct web_offer *offer)
{
    struct web_range range;
    int best = -1, quality = 0;
    while (web_range_next(&accept, &range)) {
        bool is_open = strstr(range.media, "/*") != NULL;
        int closeness = (is_open ? (range.media[0] == '*' ? 0 : 4) : 8) + (range.type[0] != '\0') +
                        2 * (range.syntax[0] != '\0');
        if (range_matches(&range, offer) && closeness > best) {
            best = closeness;
            quality = range.quality;
        }
    }
    return quality;
}

/* Quality 0 is a no (12.4.2), hence "over" the 0 it begins with. */
int web_accept(const char *accept, const struct web_offer *offers, size_t n)
{
    int best = -1, best_quality = 0;
    if (accept == NULL || *skip_space(accept) == '\0')
        return n > 0 ? 0 : -1;
    for (size_t i = 0; i < n; i++) {
        int quality = quality_of(accept, &offers[i]);
        if (quality > best_quality) {
            best = (int)i;
            best_quality = quality;
        }
    }
    return best;
}

const char *web_accept_of(const struct web_call *call)
{
    const char *parameter = call->api->query(call->http, "accept", 0);
    return parameter != NULL ? parameter : call->api->header(call->http, "Accept");
}
