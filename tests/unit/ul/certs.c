/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct issuer {
    EVP_PKEY *key;
    X509 *certificate;
};

static void extend(X509 *certificate, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, id, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Takes the key. */
static struct issuer certify(EVP_PKEY *key, const char *name, const struct issuer *by)
{
    struct issuer made = {key, X509_new()};
    static long serial = 1;
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.certificate,
                         X509_get_subject_name(by ? by->certificate : made.certificate));
    X509_set_pubkey(made.certificate, made.key);
    extend(made.certificate, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    if (by)
        extend(made.certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
    assert_true(X509_sign(made.certificate, by ? by->key : made.key, EVP_sha256()) > 0);
    return made;
}

static struct issuer issue(const char *name, const struct issuer *by)
{
    return certify(EVP_EC_gen("P-256"), name, by);
}

static void save(const struct issuer *made, const char *folder, const char *name, char path[96])
{
    snprintf(path, 96, "%s/%s.pem", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    PEM_write_X509(f, made->certificate);
    PEM_write_PrivateKey(f, made->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static void drop(struct issuer *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
}

static void issue_and_save(const char *name, const struct issuer *by, const char *folder,
                           char path[96])
{
    struct issuer made = issue(name, by);
    save(&made, folder, name, path);
    drop(&made);
}

void certs_make(struct certs *certs)
{
    snprintf(certs->folder, sizeof certs->folder, "/tmp/hilum-ul-certs-XXXXXX");
    assert_non_null(mkdtemp(certs->folder));
    struct issuer ca = issue("authority", NULL), stranger = issue("stranger-authority", NULL);
    save(&ca, certs->folder, "ca", certs->ca);
    save(&stranger, certs->folder, "stranger-ca", certs->stranger_ca);
    issue_and_save("server", &ca, certs->folder, certs->server);
    issue_and_save("server2", &ca, certs->folder, certs->server2);
    issue_and_save("client", &ca, certs->folder, certs->client);
    issue_and_save("stranger", &stranger, certs->folder, certs->stranger);
    drop(&ca);
    drop(&stranger);
}

void certs_make_slow(struct certs *certs)
{
    struct issuer made = certify(EVP_RSA_gen(4096), "slow", NULL);
    save(&made, certs->folder, "slow", certs->slow);
    drop(&made);
}

void certs_remove(struct certs *certs)
{
    const char *const paths[] = {certs->ca,     certs->stranger_ca, certs->server, certs->server2,
                                 certs->client, certs->stranger,    certs->slow};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        unlink(paths[i]);
    rmdir(certs->folder);
}
