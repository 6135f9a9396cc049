/* Requests in the hands of a service: answers, cancels, sub-operations; the service is the test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/bus/bus.h"
#include "core/config/config.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/dimse.h"
#include "core/dicom/policy.h"
#include "core/dicom/scp.h"
#include "core/dicom/scu_query.h"
#include "core/dicom/trace.h"
#include "core/dicom/uid.h"
#include "fake.h"
#include "hilum/plugin.h"

#define CT       "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT HL_UID_EXPLICIT_LITTLE_ENDIAN
#define FIND     HL_UID_STUDY_ROOT_FIND
#define GET      HL_UID_STUDY_ROOT_GET

/* What the service does with the next request. */
enum behaviour { ANSWER, ENDLESS, DEAF, BLANK, SILENT, FAIL, SEND, SEND_AND_STOP, NORMALIZED };

struct bench {
    struct hl_store *store;
    struct hl_config *config;
    struct hl_scp *scp;
    struct hl_trace *trace;
    struct hl_scu *scu;
    struct hl_bus *bus;
    struct fake_services services;
    uint16_t port;
    enum behaviour behaviour;
    const char *destination; /* SEND: NULL back */
    uint64_t n;              /* SEND: objects 1..n */
    char seen[256];          /* PatientName of the identifier */
    hilum_rc rc;             /* of what the service tried last */
    struct hilum_suboperations total;
    char failed[256];
    atomic_uint progress;
};

/* ---- the service ------------------------------------------------------------------------------ */

static hilum_rc answer(struct bench *bench, hilum_exchange *exchange)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *data = api->dataset_new();
    const char *name = api->get(api->identifier(exchange), "PatientName");
    snprintf(bench->seen, sizeof bench->seen, "%s", name ? name : "(absent)");
    assert_int_equal(api->put(data, "PatientName", name ? name : ""), HILUM_OK);
    assert_int_equal(api->respond(exchange, 0xFF00, data, NULL, NULL), HILUM_OK);
    /* what was sent in another character set is still whole here */
    assert_string_equal(api->get(data, "PatientName"), name ? name : "");
    api->dataset_free(data);
    assert_int_equal(api->respond(exchange, 0, NULL, NULL, NULL), HILUM_OK);
    bench->rc = api->respond(exchange, 0, NULL, NULL, NULL);
    return HILUM_OK;
}

/* Pending answers until somebody cancels. */
static hilum_rc go_on(struct bench *bench, hilum_exchange *exchange)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    while ((bench->rc = api->cancelled(exchange)) == 0) {
        hilum_rc rc = api->respond(exchange, 0xFF00, NULL, NULL, NULL);
        if (rc)
            return bench->rc = rc;
    }
    return bench->rc == 1 ? api->respond(exchange, 0xFE00, NULL, NULL, NULL) : bench->rc;
}

/* Answers for ten seconds whatever is said meanwhile. */
static hilum_rc never_listen(struct bench *bench, hilum_exchange *exchange)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *data = api->dataset_new();
    int64_t end = hl_mono_ms() + 10000;
    bench->rc = api->put(data, "PatientName", "A");
    while (!bench->rc && hl_mono_ms() < end)
        bench->rc = api->respond(exchange, 0xFF00, data, NULL, NULL);
    api->dataset_free(data);
    return bench->rc ? bench->rc : api->respond(exchange, 0, NULL, NULL, NULL);
}

static hilum_rc blank(hilum_exchange *exchange)
{
    hilum_rc rc = HILUM_OK;
    for (int i = 0; i < 3 && !rc; i++)
        rc = hl_dicom_api()->respond(exchange, 0xFF00, NULL, NULL, NULL);
    return rc ? rc : hl_dicom_api()->respond(exchange, 0, NULL, NULL, NULL);
}

static hilum_rc on_progress(void *arg, const struct hilum_suboperations *counts)
{
    struct bench *bench = arg;
    atomic_fetch_add(&bench->progress, 1);
    return bench->behaviour == SEND_AND_STOP && counts->completed ? HILUM_ECANCELLED : HILUM_OK;
}

static hilum_rc send(struct bench *bench, hilum_exchange *exchange)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    const char *failed = NULL;
    static int64_t instances[70000];
    for (uint64_t i = 0; i < bench->n; i++)
        instances[i] = (int64_t)i + 1;
    bench->rc = api->send(exchange, bench->destination, instances, bench->n, 0, on_progress, bench,
                          &bench->total, &failed);
    snprintf(bench->failed, sizeof bench->failed, "%s", failed ? failed : "");
    return bench->rc == HILUM_ECLOSED ? bench->rc
                                      : api->respond(exchange, 0, NULL, &bench->total, NULL);
}

/* Says what it was asked in the answer's data set. */
static hilum_rc echo_normalized(hilum_exchange *exchange)
{
    static const uint32_t offending[] = {0x00100020, 0x00100010};
    const struct hilum_dicom_api *api = hl_dicom_api();
    const struct hilum_dimse_request *asked = api->request(exchange);
    struct hilum_dimse_response response = {.size = sizeof response};
    char text[128];
    hilum_dataset *data = api->dataset_new();
    snprintf(text, sizeof text, "%04x %s a%u e%u n%u %08x", asked->command_field,
             asked->sop_instance, asked->action_type, asked->event_type, asked->n_attributes,
             asked->n_attributes ? asked->attributes[asked->n_attributes - 1] : 0);
    assert_int_equal(api->put(data, "StudyDescription", text), HILUM_OK);
    response.data = data;
    if (asked->command_field == HILUM_N_CREATE)
        response.sop_instance = "1.2.3.99";
    if (asked->command_field == HILUM_N_SET) {
        response.status = HILUM_STATUS_INVALID_ATTRIBUTE;
        response.error_id = 7;
        response.offending = offending;
        response.n_offending = 2;
    }
    hilum_rc rc = api->answer(exchange, &response);
    api->dataset_free(data);
    return rc;
}

static hilum_rc handle(void *self, hilum_exchange *exchange)
{
    struct bench *bench = self;
    switch (bench->behaviour) {
    case ANSWER: return answer(bench, exchange);
    case ENDLESS: return go_on(bench, exchange);
    case DEAF: return never_listen(bench, exchange);
    case FAIL: return hl_fail(HILUM_ENOMEM, "on purpose");
    case BLANK: return blank(exchange);
    case SILENT: return HILUM_OK;
    case NORMALIZED: return echo_normalized(exchange);
    default: return send(bench, exchange);
    }
}

#define PRIVATE "1.2.826.0.1.3680043.10.1545.1" /* a SOP class of no standard */
static const char *const sop_classes[] = {FIND, GET, PRIVATE, NULL};
static const struct hilum_service service = {
    .cap = {.size = sizeof service,
            .kind = HILUM_CAP_SERVICE,
            .threads = HILUM_PARALLEL,
            .name = "test"},
    .sop_classes = sop_classes,
    .handle = handle,
};

static int setup(void **state)
{
    static const char site[] =
        "dicom = { aet = \"HILUM\"; listen = ( \"127.0.0.1:0\" ); unknown_peers = \"accept\"; };"
        "peers = ( { name = \"sink\"; aet = \"SINK\"; host = \"127.0.0.1\"; port = 9; "
        "connect_timeout = \"1s\"; }, "
        "{ name = \"ward\"; aet = \"WARD\"; cidr = ( \"127.0.0.0/8\" ); roles = ( \"some\" ); } );"
        "roles = ( { name = \"some\"; allow = ( \"retrieve\" ); "
        "studies = ( { labels = ( \"x\" ); } ); } );";
    struct bench *bench = calloc(1, sizeof *bench);
    hl_log_set_output(-1, false);
    bench->store = fake_store_new();
    bench->config = fake_config(site);
    bench->services = (struct fake_services){&service, bench};
    struct hl_record *record = (struct hl_record *)bench->store;
    assert_int_equal(hl_trace_new(&bench->trace), HILUM_OK);
    assert_int_equal(hl_scu_new(bench->store, record, bench->trace, &bench->scu), HILUM_OK);
    assert_int_equal(hl_scu_configure(bench->scu, bench->config), HILUM_OK);
    assert_int_equal(hl_bus_new(&bench->bus), HILUM_OK);
    struct hl_scp_parts parts = {.store = bench->store,
                                 .record = record,
                                 .bus = bench->bus,
                                 .scu = bench->scu,
                                 .trace = bench->trace,
                                 .plugins = (struct hl_plugins *)&bench->services};
    assert_int_equal(hl_scp_start(&parts, bench->config, &bench->scp), HILUM_OK);
    bench->port = (uint16_t)atoi(strrchr(hl_scp_address(bench->scp), ':') + 1);
    for (int i = 1; i <= 40; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.2.3.%d", i);
        (void)fake_store_add(bench->store, CT, uid, EXPLICIT, "12345678", 8);
    }
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    hl_scp_stop(bench->scp, 1000);
    hl_scp_free(bench->scp);
    hl_scu_free(bench->scu);
    hl_trace_free(bench->trace);
    hl_bus_free(bench->bus);
    hl_config_unref(bench->config);
    fake_store_free(bench->store);
    free(bench);
    return 0;
}

/* ---- the requester ---------------------------------------------------------------------------- */

/* Contexts: 1 the service, 3 CT with us as SCP. */
static struct hl_ul_assoc *dial_as(const struct bench *bench, const char *calling,
                                   const char *sop_class)
{
    char syntaxes[2][1][HL_UID_MAX] = {{EXPLICIT}, {EXPLICIT}};
    struct hl_ul_context contexts[2] = {
        {.id = 1, .transfer_syntaxes = syntaxes[0], .n_transfer_syntaxes = 1},
        {.id = 3,
         .transfer_syntaxes = syntaxes[1],
         .n_transfer_syntaxes = 1,
         .abstract_syntax = CT,
         .has_roles = true,
         .scp_role = true}};
    struct hl_ul_params propose = {.contexts = contexts, .n_contexts = 2, .called_aet = "HILUM"};
    struct hl_ul_connect how = {.host = "127.0.0.1",
                                .port = bench->port,
                                .propose = &propose,
                                .connect_ms = 5000,
                                .negotiate_ms = 5000,
                                .pdu_ms = 5000,
                                .write_ms = 5000};
    struct hl_ul_assoc *assoc;
    snprintf(propose.calling_aet, sizeof propose.calling_aet, "%s", calling);
    snprintf(contexts[0].abstract_syntax, HL_UID_MAX, "%s", sop_class);
    if (hl_ul_open(&how, &assoc))
        fail_msg("%s", hl_error());
    return assoc;
}

static struct hl_ul_assoc *dial(const struct bench *bench, const char *sop_class)
{
    return dial_as(bench, "WS", sop_class);
}

static void ask(struct hl_ul_assoc *assoc, uint16_t command, const char *charset, const char *name)
{
    struct hl_dimse request = {.command_field = command, .message_id = 5, .context_id = 1};
    struct hl_dataset *data;
    struct hl_buf bytes = {0};
    snprintf(request.sop_class, sizeof request.sop_class, "%s",
             hl_ul_params(assoc)->contexts[0].abstract_syntax);
    assert_int_equal(hl_dataset_new(&data), HILUM_OK);
    if (charset)
        assert_int_equal(hl_dataset_put(data, "SpecificCharacterSet", charset), HILUM_OK);
    assert_int_equal(hl_dataset_put(data, "PatientName", name), HILUM_OK);
    assert_int_equal(hl_dataset_write(data, EXPLICIT, &bytes), HILUM_OK);
    assert_int_equal(hl_dimse_write(assoc, &request, bytes.data, bytes.len), HILUM_OK);
    hl_dataset_free(data);
    hl_buf_fini(&bytes);
}

static hilum_rc collect(void *arg, const void *bytes, size_t n)
{
    hl_buf_add(arg, bytes, n);
    return HILUM_OK;
}

/* The next response; its data set, if any, appended to bytes. */
static struct hl_dimse next(struct hl_ul_assoc *assoc, struct hl_buf *bytes)
{
    struct hl_dimse response;
    if (hl_dimse_read(assoc, &response))
        fail_msg("%s", hl_error());
    if (response.has_dataset)
        assert_int_equal(hl_dimse_read_dataset(assoc, &response, collect, bytes), HILUM_OK);
    return response;
}

/* ---- tests ------------------------------------------------------------------------------------ */

struct language {
    const char *charset, *name, *answered; /* (0008,0005) of the answer */
};

static void answer__is_in_the_set_of_the_request_if_that_can_say_it(void **state)
{
    static const struct language table[] = {
        {"ISO_IR 100", "Müller^Jürgen", "ISO_IR 100"},
        {"ISO_IR 192", "王^小明", "ISO_IR 192"},
        {"GB18030", "王^小明", "GB18030"},
        {NULL, "DOE^JOHN", ""},
        {"ISO_IR 144", "Люкceмбypг", "ISO_IR 144"},
    };
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, FIND);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct hl_buf bytes = {0};
        struct hl_dataset *data;
        char text[128];
        ask(assoc, HL_C_FIND_RQ, table[i].charset, table[i].name);
        assert_int_equal(next(assoc, &bytes).status, 0xFF00);
        assert_int_equal(next(assoc, NULL).status, 0);
        assert_string_equal(bench->seen, table[i].name);
        assert_int_equal(hl_dataset_parse(bytes.data, bytes.len, EXPLICIT, &data), HILUM_OK);
        assert_string_equal(hl_dataset_text(data, "SpecificCharacterSet", text, sizeof text),
                            table[i].answered);
        assert_string_equal(hl_dataset_text(data, "PatientName", text, sizeof text), table[i].name);
        hl_dataset_free(data);
        hl_buf_fini(&bytes);
    }
    hl_ul_release(assoc);
    assert_int_equal(bench->rc, HILUM_EINVAL); /* a second final response */
}

static void cancel__ends_an_endless_answer(void **state)
{
    struct bench *bench = *state;
    struct hl_dimse cancel = {
        .command_field = HL_C_CANCEL_RQ, .message_id_responded = 5, .context_id = 1};
    struct hl_dimse stray = {
        .command_field = HL_C_CANCEL_RQ, .message_id_responded = 99, .context_id = 1};
    struct hl_ul_assoc *assoc = dial(bench, FIND);
    bench->behaviour = ENDLESS;
    ask(assoc, HL_C_FIND_RQ, NULL, "*");
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(assoc, NULL).status, 0xFF00);
    assert_int_equal(hl_dimse_write(assoc, &stray, NULL, 0), HILUM_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(assoc, NULL).status, 0xFF00);
    assert_int_equal(hl_dimse_write(assoc, &cancel, NULL, 0), HILUM_OK);
    uint16_t status = 0xFF00;
    while (status == 0xFF00)
        status = next(assoc, NULL).status;
    assert_int_equal(status, 0xFE00);
    bench->behaviour = ANSWER; /* and the association is in step */
    ask(assoc, HL_C_FIND_RQ, NULL, "A");
    struct hl_buf bytes = {0};
    assert_int_equal(next(assoc, &bytes).status, 0xFF00);
    hl_buf_fini(&bytes);
    assert_int_equal(next(assoc, NULL).status, 0);
    hl_ul_release(assoc);
}

static hilum_rc enough(void *arg, hilum_dataset *match)
{
    (void)match;
    ++*(unsigned *)arg;
    return HILUM_ECANCELLED;
}

/* A C-CANCEL is a wish (PS3.7 9.3.2.3): who asked must not be held by a peer that does not hear it. */
static void question__to_a_peer_that_does_not_stop_ends_all_the_same(void **state)
{
    struct bench *bench = *state;
    char address[32], host[256];
    struct hl_peer peer;
    struct hl_query_call call = {.scu = bench->scu, .peer = &peer, .wait_ms = 1000};
    unsigned heard = 0;
    uint16_t status = 1;
    hilum_dataset *keys = hl_dicom_api()->dataset_new();
    snprintf(address, sizeof address, "127.0.0.1:%u", bench->port);
    assert_int_equal(hl_query_peer(address, "HILUM", host, &peer), HILUM_OK);
    bench->behaviour = DEAF;
    int64_t start = hl_mono_ms();
    assert_int_equal(hl_query_find(&call, FIND, keys, enough, &heard, &status), HILUM_ECANCELLED);
    assert_true(hl_mono_ms() - start < 6000);
    assert_int_equal(heard, 1);
    assert_int_equal(status, 0);
    hl_dicom_api()->dataset_free(keys);
}

/* PS3.7 9.1.2.1.8: a match has an identifier. Nobody could stop a peer that sends pending answers of nothing. */
static void question__answered_by_matches_of_nothing_fails(void **state)
{
    struct bench *bench = *state;
    char address[32], host[256];
    struct hl_peer peer;
    struct hl_query_call call = {.scu = bench->scu, .peer = &peer, .wait_ms = 1000};
    unsigned heard = 0;
    hilum_dataset *keys = hl_dicom_api()->dataset_new();
    snprintf(address, sizeof address, "127.0.0.1:%u", bench->port);
    assert_int_equal(hl_query_peer(address, "HILUM", host, &peer), HILUM_OK);
    bench->behaviour = BLANK;
    assert_int_equal(hl_query_find(&call, FIND, keys, enough, &heard, NULL), HILUM_EIO);
    assert_int_equal(heard, 0);
    hl_dicom_api()->dataset_free(keys);
}

static void service__that_says_nothing_or_fails_is_answered_for(void **state)
{
    static const struct {
        enum behaviour behaviour;
        uint16_t status;
    } table[] = {{SILENT, 0x0110}, {FAIL, 0xA700}};
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, FIND);
    for (size_t i = 0; i < 2; i++) {
        bench->behaviour = table[i].behaviour;
        ask(assoc, HL_C_FIND_RQ, NULL, "*");
        struct hl_dimse response = next(assoc, NULL);
        assert_int_equal(response.status, table[i].status);
        assert_non_null(strstr(response.comment, "TEST-0001"));
    }
    hl_ul_release(assoc);
}

struct normalized {
    uint16_t command;
    const char *instance, *seen, *answered;
};

static struct hl_dimse normalized_request(const struct normalized *row)
{
    struct hl_dimse request = {.command_field = row->command,
                               .message_id = 9,
                               .context_id = 1,
                               .sop_class = PRIVATE,
                               .action_type = row->command == HL_N_ACTION_RQ ? 3 : 0,
                               .event_type = row->command == HL_N_EVENT_REPORT_RQ ? 2 : 0};
    snprintf(request.sop_instance, sizeof request.sop_instance, "%s", row->instance);
    if (row->command == HL_N_GET_RQ) {
        request.n_attributes = 2;
        request.attributes[0] = 0x00100010;
        request.attributes[1] = 0x0020000D;
    }
    return request;
}

static void check_normalized(const struct hl_dimse *request, const struct hl_dimse *response)
{
    bool is_set = request->command_field == HL_N_SET_RQ;
    assert_int_equal(response->command_field, request->command_field | HL_RSP);
    assert_int_equal(response->status, is_set ? 0x0106 : 0);
    assert_int_equal(response->error_id, is_set ? 7 : 0);
    assert_int_equal(response->n_attributes, is_set ? 2 : 0);
    assert_int_equal(response->action_type, request->action_type);
    assert_int_equal(response->event_type, request->event_type);
}

/* PS3.7 10.1: what the six services carry reaches the plugin, and its answer the requester. */
static void normalized__requests_of_a_private_class_carry_their_fields_both_ways(void **state)
{
    static const struct normalized table[] = {
        {HL_N_CREATE_RQ, "", "0140  a0 e0 n0 00000000", "1.2.3.99"},
        {HL_N_SET_RQ, "1.2.3.4", "0120 1.2.3.4 a0 e0 n0 00000000", "1.2.3.4"},
        {HL_N_ACTION_RQ, "1.2.3.4", "0130 1.2.3.4 a3 e0 n0 00000000", "1.2.3.4"},
        {HL_N_EVENT_REPORT_RQ, "1.2.3.4", "0100 1.2.3.4 a0 e2 n0 00000000", "1.2.3.4"},
        {HL_N_GET_RQ, "1.2.3.4", "0110 1.2.3.4 a0 e0 n2 0020000d", "1.2.3.4"},
        {HL_N_DELETE_RQ, "1.2.3.4", "0150 1.2.3.4 a0 e0 n0 00000000", "1.2.3.4"},
    };
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, PRIVATE);
    bench->behaviour = NORMALIZED;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct hl_dimse request = normalized_request(&table[i]);
        struct hl_buf bytes = {0};
        struct hl_dataset *data;
        char text[128];
        assert_int_equal(hl_dimse_write(assoc, &request, NULL, 0), HILUM_OK);
        struct hl_dimse response = next(assoc, &bytes);
        check_normalized(&request, &response);
        assert_string_equal(response.sop_instance, table[i].answered);
        assert_int_equal(hl_dataset_parse(bytes.data, bytes.len, EXPLICIT, &data), HILUM_OK);
        assert_string_equal(hl_dataset_text(data, "StudyDescription", text, sizeof text),
                            table[i].seen);
        hl_dataset_free(data);
        hl_buf_fini(&bytes);
    }
    hl_ul_release(assoc);
}

static void requester__that_goes_away_ends_the_service(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, FIND);
    bench->behaviour = ENDLESS;
    ask(assoc, HL_C_FIND_RQ, NULL, "*");
    (void)next(assoc, NULL);
    hl_ul_abort(assoc);
    hl_scp_stop(bench->scp, 5000); /* waits for the handler */
    hl_scp_free(bench->scp);
    assert_true(bench->rc < 0);
    struct hl_scp_parts parts = {.store = bench->store,
                                 .record = (struct hl_record *)bench->store,
                                 .scu = bench->scu,
                                 .trace = bench->trace,
                                 .plugins = (struct hl_plugins *)&bench->services};
    assert_int_equal(hl_scp_start(&parts, bench->config, &bench->scp), HILUM_OK);
}

/* Takes C-STOREs until the final C-GET response; answers each with status. */
static struct hl_dimse take(struct hl_ul_assoc *assoc, uint16_t status, unsigned cancel_after,
                            unsigned *taken)
{
    struct hl_dimse message;
    for (*taken = 0;;) {
        struct hl_buf bytes = {0};
        message = next(assoc, &bytes);
        if (message.command_field != HL_C_STORE_RQ)
            return message;
        assert_int_equal(bytes.len, 8);
        assert_memory_equal(bytes.data, "12345678", 8);
        hl_buf_fini(&bytes);
        if (++*taken == cancel_after) {
            struct hl_dimse cancel = {
                .command_field = HL_C_CANCEL_RQ, .message_id_responded = 5, .context_id = 1};
            assert_int_equal(hl_dimse_write(assoc, &cancel, NULL, 0), HILUM_OK);
        }
        struct hl_dimse response = hl_dimse_response(&message, status);
        assert_int_equal(hl_dimse_write(assoc, &response, NULL, 0), HILUM_OK);
    }
}

static void get__sends_back_over_the_same_association(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    unsigned taken;
    bench->behaviour = SEND;
    bench->n = 3;
    ask(assoc, HL_C_GET_RQ, NULL, "");
    struct hl_dimse final = take(assoc, 0, 0, &taken);
    assert_int_equal(taken, 3);
    assert_int_equal(final.status, 0);
    assert_int_equal(final.completed, 3);
    ask(assoc, HL_C_GET_RQ, NULL, "");
    final = take(assoc, 0xB000, 0, &taken);
    assert_int_equal(final.warning, 3);
    ask(assoc, HL_C_GET_RQ, NULL, "");
    final = take(assoc, 0xA700, 0, &taken);
    assert_int_equal(final.failed, 3);
    assert_string_equal(bench->failed, "1.2.3.1\\1.2.3.2\\1.2.3.3");
    hl_ul_release(assoc);
}

/* What was deleted since the service looked fails by itself, for a peer whose roles narrow it as for any other. */
static void get__of_what_is_gone_meanwhile_fails_that_object_alone(void **state)
{
    static const char *const callers[] = {"WS", "WARD"};
    struct bench *bench = *state;
    for (size_t i = 0; i < 2; i++) {
        struct hl_ul_assoc *assoc = dial_as(bench, callers[i], GET);
        unsigned taken;
        bench->behaviour = SEND;
        bench->n = 41;
        ask(assoc, HL_C_GET_RQ, NULL, "");
        struct hl_dimse final = take(assoc, 0, 0, &taken);
        assert_int_equal(bench->rc, HILUM_OK);
        assert_int_equal(taken, 40);
        assert_int_equal(final.completed, 40);
        assert_int_equal(final.failed, 1);
        hl_ul_release(assoc);
    }
}

static void get__cancel_between_sub_operations_is_seen(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    unsigned taken;
    bench->behaviour = SEND;
    bench->n = 4;
    ask(assoc, HL_C_GET_RQ, NULL, "");
    (void)take(assoc, 0, 2, &taken); /* this service does not look; the association stays in step */
    assert_int_equal(taken, 4);
    bench->behaviour = SEND_AND_STOP;
    ask(assoc, HL_C_GET_RQ, NULL, "");
    struct hl_dimse final = take(assoc, 0, 0, &taken);
    assert_int_equal(taken, 1);
    assert_int_equal(bench->rc, HILUM_ECANCELLED);
    assert_int_equal(bench->total.remaining, 3);
    assert_int_equal(final.completed, 1);
    hl_ul_release(assoc);
}

static void move__to_a_stranger_is_not_found(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    bench->behaviour = SEND;
    bench->n = 1;
    bench->destination = "STRANGER";
    ask(assoc, HL_C_GET_RQ, NULL, "");
    (void)next(assoc, NULL);
    assert_int_equal(bench->rc, HILUM_ENOTFOUND);
    hl_ul_release(assoc);
}

static void move__to_a_dead_peer_fails_every_object_in_one_attempt(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    bench->behaviour = SEND;
    bench->n = 40;
    bench->destination = "SINK";
    ask(assoc, HL_C_GET_RQ, NULL, "");
    assert_int_equal(next(assoc, NULL).failed, 40);
    assert_int_equal(bench->total.remaining, 0);
    assert_int_equal(bench->rc, HILUM_OK);
    hl_ul_release(assoc);
}

/* Counts are US (PS3.7 9.1.4.1.7): a full one must not look like few. */
static void move__of_more_objects_than_a_count_holds_stops_counting(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    bench->behaviour = SEND;
    bench->n = 65537;
    bench->destination = "SINK";
    ask(assoc, HL_C_GET_RQ, NULL, "");
    assert_int_equal(next(assoc, NULL).failed, 65535);
    hl_ul_release(assoc);
}

/* ---- rules and the audit record ---------------------------------------------------------------- */

/* What was written about the requests; ends the provider, which waits for it. */
static const char *audit(struct bench *bench)
{
    hl_scp_stop(bench->scp, 5000);
    hl_scp_free(bench->scp);
    bench->scp = NULL;
    return hl_buf_str(&bench->store->audit);
}

static void subscribe(struct bench *bench, const char *event, uint32_t phase,
                      int32_t (*run)(void *arg, hilum_event *event))
{
    struct hl_faults faults = {0};
    struct hl_hook_source source = {.hook = {.size = sizeof source.hook,
                                             .phase = phase,
                                             .event = event,
                                             .name = "test/hook",
                                             .run = run,
                                             .arg = bench,
                                             .threads = HILUM_PARALLEL}};
    assert_int_equal(hl_bus_replace(bench->bus, "rules", &source, 1, NULL, NULL, false, &faults),
                     HILUM_OK);
    hl_faults_fini(&faults);
}

static int32_t reject_jane(void *arg, hilum_event *event)
{
    struct bench *bench = arg;
    const char *name = hl_event_text(event, "PatientName");
    snprintf(bench->failed, sizeof bench->failed, "%s asks", hl_event_text(event, "calling_aet"));
    hl_event_reason(event, "VIP");
    return name && !strcmp(name, "JANE") ? HILUM_REJECT : HILUM_PASS;
}

static int32_t fail_hook(void *arg, hilum_event *event)
{
    (void)arg, (void)event;
    return HILUM_EIO;
}

static int32_t widen(void *arg, hilum_event *event)
{
    (void)arg;
    assert_int_equal(hl_event_edit(event, "QueryRetrieveLevel", "IMAGE"), HILUM_EDENIED);
    return hl_event_edit(event, "PatientName", "JANE*");
}

static int32_t pass(void *arg, hilum_event *event)
{
    (void)arg, (void)event;
    return HILUM_PASS;
}

static struct hl_dimse find_final(struct bench *bench, const char *name)
{
    struct hl_ul_assoc *assoc = dial(bench, FIND);
    struct hl_dimse response;
    bench->behaviour = ANSWER;
    ask(assoc, HL_C_FIND_RQ, NULL, name);
    do {
        struct hl_buf bytes = {0};
        response = next(assoc, &bytes);
        hl_buf_fini(&bytes);
    } while ((response.status & 0xFFFE) == 0xFF00);
    hl_ul_release(assoc);
    return response;
}

static void query__is_audited_with_who_what_and_how_many(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(find_final(bench, "JANE").status, 0);
    const char *rows = audit(bench);
    assert_non_null(strstr(rows, "unknown peer WS (127.0.0.1)|query|"));
    assert_non_null(strstr(rows, "\"PatientName\":\"JANE\""));
    assert_non_null(strstr(rows, "\"status\":\"0000\",\"answers\":1}"));
    assert_int_equal(bench->store->journal.len, 0); /* no hook waits for query.answered */
}

static void query__is_journaled_where_a_hook_waits_for_it(void **state)
{
    struct bench *bench = *state;
    subscribe(bench, "query.answered", HILUM_NOTIFY, pass);
    assert_int_equal(find_final(bench, "JANE").status, 0);
    (void)audit(bench);
    const char *rows = hl_buf_str(&bench->store->journal);
    assert_non_null(strstr(rows, "query.answered||{"));
    assert_non_null(strstr(rows, "\"calling_aet\":\"WS\""));
}

static void query__rejected_by_a_hook_is_refused_and_audited(void **state)
{
    struct bench *bench = *state;
    subscribe(bench, "query.received", HILUM_FILTER, reject_jane);
    struct hl_dimse response = find_final(bench, "JANE");
    assert_int_equal(response.status, 0x0124);
    assert_string_equal(response.comment, "TEST-0001 VIP");
    assert_string_equal(bench->failed, "WS asks");
    assert_string_equal(bench->seen, "");
    assert_int_equal(find_final(bench, "JOHN").status, 0);
    const char *rows = audit(bench);
    assert_non_null(strstr(rows, "\"status\":\"0124\",\"answers\":0}"));
    assert_non_null(strstr(rows, "\"status\":\"0000\",\"answers\":1}"));
}

static void query__whose_hook_fails_is_to_be_asked_again(void **state)
{
    struct bench *bench = *state;
    subscribe(bench, "query.received", HILUM_FILTER, fail_hook);
    assert_int_equal(find_final(bench, "JANE").status, 0xA700);
}

static void query__keys_may_be_changed_but_not_the_level(void **state)
{
    struct bench *bench = *state;
    subscribe(bench, "query.received", HILUM_TRANSFORM, widen);
    assert_int_equal(find_final(bench, "JANE").status, 0);
    assert_string_equal(bench->seen, "JANE*");
}

static void retrieve__is_audited_with_counts(void **state)
{
    struct bench *bench = *state;
    struct hl_ul_assoc *assoc = dial(bench, GET);
    unsigned taken;
    bench->behaviour = SEND;
    bench->n = 3;
    ask(assoc, HL_C_GET_RQ, NULL, "JANE");
    assert_int_equal(take(assoc, 0, 0, &taken).status, 0);
    hl_ul_release(assoc);
    assert_non_null(strstr(audit(bench), "|retrieve|"));
    assert_non_null(strstr(audit(bench), "\"completed\":3,\"failed\":0,\"warning\":0"));
}

#define exchange_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        exchange_test(answer__is_in_the_set_of_the_request_if_that_can_say_it),
        exchange_test(cancel__ends_an_endless_answer),
        exchange_test(question__to_a_peer_that_does_not_stop_ends_all_the_same),
        exchange_test(question__answered_by_matches_of_nothing_fails),
        exchange_test(service__that_says_nothing_or_fails_is_answered_for),
        exchange_test(normalized__requests_of_a_private_class_carry_their_fields_both_ways),
        exchange_test(requester__that_goes_away_ends_the_service),
        exchange_test(get__sends_back_over_the_same_association),
        exchange_test(get__of_what_is_gone_meanwhile_fails_that_object_alone),
        exchange_test(get__cancel_between_sub_operations_is_seen),
        exchange_test(move__to_a_stranger_is_not_found),
        exchange_test(move__to_a_dead_peer_fails_every_object_in_one_attempt),
        exchange_test(move__of_more_objects_than_a_count_holds_stops_counting),
        exchange_test(query__is_audited_with_who_what_and_how_many),
        exchange_test(query__is_journaled_where_a_hook_waits_for_it),
        exchange_test(query__rejected_by_a_hook_is_refused_and_audited),
        exchange_test(query__whose_hook_fails_is_to_be_asked_again),
        exchange_test(query__keys_may_be_changed_but_not_the_level),
        exchange_test(retrieve__is_audited_with_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
