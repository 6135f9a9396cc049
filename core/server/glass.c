/* Breaking the glass: somebody sees for a while what his roles withhold, with a reason that everybody responsible reads.
 * And where grants by study are looked up.
 *
 * A broken glass lives in memory (core/access/glass.h) and takes effect with the next
 * principal that is made for this person; what it opened is not shown to sessions of others.
 * The record of it does not depend on memory: the audit row and the event are durable before
 * anything opens.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/server/server.h"

/* Long enough that "x" is no reason, short enough to be read in a list. */
enum { REASON_MIN = 10, REASON_MAX = 500 };

static hilum_rc study_is_in(void *arg, const struct hl_filter *filter, const char *study_uid)
{
    const struct hl_server *server = arg;
    return hl_record_study_is_in(server->record, filter, study_uid);
}

void hl_server_studies(struct hl_server *server)
{
    server->studies = (struct hl_studies){.has = study_is_in, .arg = server};
}

/* Either a study or a patient, never both: the audit row names one thing. */
static hilum_rc check(const struct hl_principal *who, const struct hilum_glass *what,
                      struct hl_glass *out)
{
    const char *const texts[] = {what->study_uid, what->patient_id, what->issuer};
    size_t n = strlen(what->reason);
    if (who->kind != HL_PRINCIPAL_PERSON || who->is_service)
        return hl_fail(HILUM_EDENIED, "break glass: only a person who has signed in may");
    if (n < REASON_MIN || n > REASON_MAX)
        return hl_fail(HILUM_EINVAL, "break glass: expected a reason of %d to %d characters",
                       REASON_MIN, REASON_MAX);
    for (size_t i = 0; i < 3; i++)
        if (strlen(texts[i]) >= sizeof out->study_uid)
            return hl_fail(HILUM_EINVAL, "break glass: expected identifiers of up to 64 bytes");
    if ((*what->study_uid == '\0') == (*what->patient_id == '\0'))
        return hl_fail(HILUM_EINVAL, "break glass: expected a study, or a patient");
    snprintf(out->study_uid, sizeof out->study_uid, "%s", what->study_uid);
    snprintf(out->patient_id, sizeof out->patient_id, "%s", what->patient_id);
    snprintf(out->issuer, sizeof out->issuer, "%s", what->issuer);
    return HILUM_OK;
}

/* The event carries who, what and why, so that a rule can tell the responsible people without
 * asking the catalogue. */
static void fields_write(struct hl_buf *out, const struct hl_principal *who,
                         const struct hilum_glass *what, const char *until)
{
    const char *const members[][2] = {{"user", who->name},
                                      {"address", who->address},
                                      {"StudyInstanceUID", what->study_uid},
                                      {"PatientID", what->patient_id},
                                      {"IssuerOfPatientID", what->issuer},
                                      {"reason", what->reason},
                                      {"until", until}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        hl_buf_printf(out, "%s\"%s\":", i > 0 ? "," : "{", members[i][0]);
        hl_buf_json_string(out, members[i][1]);
    }
    hl_buf_byte(out, '}');
}

/* Told before it opens: what cannot be told does not open. */
static hilum_rc tell(struct hl_server *server, const struct hl_principal *who,
                     const struct hilum_glass *what, int64_t until_us)
{
    struct hl_buf fields = {0};
    char text[200], until[32];
    int64_t id;
    fields_write(&fields, who, what, hl_time_text(until_us, until, sizeof until));
    hilum_rc rc = fields.failed ? hl_fail(HILUM_ENOMEM, "break glass: no memory") : HILUM_OK;
    if (rc == HILUM_OK)
        rc = hl_record_audit(server->record, hl_principal_text(who, text, sizeof text),
                             "break glass",
                             *what->study_uid != '\0' ? what->study_uid : what->patient_id, NULL,
                             hl_buf_str(&fields));
    if (rc == HILUM_OK)
        rc = hl_record_journal_append(server->record, "access.glass_broken", what->study_uid,
                                      hl_buf_str(&fields), &id);
    hl_buf_fini(&fields);
    return rc;
}

/* In the order of right, form, record, effect: each may still refuse, and only the last opens. */
hilum_rc hl_server_break_glass(void *arg, const char *plugin, const hilum_principal *who,
                               const struct hilum_glass *what, int64_t *until)
{
    struct hl_server *server = arg;
    const struct hl_principal *principal = (const struct hl_principal *)who;
    struct hl_glass glass;
    (void)plugin;
    hilum_rc rc = principal != NULL ? hl_allow(principal, "access.break", NULL)
                                    : hl_fail(HILUM_EDENIED, "break glass: nobody asks");
    if (rc == HILUM_OK)
        rc = check(principal, what, &glass);
    if (rc != HILUM_OK)
        return rc;
    struct hl_config *config = hl_server_config(server);
    int64_t until_us = hl_now_us() + hl_config_ms(config, "access.break_glass") * 1000;
    hl_config_unref(config);
    rc = tell(server, principal, what, until_us);
    if (rc == HILUM_OK)
        rc = hl_glass_break(server->glasses, principal->name, &glass, until_us);
    if (rc != HILUM_OK)
        return rc;
    hl_log(HL_WARN, "access", "glass broken by %s for a while; see `hilum audit find`",
           principal->name);
    *until = until_us / 1000000;
    return HILUM_OK;
}
