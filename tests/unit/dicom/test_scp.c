/* Provider and user against each other over loopback, on a store in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/dimse.h"
#include "core/dicom/policy.h"
#include "core/dicom/scp.h"
#include "core/dicom/trace.h"
#include "core/dicom/uid.h"
#include "fake.h"

#define CT       "1.2.840.10008.5.1.4.1.1.2"
#define MR       "1.2.840.10008.5.1.4.1.1.4"
#define EXPLICIT HL_UID_EXPLICIT_LITTLE_ENDIAN
#define J2K      HL_UID_JPEG_2000_LOSSLESS
#define STRANGE  "1.3.6.1.4.1.99999.42"

struct server {
    struct hl_store *store, *origin; /* what is received; what is sent from */
    struct hl_config *config;
    struct hl_policy *policy;
    struct hl_trace *trace;
    struct hl_scp *scp;
    struct hl_scu *scu;
    uint16_t port;
};

static const char provider[] =
    "dicom = { aet = \"HILUM\"; listen = ( \"127.0.0.1:0\" ); };"
    "peers = ( { name = \"self\"; aet = \"HILUM\"; host = \"127.0.0.1\"; port = 104; },"
    "          { name = \"deaf\"; aet = \"DEAF\"; cidr = ( \"127.0.0.0/8\" ); services = ( "
    "\"echo\" ); },"
    "          { name = \"one\"; aet = \"ONE\"; cidr = ( \"127.0.0.0/8\" ); max_associations = 1; "
    "} );";

static int setup(void **state)
{
    struct server *server = calloc(1, sizeof *server);
    hl_log_set_output(-1, false);
    server->store = fake_store_new();
    server->origin = fake_store_new();
    server->config = fake_config(provider);
    assert_int_equal(hl_policy_new(server->config, &server->policy), HILUM_OK);
    assert_int_equal(hl_trace_new(&server->trace), HILUM_OK);
    assert_int_equal(
        hl_scu_new(server->origin, (struct hl_record *)server->origin, server->trace, &server->scu),
        HILUM_OK);
    assert_int_equal(hl_scu_configure(server->scu, server->config), HILUM_OK);
    struct hl_scp_parts parts = {
        .store = server->store, .scu = server->scu, .trace = server->trace};
    if (hl_scp_start(&parts, server->config, &server->scp))
        fail_msg("%s", hl_error());
    server->port = (uint16_t)atoi(strrchr(hl_scp_address(server->scp), ':') + 1);
    *state = server;
    return 0;
}

static int teardown(void **state)
{
    struct server *server = *state;
    hl_scp_stop(server->scp, 1000);
    hl_scp_free(server->scp);
    hl_scu_free(server->scu);
    hl_trace_free(server->trace);
    hl_policy_unref(server->policy);
    hl_config_unref(server->config);
    fake_store_free(server->store);
    fake_store_free(server->origin);
    free(server);
    return 0;
}

/* The configured peer with the port that was free. */
static struct hl_peer peer_of(const struct server *server, const char *name)
{
    struct hl_peer peer = *hl_peers_by_name(server->policy->peers, name);
    peer.host = "127.0.0.1";
    peer.port = server->port;
    return peer;
}

/* ---- a client by hand ------------------------------------------------------------------------- */

static hilum_rc dial(const struct server *server, const char *calling, const char *called,
                     const char *sop_class, struct hl_ul_assoc **out)
{
    char syntaxes[1][HL_UID_MAX] = {EXPLICIT};
    struct hl_ul_context context = {
        .id = 1, .transfer_syntaxes = syntaxes, .n_transfer_syntaxes = 1};
    struct hl_ul_params propose = {.contexts = &context, .n_contexts = 1};
    snprintf(context.abstract_syntax, HL_UID_MAX, "%s", sop_class);
    snprintf(propose.calling_aet, HL_AE_MAX, "%s", calling);
    snprintf(propose.called_aet, HL_AE_MAX, "%s", called);
    struct hl_ul_connect how = {.host = "127.0.0.1",
                                .port = server->port,
                                .propose = &propose,
                                .connect_ms = 5000,
                                .negotiate_ms = 5000,
                                .pdu_ms = 5000,
                                .write_ms = 5000};
    return hl_ul_open(&how, out);
}

static struct hl_dimse store_request(const char *sop_class, const char *sop_instance)
{
    struct hl_dimse request = {.command_field = HL_C_STORE_RQ, .message_id = 1, .context_id = 1};
    snprintf(request.sop_class, sizeof request.sop_class, "%s", sop_class);
    snprintf(request.sop_instance, sizeof request.sop_instance, "%s", sop_instance);
    return request;
}

static struct hl_dimse ask(struct hl_ul_assoc *assoc, const struct hl_dimse *request,
                           const void *data, size_t n)
{
    struct hl_dimse response = {0};
    assert_int_equal(hl_dimse_write(assoc, request, data, n), HILUM_OK);
    if (hl_dimse_read(assoc, &response))
        fail_msg("%s", hl_error());
    assert_int_equal(response.command_field, request->command_field | HL_RSP);
    assert_int_equal(response.message_id_responded, request->message_id);
    return response;
}

/* Waits for what the closing of an association does on the server. */
static void await_trace(struct server *server, const char *text)
{
    for (int i = 0; i < 500; i++) {
        struct hl_buf json = {0};
        hl_trace_json(server->trace, NULL, &json);
        bool is_there = strstr(hl_buf_str(&json), text) != NULL;
        if (i == 499 && !is_there)
            fail_msg("no \"%s\" in %s", text, hl_buf_str(&json));
        hl_buf_fini(&json);
        if (is_there)
            return;
        struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
    }
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void echo__is_answered(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    int64_t ms = -1;
    if (hl_scu_echo(server->scu, &self, &ms))
        fail_msg("%s", hl_error());
    assert_in_range(ms, 0, 5000);
    await_trace(server, "\"ended\":\"released\",\"messages\":1");
}

static void store__keeps_the_bytes_and_answers_success(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    enum { SIZE = 300001 };
    uint8_t *data = test_malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    for (int i = 0; i < 3; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.2.3.%d", i);
        struct hl_dimse request = store_request(CT, uid);
        request.message_id = (uint16_t)(i + 10);
        struct hl_dimse response = ask(assoc, &request, data, SIZE);
        assert_int_equal(response.status, 0);
        assert_string_equal(response.sop_instance, uid);
        const struct fake_object *object = fake_store_find(server->store, uid);
        assert_non_null(object);
        assert_int_equal(object->bytes.len, SIZE);
        assert_memory_equal(object->bytes.data, data, SIZE);
        assert_string_equal(object->transfer_syntax, EXPLICIT);
    }
    hl_ul_release(assoc);
    test_free(data);
}

static void store__refused_by_the_pipeline_is_answered_with_its_status_and_goes_on(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse request = store_request(CT, "1.2.3");
    char data[100000] = "";
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    server->store->refuse_begin = 0xA700;
    struct hl_dimse response = ask(assoc, &request, data, sizeof data);
    assert_int_equal(response.status, 0xA700);
    assert_string_equal(response.comment, "refused by the test");
    server->store->refuse_begin = 0;
    server->store->refuse_end = 0xC000;
    response = ask(assoc, &request, data, sizeof data);
    assert_int_equal(response.status, 0xC000);
    assert_int_equal(response.offending[0], 0x0020000D);
    server->store->refuse_end = 0;
    assert_int_equal(ask(assoc, &request, data, sizeof data).status, 0);
    hl_ul_release(assoc);
}

static void store__cut_in_the_middle_leaves_nothing(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse request = store_request(CT, "1.2.3");
    request.has_dataset = true;
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(hl_dimse_write(assoc, &request, NULL, 0), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 1, false, "1234", 4, false), HILUM_OK);
    hl_ul_abort(assoc);
    await_trace(server, "\"messages\":1");
    assert_int_equal(server->store->n, 0);
    assert_int_equal(server->store->aborted, 1);
}

static void store__of_another_class_than_the_context_is_refused(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse request = store_request(MR, "1.2.3");
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(ask(assoc, &request, "1234", 4).status, 0x0122);
    hl_ul_release(assoc);
}

static void store__without_data_set_is_refused(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse request = store_request(CT, "1.2.3");
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(ask(assoc, &request, NULL, 0).status, 0xC000);
    hl_ul_release(assoc);
}

static void message__unknown_command_on_storage_is_answered_0122(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse request = {.command_field = HL_N_GET_RQ,
                               .message_id = 4,
                               .context_id = 1,
                               .sop_class = CT,
                               .sop_instance = "1.2"};
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(ask(assoc, &request, NULL, 0).status, 0x0122);
    hl_ul_release(assoc);
}

static void message__stray_cancel_is_ignored(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse cancel = {
        .command_field = HL_C_CANCEL_RQ, .message_id_responded = 1, .context_id = 1};
    struct hl_dimse request = store_request(CT, "1.2.3");
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(hl_dimse_write(assoc, &cancel, NULL, 0), HILUM_OK);
    assert_int_equal(ask(assoc, &request, "1234", 4).status, 0);
    hl_ul_release(assoc);
}

static void message__response_to_nothing_ends_the_association(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    struct hl_dimse response = {
        .command_field = HL_C_ECHO_RQ | HL_RSP, .message_id_responded = 1, .context_id = 1};
    assert_int_equal(dial(server, "HILUM", "HILUM", CT, &assoc), HILUM_OK);
    assert_int_equal(hl_dimse_write(assoc, &response, NULL, 0), HILUM_OK);
    assert_int_not_equal(hl_dimse_read(assoc, &response), HILUM_OK);
    hl_ul_abort(assoc);
}

static void association__of_strangers_is_rejected_and_remembered(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    assert_int_equal(dial(server, "NOBODY", "HILUM", CT, &assoc), HILUM_EDENIED);
    assert_int_equal(dial(server, "HILUM", "ELSE", CT, &assoc), HILUM_EDENIED);
    struct hl_buf json = {0};
    hl_trace_json(server->trace, "NOBODY", &json);
    assert_non_null(strstr(hl_buf_str(&json), "\"code\":\"1/1/3\""));
    hl_buf_clear(&json);
    hl_trace_json(server->trace, "HILUM", &json);
    assert_non_null(strstr(hl_buf_str(&json), "\"code\":\"1/1/7\""));
    hl_buf_fini(&json);
}

static void association__beyond_the_limit_of_the_peer_is_rejected_until_one_ends(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *first, *second;
    assert_int_equal(dial(server, "ONE", "HILUM", CT, &first), HILUM_OK);
    assert_int_equal(dial(server, "ONE", "HILUM", CT, &second), HILUM_EDENIED);
    hl_ul_release(first);
    await_trace(server, "\"ended\":\"released\"");
    hilum_rc rc = HILUM_EDENIED; /* it is counted out just after the trace */
    for (int i = 0; i < 100 && rc; i++)
        rc = dial(server, "ONE", "HILUM", CT, &second);
    assert_int_equal(rc, HILUM_OK);
    hl_ul_release(second);
}

static void context__not_granted_says_why_in_the_trace(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *assoc;
    hilum_rc rc = dial(server, "DEAF", "HILUM", CT, &assoc);
    if (rc == HILUM_OK) {
        assert_int_equal(hl_ul_params(assoc)->contexts[0].result, HL_UL_USER_REJECTION);
        hl_ul_release(assoc);
    }
    await_trace(server, "\"result\":1,\"why\":\"");
}

/* ---- sending ---------------------------------------------------------------------------------- */

static void fill_origin(struct server *server)
{
    static char bytes[200000];
    memset(bytes, 'x', sizeof bytes);
    (void)fake_store_add(server->origin, CT, "1.1", EXPLICIT, bytes, sizeof bytes);
    (void)fake_store_add(server->origin, CT, "1.2", J2K, bytes, 7);
    (void)fake_store_add(server->origin, MR, "1.3", STRANGE, bytes, 12345);
    server->origin->piece = 5000;
}

static void send__objects_arrive_bit_for_bit_in_the_syntax_they_are_stored_in(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    fill_origin(server);
    struct hl_send_item items[] = {{.instance_id = 1}, {.instance_id = 2}, {.instance_id = 3}};
    assert_int_equal(hl_scu_store(server->scu, &self, items, 3, NULL), HILUM_OK);
    for (size_t i = 0; i < 3; i++) {
        const struct fake_object *sent = &server->origin->objects[i];
        const struct fake_object *got = fake_store_find(server->store, sent->sop_instance);
        assert_int_equal(items[i].rc, HILUM_OK);
        assert_non_null(got);
        assert_string_equal(got->transfer_syntax, sent->transfer_syntax);
        assert_int_equal(got->bytes.len, sent->bytes.len);
        assert_memory_equal(got->bytes.data, sent->bytes.data, sent->bytes.len);
    }
}

static unsigned long long accepted(struct server *server)
{
    struct hl_buf json = {0};
    unsigned long long n = 0;
    hl_scp_status(server->scp, &json);
    const char *at = strstr(hl_buf_str(&json), "\"accepted\":");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"accepted\":%llu", &n), 1);
    hl_buf_fini(&json);
    return n;
}

static void send__reuses_a_kept_association_that_has_the_contexts(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    fill_origin(server);
    struct hl_send_item item = {.instance_id = 1}, other = {.instance_id = 3};
    assert_int_equal(hl_scu_store(server->scu, &self, &item, 1, NULL), HILUM_OK);
    assert_int_equal(hl_scu_store(server->scu, &self, &item, 1, NULL), HILUM_OK);
    assert_int_equal(accepted(server), 1);
    assert_int_equal(hl_scu_store(server->scu, &self, &other, 1, NULL), HILUM_OK);
    assert_int_equal(accepted(server), 2);
    /* another configuration: what was kept is not used any more */
    assert_int_equal(hl_scu_configure(server->scu, server->config), HILUM_OK);
    assert_int_equal(hl_scu_store(server->scu, &self, &item, 1, NULL), HILUM_OK);
    assert_int_equal(accepted(server), 3);
    assert_int_equal(item.rc, HILUM_OK);
}

static void send__what_the_peer_refuses_is_said_of_that_object_only(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    fill_origin(server);
    (void)fake_store_add(server->origin, "1.2.3.4.5.6", "1.4", EXPLICIT, "1", 1);
    struct hl_send_item items[] = {{.instance_id = 4}, {.instance_id = 99}, {.instance_id = 1}};
    assert_int_equal(hl_scu_store(server->scu, &self, items, 3, NULL), HILUM_OK);
    assert_int_equal(items[0].rc, HILUM_EUNSUP);
    assert_non_null(strstr(items[0].detail, "1.2.3.4.5.6"));
    assert_int_equal(items[1].rc, HILUM_ENOTFOUND);
    assert_int_equal(items[2].rc, HILUM_OK);
    server->store->refuse_begin = 0xA700;
    assert_int_equal(hl_scu_store(server->scu, &self, items + 2, 1, NULL), HILUM_OK);
    assert_int_equal(items[2].status, 0xA700);
    assert_int_equal(items[2].rc, HILUM_EFULL);
}

static void send__more_than_128_contexts_take_several_associations(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    enum { N = 300 };
    struct hl_send_item *items = test_calloc(N, sizeof *items);
    for (int i = 0; i < N; i++) {
        char uid[32], syntax[32];
        snprintf(uid, sizeof uid, "1.5.%d", i);
        snprintf(syntax, sizeof syntax, "1.6.%d", i);
        items[i].instance_id = fake_store_add(server->origin, CT, uid, syntax, "1234", 4);
    }
    assert_int_equal(hl_scu_store(server->scu, &self, items, N, NULL), HILUM_OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(items[i].rc, HILUM_OK);
    assert_int_equal(server->store->n, N);
    assert_int_equal(accepted(server), 3);
    test_free(items);
}

static hilum_rc stop_after_two(void *arg, const struct hl_send_item *item)
{
    (void)item;
    return ++*(unsigned *)arg == 2 ? HILUM_ECANCELLED : HILUM_OK;
}

static void send__stops_when_progress_says_so(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    unsigned calls = 0;
    struct hl_send_options options = {.progress = stop_after_two, .arg = &calls};
    fill_origin(server);
    struct hl_send_item items[] = {{.instance_id = 1}, {.instance_id = 2}, {.instance_id = 3}};
    assert_int_equal(hl_scu_store(server->scu, &self, items, 3, &options), HILUM_OK);
    assert_int_equal(calls, 2);
    assert_int_equal(items[1].rc, HILUM_OK);
    assert_int_equal(items[2].rc, HILUM_ECANCELLED);
    assert_int_equal(server->store->n, 2);
}

struct tally {
    unsigned ends, idle;
    unsigned stop_at;
};

static hilum_rc tally_end(void *arg, const struct hl_send_item *item)
{
    struct tally *tally = arg;
    *(item ? &tally->ends : &tally->idle) += 1;
    return tally->stop_at && tally->ends >= tally->stop_at ? HILUM_ECANCELLED : HILUM_OK;
}

enum { MANY = 500 };

static struct hl_send_item *many_items(struct server *server)
{
    struct hl_send_item *items = test_calloc(MANY, sizeof *items);
    for (int i = 0; i < MANY; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.7.%d", i);
        items[i].instance_id = fake_store_add(server->origin, CT, uid, EXPLICIT, "12345678", 8);
    }
    return items;
}

static void send__over_several_associations_sends_every_object_once(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    struct hl_send_item *items = many_items(server);
    struct tally tally = {0};
    struct hl_send_options options = {.connections = 4, .progress = tally_end, .arg = &tally};
    assert_int_equal(hl_scu_store(server->scu, &self, items, MANY, &options), HILUM_OK);
    assert_int_equal(tally.ends, MANY);
    assert_int_equal(server->store->n, MANY);
    for (int i = 0; i < MANY; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.7.%d", i);
        assert_int_equal(items[i].rc, HILUM_OK);
        assert_non_null(fake_store_find(server->store, uid));
    }
    test_free(items);
}

static void send__over_several_associations_stops_when_progress_says_so(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    struct hl_send_item *items = many_items(server);
    struct tally tally = {.stop_at = 5};
    struct hl_send_options options = {.connections = 4, .progress = tally_end, .arg = &tally};
    assert_int_equal(hl_scu_store(server->scu, &self, items, MANY, &options), HILUM_OK);
    size_t sent = 0;
    for (int i = 0; i < MANY; i++) {
        assert_true(items[i].rc == HILUM_OK || items[i].rc == HILUM_ECANCELLED);
        sent += items[i].rc == HILUM_OK;
    }
    assert_int_equal(sent, server->store->n);
    assert_in_range(sent, 5, MANY - 1);
    test_free(items);
}

/* A receiver of one association at a time: the others are refused, and nobody minds. */
static void send__over_several_associations_needs_only_one(void **state)
{
    struct server *server = *state;
    struct hl_peer one = peer_of(server, "self");
    struct hl_send_item *items = many_items(server);
    struct hl_send_options options = {.connections = 4};
    one.own_aet = "ONE";
    assert_int_equal(hl_scu_store(server->scu, &one, items, MANY, &options), HILUM_OK);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(items[i].rc, HILUM_OK);
    assert_int_equal(server->store->n, MANY);
    test_free(items);
}

static void send__to_nobody_fails_and_says_so_of_every_object(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    fill_origin(server);
    self.aet = "WRONG";
    struct hl_send_item items[] = {{.instance_id = 1}, {.instance_id = 2}};
    assert_int_equal(hl_scu_store(server->scu, &self, items, 2, NULL), HILUM_EDENIED);
    assert_int_equal(items[0].rc, HILUM_EDENIED);
    assert_int_equal(items[1].rc, HILUM_EDENIED);
    assert_true(items[1].detail[0] != 0);
}

/* ---- files of plugins ------------------------------------------------------------------------- */

static void add_meta(struct hl_buf *file, uint16_t element, const char *vr, const char *uid)
{
    size_t n = strlen(uid) + strlen(uid) % 2;
    uint8_t head[8] = {2, 0, (uint8_t)element, 0, (uint8_t)vr[0], (uint8_t)vr[1], (uint8_t)n, 0};
    head[3] = (uint8_t)(element >> 8);
    hl_buf_add(file, head, sizeof head);
    hl_buf_add(file, uid, strlen(uid));
    if (strlen(uid) % 2)
        hl_buf_byte(file, 0);
}

/* Part 10 with the smallest meta information that says what it is. */
static void make_file(struct hl_buf *file, const char *sop_class, const char *sop_instance,
                      const char *syntax, const char *dataset)
{
    struct hl_buf meta = {0};
    uint8_t length[12] = {2, 0, 0, 0, 'U', 'L', 4, 0};
    add_meta(&meta, 0x0002, "UI", sop_class);
    add_meta(&meta, 0x0003, "UI", sop_instance);
    add_meta(&meta, 0x0010, "UI", syntax);
    length[8] = (uint8_t)meta.len;
    hl_buf_clear(file);
    for (int i = 0; i < 128; i++)
        hl_buf_byte(file, 0);
    hl_buf_text(file, "DICM");
    hl_buf_add(file, length, sizeof length);
    hl_buf_add(file, meta.data, meta.len);
    hl_buf_add(file, dataset, 10);
    hl_buf_fini(&meta);
}

struct files {
    struct hl_buf bytes;
    unsigned n;
};

#define DATASET "\x08\0\x60\0CS\2\0CT"

static hilum_rc next_file(void *arg, const void **part10, uint64_t *n)
{
    static const struct {
        const char *sop_class, *syntax;
    } table[] = {
        {CT, EXPLICIT}, {CT, EXPLICIT}, {MR, J2K}, {CT, EXPLICIT}, {"1.2.3.4.5.6", EXPLICIT}};
    struct files *files = arg;
    char uid[32];
    snprintf(uid, sizeof uid, "1.8.%u", files->n);
    if (files->n == sizeof table / sizeof table[0])
        return 0;
    make_file(&files->bytes, table[files->n].sop_class, uid, table[files->n].syntax, DATASET);
    files->n++;
    *part10 = files->bytes.data;
    *n = files->bytes.len;
    return 1;
}

static void send_files__each_in_its_context_until_one_is_refused(void **state)
{
    struct server *server = *state;
    struct files files = {0};
    uint64_t stored = 0;
    hilum_rc rc = hl_scu_store_part10(
        server->scu, &(struct hl_scu_target){hl_scp_address(server->scp), "HILUM", NULL}, next_file,
        &files, &stored);
    assert_int_equal(rc, HILUM_EUNSUP);
    assert_non_null(strstr(hl_error(), "1.2.3.4.5.6"));
    assert_int_equal(stored, 4);
    assert_int_equal(server->store->n, 4);
    const struct fake_object *object = fake_store_find(server->store, "1.8.2");
    assert_string_equal(object->transfer_syntax, J2K);
    assert_int_equal(object->bytes.len, 10);
    assert_memory_equal(object->bytes.data, DATASET, 10);
    hl_buf_fini(&files.bytes);
}

static void send_files__to_no_address_is_refused(void **state)
{
    static const char *const table[] = {"",           "host",    "host:", "host:0",
                                        "host:99999", "host:1x", ":1"};
    struct server *server = *state;
    struct files files = {0};
    uint64_t stored = 1;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(hl_scu_store_part10(server->scu,
                                             &(struct hl_scu_target){table[i], "HILUM", NULL},
                                             next_file, &files, &stored),
                         HILUM_EINVAL);
        assert_int_equal(stored, 0);
    }
    assert_int_equal(files.n, 0);
}

/* ---- reload and trace ------------------------------------------------------------------------- */

static void reload__new_peers_count_from_the_next_association_on(void **state)
{
    struct server *server = *state;
    struct hl_ul_assoc *before, *after;
    struct hl_buf notes = {0};
    struct hl_dimse request = store_request(CT, "1.2.3");
    assert_int_equal(dial(server, "ONE", "HILUM", CT, &before), HILUM_OK);
    struct hl_config *config =
        fake_config("dicom = { aet = \"HILUM\"; listen = ( \"127.0.0.1:0\" ); };"
                    "peers = ( { name = \"new\"; aet = \"NEW\"; cidr = ( \"127.0.0.0/8\" ); } );");
    assert_int_equal(hl_scp_reload(server->scp, config, &notes), HILUM_OK);
    assert_int_equal(notes.len, 0);
    assert_int_equal(dial(server, "ONE", "HILUM", CT, &after), HILUM_EDENIED);
    assert_int_equal(dial(server, "NEW", "HILUM", CT, &after), HILUM_OK);
    assert_int_equal(ask(before, &request, "1234", 4).status, 0); /* keeps what it began with */
    hl_ul_release(before);
    hl_ul_release(after);
    hl_config_unref(config);
}

static void reload__other_listeners_are_said_to_need_a_restart(void **state)
{
    struct server *server = *state;
    struct hl_buf notes = {0};
    struct hl_config *config =
        fake_config("dicom = { aet = \"HILUM\"; listen = ( \"127.0.0.1:11113\" ); };");
    assert_int_equal(hl_scp_reload(server->scp, config, &notes), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&notes), "dicom.listen"));
    /* Still so the next time, whatever is in force by now; and all else is applied. */
    hl_buf_clear(&notes);
    assert_int_equal(hl_scp_reload(server->scp, config, &notes), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&notes), "dicom.listen"));
    hl_buf_fini(&notes);
    hl_config_unref(config);
}

static void trace__keeps_the_last_of_each_peer(void **state)
{
    struct server *server = *state;
    struct hl_buf json = {0};
    struct hl_ul_assoc *assoc;
    unsigned n = 0;
    for (int i = 0; i < 30; i++) /* dicom.trace is 20 */
        assert_int_equal(dial(server, "NOBODY", "HILUM", CT, &assoc), HILUM_EDENIED);
    assert_int_equal(dial(server, "OTHER", "HILUM", CT, &assoc), HILUM_EDENIED);
    hl_trace_json(server->trace, "NOBODY", &json);
    for (const char *at = hl_buf_str(&json); (at = strstr(at, "\"code\"")); at++)
        n++;
    assert_int_equal(n, 20);
    hl_buf_clear(&json);
    hl_trace_json(server->trace, "127.0.0.1", &json);
    assert_non_null(strstr(hl_buf_str(&json), "\"OTHER\""));
    hl_buf_clear(&json);
    hl_trace_json(server->trace, "nowhere", &json);
    assert_string_equal(hl_buf_str(&json), "[]");
    hl_buf_fini(&json);
}

/* The newest association with a peer as the trace tells it, in a buffer of the caller's. */
static const char *newest(struct server *server, const char *peer, struct hl_buf *json)
{
    hl_buf_clear(json);
    hl_trace_json(server->trace, peer, json);
    char *second = strstr((char *)hl_buf_str(json), ",{\"time\"");
    if (second)
        *second = 0;
    return hl_buf_str(json);
}

static void has_all(const char *text, const char *const *parts)
{
    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("no %s in %s", *parts, text);
}

static void trace__of_what_we_request_has_each_context_and_its_end(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self");
    struct hl_buf json = {0};
    fill_origin(server);
    (void)fake_store_add(server->origin, "1.2.3.4.5.6", "1.4", EXPLICIT, "1", 1);
    struct hl_send_item items[] = {{.instance_id = 4}, {.instance_id = 1}};
    assert_int_equal(hl_scu_store(server->scu, &self, items, 2, NULL), HILUM_OK);
    has_all(newest(server, "self", &json),
            (const char *[]){"\"result\":\"accepted\"", "\"direction\":\"out\"", "\"tls\":false",
                             "\"peer\":\"self\"", "\"called_aet\":\"HILUM\"",
                             "\"proposed\":[\"" EXPLICIT "\"",
                             "\"result\":0,\"accepted\":\"" EXPLICIT "\"",
                             "\"result\":3,\"why\":\"the peer does not support the SOP class",
                             "\"open\":true", NULL});
    assert_int_equal(hl_scu_configure(server->scu, server->config),
                     HILUM_OK); /* ends what is kept */
    for (int i = 0; i < 500 && strstr(newest(server, "self", &json), "\"open\""); i++)
        usleep(10 * 1000);
    assert_non_null(strstr(newest(server, "self", &json), "\"ended\":\"released\",\"messages\":1"));
    hl_buf_fini(&json);
}

static void trace__of_what_we_request_says_why_it_did_not_come_about(void **state)
{
    struct server *server = *state;
    struct hl_peer self = peer_of(server, "self"), other = self;
    struct hl_buf json = {0};
    other.aet = "ELSE"; /* nobody's title here */
    assert_int_equal(hl_scu_echo(server->scu, &other, NULL), HILUM_EDENIED);
    has_all(newest(server, "ELSE", &json),
            (const char *[]){"\"result\":\"rejected\"", "\"direction\":\"out\"",
                             "\"code\":\"1/1/7\"", "called AE title not recognized",
                             "\"address\":\"127.0.0.1\"",
                             "\"sop_class\":\"" HL_UID_VERIFICATION "\"", NULL});
    assert_null(strstr(hl_buf_str(&json), "\"open\""));
    hl_scp_stop(server->scp, 1000);
    hl_scp_free(server->scp);
    server->scp = NULL;
    assert_true(hl_scu_echo(server->scu, &self, NULL) < 0);
    has_all(
        newest(server, "self", &json),
        (const char *[]){"\"result\":\"failed\"", "Connection refused", "\"contexts\":[{", NULL});
    assert_null(strstr(hl_buf_str(&json), "\"accepted\""));
    hl_buf_fini(&json);
}

#define scp_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scp_test(echo__is_answered),
        scp_test(store__keeps_the_bytes_and_answers_success),
        scp_test(store__refused_by_the_pipeline_is_answered_with_its_status_and_goes_on),
        scp_test(store__cut_in_the_middle_leaves_nothing),
        scp_test(store__of_another_class_than_the_context_is_refused),
        scp_test(store__without_data_set_is_refused),
        scp_test(message__unknown_command_on_storage_is_answered_0122),
        scp_test(message__stray_cancel_is_ignored),
        scp_test(message__response_to_nothing_ends_the_association),
        scp_test(association__of_strangers_is_rejected_and_remembered),
        scp_test(association__beyond_the_limit_of_the_peer_is_rejected_until_one_ends),
        scp_test(context__not_granted_says_why_in_the_trace),
        scp_test(send__objects_arrive_bit_for_bit_in_the_syntax_they_are_stored_in),
        scp_test(send__reuses_a_kept_association_that_has_the_contexts),
        scp_test(send__what_the_peer_refuses_is_said_of_that_object_only),
        scp_test(send__more_than_128_contexts_take_several_associations),
        scp_test(send__stops_when_progress_says_so),
        scp_test(send__over_several_associations_sends_every_object_once),
        scp_test(send__over_several_associations_stops_when_progress_says_so),
        scp_test(send__over_several_associations_needs_only_one),
        scp_test(send_files__each_in_its_context_until_one_is_refused),
        scp_test(send_files__to_no_address_is_refused),
        scp_test(reload__new_peers_count_from_the_next_association_on),
        scp_test(reload__other_listeners_are_said_to_need_a_restart),
        scp_test(trace__keeps_the_last_of_each_peer),
        scp_test(trace__of_what_we_request_has_each_context_and_its_end),
        scp_test(trace__of_what_we_request_says_why_it_did_not_come_about),
        scp_test(send__to_nobody_fails_and_says_so_of_every_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
