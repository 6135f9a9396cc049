/* TLS of the upper layer: who is let in, who is refused and told why.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/certs.h"
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct certs certs;

static struct hl_ul_tls *acceptor(const char *certificate, bool is_mutual)
{
    const struct hl_ul_tls_config config = {.certificate = certificate,
                                            .ca = is_mutual ? certs.ca : NULL,
                                            .require_peer_certificate = is_mutual};
    struct hl_ul_tls *tls;
    if (hl_ul_tls_new(&config, true, &tls))
        fail_msg("%s", hl_error());
    return tls;
}

static struct hl_ul_tls *requestor(const char *certificate, const char *ca, const char *name)
{
    const struct hl_ul_tls_config config = {
        .certificate = certificate, .ca = ca, .server_name = name};
    struct hl_ul_tls *tls;
    if (hl_ul_tls_new(&config, false, &tls))
        fail_msg("%s", hl_error());
    return tls;
}

/* The server holds its own references, as a configuration's owner would expect. */
static void start(struct kit *kit, struct hl_ul_tls *tls)
{
    kit_start(kit, "127.0.0.1:0", &kit_limits, tls);
    hl_ul_tls_unref(tls);
}

static hilum_rc open_with(const struct kit *kit, struct hl_ul_tls *tls, struct hl_ul_assoc **out)
{
    hilum_rc rc = kit_open(kit, "127.0.0.1", tls, out);
    hl_ul_tls_unref(tls);
    return rc;
}

static void echo__over_tls_with_a_verified_server_is_answered(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    start(&kit, acceptor(certs.server, false));
    if (open_with(&kit, requestor(NULL, certs.ca, NULL), &assoc))
        fail_msg("%s", hl_error());
    assert_int_equal(kit_echo(assoc), 0);
    assert_true(hl_ul_params(assoc)->is_tls);
    assert_string_equal(hl_ul_params(assoc)->certificate_subject, "CN=server");
    hl_ul_release(assoc);
    assert_true(kit_await_ends(&kit, 1));
    assert_string_equal(kit.whys[0], "released");
    assert_string_equal(kit.subject, "");
    kit_stop(&kit);
}

static void mutual_tls__tells_who_the_client_is(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    start(&kit, acceptor(certs.server, true));
    if (open_with(&kit, requestor(certs.client, certs.ca, NULL), &assoc))
        fail_msg("%s", hl_error());
    assert_int_equal(kit_echo(assoc), 0);
    assert_string_equal(kit.subject, "CN=client");
    assert_int_equal(strlen(kit.sha256), 64);
    hl_ul_release(assoc);
    kit_stop(&kit);
}

static void refused_client(const char *certificate, const char *reason)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    start(&kit, acceptor(certs.server, true));
    assert_int_equal(open_with(&kit, requestor(certificate, certs.ca, NULL), &assoc),
                     HILUM_ECLOSED);
    assert_true(kit_await_ends(&kit, 1));
    if (!kit_was_told(&kit, reason))
        fail_msg("told: %s", kit.whys[0]);
    assert_int_equal(kit.negotiated, 0);
    kit_stop(&kit);
}

static void mutual_tls__refuses_a_client_without_a_certificate(void **state)
{
    (void)state;
    refused_client(NULL, "peer did not return a certificate");
}

static void mutual_tls__refuses_a_strangers_certificate(void **state)
{
    (void)state;
    refused_client(certs.stranger, "peer's certificate: unable to get local issuer certificate");
}

static void refused_server(struct hl_ul_tls *by, const char *reason)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    start(&kit, acceptor(certs.server, false));
    assert_int_equal(open_with(&kit, by, &assoc), HILUM_ECLOSED);
    if (!strstr(hl_error(), reason))
        fail_msg("told: %s", hl_error());
    assert_true(kit_await_ends(&kit, 1));
    kit_stop(&kit);
}

static void requestor__refuses_a_server_of_unknown_authority(void **state)
{
    (void)state;
    refused_server(requestor(NULL, certs.stranger_ca, NULL), "peer's certificate: unable to get");
}

static void requestor__refuses_a_server_of_another_name(void **state)
{
    (void)state;
    refused_server(requestor(NULL, certs.ca, "pacs.example"), "hostname mismatch");
    refused_server(requestor(NULL, certs.ca, "10.1.2.3"), "IP address mismatch");
}

static void plain_peer__on_a_tls_listener_is_refused(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    start(&kit, acceptor(certs.server, false));
    assert_true(kit_open(&kit, "127.0.0.1", NULL, &assoc) < 0);
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "TLS handshake"));
    kit_stop(&kit);
}

static void tls_peer__on_a_plain_listener_is_told_so(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_true(open_with(&kit, requestor(NULL, certs.ca, NULL), &assoc) < 0);
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "TLS spoken to a listener without TLS"));
    kit_stop(&kit);
}

/* A foreign client with its own idea of versions and ciphers. */
static bool can_shake_hands(const struct kit *kit, int version, const char *ciphers)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(context, ciphers), 1);
    SSL *ssl = SSL_new(context);
    int fd = kit_socket(kit);
    SSL_set_fd(ssl, fd);
    bool done = SSL_connect(ssl) == 1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return done;
}

static void versions_and_ciphers__below_bcp195_are_refused(void **state)
{
    struct kit kit = {0};
    (void)state;
    start(&kit, acceptor(certs.server, false));
    assert_true(can_shake_hands(&kit, TLS1_3_VERSION, NULL));
    assert_true(can_shake_hands(&kit, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert_false(can_shake_hands(&kit, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA"));
    assert_false(can_shake_hands(&kit, TLS1_1_VERSION, "ALL:@SECLEVEL=0"));
    assert_true(kit_await_ends(&kit, 4));
    kit_stop(&kit);
}

static void reload__serves_the_new_certificate_and_keeps_old_associations(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *before, *after;
    (void)state;
    start(&kit, acceptor(certs.server, false));
    assert_int_equal(open_with(&kit, requestor(NULL, certs.ca, NULL), &before), HILUM_OK);
    const struct hl_ul_renewal fresh = {.is_renewed = true, .tls = acceptor(certs.server2, false)},
                               nothing = {.is_renewed = false};
    assert_int_equal(hl_ul_server_reload(kit.server, &kit_limits, &fresh), HILUM_OK);
    hl_ul_tls_unref(fresh.tls);
    assert_int_equal(hl_ul_server_reload(kit.server, &kit_limits, &nothing), HILUM_OK);
    assert_int_equal(open_with(&kit, requestor(NULL, certs.ca, NULL), &after), HILUM_OK);
    assert_string_equal(hl_ul_params(after)->certificate_subject, "CN=server2");
    assert_int_equal(kit_echo(before), 0);
    assert_int_equal(kit_echo(after), 0);
    hl_ul_release(before);
    hl_ul_release(after);
    kit_stop(&kit);
}

static void large_data_set__over_tls_arrives_whole(void **state)
{
    static const uint8_t command[] = {0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 0};
    enum { SIZE = 3 * 1000 * 1000 };
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    struct hl_ul_pdv pdv;
    uint8_t *data = calloc(1, SIZE);
    (void)state;
    start(&kit, acceptor(certs.server, false));
    assert_int_equal(open_with(&kit, requestor(NULL, certs.ca, NULL), &assoc), HILUM_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hl_ul_write(assoc, 3, true, command, sizeof command, true), HILUM_OK);
        assert_int_equal(hl_ul_write(assoc, 3, false, data, SIZE, true), HILUM_OK);
        assert_int_equal(hl_ul_read(assoc, &pdv), HILUM_OK);
        assert_true(pdv.is_command && pdv.is_last);
    }
    assert_int_equal(kit.bytes, 3 * SIZE);
    hl_ul_release(assoc);
    kit_stop(&kit);
    free(data);
}

static void silent_handshake__ends_by_deadline(void **state)
{
    struct kit kit = {0};
    (void)state;
    start(&kit, acceptor(certs.server, false));
    int fd = kit_socket(&kit);
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "TLS handshake not complete in time"));
    close(fd);
    kit_stop(&kit);
}

static void unusable_files__are_named(void **state)
{
    struct hl_ul_tls *tls;
    struct hl_ul_tls_config config = {.certificate = "/nonexistent/server.pem"};
    (void)state;
    assert_int_equal(hl_ul_tls_new(&config, true, &tls), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "/nonexistent/server.pem"));
    config = (struct hl_ul_tls_config){.certificate = certs.server, .key = certs.client};
    assert_int_equal(hl_ul_tls_new(&config, true, &tls), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "mismatch"));
    config =
        (struct hl_ul_tls_config){.certificate = certs.server, .require_peer_certificate = true};
    assert_int_equal(hl_ul_tls_new(&config, true, &tls), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "no authorities"));
}

static int set_up(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo__over_tls_with_a_verified_server_is_answered),
        cmocka_unit_test(mutual_tls__tells_who_the_client_is),
        cmocka_unit_test(mutual_tls__refuses_a_client_without_a_certificate),
        cmocka_unit_test(mutual_tls__refuses_a_strangers_certificate),
        cmocka_unit_test(requestor__refuses_a_server_of_unknown_authority),
        cmocka_unit_test(requestor__refuses_a_server_of_another_name),
        cmocka_unit_test(plain_peer__on_a_tls_listener_is_refused),
        cmocka_unit_test(tls_peer__on_a_plain_listener_is_told_so),
        cmocka_unit_test(versions_and_ciphers__below_bcp195_are_refused),
        cmocka_unit_test(reload__serves_the_new_certificate_and_keeps_old_associations),
        cmocka_unit_test(large_data_set__over_tls_arrives_whole),
        cmocka_unit_test(silent_handshake__ends_by_deadline),
        cmocka_unit_test(unusable_files__are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
