/* What the kernel lends to plugins of objects on their way in (hilum/object.h).
 *
 * One object, one thread: open, write pieces, end, close. The checks, rules and durability are
 * those of a C-STORE (core/store/upload); the answer has the same status words (PS3.4 B.2.3).
 *
 * An intake that is closed before its end leaves neither object nor row. After the end the
 * object is as durable as one that came by C-STORE.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/server/objects.h"
#include "core/server/server.h"

/* The texts of the source live here: the caller's may be gone when the object has arrived. 17
 * bytes for `calling`: the kind of way it came ("STOW-RS") stands where a peer's AE title
 * does. */
struct hilum_intake {
    struct hl_upload *upload;
    const struct hl_principal *who; /* NULL: a plugin */
    char address[64], calling[17], user[65], study_uid[65];
    struct hl_ingest_result result;
};

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

/* Known once the head of the object has been read. */
static hilum_rc study_may(void *arg, const char *study_uid)
{
    const struct hilum_intake *intake = arg;
    const struct hl_resource about = {.study_uid = study_uid};
    return intake->who != NULL ? hl_allow(intake->who, "store", &about) : HILUM_OK;
}

/* A plugin that names nobody asks as itself. source->study_uid: only objects of this study are
 * taken. Asked before any byte is read, so that who may nothing sends nothing; asked again by
 * study_may when the study is known, as a grant may be for some studies only. */
hilum_rc hl_object_receive(hilum_self *self, const hilum_principal *who,
                           const struct hilum_intake_source *source, hilum_intake **out)
{
    struct hl_server *server = hl_plugins_context(self);
    const struct hl_principal own = {.kind = HL_PRINCIPAL_RULE, .name = hl_plugin_id(self)};
    const struct hl_resource about = {.study_uid = source->study_uid};
    *out = NULL;
    hilum_rc rc = hl_allow(who != NULL ? (const struct hl_principal *)who : &own, "store", &about);
    if (rc != HILUM_OK)
        return rc;
    struct hilum_intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an object");
    intake->who = (const struct hl_principal *)who;
    copy(intake->address, sizeof intake->address, source->address);
    copy(intake->user, sizeof intake->user, source->user);
    copy(intake->study_uid, sizeof intake->study_uid, source->study_uid);
    copy(intake->calling, sizeof intake->calling, source->kind);
    const struct hl_ingest_source from = {.peer = intake->user,
                                          .calling_aet = intake->calling,
                                          .called_aet = "",
                                          .address = intake->address,
                                          .kind = "http",
                                          .may = study_may,
                                          .may_arg = intake,
                                          .study_uid =
                                              source->study_uid != NULL ? intake->study_uid : NULL};
    rc = hl_upload_new(server->store, &from, &intake->upload);
    if (rc == HILUM_OK)
        *out = intake;
    else
        free(intake);
    return rc;
}

/* A refusal is remembered, not returned: what comes after it is swallowed, and the end tells
 * it, so that a client hears an answer and not a connection that breaks. */
hilum_rc hl_intake_write(hilum_intake *intake, const void *bytes, uint64_t n)
{
    return hl_upload_data(intake->upload, bytes, (size_t)n);
}

/* Always an answer, in out->status; its texts live until close. */
void hl_intake_end(hilum_intake *intake, struct hilum_intake_result *out)
{
    struct hl_ingest_result *result = &intake->result;
    (void)hl_upload_end(intake->upload, result);
    const struct hl_part10 *file = hl_upload_file(intake->upload);
    const struct hilum_intake_result whole = {.size = sizeof whole,
                                              .status = result->status,
                                              .offending = result->offending,
                                              .comment = result->comment,
                                              .reference = result->reference,
                                              .sop_class = file->sop_class,
                                              .sop_instance = file->sop_instance,
                                              .study_uid = result->study_uid,
                                              .series_uid = result->series_uid,
                                              .instance = result->instance_id,
                                              .is_duplicate = result->is_duplicate,
                                              .is_held = result->is_held};
    hl_sized_give(out, &whole, sizeof whole);
}

void hl_intake_close(hilum_intake *intake)
{
    if (intake == NULL)
        return;
    hl_upload_free(intake->upload);
    free(intake);
}
