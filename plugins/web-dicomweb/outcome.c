/* The answer to a STOW-RS (PS3.18 10.5.3): what was stored, what was not, and why; as DICOM JSON or as native DICOM
 * model (PS3.19 A.1).
 *
 * Three sequences: what was stored (Referenced SOP Sequence), what was not (Failed SOP
 * Sequence), and parts of which not even the UIDs are known (Other Failures Sequence). Each is
 * text from the beginning, in the form the client takes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { STORED, FAILED, OTHER };

#define XML "application/dicom+xml"

static const struct {
    uint32_t tag;
    const char *vr, *keyword;
} words[] = {
    {0x00081150, "UI", "ReferencedSOPClassUID"}, {0x00081155, "UI", "ReferencedSOPInstanceUID"},
    {0x00081190, "UR", "RetrieveURL"},           {0x00081196, "US", "WarningReason"},
    {0x00081197, "US", "FailureReason"},
};
enum { SOP_CLASS, SOP_INSTANCE, RETRIEVE, WARNING, REASON };

static hilum_rc add(struct web_outcome *outcome, int list, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 1,200 bytes hold the longest element: a URL of 640 with what stands around it. */
static hilum_rc add(struct web_outcome *outcome, int list, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text)
        return HILUM_EINVAL;
    if (outcome->length[list] + (size_t)n + 1 > outcome->cap[list]) {
        size_t cap = 2 * (outcome->length[list] + (size_t)n + 1);
        char *grown = realloc(outcome->text[list], cap);
        if (grown == NULL)
            return HILUM_ENOMEM;
        outcome->text[list] = grown;
        outcome->cap[list] = cap;
    }
    memcpy(outcome->text[list] + outcome->length[list], text, (size_t)n + 1);
    outcome->length[list] += (size_t)n;
    return HILUM_OK;
}

/* Values are UIDs, numbers and URLs of ours made of them: nothing of them needs escaping in JSON or XML but the '&'
 * that they do not have. */
static hilum_rc element(struct web_outcome *outcome, int list, int word, const char *value,
                        bool is_first)
{
    bool is_number = strcmp(words[word].vr, "US") == 0;
    if (outcome->is_xml)
        return add(outcome, list,
                   "<DicomAttribute tag=\"%08X\" vr=\"%s\" keyword=\"%s\"><Value number=\"1\">%s"
                   "</Value></DicomAttribute>",
                   (unsigned)words[word].tag, words[word].vr, words[word].keyword, value);
    return add(outcome, list, "%s\"%08X\":{\"vr\":\"%s\",\"Value\":[%s%s%s]}", is_first ? "" : ",",
               (unsigned)words[word].tag, words[word].vr, is_number ? "" : "\"", value,
               is_number ? "" : "\"");
}

static hilum_rc item_begin(struct web_outcome *outcome, int list, uint64_t number)
{
    if (outcome->is_xml)
        return add(outcome, list, "<Item number=\"%llu\">", (unsigned long long)number);
    return add(outcome, list, "%s{", outcome->length[list] > 0 ? "," : "");
}

static hilum_rc item_end(struct web_outcome *outcome, int list)
{
    return add(outcome, list, "%s", outcome->is_xml ? "</Item>" : "}");
}

/* A warning (B000 and the like) is of a stored object: coerced, or not of its class. */
static hilum_rc stored_add(struct web_outcome *outcome, const char *study_url,
                           const struct hilum_intake_result *result)
{
    char url[800], reason[8];
    hilum_rc rc = item_begin(outcome, STORED, ++outcome->n_stored);
    if (rc == HILUM_OK)
        rc = element(outcome, STORED, SOP_CLASS, result->sop_class, true);
    if (rc == HILUM_OK)
        rc = element(outcome, STORED, SOP_INSTANCE, result->sop_instance, false);
    snprintf(url, sizeof url, "%s", study_url);
    if (rc == HILUM_OK && *url != '\0')
        rc = element(outcome, STORED, RETRIEVE, url, false);
    if (rc == HILUM_OK && result->status != 0) {
        outcome->n_warned++;
        snprintf(reason, sizeof reason, "%u", result->status & 0xFFFF);
        rc = element(outcome, STORED, WARNING, reason, false);
    }
    return rc == HILUM_OK ? item_end(outcome, STORED) : rc;
}

static hilum_rc failed_add(struct web_outcome *outcome, const struct hilum_intake_result *result)
{
    char reason[8];
    snprintf(reason, sizeof reason, "%u", result->status & 0xFFFF);
    hilum_rc rc = item_begin(outcome, FAILED, ++outcome->n_failed);
    if (rc == HILUM_OK)
        rc = element(outcome, FAILED, SOP_CLASS, result->sop_class, true);
    if (rc == HILUM_OK)
        rc = element(outcome, FAILED, SOP_INSTANCE, result->sop_instance, false);
    if (rc == HILUM_OK)
        rc = element(outcome, FAILED, REASON, reason, false);
    return rc == HILUM_OK ? item_end(outcome, FAILED) : rc;
}

/* Does not count as failed by name: n_failed is what n_busy is compared with. */
hilum_rc web_outcome_add_other(struct web_outcome *outcome, unsigned reason)
{
    char text[8];
    outcome->has_failed = true;
    snprintf(text, sizeof text, "%u", reason & 0xFFFF);
    hilum_rc rc = item_begin(outcome, OTHER, outcome->n_failed + 1);
    if (rc == HILUM_OK)
        rc = element(outcome, OTHER, REASON, text, true);
    return rc == HILUM_OK ? item_end(outcome, OTHER) : rc;
}

/* B... is a warning, and stored (PS3.7 C.3). A700: we are full or busy, which passes. */
hilum_rc web_outcome_add(struct web_outcome *outcome, const char *study_url,
                         const struct hilum_intake_result *result)
{
    bool is_stored = result->status == 0 || result->status >> 12 == 0xB;
    /* What a sender put in place of a UID is not told back: it would have to be escaped, and
     * could be anything. */
    bool is_named = web_is_uid(result->sop_class) && web_is_uid(result->sop_instance);
    if (!is_stored)
        outcome->has_failed = true;
    outcome->n_busy += result->status == 0xA700;
    if (!is_named)
        return web_outcome_add_other(outcome, result->status);
    return is_stored ? stored_add(outcome, study_url, result) : failed_add(outcome, result);
}

/* ---- sending ---- */

static const struct {
    const char *tag, *keyword;
} sequences[] = {{"00081199", "ReferencedSOPSequence"},
                 {"00081198", "FailedSOPSequence"},
                 {"0008119A", "OtherFailuresSequence"}};
static const int order[] = {FAILED, STORED, OTHER}; /* tags ascend */

static hilum_rc text_write(const struct web_call *call, const char *text)
{
    return call->api->write(call->http, text, strlen(text));
}

static hilum_rc sequence_write(const struct web_call *call, const struct web_outcome *outcome,
                               int list, bool is_first)
{
    char head[160];
    if (outcome->is_xml)
        snprintf(head, sizeof head, "<DicomAttribute tag=\"%s\" vr=\"SQ\" keyword=\"%s\">",
                 sequences[list].tag, sequences[list].keyword);
    else
        snprintf(head, sizeof head, "%s\"%s\":{\"vr\":\"SQ\",\"Value\":[", is_first ? "" : ",",
                 sequences[list].tag);
    hilum_rc rc = text_write(call, head);
    if (rc == HILUM_OK)
        rc = call->api->write(call->http, outcome->text[list], outcome->length[list]);
    return rc == HILUM_OK ? text_write(call, outcome->is_xml ? "</DicomAttribute>" : "]}") : rc;
}

/* PS3.18 10.5.3.1: all, some or none; none because we are full or busy: the client may try
 * again. 503 only where every failure is of that kind: the client may send all of it again.
 * 409: sending again changes nothing. 202: look at the answer for which. */
static uint32_t status_of(const struct web_outcome *outcome)
{
    if (outcome->n_stored == 0)
        return outcome->n_busy > 0 && outcome->n_busy == outcome->n_failed ? 503 : 409;
    return outcome->has_failed || outcome->n_warned > 0 ? 202 : 200;
}

hilum_rc web_outcome_send(const struct web_call *call, const struct web_outcome *outcome)
{
    static const char *const heads[] = {
        "{", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel "
             "xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\" xml:space=\"preserve\">"};
    bool is_first = true;
    uint32_t status = status_of(outcome);
    if (status == 503)
        (void)call->api->add_header(call->http, "Retry-After", "10");
    hilum_rc rc = call->api->begin(call->http, status, outcome->is_xml ? XML : WEB_JSON,
                                   HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        rc = text_write(call, heads[outcome->is_xml]);
    for (size_t i = 0; rc == HILUM_OK && i < 3; i++) {
        if (outcome->length[order[i]] == 0)
            continue;
        rc = sequence_write(call, outcome, order[i], is_first);
        is_first = false;
    }
    if (rc == HILUM_OK)
        rc = text_write(call, outcome->is_xml ? "</NativeDicomModel>\n" : "}\n");
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

void web_outcome_fini(struct web_outcome *outcome)
{
    for (size_t i = 0; i < 3; i++)
        free(outcome->text[i]);
}
