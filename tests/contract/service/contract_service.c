/* What every `service` must do (hilum/service.h): one final response a request, whatever is asked and however
 * the peer behaves. The exchange is told by this file; data sets are lists of texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdlib.h>
#include <string.h>

#include "core/check/empty.h"
#include "hilum/service.h"

enum { ELEMENTS = 32 };

struct hilum_dataset {
    uint32_t tags[ELEMENTS];
    char *values[ELEMENTS];
    unsigned n;
};

struct hilum_exchange {
    struct hilum_dimse_request request;
    hilum_dataset identifier;
    unsigned n_pending, n_final;
    int has_gone; /* the peer hung up: every response fails */
};

static const struct hilum_dimse_request *request(hilum_exchange *exchange)
{
    return &exchange->request;
}

static const hilum_principal *principal(hilum_exchange *exchange)
{
    (void)exchange;
    return NULL;
}

static hilum_dataset *identifier(hilum_exchange *exchange)
{
    return exchange->request.has_dataset ? &exchange->identifier : NULL;
}

static hilum_rc responded(hilum_exchange *exchange, uint16_t status)
{
    if (exchange->has_gone)
        return HILUM_ECLOSED;
    assert_int_equal(exchange->n_final, 0); /* nothing follows the final one */
    if (status == 0xFF00 || status == 0xFF01)
        exchange->n_pending++;
    else
        exchange->n_final++;
    return HILUM_OK;
}

static hilum_rc respond(hilum_exchange *exchange, uint16_t status, hilum_dataset *data,
                        const struct hilum_suboperations *counts, const char *comment)
{
    (void)data, (void)counts, (void)comment;
    return responded(exchange, status);
}

static hilum_rc answer(hilum_exchange *exchange, const struct hilum_dimse_response *response)
{
    assert_true(response->size >= offsetof(struct hilum_dimse_response, data));
    return responded(exchange, response->status);
}

static hilum_rc cancelled(hilum_exchange *exchange)
{
    return exchange->has_gone ? HILUM_ECLOSED : 0;
}

static hilum_rc send_objects(hilum_exchange *exchange, const char *destination,
                             const int64_t *instances, uint64_t n, int64_t as_of,
                             hilum_send_cb progress, void *arg, struct hilum_suboperations *total,
                             const char **failed)
{
    (void)exchange, (void)destination, (void)instances, (void)as_of, (void)progress, (void)arg;
    total->failed = (uint32_t)n;
    *failed = "";
    return HILUM_ENOTFOUND;
}

static void offend(hilum_exchange *exchange, uint32_t tag)
{
    (void)exchange, (void)tag;
}

static hilum_dataset *dataset_new(void)
{
    return calloc(1, sizeof(hilum_dataset));
}

static void dataset_clear(hilum_dataset *data)
{
    for (unsigned i = 0; i < data->n; i++)
        free(data->values[i]);
    data->n = 0;
}

static void dataset_free(hilum_dataset *data)
{
    if (data)
        dataset_clear(data);
    free(data);
}

static const char *get_tag(hilum_dataset *data, uint32_t tag)
{
    for (unsigned i = 0; i < data->n; i++)
        if (data->tags[i] == tag)
            return data->values[i];
    return NULL;
}

static hilum_rc put_tag(hilum_dataset *data, uint32_t tag, const char *utf8)
{
    if (!utf8)
        return HILUM_OK;
    assert_true(data->n < ELEMENTS);
    data->tags[data->n] = tag;
    data->values[data->n++] = strdup(utf8);
    return HILUM_OK;
}

static const char *get(hilum_dataset *data, const char *path)
{
    return strcmp(path, "QueryRetrieveLevel") == 0 ? get_tag(data, 0x00080052) : NULL;
}

static hilum_rc put(hilum_dataset *data, const char *path, const char *utf8)
{
    return put_tag(data, strcmp(path, "QueryRetrieveLevel") == 0 ? 0x00080052 : 0x00091001, utf8);
}

static hilum_rc at(hilum_dataset *data, uint64_t i, uint32_t *tag, char vr[3])
{
    if (i >= data->n)
        return HILUM_ENOTFOUND;
    *tag = data->tags[i];
    strcpy(vr, "LO");
    return HILUM_OK;
}

static uint32_t tag_of(const char *keyword)
{
    return strcmp(keyword, "QueryRetrieveLevel") == 0 ? 0x00080052 : 0;
}

static uint64_t items(hilum_dataset *data, const char *path)
{
    (void)data, (void)path;
    return 0;
}

static const char *vr_of(uint32_t tag)
{
    (void)tag;
    return "LO";
}

static const struct hilum_dicom_api dicom = {.size = sizeof dicom,
                                             .request = request,
                                             .principal = principal,
                                             .identifier = identifier,
                                             .respond = respond,
                                             .cancelled = cancelled,
                                             .send = send_objects,
                                             .dataset_new = dataset_new,
                                             .dataset_free = dataset_free,
                                             .get = get,
                                             .put = put,
                                             .at = at,
                                             .get_tag = get_tag,
                                             .put_tag = put_tag,
                                             .tag = tag_of,
                                             .offend = offend,
                                             .answer = answer,
                                             .items = items,
                                             .vr = vr_of};

/* ---- the tests ---- */

static const uint16_t commands[] = {
    HILUM_C_GET, HILUM_C_FIND,   HILUM_C_MOVE,   HILUM_N_EVENT_REPORT, HILUM_N_GET,
    HILUM_N_SET, HILUM_N_ACTION, HILUM_N_CREATE, HILUM_N_DELETE,       0x0FFF};

static hilum_exchange exchange_of(uint16_t command, const char *sop_class, const char *level)
{
    hilum_exchange exchange = {.request = {.size = sizeof exchange.request,
                                           .command_field = command,
                                           .message_id = 7,
                                           .has_dataset = level != NULL,
                                           .sop_class = sop_class,
                                           .sop_instance = "1.2.3",
                                           .move_destination = "SOMEWHERE",
                                           .calling_aet = "PEER",
                                           .called_aet = "HILUM",
                                           .transfer_syntax = "1.2.840.10008.1.2.1"}};
    if (level && *level)
        put_tag(&exchange.identifier, 0x00080052, level);
    return exchange;
}

/* HILUM_OK means: answered in full. Without a final response it must be an error, for the host to answer. */
static void ask(struct provided *p, uint16_t command, const char *sop_class, const char *level,
                int has_gone)
{
    const struct hilum_service *t = p->table;
    hilum_exchange exchange = exchange_of(command, sop_class, level);
    exchange.has_gone = has_gone;
    hilum_rc rc = t->handle(p->self, &exchange);
    if (has_gone)
        assert_true(rc < 0);
    else
        assert_true(rc < 0 ? exchange.n_final <= 1 : exchange.n_final == 1);
    dataset_clear(&exchange.identifier);
}

static void sop_classes__are_uids(void **state)
{
    const struct hilum_service *t = ((struct provided *)*state)->table;
    assert_non_null(t->sop_classes[0]);
    for (const char *const *uid = t->sop_classes; *uid; uid++)
        assert_true(strlen(*uid) <= 64 && strspn(*uid, "0123456789.") == strlen(*uid));
}

static void handle__gives_one_final_response_to_every_command(void **state)
{
    static const char *const levels[] = {NULL, "", "STUDY", "NONSENSE"};
    struct provided *p = *state;
    const struct hilum_service *t = p->table;
    for (const char *const *uid = t->sop_classes; *uid; uid++)
        for (unsigned c = 0; c < sizeof commands / sizeof *commands; c++)
            for (unsigned l = 0; l < sizeof levels / sizeof *levels; l++)
                ask(p, commands[c], *uid, levels[l], 0);
}

static void handle__ends_with_an_error_when_the_peer_has_gone(void **state)
{
    struct provided *p = *state;
    const struct hilum_service *t = p->table;
    for (unsigned c = 0; c < sizeof commands / sizeof *commands; c++)
        ask(p, commands[c], t->sop_classes[0], "STUDY", 1);
}

static void negotiate__where_offered_stays_within_its_capacity(void **state)
{
    struct provided *p = *state;
    const struct hilum_service *t = p->table;
    uint8_t info[64], out[8];
    uint64_t n = 0;
    if (!HILUM_HAS(struct hilum_service, t->cap.size, negotiate) || !t->negotiate)
        skip();
    memset(info, 0xFF, sizeof info);
    for (uint64_t length = 0; length <= sizeof info; length++) {
        memset(out, 0xA5, sizeof out);
        n = 0;
        (void)t->negotiate(p->self, t->sop_classes[0], info, length, out, 4, &n);
        assert_true(n <= 4);
        assert_int_equal(out[4], 0xA5);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(sop_classes__are_uids),
        PROVIDED_TEST(handle__gives_one_final_response_to_every_command),
        PROVIDED_TEST(handle__ends_with_an_error_when_the_peer_has_gone),
        PROVIDED_TEST(negotiate__where_offered_stays_within_its_capacity)};
    fake_host_lend(&dicom, &hl_empty_catalog, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_SERVICE, run);
}
