/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"
#include "core/base/clock.h"
#include "core/base/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

const struct hl_ul_limits kit_limits = {.max_associations = 600,
                                        .max_connecting = 400,
                                        .negotiate_ms = 300,
                                        .pdu_ms = 300,
                                        .idle_ms = 600,
                                        .write_ms = 300};

int64_t kit_now_ms(void)
{
    return hl_mono_ms();
}

/* ---- the least of DIMSE -----------------------------------------------------------------------
 */

enum { ECHO_RQ = 0x0030, NO_DATA_SET = 0x0101, MAX_COMMAND = 1024 };

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The value of (0000,element) in an implicit little endian command set. */
static const uint8_t *element(const uint8_t *set, size_t n, unsigned number, uint32_t *length)
{
    for (size_t at = 0; at + 8 <= n; at += 8 + *length) {
        *length = le32(set + at + 4);
        if (*length > n - at - 8)
            return NULL;
        if (set[at + 2] == (number & 0xff) && set[at + 3] == number >> 8)
            return set + at + 8;
    }
    return NULL;
}

static unsigned element_us(const uint8_t *set, size_t n, unsigned number)
{
    uint32_t length;
    const uint8_t *value = element(set, n, number, &length);
    return value && length == 2 ? (unsigned)(value[0] | value[1] << 8) : 0;
}

static void put_element(struct hl_buf *out, unsigned number, const void *value, uint32_t n)
{
    uint8_t head[8] = {0, 0, (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)n, (uint8_t)(n >> 8),
                       0, 0};
    hl_buf_add(out, head, sizeof head);
    hl_buf_add(out, value, n);
}

static void put_us(struct hl_buf *out, unsigned number, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    put_element(out, number, bytes, 2);
}

static void put_copy(struct hl_buf *out, unsigned number, const uint8_t *set, size_t n)
{
    uint32_t length = 0;
    const uint8_t *value = element(set, n, number, &length);
    if (value)
        put_element(out, number, value, length);
}

static hilum_rc answer(struct hl_ul_assoc *assoc, uint8_t id, const uint8_t *set, size_t n)
{
    struct hl_buf body = {0}, whole = {0};
    put_copy(&body, 0x0002, set, n);
    put_us(&body, 0x0100, element_us(set, n, 0x0100) | 0x8000);
    put_us(&body, 0x0120, element_us(set, n, 0x0110));
    put_us(&body, 0x0800, NO_DATA_SET);
    put_us(&body, 0x0900, 0);
    put_copy(&body, 0x1000, set, n);
    uint8_t group_length[4] = {(uint8_t)body.len, (uint8_t)(body.len >> 8), 0, 0};
    put_element(&whole, 0, group_length, 4);
    hl_buf_add(&whole, body.data, body.len);
    hilum_rc rc = hl_ul_write(assoc, id, true, whole.data, whole.len, true);
    hl_buf_fini(&body);
    hl_buf_fini(&whole);
    return rc;
}

static hilum_rc read_part(struct hl_ul_assoc *assoc, bool is_command, uint8_t *set, size_t *n,
                          uint8_t *id)
{
    struct hl_ul_pdv pdv;
    *n = 0;
    do {
        hilum_rc rc = hl_ul_read(assoc, &pdv);
        if (rc)
            return rc;
        if (pdv.is_command != is_command || (set && *n + pdv.length > MAX_COMMAND))
            return hl_fail(HILUM_EINVAL, "kit: unexpected part of a message");
        if (set && pdv.length)
            memcpy(set + *n, pdv.data, pdv.length);
        *n += pdv.length;
        *id = pdv.context_id;
    } while (!pdv.is_last);
    return HILUM_OK;
}

static hilum_rc flood(struct hl_ul_assoc *assoc, uint8_t id, size_t n)
{
    void *zeros = calloc(1, n);
    hilum_rc rc = hl_ul_write(assoc, id, false, zeros, n, true);
    free(zeros);
    return rc;
}

static hilum_rc kit_message(void *ctx, struct hl_ul_assoc *assoc, void *user)
{
    struct kit *kit = ctx;
    uint8_t set[MAX_COMMAND], id;
    size_t n, data = 0;
    (void)user;
    hilum_rc rc = read_part(assoc, true, set, &n, &id);
    if (rc == HILUM_OK && element_us(set, n, 0x0800) != NO_DATA_SET)
        rc = read_part(assoc, false, NULL, &data, &id);
    if (rc)
        return rc;
    pthread_mutex_lock(&kit->lock);
    kit->begun++;
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
    if (kit->hold_ms)
        nanosleep(&(struct timespec){kit->hold_ms / 1000, kit->hold_ms % 1000 * 1000000L}, NULL);
    pthread_mutex_lock(&kit->lock);
    kit->messages++;
    kit->bytes += data;
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
    return kit->flood ? flood(assoc, id, kit->flood) : answer(assoc, id, set, n);
}

/* ---- the handler ------------------------------------------------------------------------------
 */

static void kit_negotiate(void *ctx, struct hl_ul_assoc *assoc, struct hl_ul_params *params,
                          struct hl_ul_reject *reject, void **user)
{
    struct kit *kit = ctx;
    (void)assoc;
    (void)user;
    for (size_t i = 0; i < params->n_contexts; i++) {
        params->contexts[i].result = HL_UL_ACCEPTED;
        snprintf(params->contexts[i].transfer_syntax, HL_UID_MAX, "%s",
                 params->contexts[i].transfer_syntaxes[0]);
    }
    pthread_mutex_lock(&kit->lock);
    kit->negotiated++;
    *reject = kit->reject;
    memcpy(kit->subject, params->certificate_subject, sizeof kit->subject);
    memcpy(kit->sha256, params->certificate_sha256, sizeof kit->sha256);
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
}

static void note_end(struct kit *kit, unsigned *counter, const char *why)
{
    pthread_mutex_lock(&kit->lock);
    (*counter)++;
    if (kit->n_whys < KIT_WHYS)
        snprintf(kit->whys[kit->n_whys++], sizeof kit->whys[0], "%s", why);
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_closed(void *ctx, struct hl_ul_assoc *assoc, void *user, const char *why)
{
    struct kit *kit = ctx;
    (void)assoc;
    (void)user;
    note_end(kit, &kit->closed, why);
}

static void kit_refused(void *ctx, const char *address, const char *why)
{
    struct kit *kit = ctx;
    (void)address;
    note_end(kit, &kit->refused, why);
}

static void start(struct kit *kit, const struct hl_ul_listen *listen, size_t n,
                  const struct hl_ul_limits *limits)
{
    const struct hl_ul_handler handler = {kit_negotiate, kit_message, kit_closed, kit_refused, kit};
    uint16_t ports[2] = {0};
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->changed, NULL);
    if (hl_ul_server_start(listen, n, limits, &handler, ports, &kit->server))
        fail_msg("%s", hl_error());
    kit->port = ports[0];
    kit->tls_port = ports[1];
}

void kit_start(struct kit *kit, const char *address, const struct hl_ul_limits *limits,
               struct hl_ul_tls *tls)
{
    start(kit, &(struct hl_ul_listen){address, tls}, 1, limits);
}

void kit_start_both(struct kit *kit, const struct hl_ul_limits *limits, struct hl_ul_tls *tls)
{
    const struct hl_ul_listen listen[] = {{"127.0.0.1:0", NULL}, {"127.0.0.1:0", tls}};
    start(kit, listen, 2, limits);
}

void kit_stop(struct kit *kit)
{
    hl_ul_server_stop(kit->server, 100);
    pthread_cond_destroy(&kit->changed);
    pthread_mutex_destroy(&kit->lock);
}

bool kit_await_ends(struct kit *kit, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60; /* an end that does not come; a busy machine is not at fault */
    int waited = 0;
    pthread_mutex_lock(&kit->lock);
    while (kit->closed + kit->refused < n && waited == 0)
        waited = pthread_cond_timedwait(&kit->changed, &kit->lock, &until);
    bool came = kit->closed + kit->refused >= n;
    pthread_mutex_unlock(&kit->lock);
    return came;
}

void kit_await_message(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    while (kit->begun == 0)
        pthread_cond_wait(&kit->changed, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

uint64_t kit_messages(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    uint64_t n = kit->messages;
    pthread_mutex_unlock(&kit->lock);
    return n;
}

bool kit_was_told(struct kit *kit, const char *text)
{
    bool found = false;
    pthread_mutex_lock(&kit->lock);
    for (unsigned i = 0; i < kit->n_whys; i++)
        found = found || strstr(kit->whys[i], text);
    pthread_mutex_unlock(&kit->lock);
    return found;
}

/* ---- the requestor ----------------------------------------------------------------------------
 */

const struct hl_ul_params *kit_proposal(void)
{
    static char syntaxes[2][HL_UID_MAX] = {KIT_IMPLICIT, KIT_EXPLICIT};
    static struct hl_ul_context contexts[2] = {
        {.id = 1,
         .abstract_syntax = KIT_VERIFICATION,
         .transfer_syntaxes = syntaxes,
         .n_transfer_syntaxes = 2},
        {.id = 3,
         .abstract_syntax = KIT_CT,
         .transfer_syntaxes = syntaxes,
         .n_transfer_syntaxes = 2},
    };
    static const struct hl_ul_params params = {
        .called_aet = "KIT", .calling_aet = "TEST", .contexts = contexts, .n_contexts = 2};
    return &params;
}

hilum_rc kit_open(const struct kit *kit, const char *host, struct hl_ul_tls *tls,
                  struct hl_ul_assoc **out)
{
    const struct hl_ul_connect how = {.host = host,
                                      .port = kit->port,
                                      .tls = tls,
                                      .propose = kit_proposal(),
                                      .connect_ms = 2000,
                                      .negotiate_ms = 5000,
                                      .pdu_ms = 5000,
                                      .write_ms = 5000};
    return hl_ul_open(&how, out);
}

static void echo_command(struct hl_buf *out)
{
    static const uint8_t length[4] = {56};
    put_element(out, 0x0000, length, 4);
    put_element(out, 0x0002, KIT_VERIFICATION, 18); /* with the NUL that makes it even */
    put_us(out, 0x0100, ECHO_RQ);
    put_us(out, 0x0110, 1);
    put_us(out, 0x0800, NO_DATA_SET);
}

int kit_echo(struct hl_ul_assoc *assoc)
{
    struct hl_buf command = {0};
    uint8_t set[MAX_COMMAND], id;
    size_t n;
    echo_command(&command);
    hilum_rc rc = hl_ul_write(assoc, 1, true, command.data, command.len, true);
    hl_buf_fini(&command);
    rc = rc ? rc : read_part(assoc, true, set, &n, &id);
    if (rc)
        return rc;
    return element_us(set, n, 0x0100) == 0x8030 ? (int)element_us(set, n, 0x0900) : -1;
}

/* ---- raw bytes --------------------------------------------------------------------------------
 */

int kit_socket(const struct kit *kit)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kit->port)};
    struct timeval timeout = {.tv_sec = 5};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    assert_int_equal(connect(fd, (void *)&to, sizeof to), 0);
    return fd;
}

void kit_request(struct hl_buf *out)
{
    hl_ul_encode_rq(kit_proposal(), 16384, out);
    assert_false(out->failed);
}

void kit_echo_pdu(struct hl_buf *out)
{
    struct hl_buf command = {0};
    uint8_t head[12] = {HL_PDU_DATA};
    echo_command(&command);
    hl_ul_put32(head + 2, (uint32_t)command.len + 6);
    hl_ul_put32(head + 6, (uint32_t)command.len + 2);
    head[10] = 1;
    head[11] = 3;
    hl_buf_clear(out);
    hl_buf_add(out, head, sizeof head);
    hl_buf_add(out, command.data, command.len);
    hl_buf_fini(&command);
}

void kit_release_pdu(struct hl_buf *out)
{
    uint8_t pdu[HL_UL_SHORT_PDU];
    hl_ul_encode_short(pdu, HL_PDU_RELEASE_RQ, 0, 0, 0);
    hl_buf_clear(out);
    hl_buf_add(out, pdu, sizeof pdu);
}
