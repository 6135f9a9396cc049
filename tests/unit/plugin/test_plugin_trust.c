/* What an administrator lists and what a vendor signs is opened; what was changed since is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/plugin.h"

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static char directory[64];
static unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    plugins = NULL;
    config = NULL;
    return sodium_init() >= 0 && mkdtemp(directory) &&
                   crypto_sign_keypair(public_key, secret_key) == 0
               ? hl_bus_new(&bus)
               : -1;
}

static void close_host(void)
{
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_faults_fini(&faults);
    plugins = NULL;
    config = NULL;
    faults = (struct hl_faults){0};
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    close_host();
    hl_bus_free(bus);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static const char *in_directory(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(in_directory(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A copy of a plugin that may be changed and signed. */
static size_t copy_plugin(unsigned char *bytes, size_t size)
{
    FILE *f = fopen(TEST_PLUGIN_DIR "/test-plain.so", "r");
    assert_non_null(f);
    size_t n = fread(bytes, 1, size, f);
    fclose(f);
    assert_true(n > 0 && n < size);
    write_file("test-plain.so", bytes, n);
    return n;
}

static void sign(const unsigned char *bytes, size_t n)
{
    unsigned char signature[crypto_sign_BYTES];
    crypto_sign_detached(signature, NULL, bytes, n, secret_key);
    write_file("test-plain.so.sig", signature, sizeof signature);
}

static void write_key(void)
{
    unsigned char der[44] = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03,
                             0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};
    char base64[64], pem[160];
    memcpy(der + 12, public_key, sizeof public_key);
    sodium_bin2base64(base64, sizeof base64, der, sizeof der, sodium_base64_VARIANT_ORIGINAL);
    snprintf(pem, sizeof pem, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", base64);
    write_file("acme.pem", pem, strlen(pem));
}

static void open_host(const char *plugin_dir, const char *trust, const char *entry)
{
    char text[1024];
    snprintf(text, sizeof text,
             "trust = { %s }; plugins = ( { name = \"test-plain\"; file = \"%s\"; %s } );\n", trust,
             in_directory("test-plain.so"), entry);
    write_file("test.cfg", text, strlen(text));
    struct hl_config_paths paths = {.main = in_directory("test.cfg")};
    hilum_rc rc = hl_config_load(&paths, &faults, &config);
    if (rc != HILUM_OK)
        fail_msg("%s", faults.first ? faults.first->text : hl_error());
    assert_int_equal(hl_plugins_open(config, plugin_dir, directory, bus, &faults, &plugins),
                     HILUM_OK);
}

static void assert_opened(const char *trust, const char *entry)
{
    open_host("/nowhere", trust, entry);
    if (faults.count)
        fail_msg("%s", faults.first->text);
    close_host();
}

static void assert_refused(const char *trust, const char *entry, const char *part)
{
    open_host("/nowhere", trust, entry);
    assert_int_equal(faults.count, 1);
    if (!strstr(faults.first->text, part))
        fail_msg("\"%s\" is not in %s", part, faults.first->text);
    close_host();
}

static unsigned char bytes[8 << 20];

static const char *sha256_of(size_t n)
{
    static char entry[128];
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[65];
    crypto_hash_sha256(hash, bytes, n);
    snprintf(entry, sizeof entry, "sha256 = ( \"%s\" );",
             sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
    return entry;
}

static void digest__what_is_listed_is_opened(void **state)
{
    (void)state;
    size_t n = copy_plugin(bytes, sizeof bytes);
    assert_opened("", sha256_of(n));
    assert_opened("plugins = \"listed\";", sha256_of(n));
    bytes[0] ^= 1;
    assert_refused("", sha256_of(n), "which sha256 beside name = \"test-plain\" does not list");
}

static void unlisted__is_refused_where_asked_for(void **state)
{
    (void)state;
    copy_plugin(bytes, sizeof bytes);
    assert_opened("", "");
    assert_refused("plugins = \"listed\";", "",
                   "trust.plugins = \"listed\" asks for sha256 = ( \"");
    /* Our own folder is the package manager's business. */
    open_host(directory, "plugins = \"listed\";", "");
    assert_int_equal(faults.count, 0);
}

static void signature__of_a_known_key_is_accepted(void **state)
{
    (void)state;
    char trust[256];
    size_t n = copy_plugin(bytes, sizeof bytes);
    write_key();
    snprintf(trust, sizeof trust, "plugins = \"listed\"; keys = ( \"%s\" );",
             in_directory("acme.pem"));
    assert_refused(trust, "", "or for a signature");
    sign(bytes, n);
    assert_opened(trust, "");
}

static void signature__that_does_not_fit_is_refused_always(void **state)
{
    (void)state;
    char trust[256];
    size_t n = copy_plugin(bytes, sizeof bytes);
    write_key();
    snprintf(trust, sizeof trust, "keys = ( \"%s\" );", in_directory("acme.pem"));
    assert_opened(trust, "");
    bytes[n - 1] ^= 1;
    sign(bytes, n);
    assert_refused(trust, "", "is by no key of trust.keys, or the file was changed since");
    write_file("test-plain.so.sig", bytes, 63);
    assert_refused(trust, "", "expected an Ed25519 signature of 64 bytes, found less");
    write_file("acme.pem", "not a key", 9);
    sign(bytes, n);
    assert_refused(trust, "", "expected an Ed25519 public key in PEM");
}

/* What an administrator would type. */
static void signature__by_openssl(void **state)
{
    (void)state;
    char command[1024], trust[256];
    copy_plugin(bytes, sizeof bytes);
    snprintf(
        command, sizeof command,
        "cd '%s' && openssl genpkey -algorithm ed25519 -out key.pem 2>/dev/null && openssl pkey "
        "-in key.pem -pubout -out acme.pem && openssl pkeyutl -sign -inkey key.pem -rawin -in "
        "test-plain.so -out test-plain.so.sig",
        directory);
    if (system(command) != 0)
        skip();
    snprintf(trust, sizeof trust, "plugins = \"listed\"; keys = ( \"%s\" );",
             in_directory("acme.pem"));
    assert_opened(trust, "");
}

static void folder__that_anybody_can_write_is_refused(void **state)
{
    (void)state;
    copy_plugin(bytes, sizeof bytes);
    assert_int_equal(chmod(directory, 0777), 0);
    assert_refused("", "", "anybody can put another file there");
    /* As in /tmp: what is there cannot be replaced by others. */
    assert_int_equal(chmod(directory, 01777), 0);
    assert_opened("", "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(digest__what_is_listed_is_opened),
        T(unlisted__is_refused_where_asked_for),
        T(signature__of_a_known_key_is_accepted),
        T(signature__that_does_not_fit_is_refused_always),
        T(signature__by_openssl),
        T(folder__that_anybody_can_write_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
