/* Structured reports as pages and as plain text (PS3.18 8.7.4, PS3.3 A.35): the content tree, item by item, and who answers
 * for it. What a template means by its codes is not interpreted.
 *
 * A report is somebody else's text shown by our server to a signed-in browser, so nothing of
 * it may become markup (put), and the page's policy allows no script, no picture and no
 * address beside (web_report).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

#include <jansson.h>

/* DEPTH_MAX bounds our stack; HTML has six headings, deeper ones look like the sixth. */
enum { DEPTH_MAX = 60, HEADINGS = 6 };

struct page {
    struct web_text *out;
    bool is_html;
};

/* ---- words ---- */

/* A page is ours, what stands in it is anybody's: nothing of that is markup. */
static void put(const struct page *page, const char *words)
{
    for (const char *p = words; *p != '\0'; p++) {
        bool is_end = *p == '\n' || (*p == '\r' && p[1] != '\n'); /* PS3.5 6.1.3 */
        const char *instead = !page->is_html ? NULL
                              : *p == '<'    ? "&lt;"
                              : *p == '>'    ? "&gt;"
                              : *p == '&'    ? "&amp;"
                              : *p == '"'    ? "&quot;"
                              : is_end       ? "<br>"
                                             : NULL;
        if (instead != NULL)
            web_text_put(page->out, instead);
        else if (is_end || *p != '\r')
            web_text_add(page->out, is_end ? "\n" : p, 1);
    }
}

static void mark(const struct page *page, const char *markup)
{
    if (page->is_html)
        web_text_put(page->out, markup);
}

static void plain(const struct page *page, const char *words)
{
    if (!page->is_html)
        web_text_put(page->out, words);
}

/* ---- values of the DICOM JSON Model (PS3.18 F.2) ---- */

static const json_t *value_at(const json_t *item, const char *tag, size_t i)
{
    return json_array_get(json_object_get(json_object_get(item, tag), "Value"), i);
}

static const char *text_of(const json_t *item, const char *tag)
{
    const json_t *value = value_at(item, tag, 0);
    if (json_is_object(value)) { /* a name: its ideographic group first */
        const char *name = json_string_value(json_object_get(value, "Ideographic"));
        return name != NULL ? name : json_string_value(json_object_get(value, "Alphabetic"));
    }
    return json_string_value(value);
}

/* What a code means, or is. */
static const char *meaning_of(const json_t *item, const char *sequence)
{
    const json_t *code = value_at(item, sequence, 0);
    const char *meaning = text_of(code, "00080104");
    return meaning != NULL ? meaning : text_of(code, "00080100");
}

/* Ten digits: more than any measurement has, fewer than show how floats are rounded. "1" and
 * "no units" are UCUM's and DICOM's words for none. */
static void put_number(const struct page *page, const json_t *item)
{
    const json_t *measured = value_at(item, "0040A300", 0);
    const json_t *number = value_at(measured, "0040A30A", 0);
    const char *unit = meaning_of(measured, "004008EA");
    char text[40];
    if (json_is_string(number)) {
        put(page, json_string_value(number));
    } else if (json_is_number(number)) {
        snprintf(text, sizeof text, "%.10g", json_number_value(number));
        put(page, text);
    } else {
        put(page, "no value");
    }
    if (unit != NULL && strcmp(unit, "1") != 0 && strcmp(unit, "no units") != 0) {
        put(page, " ");
        put(page, unit);
    }
}

/* By UID: what it looks like is for who opens it. */
static void put_reference(const struct page *page, const json_t *item)
{
    const json_t *reference = value_at(item, "00081199", 0);
    const char *instance = text_of(reference, "00081155");
    put(page, instance != NULL ? instance : "an object that is not named");
}

static void put_value(const struct page *page, const json_t *item, const char *type)
{
    static const struct {
        const char *type, *tag;
    } texts[] = {{"TEXT", "0040A160"}, {"DATETIME", "0040A120"}, {"DATE", "0040A121"},
                 {"TIME", "0040A122"}, {"PNAME", "0040A123"},    {"UIDREF", "0040A124"}};
    const char *value = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(type, texts[i].type) == 0)
            value = text_of(item, texts[i].tag);
    if (strcmp(type, "CODE") == 0)
        value = meaning_of(item, "0040A168");
    if (strcmp(type, "SCOORD") == 0 || strcmp(type, "SCOORD3D") == 0 || strcmp(type, "TCOORD") == 0)
        value = text_of(item, strcmp(type, "TCOORD") == 0 ? "0040A130" : "00700023");
    if (strcmp(type, "NUM") == 0)
        put_number(page, item);
    else if (strcmp(type, "IMAGE") == 0 || strcmp(type, "COMPOSITE") == 0 ||
             strcmp(type, "WAVEFORM") == 0)
        put_reference(page, item);
    else if (value != NULL)
        put(page, value);
}

/* ---- the tree ---- */

static void indent(const struct page *page, int depth)
{
    for (int k = 1; !page->is_html && k < depth; k++)
        web_text_put(page->out, "  ");
}

static void put_heading(const struct page *page, const char *name, int depth)
{
    char tag[8];
    snprintf(tag, sizeof tag, "h%d>", depth < HEADINGS ? depth : HEADINGS);
    mark(page, "<");
    mark(page, tag);
    put(page, name);
    mark(page, "</");
    mark(page, tag);
    web_text_put(page->out, "\n");
}

/* Only the kind of value says how it is shown; relationships (HAS OBS CONTEXT and the like)
 * are all shown as nesting. */
static void put_item(const struct page *page, const json_t *item, int depth)
{
    const char *type = text_of(item, "0040A040"), *name = meaning_of(item, "0040A043");
    const json_t *children = json_object_get(json_object_get(item, "0040A730"), "Value");
    bool is_container = type == NULL || strcmp(type, "CONTAINER") == 0;
    size_t i;
    indent(page, depth);
    if (is_container && name != NULL) {
        put_heading(page, name, depth);
    } else if (!is_container) {
        mark(page, "<p>");
        mark(page, "<b>");
        put(page, name != NULL ? name : type);
        mark(page, "</b>");
        put(page, ": ");
        put_value(page, item, type);
        mark(page, "</p>");
        web_text_put(page->out, "\n");
    }
    mark(page, "<div>");
    for (i = 0; depth < DEPTH_MAX && i < json_array_size(children); i++)
        put_item(page, json_array_get(children, i), depth + 1);
    mark(page, "</div>");
}

static void put_line(const struct page *page, const char *label, const char *value)
{
    if (value == NULL)
        return;
    mark(page, "<dt>");
    put(page, label);
    mark(page, "</dt><dd>");
    plain(page, ": ");
    put(page, value);
    mark(page, "</dd>");
    web_text_put(page->out, "\n");
}

/* Whose it is, and whether anybody stands for it (PS3.3 C.17.2). VerificationFlag and
 * CompletionFlag stand above the text: who reads a preliminary report has to see that it is
 * one. */
static void put_head(const struct page *page, const json_t *report)
{
    const char *title = meaning_of(report, "0040A043");
    const json_t *verifier = value_at(report, "0040A073", 0);
    mark(page, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>");
    if (page->is_html)
        put(page, title != NULL ? title : "Report");
    mark(page, "</title><style>body{font-family:sans-serif;max-width:60em;margin:2em auto}"
               "div div{margin-left:1.2em}dt{float:left;width:12em;color:#555}p{margin:.3em 0}"
               "</style></head><body><dl>\n");
    put_line(page, "Patient", text_of(report, "00100010"));
    put_line(page, "Patient ID", text_of(report, "00100020"));
    put_line(page, "Born", text_of(report, "00100030"));
    put_line(page, "Study", text_of(report, "00081030"));
    put_line(page, "Study date", text_of(report, "00080020"));
    put_line(page, "Accession number", text_of(report, "00080050"));
    put_line(page, "Completion", text_of(report, "0040A491"));
    put_line(page, "Verification", text_of(report, "0040A493"));
    put_line(page, "Verified by", text_of(verifier, "0040A075"));
    put_line(page, "Verified", text_of(verifier, "0040A030"));
    mark(page, "</dl>");
    web_text_put(page->out, "\n");
}

/* ---- requests ---- */

/* PS3.4 B.5: all of SR are below this root. */
bool web_is_report(const char *sop_class)
{
    static const char reports[] = "1.2.840.10008.5.1.4.1.1.88.";
    return strncmp(sop_class, reports, sizeof reports - 1) == 0;
}

/* kind: the place in the list of offers. */
static hilum_rc make(const struct web_call *call, const struct web_text *json, size_t kind,
                     struct web_text *out)
{
    const struct web *web = call->web;
    const struct page page = {out, kind == 0};
    if (kind == 2)
        return web_xml(web->host->dicom, json->bytes, json->n, out);
    json_t *report = json_loadb(json->bytes, json->n, 0, NULL);
    if (report == NULL)
        return web->host->fail(web->self, HILUM_ECORRUPT, "the report cannot be read");
    const json_t *object = json_is_array(report) ? json_array_get(report, 0) : report;
    put_head(&page, object);
    put_item(&page, object, 1);
    mark(&page, "</body></html>\n");
    json_decref(report);
    return out->failed ? HILUM_ENOMEM : HILUM_OK;
}

hilum_rc web_report(const struct web_call *call, const char *accept)
{
    static const struct web_offer offers[] = {
        {"text/html", NULL, NULL}, {"text/plain", NULL, NULL}, {"text/xml", NULL, NULL}};
    static const char *const types[] = {"text/html; charset=utf-8", "text/plain; charset=utf-8",
                                        "text/xml; charset=utf-8"};
    struct web_text json = {0}, out = {0};
    int best = web_accept(accept, offers, 3);
    if (best < 0)
        return web_refuse(call, 406, "reports are shown as text/html, text/plain and text/xml");
    hilum_rc rc = web_instance_json(call, &json);
    if (rc == HILUM_OK)
        rc = make(call, &json, (size_t)best, &out);
    if (rc == HILUM_OK)
        web_audit_retrieve(call, "rendered", 1, true);
    if (rc == HILUM_OK) /* nothing of a page of ours needs more */
        call->api->add_header(call->http, "Content-Security-Policy",
                              "default-src 'none'; style-src 'unsafe-inline'");
    if (rc == HILUM_OK)
        rc = call->api->respond(call->http, 200, types[best], out.bytes, out.n);
    web_text_fini(&json);
    web_text_fini(&out);
    return rc;
}
