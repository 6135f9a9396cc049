/* What each request understands beyond its path, for OpenAPI. tests/web/test_params.sh holds it against what is read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#define QUERY(name, type, what)                                                                    \
    {                                                                                              \
        name, HILUM_IN_QUERY, type, what, 0                                                        \
    }
#define REQUIRED(name, type, what)                                                                 \
    {                                                                                              \
        name, HILUM_IN_QUERY, type, what, 1                                                        \
    }
#define ACCEPT                                                                                     \
    QUERY("accept", "string", "Media types, in place of the header Accept (PS3.18 8.3.3.1).")
#define KNOWN                                                                                      \
    {                                                                                              \
        "If-None-Match", HILUM_IN_HEADER, "string",                                                \
            "An ETag of before: 304 where it still holds.", 0                                      \
    }
#define RANGE                                                                                      \
    {                                                                                              \
        "Range", HILUM_IN_HEADER, "string",                                                        \
            "A part of the body, where its length is known beforehand: 206.", 0                    \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, 0, NULL, NULL, 0                                                                     \
    }

/* What a picture is to look like (view.c): both protocols, WADO-RS. */
#define LOOK_ALIKE                                                                                 \
    QUERY("annotation", "string", "patient, technique, or both with a comma."),                    \
        QUERY("iccprofile", "string", "no, yes, srgb, adobergb, rommrgb or displayp3."),           \
        QUERY("parameters", "string", "Parameters of the renderer, a JSON object (Hilum's own).")
#define LOOK                                                                                       \
    QUERY("viewport", "string",                                                                    \
          "width,height or width,height,x,y,width,height (PS3.18 8.3.5.1)."),                      \
        QUERY("window", "string", "centre,width,function: linear, linear-exact or sigmoid."),      \
        QUERY("quality", "integer", "Of JPEG, 1 to 100."), LOOK_ALIKE

const struct hilum_route_param web_accept_params[] = {ACCEPT, END};

const struct hilum_route_param web_search_params[] = {
    QUERY("attributes", "object",
          "Matching keys by keyword or tag: PatientID=1234, StudyDate=20260101-20260131, "
          "PatientName=Wang*."),
    QUERY("includefield", "string", "More attributes by keyword or tag, with commas; or all."),
    QUERY("fuzzymatching", "boolean", "Names as they sound and are spelled elsewhere."),
    QUERY("limit", "integer", "Answers at most."),
    QUERY("offset", "integer", "Answers to leave out from the first on."),
    ACCEPT,
    END};

const struct hilum_route_param web_known_params[] = {ACCEPT, KNOWN, END};

const struct hilum_route_param web_retrieve_params[] = {ACCEPT, KNOWN, RANGE, END};

const struct hilum_route_param web_rendered_params[] = {LOOK, ACCEPT, KNOWN, RANGE, END};

const struct hilum_route_param web_thumbnail_params[] = {LOOK, ACCEPT, KNOWN, END};

const struct hilum_route_param web_uri_params[] = {
    REQUIRED("requestType", "string", "WADO."),
    REQUIRED("studyUID", "string", "UID of the study."),
    REQUIRED("seriesUID", "string", "UID of the series."),
    REQUIRED("objectUID", "string", "UID of the instance."),
    QUERY("contentType", "string",
          "application/dicom, image/jpeg, image/png, image/gif; text/html, text/plain or text/xml "
          "of reports."),
    QUERY("transferSyntax", "string", "UID, with application/dicom."),
    QUERY("anonymize", "string", "Only no can be had."),
    QUERY("rows", "integer", "Height of the picture at most."),
    QUERY("columns", "integer", "Width of the picture at most."),
    QUERY("region", "string", "left,top,right,bottom, from 0 to 1."),
    QUERY("windowCenter", "number", "With windowWidth."),
    QUERY("windowWidth", "number", "With windowCenter."),
    QUERY("frameNumber", "integer", "From 1."),
    QUERY("imageQuality", "integer", "Of JPEG, 1 to 100."),
    QUERY("presentationUID", "string", "UID of a presentation state to draw by."),
    QUERY("presentationSeriesUID", "string", "UID of its series."),
    LOOK_ALIKE,
    KNOWN,
    END};
