/* Rows of the audit record as messages of PS3.15 A.5.3.
 *
 * A table tells which action of ours is which event of DICOM (PS3.15 A.5.3, codes of PS3.16
 * CID 400 to 405); the shape tells which participants and objects its message has. What is not
 * in the table is told as well, as a general event: a row that a collector does not get would
 * be a hole in its record. Only housekeeping (event NULL) is left out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "atna.h"

#define STUDY_ROOT_FIND "1.2.840.10008.5.1.4.1.2.2.1"

/* Of DCM unless coded() is told otherwise. */
struct code {
    const char *code, *meaning;
};

enum shape {
    ABOUT_QUERY,  /* who asked, us; the query */
    ABOUT_STUDY,  /* who, us; the study and its patient */
    ABOUT_US,     /* the application, and who did it */
    ABOUT_PERSON, /* who signed in, and where */
    ABOUT_LOG     /* who, and the log */
};

/* action, event, its type, what is done (C, R, U, D, E), outcome, shape */
static const struct kind {
    const char *action;
    struct code event, type;
    char verb;
    int outcome;
    enum shape shape;
} kinds[] = {
    {"application start",
     {"110100", "Application Activity"},
     {"110120", "Application Start"},
     'E',
     0,
     ABOUT_US},
    {"application stop",
     {"110100", "Application Activity"},
     {"110121", "Application Stop"},
     'E',
     0,
     ABOUT_US},
    {"network attach", {"110108", "Network Entry"}, {"110124", "Attach"}, 'E', 0, ABOUT_US},
    {"audit.export", {"110101", "Audit Log Used"}, {NULL, NULL}, 'R', 0, ABOUT_LOG},
    {"audit.prune", {"110101", "Audit Log Used"}, {NULL, NULL}, 'D', 0, ABOUT_LOG},
    {"study.send",
     {"110102", "Begin Transferring DICOM Instances"},
     {NULL, NULL},
     'E',
     0,
     ABOUT_STUDY},
    {"instance.store",
     {"110104", "DICOM Instances Transferred"},
     {NULL, NULL},
     'C',
     0,
     ABOUT_STUDY},
    {"instance.send", {"110104", "DICOM Instances Transferred"}, {NULL, NULL}, 'R', 0, ABOUT_STUDY},
    {"retrieve", {"110104", "DICOM Instances Transferred"}, {NULL, NULL}, 'R', 0, ABOUT_STUDY},
    {"retrieve refused",
     {"110113", "Security Alert"},
     {"110132", "Use of Restricted Function"},
     'E',
     4,
     ABOUT_STUDY},
    {"break glass",
     {"110113", "Security Alert"},
     {"110127", "Emergency Override Started"},
     'E',
     0,
     ABOUT_STUDY},
    {"refused",
     {"110113", "Security Alert"},
     {"110132", "Use of Restricted Function"},
     'E',
     4,
     ABOUT_US},
    {"query", {"110112", "Query"}, {NULL, NULL}, 'E', 0, ABOUT_QUERY},
    {"export", {"110106", "Export"}, {NULL, NULL}, 'R', 0, ABOUT_STUDY},
    {"import", {"110107", "Import"}, {NULL, NULL}, 'C', 0, ABOUT_STUDY},
    {"sign in", {"110114", "User Authentication"}, {"110122", "Login"}, 'E', 0, ABOUT_PERSON},
    {"sign in refused",
     {"110114", "User Authentication"},
     {"110122", "Login"},
     'E',
     4,
     ABOUT_PERSON},
    {"sign out", {"110114", "User Authentication"}, {"110123", "Logout"}, 'E', 0, ABOUT_PERSON},
    {"password changed",
     {"110113", "Security Alert"},
     {"110137", "User security Attributes Changed"},
     'E',
     0,
     ABOUT_US},
    {"config.reload",
     {"110113", "Security Alert"},
     {"110131", "Software Configuration"},
     'E',
     0,
     ABOUT_US},
    /* of a number in our catalogue, or of one object: no study's UID */
    {"patient.edit", {"110110", "Patient Record"}, {NULL, NULL}, 'U', 0, ABOUT_US},
    {"instance.compress", {"110103", "DICOM Instances Accessed"}, {NULL, NULL}, 'U', 0, ABOUT_US},
    {"instance.discarded", {"110103", "DICOM Instances Accessed"}, {NULL, NULL}, 'D', 0, ABOUT_US},
    {"quarantine.discard",
     {"110103", "DICOM Instances Accessed"},
     {NULL, NULL},
     'D',
     0,
     ABOUT_STUDY},
    {"object.erase",
     {NULL, NULL},
     {NULL, NULL},
     'D',
     0,
     ABOUT_US}, /* housekeeping of what was decided before */
    {"instance.relocate", {NULL, NULL}, {NULL, NULL}, 'U', 0, ABOUT_US},
};

/* Whatever else was done to a study was done to its instances; the rest is the system's own. */
static const struct kind other_study = {
    "", {"110103", "DICOM Instances Accessed"}, {NULL, NULL}, 'U', 0, ABOUT_STUDY};
static const struct kind other = {
    "", {"110113", "Security Alert"}, {"110131", "Software Configuration"}, 'E', 0, ABOUT_US};

static bool is_uid(const char *what)
{
    size_t n = strlen(what);
    return n > 4 && n <= 64 && strspn(what, "0123456789.") == n && strchr(what, '.');
}

/* By the whole name: an action is one of the table, or "other". */
static const struct kind *kind_of(const struct hilum_audit_row *row)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].action, row->action) == 0)
            return &kinds[i];
    return is_uid(row->what) ? &other_study : &other;
}

/* Its shape tells a UID, only its kind whose: some rows are about one object. */
bool atna_is_study(const struct hilum_audit_row *row)
{
    return kind_of(row)->shape == ABOUT_STUDY && is_uid(row->what);
}

/* ---- parts ---- */

static void coded(struct text *out, const char *element, const struct code *code,
                  const char *system)
{
    text_add(out, "<");
    text_add(out, element);
    text_attribute(out, "csd-code", code->code);
    text_attribute(out, "codeSystemName", system);
    text_attribute(out, "originalText", code->meaning);
    text_add(out, "/>");
}

/* EventOutcomeIndicator: 0 success, 4 minor failure (RFC 3881 5.1). */
static void event_add(struct text *out, const struct kind *kind, const struct hilum_audit_row *row)
{
    char at[40], verb[2] = {kind->verb, '\0'}, outcome[4];
    struct tm day;
    time_t seconds = (time_t)(row->at_us / 1000000);
    gmtime_r(&seconds, &day);
    size_t n = strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &day);
    snprintf(at + n, sizeof at - n, ".%06dZ", (int)(row->at_us % 1000000));
    snprintf(outcome, sizeof outcome, "%d", kind->outcome);
    text_add(out, "<EventIdentification");
    text_attribute(out, "EventActionCode", verb);
    text_attribute(out, "EventDateTime", at);
    text_attribute(out, "EventOutcomeIndicator", outcome);
    text_add(out, ">");
    coded(out, "EventID", &kind->event, "DCM");
    if (kind->type.code != NULL)
        coded(out, "EventTypeCode", &kind->type, "DCM");
    text_add(out, "</EventIdentification>");
}

/* "peer CT1 (10.0.0.5) for li": a name, an address, and whom it speaks for. */
struct participant {
    char user[200], address[80], other[200];
};

/* The audit record has one text for who it was (docs of hl_principal_text); here it becomes a
 * user, an address and whom it speaks for. */
static void who_split(const char *who, struct participant *out)
{
    static const char *const leads[] = {"unknown peer ", "peer ", "user ", "rule "};
    *out = (struct participant){.user = ""};
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (strncmp(who, leads[i], strlen(leads[i])) == 0) {
            who += i < 2 ? strlen(leads[i]) : 0;
            break;
        }
    const char *open = strstr(who, " ("), *close = open != NULL ? strchr(open, ')') : NULL;
    snprintf(out->user, sizeof out->user, "%.*s", (int)(close != NULL ? open - who : 190), who);
    if (close != NULL)
        snprintf(out->address, sizeof out->address, "%.*s", (int)(close - open - 2), open + 2);
    if (close != NULL && strncmp(close, ") for ", 6) == 0)
        snprintf(out->other, sizeof out->other, "%s", close + 6);
}

/* NetworkAccessPointTypeCode 2: an IP address. */
static void participant_add(struct text *out, const struct participant *who, bool is_requestor,
                            const struct code *role)
{
    text_add(out, "<ActiveParticipant");
    text_attribute(out, "UserID", who->user[0] != '\0' ? who->user : "unknown");
    if (who->other[0] != '\0')
        text_attribute(out, "AlternativeUserID", who->other);
    text_attribute(out, "UserIsRequestor", is_requestor ? "true" : "false");
    if (who->address[0] != '\0') {
        text_attribute(out, "NetworkAccessPointID", who->address);
        text_attribute(out, "NetworkAccessPointTypeCode", "2");
    }
    text_add(out, ">");
    if (role != NULL)
        coded(out, "RoleIDCode", role, "DCM");
    text_add(out, "</ActiveParticipant>");
}

/* Roles (source, destination) follow the data: who stores is the source, who retrieves the
 * destination, and we are the other. */
static void participants_add(struct text *out, const struct atna_conf *conf,
                             const struct kind *kind, const struct hilum_audit_row *row)
{
    static const struct code source = {"110153", "Source Role ID"},
                             destination = {"110152", "Destination Role ID"},
                             application = {"110150", "Application"};
    struct participant who, us = {.user = ""};
    who_split(row->who, &who);
    snprintf(us.user, sizeof us.user, "%s", conf->source);
    /* Who signs in, not the connection he comes by. */
    if (kind->shape == ABOUT_PERSON)
        snprintf(who.user, sizeof who.user, "%s", row->what);
    bool comes_in = kind->verb == 'C';
    bool is_data = kind->shape == ABOUT_STUDY || kind->shape == ABOUT_QUERY;
    participant_add(out, &who, true,
                    !is_data                                 ? NULL
                    : comes_in || kind->shape == ABOUT_QUERY ? &source
                                                             : &destination);
    participant_add(out, &us, false,
                    !is_data                                 ? &application
                    : comes_in || kind->shape == ABOUT_QUERY ? &destination
                                                             : &source);
}

/* Types: 1 person, 2 system object. Roles: 1 patient, 3 report (used for studies), 4 domain
 * resource, 13 security resource, 24 query. */
static void object_begin(struct text *out, const char *id, const char *type, const char *role)
{
    text_add(out, "<ParticipantObjectIdentification");
    text_attribute(out, "ParticipantObjectID", id);
    text_attribute(out, "ParticipantObjectTypeCode", type);
    text_attribute(out, "ParticipantObjectTypeCodeRole", role);
    text_add(out, ">");
}

/* Either a name or a query has to be there (A.5.1). */
static void object_name(struct text *out, const char *name)
{
    text_add(out, "<ParticipantObjectName>");
    text_add_escaped(out, name);
    text_add(out, "</ParticipantObjectName>");
}

/* What changed, as JSON, in base64: the schema has no structure for it. Too long ones are left
 * out rather than the message (a third, since base64 takes four for three). */
static void details_add(struct text *out, const struct hilum_audit_row *row)
{
    if (row->after == NULL || strlen(row->after) > TEXT_MAX / 3)
        return;
    text_add(out, "<ParticipantObjectDetail type=\"");
    text_add_escaped(out, row->action);
    text_add(out, "\" value=\"");
    text_add_base64(out, row->after);
    text_add(out, "\"/>");
}

static void object_end(struct text *out)
{
    text_add(out, "</ParticipantObjectIdentification>");
}

/* Patient and study are objects 1 and 2 of the message; an unknown patient is told as such,
 * since the schema wants one. */
static void study_add(struct text *out, const struct hilum_audit_row *row,
                      const struct study *study)
{
    static const struct code uid = {"110180", "Study Instance UID"},
                             patient = {"2", "Patient Number"};
    bool is_study = atna_is_study(row);
    object_begin(out, is_study ? row->what : "unknown", "2", "3");
    coded(out, "ParticipantObjectIDTypeCode", &uid, "DCM");
    object_name(out, is_study ? "study" : row->what);
    details_add(out, row);
    if (study->accession[0] != '\0') {
        text_add(out, "<ParticipantObjectDescription><Accession");
        text_attribute(out, "Number", study->accession);
        text_add(out, "/></ParticipantObjectDescription>");
    }
    object_end(out);
    object_begin(out, study->patient_id[0] != '\0' ? study->patient_id : "unknown", "1", "1");
    coded(out, "ParticipantObjectIDTypeCode", &patient, "RFC-3881");
    object_name(out, study->patient_name);
    object_end(out);
}

/* The keys as they were asked, in base64 (A.5.3.10); the SOP class is Study Root also for a
 * search by DICOMweb: there is no other code. */
static void query_add(struct text *out, const struct hilum_audit_row *row)
{
    static const struct code sop_class = {"110181", "SOP Class UID"};
    const char *keys = row->after != NULL ? row->after : row->what;
    object_begin(out, STUDY_ROOT_FIND, "2", "24");
    coded(out, "ParticipantObjectIDTypeCode", &sop_class, "DCM");
    text_add(out, "<ParticipantObjectQuery>");
    text_add_base64(out, strlen(keys) <= TEXT_MAX / 2 ? keys : row->what);
    text_add(out, "</ParticipantObjectQuery>");
    object_end(out);
}

/* What is neither a study nor a person: the audit log itself, or whatever the row names. */
static void system_add(struct text *out, const struct kind *kind, const struct hilum_audit_row *row)
{
    static const struct code uri = {"12", "URI"}, node = {"110182", "Node ID"};
    bool is_log = kind->shape == ABOUT_LOG;
    object_begin(out,
                 is_log                 ? "audit"
                 : row->what[0] != '\0' ? row->what
                                        : "system",
                 "2", is_log ? "13" : "4");
    coded(out, "ParticipantObjectIDTypeCode", is_log ? &uri : &node, is_log ? "RFC-3881" : "DCM");
    object_name(out, is_log ? "Security Audit Log" : row->action);
    details_add(out, row);
    object_end(out);
}

/* ---- the whole ---- */

/* Type 4: an application server process. */
static void source_add(struct text *out, const struct atna_conf *conf)
{
    text_add(out, "<AuditSourceIdentification");
    if (conf->site[0] != '\0')
        text_attribute(out, "AuditEnterpriseSiteID", conf->site);
    text_attribute(out, "AuditSourceID", conf->source);
    text_add(out, "><AuditSourceTypeCode csd-code=\"4\"/></AuditSourceIdentification>");
}

/* The order of elements is the schema's (A.5.1). */
bool atna_message(const struct atna_conf *conf, const struct hilum_audit_row *row,
                  const struct study *study, struct text *out)
{
    const struct kind *kind = kind_of(row);
    out->n = 0;
    out->is_cut = false;
    if (kind->event.code == NULL)
        return false;
    text_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>");
    event_add(out, kind, row);
    participants_add(out, conf, kind, row);
    source_add(out, conf);
    if (kind->shape == ABOUT_STUDY)
        study_add(out, row, study);
    else if (kind->shape == ABOUT_QUERY)
        query_add(out, row);
    else if (kind->shape != ABOUT_PERSON)
        system_add(out, kind, row);
    text_add(out, "</AuditMessage>");
    return !out->is_cut;
}
