/* What every `carrier` must do (hilum/carrier.h): tell of each object alone and truly, let go of all it opened, and claim
 * nothing where no peer is reached. With HILUM_CHECK_PEER=URL in the environment there is a peer, which must then have what
 * it was sent. The archive is told by this file: three objects of one study, and two that are none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/check/empty.h"
#include "hilum/carrier.h"

#define STUDY        "1.2.999.77"
#define SERIES       STUDY ".1"
#define OTHER_SERIES STUDY ".2"
#define PATIENT      "SECRET^NAME"

enum { STORED = 3, BROKEN = 8, MISSING = 9, PIECE = 100, FILE_MAX = 2048, PATIENCE_MS = 30000 };

/* ---- Part 10 files, explicit little endian ---- */

struct part10 {
    unsigned char bytes[FILE_MAX];
    size_t n;
    char sop_instance[65], series[65];
};
static struct part10 files[STORED];

static void put_number(struct part10 *file, uint32_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        file->bytes[file->n++] = (unsigned char)(value >> 8 * i);
}

static void put_text(struct part10 *file, uint16_t group, uint16_t element, const char *vr,
                     const char *text)
{
    size_t n = strlen(text);
    assert_true(file->n + n + 16 < sizeof file->bytes);
    put_number(file, group, 2);
    put_number(file, element, 2);
    memcpy(file->bytes + file->n, vr, 2);
    file->n += 2;
    put_number(file, (uint32_t)(n + n % 2), 2);
    memcpy(file->bytes + file->n, text, n);
    file->n += n;
    if (n % 2)
        file->bytes[file->n++] = strcmp(vr, "UI") == 0 ? '\0' : ' ';
}

static void make_file(struct part10 *file, unsigned i)
{
    static const char sc[] = "1.2.840.10008.5.1.4.1.1.7";
    snprintf(file->sop_instance, sizeof file->sop_instance, STUDY ".9.%u", i + 1);
    snprintf(file->series, sizeof file->series, "%s", i < 2 ? SERIES : OTHER_SERIES);
    memset(file->bytes, 0, 128);
    memcpy(file->bytes + 128, "DICM", 4);
    file->n = 132 + 12; /* the group's length is written when it is known */
    put_text(file, 0x0002, 0x0002, "UI", sc);
    put_text(file, 0x0002, 0x0003, "UI", file->sop_instance);
    put_text(file, 0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1");
    put_text(file, 0x0002, 0x0012, "UI", "1.2.999.1");
    size_t end = file->n;
    file->n = 132;
    put_number(file, 0x00000002, 4);
    memcpy(file->bytes + file->n, "UL\4\0", 4);
    file->n += 4;
    put_number(file, (uint32_t)(end - 144), 4);
    file->n = end;
    put_text(file, 0x0008, 0x0016, "UI", sc);
    put_text(file, 0x0008, 0x0018, "UI", file->sop_instance);
    put_text(file, 0x0010, 0x0010, "PN", PATIENT);
    put_text(file, 0x0020, 0x000D, "UI", STUDY);
    put_text(file, 0x0020, 0x000E, "UI", file->series);
}

/* ---- the archive: objects on their way out ---- */

struct hilum_object {
    const struct part10 *file;
    size_t at;
    int is_broken;
};

static int n_open;               /* objects and intakes not closed yet */
static const int the_outbox = 0; /* its address stands for whoever asks */
static int has_wrong_principal;

static const hilum_principal *outbox(void)
{
    return (const hilum_principal *)(const void *)&the_outbox;
}

static hilum_rc object_open(hilum_self *self, const hilum_principal *who, int64_t instance,
                            int64_t as_of, hilum_object **out)
{
    (void)as_of;
    *out = NULL;
    has_wrong_principal |= who != outbox();
    if ((instance < 1 || instance > STORED) && instance != BROKEN)
        return (self->host.fail)(self, HILUM_ENOTFOUND, "no such object");
    *out = calloc(1, sizeof **out);
    assert_non_null(*out);
    (*out)->is_broken = instance == BROKEN;
    (*out)->file = &files[instance == BROKEN ? 0 : instance - 1];
    n_open++;
    return HILUM_OK;
}

static void object_close(hilum_object *object)
{
    n_open -= object != NULL;
    free(object);
}

static hilum_rc object_names(hilum_object *object, struct hilum_object_names *out)
{
    assert_true(out->size >= sizeof *out);
    out->sop_class = "1.2.840.10008.5.1.4.1.1.7";
    out->sop_instance = object->is_broken ? STUDY ".9.8" : object->file->sop_instance;
    out->series_uid = object->file->series;
    out->study_uid = STUDY;
    out->transfer_syntax = "1.2.840.10008.1.2.1";
    return HILUM_OK;
}

static hilum_rc object_convert(hilum_object *object, const char *transfer_syntax)
{
    assert_int_equal(object->at, 0);
    return strcmp(transfer_syntax, "1.2.840.10008.1.2.1") == 0 ? HILUM_OK : HILUM_EUNSUP;
}

/* In small pieces, and the broken one never comes to its end. */
static hilum_rc object_next(hilum_object *object, const void **bytes, uint64_t *n)
{
    size_t left = object->file->n - object->at;
    if (object->is_broken && left <= PIECE)
        return HILUM_ECORRUPT;
    *bytes = object->file->bytes + object->at;
    *n = left < PIECE ? left : PIECE;
    object->at += (size_t)*n;
    return HILUM_OK;
}

static hilum_rc object_lends(hilum_object *object, uint64_t *length)
{
    *length = object->file->n;
    return object->is_broken ? HILUM_EUNSUP : HILUM_OK;
}

static const char *object_text(hilum_object *object, const char *path)
{
    (void)object;
    return strcmp(path, "PatientName") == 0 ? PATIENT : NULL;
}

static hilum_rc no_json(hilum_object *object, const char *bulk_url, const struct hilum_sink *sink)
{
    (void)object, (void)bulk_url, (void)sink;
    return HILUM_EUNSUP;
}

static hilum_rc no_frames(hilum_object *object, struct hilum_frames *out)
{
    (void)object;
    out->n = 0;
    return HILUM_OK;
}

static hilum_rc no_extent(hilum_object *object, const char *path, struct hilum_extent *out)
{
    (void)object, (void)path, (void)out;
    return HILUM_ENOTFOUND;
}

/* ---- objects on their way in ---- */

struct hilum_intake {
    unsigned char bytes[FILE_MAX];
    size_t n;
};
static unsigned n_came[STORED], n_strange;

static hilum_rc intake_open(hilum_self *self, const hilum_principal *who,
                            const struct hilum_intake_source *source, hilum_intake **out)
{
    (void)self;
    has_wrong_principal |= who != outbox();
    assert_true(source->size >= offsetof(struct hilum_intake_source, study_uid));
    assert_true(source->kind && strlen(source->kind) <= 16);
    *out = calloc(1, sizeof **out);
    assert_non_null(*out);
    n_open++;
    return HILUM_OK;
}

static hilum_rc intake_write(hilum_intake *intake, const void *bytes, uint64_t n)
{
    if (n > sizeof intake->bytes - intake->n)
        return HILUM_EFULL;
    memcpy(intake->bytes + intake->n, bytes, (size_t)n);
    intake->n += (size_t)n;
    return HILUM_OK;
}

static void intake_end(hilum_intake *intake, struct hilum_intake_result *out)
{
    out->status = 0xC000;
    out->comment = out->reference = out->sop_class = out->sop_instance = "";
    out->study_uid = out->series_uid = "";
    for (unsigned i = 0; i < STORED; i++)
        if (intake->n == files[i].n && memcmp(intake->bytes, files[i].bytes, intake->n) == 0) {
            n_came[i]++;
            out->status = 0;
        }
    n_strange += out->status != 0;
}

static void intake_close(hilum_intake *intake)
{
    n_open -= intake != NULL;
    free(intake);
}

static const struct hilum_object_api objects = {.size = sizeof objects,
                                                .open = object_open,
                                                .close = object_close,
                                                .names = object_names,
                                                .convert = object_convert,
                                                .next = object_next,
                                                .json = no_json,
                                                .find = no_extent,
                                                .frames = no_frames,
                                                .receive = intake_open,
                                                .intake_write = intake_write,
                                                .intake_end = intake_end,
                                                .intake_close = intake_close,
                                                .lends = object_lends,
                                                .text = object_text};

/* ---- the tests ---- */

/* Port 1 of this machine: nobody listens there, and nothing leaves it. */
static const char *nowhere(const char *url)
{
    return url && strncmp(url, "file:", 5) == 0 ? "file:///nowhere/at/all" : "http://127.0.0.1:1/x";
}

static struct hilum_destination peer_at(const char *url)
{
    return (struct hilum_destination){.size = sizeof(struct hilum_destination),
                                      .who = outbox(),
                                      .name = "suite",
                                      .url = url,
                                      .connect_ms = 2000,
                                      .idle_ms = 2000};
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One line, with an end, of nobody's name. */
static void assert_line(const char detail[192])
{
    assert_non_null(memchr(detail, '\0', 192));
    assert_null(strchr(detail, '\n'));
    assert_null(strstr(detail, "SECRET"));
}

static hilum_rc carry(struct provided *p, const char *url, struct hilum_delivery *items, uint32_t n)
{
    const struct hilum_carrier *t = p->table;
    struct hilum_destination to = peer_at(url);
    has_wrong_principal = 0;
    hilum_rc rc = t->send(p->self, &to, items, n);
    assert_int_equal(n_open, 0);
    assert_false(has_wrong_principal);
    for (uint32_t i = 0; i < n; i++)
        assert_line(items[i].detail);
    return rc;
}

static void table__has_a_name_that_via_can_say(void **state)
{
    const struct hilum_carrier *t = ((struct provided *)*state)->table;
    assert_true(t->cap.name && *t->cap.name && strcmp(t->cap.name, "dimse") != 0);
}

static void send__claims_nothing_where_no_peer_is(void **state)
{
    int64_t begun = now_ms();
    struct hilum_delivery items[STORED] = {{.instance = 1}, {.instance = 2}, {.instance = 3}};
    hilum_rc rc = carry(*state, nowhere(getenv("HILUM_CHECK_PEER")), items, STORED);
    for (unsigned i = 0; i < STORED; i++) {
        assert_true(rc < 0 || items[i].rc < 0);
        assert_false(items[i].is_permanent); /* it may be there tomorrow */
    }
    assert_true(now_ms() - begun < PATIENCE_MS);
}

static void send__bears_a_peer_without_a_url(void **state)
{
    struct hilum_delivery item = {.instance = 1};
    assert_true(carry(*state, "", &item, 1) < 0 || item.rc < 0);
    item = (struct hilum_delivery){.instance = 1};
    assert_true(carry(*state, "nonsense://%00/../..", &item, 1) < 0 || item.rc < 0);
}

static void fetch__stores_nothing_where_no_peer_is(void **state)
{
    struct provided *p = *state;
    const struct hilum_carrier *t = p->table;
    struct hilum_destination from = peer_at(nowhere(getenv("HILUM_CHECK_PEER")));
    struct hilum_fetched out = {.size = sizeof out};
    assert_int_equal(t->fetch(p->self, &from, STUDY, NULL, NULL, &out), HILUM_EAGAIN);
    assert_int_equal(out.n_stored, 0);
    assert_int_equal(n_open, 0);
}

static void fetch__takes_nothing_for_a_uid_that_is_none(void **state)
{
    static const char *const odd[] = {
        "", "..", "../../etc", "1.2/../3", "1.2\r\nX: y", "%2e%2e", STUDY "/../" STUDY};
    const char *url = getenv("HILUM_CHECK_PEER");
    struct provided *p = *state;
    const struct hilum_carrier *t = p->table;
    struct hilum_destination from = peer_at(url ? url : nowhere(NULL));
    struct hilum_delivery item = {.instance = 1};
    (void)carry(p, from.url, &item, 1); /* so that there is something to be taken */
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct hilum_fetched out = {.size = sizeof out};
        assert_true(t->fetch(p->self, &from, odd[i], NULL, NULL, &out) < 0);
        assert_true(t->fetch(p->self, &from, STUDY, odd[i], odd[i], &out) < 0);
        assert_int_equal(out.n_stored, 0);
    }
    assert_int_equal(n_open, 0);
}

/* Optional; who has it says that the peer was not reached, and has found nothing. */
static void search__where_offered_finds_nothing_where_no_peer_is(void **state)
{
    struct provided *p = *state;
    const struct hilum_carrier *t = p->table;
    struct hilum_destination at = peer_at(nowhere(getenv("HILUM_CHECK_PEER")));
    struct kept answer = {0};
    struct hilum_sink sink = kept_sink(&answer);
    if (!HILUM_HAS(struct hilum_carrier, t->cap.size, search) || !t->search)
        skip();
    assert_int_equal(t->search(p->self, &at, "PatientID=1&limit=9", &sink), HILUM_EAGAIN);
    assert_true(t->search(p->self, &at, "", &sink) < 0);
    assert_true(t->search(p->self, &at, "PatientID=1\r\nX: y", &sink) < 0);
    assert_int_equal(answer.n, 0);
    kept_free(&answer);
}

/* ---- with a peer ---- */

static const char *peer_or_skip(void)
{
    const char *url = getenv("HILUM_CHECK_PEER");
    if (!url)
        skip();
    return url;
}

/* One that is not there and one that breaks cost the others nothing; sent again, it is the same. */
static void send__tells_of_each_object_alone(void **state)
{
    const char *url = peer_or_skip();
    for (int again = 0; again < 2; again++) {
        struct hilum_delivery items[] = {{.instance = 1},
                                         {.instance = MISSING},
                                         {.instance = 2, .transfer_syntax = "1.2.840.10008.1.2.1"},
                                         {.instance = BROKEN},
                                         {.instance = 3, .transfer_syntax = "1.2.3.4"}};
        hilum_rc rc = carry(*state, url, items, 5);
        assert_int_equal(rc, HILUM_OK);
        assert_int_equal(items[0].rc, HILUM_OK);
        assert_true(items[1].rc < 0 && items[1].is_permanent);
        assert_int_equal(items[2].rc, HILUM_OK);
        assert_true(items[3].rc < 0);
        assert_int_equal(items[4].rc, HILUM_OK); /* a wish that cannot be met: as stored */
    }
}

static unsigned fetched(struct provided *p, const char *url, const char *series, const char *sop)
{
    const struct hilum_carrier *t = p->table;
    struct hilum_destination from = peer_at(url);
    struct hilum_fetched out = {.size = sizeof out};
    memset(n_came, 0, sizeof n_came);
    n_strange = 0;
    hilum_rc rc = t->fetch(p->self, &from, STUDY, series, sop, &out);
    assert_int_equal(n_open, 0);
    assert_int_equal(n_strange, 0);
    assert_line(out.detail);
    assert_true(rc == HILUM_OK ? out.n_failed == 0 : out.n_stored == 0);
    return n_came[0] | n_came[1] << 1 | n_came[2] << 2;
}

static void fetch__brings_what_was_sent(void **state)
{
    const char *url = peer_or_skip();
    struct hilum_delivery items[] = {{.instance = 1}, {.instance = 2}, {.instance = 3}};
    assert_int_equal(carry(*state, url, items, 3), HILUM_OK);
    assert_int_equal(fetched(*state, url, NULL, NULL), 7);
    assert_int_equal(fetched(*state, url, SERIES, NULL), 3);
    assert_int_equal(fetched(*state, url, OTHER_SERIES, STUDY ".9.3"), 4);
    assert_int_equal(fetched(*state, url, OTHER_SERIES, STUDY ".9.8"), 0); /* it broke */
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(table__has_a_name_that_via_can_say),
        PROVIDED_TEST(send__claims_nothing_where_no_peer_is),
        PROVIDED_TEST(send__bears_a_peer_without_a_url),
        PROVIDED_TEST(fetch__stores_nothing_where_no_peer_is),
        PROVIDED_TEST(fetch__takes_nothing_for_a_uid_that_is_none),
        PROVIDED_TEST(search__where_offered_finds_nothing_where_no_peer_is),
        PROVIDED_TEST(send__tells_of_each_object_alone),
        PROVIDED_TEST(fetch__brings_what_was_sent),
    };
    for (unsigned i = 0; i < STORED; i++)
        make_file(&files[i], i);
    fake_host_lend(NULL, &hl_empty_catalog, &objects);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_CARRIER, run);
}
