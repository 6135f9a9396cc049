/* TLS by BCP 195 (RFC 9325) over OpenSSL: contexts, non-blocking reads and writes, certificates.
 * It knows no PDU.
 *
 * OpenSSL keeps its errors per thread: the queue is cleared before each call whose result is
 * asked for, since another connection's leftovers would be taken for ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD = 16384,
    READ_AHEAD = 65536 /* whole records in one recv; given back when empty (RELEASE_BUFFERS) */
};

/* RFC 9325 4.2: forward secrecy and AEAD. TLS 1.3 has nothing else to begin with. */
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* Immutable but for the count; connections hold a reference each, so a reload frees the old one
 * with its last. */
struct hl_ul_tls {
    atomic_uint refs;
    SSL_CTX *context;
    BIO_METHOD *method;
    bool is_acceptor;
    char *server_name;
};

/* ---- a BIO that cannot raise SIGPIPE ----------------------------------------------------------
 */

static int bio_write(BIO *bio, const char *bytes, int n)
{
    BIO_clear_retry_flags(bio);
    ssize_t sent = send((int)(intptr_t)BIO_get_data(bio), bytes, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static int bio_read(BIO *bio, char *out, int n)
{
    BIO_clear_retry_flags(bio);
    ssize_t got = recv((int)(intptr_t)BIO_get_data(bio), out, (size_t)n, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

/* A fixed type number: BIO_get_new_index has 127 of them for the whole process, and every reload
 * of certificates would use one up. */
static BIO_METHOD *new_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "hilum socket");
    if (!method)
        return NULL;
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* ---- contexts ---------------------------------------------------------------------------------
 */

/* The first error in the queue is the cause, later ones its consequences. */
static const char *reason(void)
{
    unsigned long number = ERR_peek_error();
    const char *text = number ? ERR_reason_error_string(number) : NULL;
    if (number && ERR_GET_LIB(number) == ERR_LIB_SYS)
        text = strerror(ERR_GET_REASON(number));
    return text ? text : "reason not given by OpenSSL";
}

/* A key under a passphrase would otherwise ask for it on the terminal. */
static int no_passphrase(char *out, int size, int is_writing, void *arg)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)arg;
    return 0;
}

/* OpenSSL itself compares key and certificate here. */
static hilum_rc load_identity(SSL_CTX *context, const struct hl_ul_tls_config *config)
{
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (!config->certificate)
        return HILUM_OK;
    if (SSL_CTX_use_certificate_chain_file(context, config->certificate) != 1)
        return hl_fail(HILUM_EINVAL, "TLS certificate %s: %s", config->certificate, reason());
    const char *key = config->key ? config->key : config->certificate;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return hl_fail(HILUM_EINVAL, "TLS key %s: %s", key, reason());
    return HILUM_OK;
}

/* A requestor always verifies; an acceptor as soon as it has authorities, and then a certificate
 * that does not verify is refused even where none is required. */
static hilum_rc load_trust(SSL_CTX *context, const struct hl_ul_tls_config *config,
                           bool is_acceptor)
{
    if (config->ca && SSL_CTX_load_verify_file(context, config->ca) != 1)
        return hl_fail(HILUM_EINVAL, "TLS authorities %s: %s", config->ca, reason());
    if (!config->ca && !is_acceptor && SSL_CTX_set_default_verify_paths(context) != 1)
        return hl_fail(HILUM_EIO, "TLS authorities of the system: %s", reason());
    int mode = config->ca || !is_acceptor ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    if (is_acceptor && config->require_peer_certificate)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    if (is_acceptor && config->ca)
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(config->ca));
    SSL_CTX_set_verify(context, mode, NULL);
    return HILUM_OK;
}

/* Partial writes and moving buffers: a write is repeated from the caller's iovec, not from a
 * copy. */
static bool set_profile(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     /* Many peers close without a close_notify. PDUs carry their
                                      * length: a cut one is seen as such. */
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, ciphers) == 1;
}

/* Faults of configuration by name, before OpenSSL says less about them. */
static hilum_rc check_config(const struct hl_ul_tls_config *config, bool is_acceptor)
{
    if (is_acceptor && !config->certificate)
        return hl_fail(HILUM_EINVAL, "TLS listener: no certificate configured");
    if (is_acceptor && config->require_peer_certificate && !config->ca)
        return hl_fail(HILUM_EINVAL, "TLS listener: peers' certificates are required but no "
                                     "authorities (ca) are configured to verify them");
    return HILUM_OK;
}

/* Everything that can fail, so that the caller has one way out. */
static hilum_rc fill(struct hl_ul_tls *tls, const struct hl_ul_tls_config *config)
{
    tls->context = SSL_CTX_new(tls->is_acceptor ? TLS_server_method() : TLS_client_method());
    tls->method = new_method();
    if (!tls->context || !tls->method || !set_profile(tls->context))
        return hl_fail(HILUM_EIO, "TLS: %s", reason());
    if (config->server_name && !(tls->server_name = strdup(config->server_name)))
        return hl_fail(HILUM_ENOMEM, "TLS: out of memory");
    hilum_rc rc = load_identity(tls->context, config);
    return rc ? rc : load_trust(tls->context, config, tls->is_acceptor);
}

hilum_rc hl_ul_tls_new(const struct hl_ul_tls_config *config, bool acceptor, struct hl_ul_tls **out)
{
    hilum_rc rc = check_config(config, acceptor);
    if (rc)
        return rc;
    struct hl_ul_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return hl_fail(HILUM_ENOMEM, "TLS: out of memory");
    tls->refs = 1;
    tls->is_acceptor = acceptor;
    ERR_clear_error();
    rc = fill(tls, config);
    ERR_clear_error();
    if (rc)
        hl_ul_tls_unref(tls);
    else
        *out = tls;
    return rc;
}

struct hl_ul_tls *hl_ul_tls_ref(struct hl_ul_tls *tls)
{
    if (tls)
        atomic_fetch_add(&tls->refs, 1);
    return tls;
}

void hl_ul_tls_unref(struct hl_ul_tls *tls)
{
    if (!tls || atomic_fetch_sub(&tls->refs, 1) > 1)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    free(tls->server_name);
    free(tls);
}

/* ---- one connection ---------------------------------------------------------------------------
 */

/* errno is read at once: describing the error may change it. */
static int failed(struct hl_ul_io *io, int result)
{
    int number = errno;
    switch (SSL_get_error(io->ssl, result)) {
    case SSL_ERROR_WANT_READ: io->want = POLLIN; return HL_UL_IO_AGAIN;
    case SSL_ERROR_WANT_WRITE: io->want = POLLOUT; return HL_UL_IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return HL_UL_IO_EOF;
    case SSL_ERROR_SYSCALL:
        if (number == 0)
            return HL_UL_IO_EOF;
        hl_fail(hl_rc_from_errno(number), "%s", strerror(number));
        return HL_UL_IO_FAILED;
    default: break;
    }
    long verdict = SSL_get_verify_result(io->ssl);
    if (verdict != X509_V_OK)
        hl_fail(HILUM_EDENIED, "peer's certificate: %s", X509_verify_cert_error_string(verdict));
    else
        hl_fail(HILUM_EIO, "%s", reason());
    return HL_UL_IO_FAILED;
}

/* SSL_read stops at each record: what is already decrypted or received is taken along. */
static ssize_t tls_read(struct hl_ul_io *io, void *out, size_t n)
{
    size_t sum = 0, got = 0;
    ERR_clear_error();
    errno = 0;
    do {
        int result = SSL_read_ex(io->ssl, (uint8_t *)out + sum, n - sum, &got);
        if (result != 1)
            return sum > 0 ? (ssize_t)sum : failed(io, result);
        sum += got;
    } while (sum < n && SSL_has_pending(io->ssl));
    return (ssize_t)sum;
}

/* One record's worth from the front of iov. A retry after AGAIN finds the same bytes there. */
static size_t gather(const struct iovec *iov, int n, uint8_t out[RECORD])
{
    size_t sum = 0;
    for (int i = 0; i < n && sum < RECORD; i++) {
        size_t now = iov[i].iov_len < RECORD - sum ? iov[i].iov_len : RECORD - sum;
        if (now)
            memcpy(out + sum, iov[i].iov_base, now);
        sum += now;
    }
    return sum;
}

/* A PDU's head never makes a record of its own; bodies longer than a record go without copying. */
static ssize_t tls_write(struct hl_ul_io *io, const struct iovec *iov, int n)
{
    uint8_t record[RECORD];
    const void *from = iov->iov_base;
    size_t size = iov->iov_len, sent = 0;
    if (size < RECORD) {
        size = gather(iov, n, record);
        from = record;
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(io->ssl, from, size, &sent);
    return result == 1 ? (ssize_t)sent : failed(io, result);
}

/* An end in the middle of a handshake is a failure with a reason, not an end of data. */
static int tls_handshake(struct hl_ul_io *io)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(io->ssl);
    if (result == 1)
        return 1;
    int outcome = failed(io, result);
    if (outcome == HL_UL_IO_EOF) {
        hl_fail(HILUM_ECLOSED, "connection closed by the peer");
        return HL_UL_IO_FAILED;
    }
    return outcome;
}

/* One close_notify, no waiting for the peer's: the socket lingers for it. */
static void tls_finish(struct hl_ul_io *io)
{
    if (SSL_is_init_finished(io->ssl))
        SSL_shutdown(io->ssl);
    ERR_clear_error();
    SSL_free(io->ssl);
    hl_ul_tls_unref(io->tls);
    io->ssl = NULL;
    io->tls = NULL;
}

static const struct hl_ul_io_ops tls_table = {tls_read, tls_write, tls_handshake, tls_finish};

hilum_rc hl_ul_tls_attach(struct hl_ul_io *io, struct hl_ul_tls *tls)
{
    SSL *ssl = SSL_new(tls->context);
    BIO *bio = ssl ? BIO_new(tls->method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return hl_fail(HILUM_ENOMEM, "TLS: out of memory");
    }
    BIO_set_data(bio, (void *)(intptr_t)io->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (tls->is_acceptor)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    io->ssl = ssl;
    io->tls = hl_ul_tls_ref(tls);
    io->ops = &tls_table;
    return HILUM_OK;
}

/* An address is compared with IP entries of the certificate and never sent as SNI (RFC 6066 3). */
hilum_rc hl_ul_tls_expect(struct hl_ul_io *io, const char *host)
{
    const char *name = io->tls->server_name ? io->tls->server_name : host;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(io->ssl), name) == 1)
        return HILUM_OK;
    ERR_clear_error();
    if (SSL_set1_host(io->ssl, name) == 1 && SSL_set_tlsext_host_name(io->ssl, name) == 1)
        return HILUM_OK;
    return hl_fail(HILUM_EINVAL, "TLS server name %s: %s", name, reason());
}

/* RFC 2253 text, escaped: a subject can hold anything and ends up in traces and rules. */
static void describe_subject(X509 *certificate, char *out, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    if (!text)
        return;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    int n = BIO_read(text, out, (int)size - 1);
    out[n > 0 ? n : 0] = 0;
    BIO_free(text);
}

static void name_add(const char *text, size_t n, char *out, size_t size)
{
    size_t at = strlen(out);
    if (n == 0 || n + 2 > size - at)
        return;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return; /* a NUL, a line end: made to look like another name */
    for (size_t i = 0; i < n; i++)
        out[at + i] = (char)tolower((unsigned char)text[i]);
    memcpy(out + at + n, "\n", 2);
}

static void describe_names(X509 *certificate, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char address[INET6_ADDRSTRLEN] = "";
        if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) {
            const ASN1_IA5STRING *text = name->d.ia5;
            name_add((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text),
                     out, size);
        } else if (name->type == GEN_IPADD) {
            int n = ASN1_STRING_length(name->d.iPAddress);
            if (n == 4 || n == 16)
                inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress),
                          address, sizeof address);
            name_add(address, strlen(address), out, size);
        }
    }
    GENERAL_NAMES_free(names);
}

void hl_ul_tls_describe(const struct hl_ul_io *io, struct hl_ul_params *params)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    params->is_tls = io->ssl;
    X509 *certificate = io->ssl ? SSL_get0_peer_certificate(io->ssl) : NULL;
    if (!certificate || SSL_get_verify_result(io->ssl) != X509_V_OK)
        return;
    describe_subject(certificate, params->certificate_subject, sizeof params->certificate_subject);
    describe_names(certificate, params->certificate_names, sizeof params->certificate_names);
    X509_digest(certificate, EVP_sha256(), digest, &n);
    for (size_t i = 0; i < n && i < 32; i++)
        snprintf(params->certificate_sha256 + i * 2, 3, "%02x", digest[i]);
}
