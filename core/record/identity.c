/* Which patient a new study belongs to: issuer and ID, unless birth date, sex or name say
 * otherwise; then a person decides. Knows nothing of instances.
 *
 * Everything here runs within the unit that records the study, so that two instances of one new
 * patient cannot make two rows. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/record/former.h"
#include "hilum/catalog.h"

/* patient.standing; 2 is a newcomer a person has decided to keep apart. KEYS_MAX: a Chinese
 * name makes some 15 keys; what makes more is no name. */
enum { KNOWN = 0, PROVISIONAL = 1, WITHOUT_ID = 3, KEYS_MAX = 64 };

/* ---- search keys of names ------------------------------------------------------------------------- */

/* Collects keys with the first error, so that the callers need not look after each. A failing
 * key fails the instance: a patient that cannot be found is as good as lost. */
struct keys {
    struct hl_session *session;
    int64_t patient;
    unsigned n;
    hilum_rc rc;
};

/* Of one name at most KEYS_MAX: a peer chooses how long a name is. The same key twice is one
 * row. */
static void key_add(struct keys *keys, const char *folded, int kind)
{
    if (keys->rc != HILUM_OK || !*folded || strcmp(folded, "^") == 0 || keys->n++ >= KEYS_MAX)
        return;
    keys->rc = hl_session_run(keys->session,
                              "INSERT INTO patient_name VALUES (?1, ?2, ?3) "
                              "ON CONFLICT (folded, patient) DO NOTHING",
                              "tid", folded, keys->patient, kind);
}

/* Each part of text between any of `separators`, as a key of its own. An empty part makes no
 * key; hl_name_key ends each with '^'. */
static void keys_split(struct keys *keys, const char *text, const char *separators, int kind)
{
    struct hl_buf key = {0};
    while (*text) {
        size_t n = strcspn(text, separators);
        hl_buf_clear(&key);
        hl_name_key(text, n, &key);
        if (n > 0)
            key_add(keys, hl_buf_str(&key), kind);
        text += n + (text[n] != '\0');
    }
    hl_buf_fini(&key);
}

/* "|shan xiaoming|sxm|..." : as people type it, and in the shape of a name. Three forms of one
 * reading: as it is typed ("shan xiaoming"), by word, and as DICOM writes a name
 * ("shan^xiaoming"). */
static void keys_pinyin(struct keys *keys, const char *name)
{
    struct hl_buf pinyin = {0};
    hl_text_pinyin(name, &pinyin);
    const char *all = hl_buf_str(&pinyin);
    keys_split(keys, all, "|", 0);
    keys_split(keys, all, "| ", 1);
    for (size_t i = 0; i < pinyin.len; i++)
        if (pinyin.data[i] == ' ')
            pinyin.data[i] = '^';
    keys_split(keys, all, "|", 0);
    hl_buf_fini(&pinyin);
}

/* FTS5's trigrams find neither one nor two characters, and Chinese given names are that short. */
static void keys_grams(struct keys *keys, const char *name)
{
    struct hl_buf grams = {0};
    hl_text_bigrams(name, &grams);
    char *rest = grams.data;
    for (char *gram; rest && (gram = strsep(&rest, " "));)
        key_add(keys, gram, 2);
    hl_buf_fini(&grams);
}

/* Pinyin and grams only where there is a byte outside of ASCII: most names of the world need
 * neither. Single components last: KEYS_MAX cuts what is least. */
hilum_rc hl_identity_keys(struct hl_session *session, int64_t patient, const char *name)
{
    struct keys keys = {.session = session, .patient = patient};
    keys.rc = hl_session_run(session, "DELETE FROM patient_name WHERE patient = ?1", "i", patient);
    keys_split(&keys, name, "=\\", 0);
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            keys_pinyin(&keys, name);
            keys_grams(&keys, name);
            break;
        }
    }
    keys_split(&keys, name, "=\\^ ", 1);
    return keys.rc;
}

/* ---- comparing ------------------------------------------------------------------------------------- */

/* A row of the same issuer and ID. */
struct candidate {
    int64_t id;
    int standing;
};

/* Two values that are both said and not the same. What one side does not say is no
 * contradiction: modalities that leave out a birth date are many. */
static bool differs(const char *a, const char *b)
{
    return *a && *b && strcmp(a, b) != 0;
}

/* Appends the keywords in which the newcomer contradicts the row; an empty value contradicts
 * nothing. Names are compared as people compare them (hl_text_same_name): "WANG^XIAOMING" is
 * no other person than "王^小明". */
static void differences(struct hl_stmt *row, const struct hl_attrs *attrs, char *out, size_t size)
{
    char date[9];
    const char *name = hl_attrs_text(attrs, HL_PATIENT_NAME);
    const char *birth = hl_attrs_text(attrs, HL_PATIENT_BIRTH_DATE);
    if (hl_date_normal(birth, strlen(birth), date))
        birth = date;
    const char *known = hl_stmt_text(row, 2);
    bool is_other = *name && *known && strcmp(name, known) != 0 && !hl_text_same_name(name, known);
    bool is_birth = differs(birth, hl_stmt_text(row, 3));
    bool is_sex = differs(hl_attrs_text(attrs, HL_PATIENT_SEX), hl_stmt_text(row, 4));
    snprintf(out, size, "%s%s%s", is_other ? "PatientName," : "",
             is_birth ? "PatientBirthDate," : "", is_sex ? "PatientSex," : "");
    if (*out)
        out[strlen(out) - 1] = '\0';
}

/* The first row of that issuer and ID the newcomer agrees with (id 0: none) and the known one.
 * Known before provisional before distinct, by the order of the numbers of standing. A
 * newcomer that agrees with an earlier provisional one joins it: a person decides once about
 * both. */
static hilum_rc candidates(struct hl_session *session, const char *issuer, const char *patient_id,
                           const struct hl_attrs *attrs, struct candidate out[2], char why[64])
{
    struct hl_stmt *stmt = NULL;
    char differ[64];
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT id, standing, name, birth_date, sex FROM patient "
                                 "WHERE patient_id = ?1 AND issuer = ?2 ORDER BY standing, id",
                                 "tt", patient_id, issuer);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1 && !out[0].id) {
        struct candidate row = {hl_stmt_int(stmt, 0), (int)hl_stmt_int(stmt, 1)};
        differences(stmt, attrs, differ, sizeof differ);
        if (!*differ)
            out[0] = row;
        if (row.standing == KNOWN) {
            out[1] = row;
            memcpy(why, differ, sizeof differ);
        }
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

/* ---- making ---------------------------------------------------------------------------------------- */

/* What the object says, what its peer is configured to mean, what the site means: in this order. */
static const char *issuer_of(const struct hl_record *record, const struct hl_instance *instance)
{
    const char *issuer = hl_attrs_text(instance->attrs, HL_ISSUER_OF_PATIENT_ID);
    if (*issuer)
        return issuer;
    if (instance->default_issuer && *instance->default_issuer)
        return instance->default_issuer;
    return record->default_issuer;
}

/* Without an ID the study is the key: each such study is a patient of its own until a person
 * says otherwise. Search keys are written with the row: there is no moment at which it exists
 * and is not found. */
static hilum_rc patient_make(struct hl_record *record, struct hl_session *session,
                             const struct hl_instance *instance, int standing, int64_t *id)
{
    const struct hl_attrs *attrs = instance->attrs;
    const char *study = hl_attrs_text(attrs, HL_STUDY_INSTANCE_UID);
    const struct hilum_value fixed[] = {
        hl_value_int(standing), hl_value_text(standing == WITHOUT_ID ? study : ""),
        hl_value_text(hl_attrs_text(attrs, HL_PATIENT_ID)),
        hl_value_text(issuer_of(record, instance)), hl_value_int(hl_now_us())};
    hilum_rc rc = hl_row_insert(record, session, HILUM_LEVEL_PATIENT, fixed, attrs, id);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE totals SET patients = patients + 1 WHERE id = 1", "");
    if (rc == HILUM_OK)
        rc = hl_identity_keys(session, *id, hl_attrs_text(attrs, HL_PATIENT_NAME));
    return rc;
}

/* The event names the differing attributes, not their values: it goes to rules and logs. The
 * study is stored, found and sent under what it came with; only whose it is waits for a
 * person. */
static hilum_rc conflict_make(struct hl_record *record, struct hl_session *session,
                              const struct hl_instance *instance, int64_t known, const char *why,
                              int64_t *patient)
{
    const char *study = hl_attrs_text(instance->attrs, HL_STUDY_INSTANCE_UID);
    struct hl_buf fields = {0};
    hilum_rc rc = patient_make(record, session, instance, PROVISIONAL, patient);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "INSERT INTO conflict (provisional, known, differs, at_us) "
                            "VALUES (?1, ?2, ?3, ?4)",
                            "iiti", *patient, known, why, hl_now_us());
    if (rc != HILUM_OK)
        return rc;
    hl_buf_printf(&fields, "{\"conflict\":%lld,\"differs\":\"%s\",\"StudyInstanceUID\":",
                  (long long)hl_session_last_id(session), why);
    hl_buf_json_string(&fields, study);
    hl_buf_byte(&fields, '}');
    const struct hl_entry entry = {
        .event = "patient.conflicted", .study_uid = study, .fields = hl_buf_str(&fields)};
    int64_t id;
    rc = hl_journal_add(record, session, &entry, &id);
    hl_buf_fini(&fields);
    return rc;
}

/* What the row lacks and the newcomer knows. Never the other way round: what is known is
 * corrected by people only. */
static hilum_rc fill_gaps(struct hl_session *session, int64_t patient, const struct hl_attrs *attrs)
{
    const char *name = hl_attrs_text(attrs, HL_PATIENT_NAME);
    hilum_rc rc = hl_session_run(
        session,
        "UPDATE patient SET birth_date = CASE birth_date WHEN '' THEN ?2 ELSE birth_date END, "
        "sex = CASE sex WHEN '' THEN ?3 ELSE sex END "
        "WHERE id = ?1 AND ((birth_date = '' AND ?2 <> '') OR (sex = '' AND ?3 <> ''))",
        "itt", patient, hl_attrs_text(attrs, HL_PATIENT_BIRTH_DATE),
        hl_attrs_text(attrs, HL_PATIENT_SEX));
    if (rc != HILUM_OK || !*name)
        return rc;
    rc = hl_session_run(session, "UPDATE patient SET name = ?2 WHERE id = ?1 AND name = ''", "it",
                        patient, name);
    if (rc == HILUM_OK && hl_session_changes(session) > 0)
        rc = hl_identity_keys(session, patient, name);
    return rc;
}

static void identity_of(const struct hl_record *record, const struct hl_instance *instance,
                        struct hl_identity *out)
{
    const struct hl_attrs *attrs = instance->attrs;
    const char *birth = hl_attrs_text(attrs, HL_PATIENT_BIRTH_DATE);
    *out = (struct hl_identity){.patient_id = hl_attrs_text(attrs, HL_PATIENT_ID),
                                .issuer = issuer_of(record, instance),
                                .name = hl_attrs_text(attrs, HL_PATIENT_NAME),
                                .sex = hl_attrs_text(attrs, HL_PATIENT_SEX)};
    if (!hl_date_normal(birth, strlen(birth), out->birth_date))
        snprintf(out->birth_date, sizeof out->birth_date, "%s", birth);
}

/* Issuer and ID must be equal and nothing else known of both may differ. Without any ID only a
 * patient that has none either is the same. Asked before other content takes the place of a
 * known object: a resend under the name before a correction is still the same person's. */
hilum_rc hl_identity_is(struct hl_record *record, struct hl_session *session, int64_t patient,
                        const struct hl_instance *instance, bool *out)
{
    struct hl_stmt *stmt = NULL;
    struct hl_identity newcomer;
    char differ[64] = "";
    int64_t recognised = 0, former = 0;
    identity_of(record, instance, &newcomer);
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT patient_id, issuer, name, birth_date, sex, standing "
                                 "FROM patient WHERE id = ?1",
                                 "i", patient);
    *out = false;
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        bool is_nameless = !*newcomer.patient_id && hl_stmt_int(stmt, 5) == WITHOUT_ID;
        differences(stmt, instance->attrs, differ, sizeof differ);
        *out = !*differ && strcmp(newcomer.patient_id, hl_stmt_text(stmt, 0)) == 0 &&
               (is_nameless || strcmp(newcomer.issuer, hl_stmt_text(stmt, 1)) == 0);
    }
    hl_stmt_done(stmt);
    if (rc >= 0 && !*out && *newcomer.patient_id) {
        rc = hl_former_find(session, &newcomer, &recognised, &former);
        *out = recognised == patient;
    }
    return rc > 0 ? HILUM_OK : rc;
}

static hilum_rc without_id(struct hl_record *record, struct hl_session *session,
                           const struct hl_instance *instance, int64_t *patient)
{
    hilum_rc rc = hl_session_int(session, patient,
                                 "SELECT id FROM patient WHERE standing = 3 AND study_key = ?1",
                                 "t", hl_attrs_text(instance->attrs, HL_STUDY_INSTANCE_UID));
    if (rc == HILUM_ENOTFOUND)
        rc = patient_make(record, session, instance, WITHOUT_ID, patient);
    return rc;
}

/* Known under a name it had before a correction: the study is that patient's, and is corrected
 * with it. place->former is what study_make applies the corrections by. */
static hilum_rc recognise(struct hl_record *record, struct hl_session *session,
                          const struct hl_instance *instance, struct hl_place *place)
{
    struct hl_identity newcomer;
    int64_t standing = 0;
    identity_of(record, instance, &newcomer);
    hilum_rc rc = hl_former_find(session, &newcomer, &place->patient, &place->former);
    if (rc == HILUM_OK && place->patient)
        rc = hl_session_int(session, &standing, "SELECT standing FROM patient WHERE id = ?1", "i",
                            place->patient);
    place->is_provisional = standing == PROVISIONAL;
    return rc;
}

/* A former identity first: a late study under the old name of a corrected patient must not
 * look like a conflict. A patient without an ID is one per study. That is not what people
 * wish, and the only thing that never shows one person's pictures under another's name. */
hilum_rc hl_identity_find(struct hl_record *record, struct hl_session *session,
                          const struct hl_instance *instance, struct hl_place *place)
{
    const struct hl_attrs *attrs = instance->attrs;
    const char *patient_id = hl_attrs_text(attrs, HL_PATIENT_ID);
    struct candidate found[2] = {{0}};
    char why[64] = "";
    place->is_provisional = true;
    if (!*patient_id)
        return without_id(record, session, instance, &place->patient);
    hilum_rc rc = recognise(record, session, instance, place);
    if (rc != HILUM_OK || place->patient)
        return rc;
    rc = candidates(session, issuer_of(record, instance), patient_id, attrs, found, why);
    if (rc != HILUM_OK)
        return rc;
    if (!found[0].id && found[1].id) {
        place->is_provisional = true;
        return conflict_make(record, session, instance, found[1].id, why, &place->patient);
    }
    place->is_provisional = found[0].standing == PROVISIONAL;
    place->patient = found[0].id;
    return found[0].id ? fill_gaps(session, place->patient, attrs)
                       : patient_make(record, session, instance, KNOWN, &place->patient);
}
