/* Typed peers and who is who. SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include "core/config/peers.h"

#define PIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct hl_peers *load_peers(struct site *site, const char *text)
{
    struct hl_peers *peers;
    site_load_text(site, text);
    assert_no_faults(site);
    assert_int_equal(hl_peers_new(site->config, &peers), HILUM_OK);
    return peers;
}

static const char *match(const struct hl_peers *peers, const char *address, const char *calling,
                         const char *called, const char *pin)
{
    static char why[256];
    struct hl_peer_claim claim = {.address = address,
                                  .calling_aet = calling,
                                  .called_aet = called,
                                  .certificate_sha256 = pin};
    const struct hl_peer *peer = hl_peers_match(peers, &claim, why, sizeof why);
    return peer ? peer->name : why;
}

static void cidr__takes_both_families_and_refuses_stray_bits(void **state)
{
    (void)state;
    struct hl_cidr cidr;
    static const char *const good[] = {"10.0.0.0/8", "10.0.0.5", "0.0.0.0/0",          "::/0",
                                       "fe80::/10",  "::1",      "::ffff:10.0.0.0/104"};
    static const char *const bad[] = {"",
                                      "10.0.0.0/33",
                                      "10.0.0.0/9223372036854775807",
                                      "10.0.0.1/8",
                                      "10.0.0/8",
                                      "::/129",
                                      "::1/64",
                                      "x/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/8x",
                                      "fe80::1%eth0/128"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(hl_cidr_parse(good[i], &cidr), HILUM_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hl_cidr_parse(bad[i], &cidr), HILUM_EINVAL);
}

static void loopback__is_known_in_every_spelling(void **state)
{
    (void)state;
    assert_true(hl_address_is_loopback("127.0.0.1"));
    assert_true(hl_address_is_loopback("127.9.9.9"));
    assert_true(hl_address_is_loopback("::1"));
    assert_true(hl_address_is_loopback("::ffff:127.0.0.1"));
    assert_false(hl_address_is_loopback("128.0.0.1"));
    assert_false(hl_address_is_loopback("::2"));
    assert_false(hl_address_is_loopback("localhost"));
    assert_false(hl_address_is_loopback(""));
    assert_false(hl_address_is_loopback(NULL));
}

static void peer__has_its_values_and_falls_back_to_the_groups(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "identity = { default_issuer = \"H\"; }; outbox = { retry_first = \"3s\"; "
                         "attempts = 7; };\n"
                         "peers = ( { name=\"A\"; aet=\"AE\"; host=\"192.0.2.1\"; port=11112; "
                         "services=(\"echo\",\"find\");"
                         " transfer_syntaxes=(\"JPEGLSLossless\"); charset=\"GB18030\"; tls=true; "
                         "attempts=2; own_aet=\"ME\";"
                         " certificate_sha256=\""
                         "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"
                         "\"; },\n"
                         "{ name=\"B\"; aet=\"B\"; cidr=(\"::1\"); default_issuer=\"X\"; } );");
    const struct hl_peer *a = hl_peers_by_name(peers, "A"), *b = hl_peers_by_name(peers, "B");
    assert_int_equal(a->port, 11112);
    assert_int_equal(a->services, HL_SERVICE_ECHO | HL_SERVICE_FIND);
    assert_string_equal(a->transfer_syntaxes[0], "JPEGLSLossless");
    assert_string_equal(a->charset, "GB18030");
    assert_string_equal(a->own_aet, "ME");
    assert_true(a->has_tls);
    assert_string_equal(a->certificate_sha256, PIN);
    assert_int_equal(a->attempts, 2);
    assert_int_equal(a->retry_first_ms, 3000);
    assert_string_equal(a->default_issuer, "H");
    assert_int_equal(b->services, HL_SERVICE_ALL);
    assert_int_equal(b->attempts, 7);
    assert_int_equal(b->port, 104);
    assert_string_equal(b->default_issuer, "X");
    assert_null(b->charset);
    assert_int_equal(hl_peers_count(peers), 2);
    assert_ptr_equal(hl_peers_at(peers, 1), b);
    assert_null(hl_peers_at(peers, 2));
    assert_null(hl_peers_by_name(peers, "C"));
    hl_peers_unref(peers);
}

static void peers__outlive_the_configuration_they_came_from(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"A\"; aet=\"AE\"; host=\"::1\";} );");
    hl_config_unref(site->config);
    site->config = NULL;
    struct hl_peers *second = hl_peers_ref(peers);
    hl_peers_unref(peers);
    assert_string_equal(hl_peers_by_aet(second, "AE")->name, "A");
    hl_peers_unref(second);
}

static void faulty_configuration__gives_what_fits(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers;
    site_load_text(
        site, "peers = ( 1, {name=3; aet=(1); tls=\"x\"; host=\"::1\";}, {name=\"A\"; aet=\"A\";"
              " cidr=(1,\"x\",\"::1\"); services=(2,\"echo\"); called_aets=(1); port=\"x\";} );");
    assert_int_equal(site->rc, HILUM_EINVAL);
    assert_int_equal(hl_peers_new(site->config, &peers), HILUM_OK);
    assert_int_equal(hl_peers_count(peers), 2);
    assert_string_equal(match(peers, "::1", "A", "X", ""), "A");
    assert_int_equal(hl_peers_by_name(peers, "A")->services, HL_SERVICE_ECHO);
    hl_peers_unref(peers);
    hl_config_unref(site->config);
    site_load_text(site, "peers = { a = 1; };");
    assert_int_equal(hl_peers_new(site->config, &peers), HILUM_OK);
    assert_int_equal(hl_peers_count(peers), 0);
    hl_peers_unref(peers);
}

static void match__needs_the_title_and_the_address(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"V4\"; aet=\"CT\"; cidr=(\"10.0.0.0/8\");},\n"
                         "{name=\"V6\"; aet=\"MR\"; cidr=(\"fd00::/8\");},\n"
                         "{name=\"HOST\"; aet=\"WS\"; host=\"192.0.2.7\";},\n"
                         "{name=\"LOCAL\"; aet=\"LO\"; host=\"localhost\";} );");
    assert_string_equal(match(peers, "10.1.2.3", "CT", "X", ""), "V4");
    assert_string_equal(match(peers, "::ffff:10.1.2.3", "CT", "X", NULL), "V4");
    assert_string_equal(match(peers, "fd12::1", "MR", "X", ""), "V6");
    assert_string_equal(match(peers, "192.0.2.7", "WS", "X", ""), "HOST");
    assert_string_equal(match(peers, "127.0.0.1", "LO", "X", ""), "LOCAL");
    assert_string_equal(
        match(peers, "11.0.0.1", "CT", "X", ""),
        "peer V4 has this AE title but not the address 11.0.0.1; see its host and cidr");
    assert_non_null(strstr(match(peers, "10.0.0.1", "MR", "X", ""), "but not the address"));
    assert_string_equal(match(peers, "10.0.0.1", "ct", "X", ""), "no peer has the AE title \"ct\"");
    assert_non_null(strstr(match(peers, "nonsense", "CT", "X", ""), "but not the address"));
    assert_string_equal(match(peers, NULL, NULL, NULL, NULL), "no peer has the AE title \"\"");
    hl_peers_unref(peers);
}

static void match__prefers_the_longest_prefix(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"ANY\"; aet=\"CT\"; cidr=(\"0.0.0.0/0\", \"::/0\");},\n"
                         "{name=\"NET\"; aet=\"CT\"; cidr=(\"10.0.0.0/8\");}, {name=\"ONE\"; "
                         "aet=\"CT\"; host=\"10.0.0.9\";} );");
    assert_string_equal(match(peers, "10.0.0.9", "CT", "", ""), "ONE");
    assert_string_equal(match(peers, "10.0.0.8", "CT", "", ""), "NET");
    assert_string_equal(match(peers, "11.0.0.1", "CT", "", ""), "ANY");
    assert_string_equal(match(peers, "2001:db8::1", "CT", "", ""), "ANY");
    hl_peers_unref(peers);
}

static void any_ipv6__does_not_let_ipv4_in(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"A\"; aet=\"A\"; cidr=(\"::/0\");} );");
    assert_string_equal(match(peers, "2001:db8::1", "A", "", ""), "A");
    assert_non_null(strstr(match(peers, "10.0.0.1", "A", "", ""), "but not the address"));
    hl_peers_unref(peers);
}

static void pinned_certificate__replaces_the_address(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers = load_peers(
        site, "peers = ( {name=\"VAN\"; aet=\"VAN\"; host=\"192.0.2.7\"; certificate_sha256=\"" PIN
              "\";} );");
    assert_string_equal(match(peers, "203.0.113.5", "VAN", "", PIN), "VAN");
    assert_non_null(strstr(match(peers, "192.0.2.7", "VAN", "", ""), "showed no certificate"));
    assert_non_null(strstr(match(peers, "192.0.2.7", "VAN", "", "ff"), "another certificate"));
    assert_non_null(strstr(match(peers, "203.0.113.5", "X", "", PIN), "no peer has the AE title"));
    hl_peers_unref(peers);
}

/* By subject and alternative name: all that is configured, of a certificate that was verified. */
static void certificate__is_known_by_its_names(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"S\"; aet=\"S\"; certificate_subject=\"CN=s,O=h\";},\n"
                         "{name=\"N\"; aet=\"N\"; certificate_san=\"CT1.example\";},\n"
                         "{name=\"B\"; aet=\"B\"; certificate_subject=\"CN=b\"; "
                         "certificate_san=\"10.0.0.7\"; cidr=(\"10.0.0.0/8\");} );");
    static const struct {
        const char *aet, *sha256, *subject, *names, *found;
    } cases[] = {{"S", PIN, "CN=s,O=h", "", "S"},
                 {"S", PIN, "CN=s", "", NULL},
                 {"S", "", "CN=s,O=h", "", NULL}, /* not verified: no fingerprint */
                 {"N", PIN, "CN=x", "a.example\nct1.example\n", "N"},
                 {"N", PIN, "CN=ct1.example", "xct1.example\nct1.example.org\n", NULL},
                 {"N", PIN, "CN=x", "", NULL},
                 {"B", PIN, "CN=b", "10.0.0.7\n", "B"},
                 {"B", PIN, "CN=b", "10.0.0.70\n", NULL},
                 {"B", "", "", "", NULL}}; /* an address in cidr is not enough then */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hl_peer_claim claim = {.address = "10.0.0.7",
                                            .calling_aet = cases[i].aet,
                                            .called_aet = "HILUM",
                                            .certificate_sha256 = cases[i].sha256,
                                            .certificate_subject = cases[i].subject,
                                            .certificate_names = cases[i].names};
        const struct hl_peer *peer = hl_peers_match(peers, &claim, NULL, 0);
        assert_string_equal(peer ? peer->name : "-", cases[i].found ? cases[i].found : "-");
    }
    hl_peers_unref(peers);
}

static void called_title__is_checked_where_it_is_limited(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers = load_peers(
        site, "peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; called_aets=(\"ONE\",\"TWO\");} );");
    assert_string_equal(match(peers, "::1", "A", "TWO", ""), "A");
    assert_string_equal(match(peers, "::1", "A", "THREE", ""),
                        "peer A may not call us \"THREE\"; see its called_aets");
    hl_peers_unref(peers);
}

static void by_aet__prefers_a_peer_that_can_be_called(void **state)
{
    struct site *site = *state;
    struct hl_peers *peers =
        load_peers(site, "peers = ( {name=\"IN\"; aet=\"WS\"; cidr=(\"10.0.0.0/8\");}, "
                         "{name=\"OUT\"; aet=\"WS\"; host=\"::1\";},\n"
                         "{name=\"ONLY\"; aet=\"CT\"; cidr=(\"10.0.0.0/8\");} );");
    assert_string_equal(hl_peers_by_aet(peers, "WS")->name, "OUT");
    assert_string_equal(hl_peers_by_aet(peers, "CT")->name, "ONLY");
    assert_null(hl_peers_by_aet(peers, "XX"));
    hl_peers_unref(peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cidr__takes_both_families_and_refuses_stray_bits),
        cmocka_unit_test(loopback__is_known_in_every_spelling),
        site_test(peer__has_its_values_and_falls_back_to_the_groups),
        site_test(peers__outlive_the_configuration_they_came_from),
        site_test(faulty_configuration__gives_what_fits),
        site_test(match__needs_the_title_and_the_address),
        site_test(match__prefers_the_longest_prefix),
        site_test(any_ipv6__does_not_let_ipv4_in),
        site_test(pinned_certificate__replaces_the_address),
        site_test(certificate__is_known_by_its_names),
        site_test(called_title__is_checked_where_it_is_limited),
        site_test(by_aet__prefers_a_peer_that_can_be_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
