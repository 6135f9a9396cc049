/* Which files an administrator vouches for: digests and signatures. It knows nothing of what is
 * inside them.
 *
 * sha256 beside a plugin's name always counts; a signature counts where keys are configured and
 * a .sig file is there; with trust.plugins = "listed" one of the two must be there for files
 * outside our own folder. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/host.h"

enum { KEY_FILE_MAX = 4096, SPKI_PREFIX = 12, SPKI = SPKI_PREFIX + crypto_sign_PUBLICKEYBYTES };

struct file {
    unsigned char *bytes;
    size_t size;
};

static void unmap(struct file *file)
{
    if (file->bytes)
        munmap(file->bytes, file->size);
    file->bytes = NULL;
}

/* The caller unmaps. What is mapped here is opened by path later: hl_loader_check_file has made
 * sure that nobody else can change it in between. */
static hilum_rc map(const char *path, struct file *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *out = (struct file){0};
    if (fd < 0)
        return hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || st.st_size <= 0) {
        close(fd);
        return hl_fail(HILUM_EINVAL, "%s: empty", path);
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return hl_fail(HILUM_ENOMEM, "%s: %s", path, strerror(errno));
    *out = (struct file){bytes, (size_t)st.st_size};
    return HILUM_OK;
}

/* ---- digests ---- */

static void digest(const struct file *file, char hex[PLUGIN_DIGEST])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, file->bytes, file->size);
    sodium_bin2hex(hex, PLUGIN_DIGEST, hash, sizeof hash);
}

hilum_rc hl_trust_digest(const char *path, char hex[PLUGIN_DIGEST])
{
    struct file file;
    hilum_rc rc = map(path, &file);
    if (rc == HILUM_OK)
        digest(&file, hex);
    unmap(&file);
    return rc;
}

/* `sha256` of an entry: one text or a list of them. */
static hilum_rc check_listed(const struct hilum_self *plugin, const struct hl_node *listed)
{
    for (size_t i = 0; i < listed->n_children; i++)
        if (listed->children[i]->text && strcasecmp(listed->children[i]->text, plugin->digest) == 0)
            return HILUM_OK;
    return hl_fail(HILUM_EDENIED,
                   "%s: its SHA-256 is %s, which sha256 beside name = \"%s\" does not list; add it "
                   "if you installed this file",
                   plugin->file, plugin->digest, plugin->id);
}

/* ---- signatures ---- */

/* A public key as `openssl pkey -pubout` writes it: the base64 between the two lines is an Ed25519
 * SubjectPublicKeyInfo (RFC 8410), whose first bytes are always the same. */
static bool read_key(const char *path, unsigned char key[crypto_sign_PUBLICKEYBYTES])
{
    static const unsigned char prefix[SPKI_PREFIX] = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03,
                                                      0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};
    char text[KEY_FILE_MAX] = "";
    unsigned char der[SPKI];
    size_t n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    const char *begin = strstr(text, "-----BEGIN PUBLIC KEY-----");
    const char *end = begin ? strstr(begin + 26, "-----END") : NULL;
    if (!end || sodium_base642bin(der, sizeof der, begin + 26, (size_t)(end - begin) - 26, "\r\n ",
                                  &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    if (n != SPKI || memcmp(der, prefix, SPKI_PREFIX) != 0)
        return false;
    memcpy(key, der + SPKI_PREFIX, crypto_sign_PUBLICKEYBYTES);
    return true;
}

/* <file>.sig: 64 bytes, as `openssl pkeyutl -sign -rawin` writes them. */
static hilum_rc read_signature(const struct hilum_self *plugin,
                               unsigned char out[crypto_sign_BYTES])
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.sig", plugin->file);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? HILUM_ENOTFOUND
                               : hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
    unsigned char bytes[crypto_sign_BYTES + 1];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (n != crypto_sign_BYTES)
        return hl_fail(HILUM_EDENIED, "%s: expected an Ed25519 signature of %u bytes, found %s",
                       path, crypto_sign_BYTES, n > crypto_sign_BYTES ? "more" : "less");
    memcpy(out, bytes, crypto_sign_BYTES);
    return HILUM_OK;
}

/* HILUM_OK: a key of the configuration signed it. HILUM_ENOTFOUND: there is no signature, or no key to check it
 * with. HILUM_EDENIED: there is one, and it is none of theirs. */
static hilum_rc check_signature(const struct hilum_self *plugin, const struct file *file)
{
    const struct hl_node *keys = hl_config_node(plugin->host->config, "trust.keys");
    unsigned char signature[crypto_sign_BYTES], key[crypto_sign_PUBLICKEYBYTES];
    if (!keys || !keys->n_children)
        return HILUM_ENOTFOUND;
    hilum_rc rc = read_signature(plugin, signature);
    for (size_t i = 0; rc == HILUM_OK && i < keys->n_children; i++) {
        if (!read_key(keys->children[i]->text, key))
            return hl_fail(HILUM_EINVAL,
                           "%s: expected an Ed25519 public key in PEM (openssl pkey -pubout)",
                           keys->children[i]->text);
        if (crypto_sign_verify_detached(signature, file->bytes, file->size, key) == 0)
            return HILUM_OK;
    }
    return rc == HILUM_OK ? hl_fail(HILUM_EDENIED,
                                    "%s: its signature %s.sig is by no key of trust.keys, or the "
                                    "file was changed since",
                                    plugin->file, plugin->file)
                          : rc;
}

/* ---- all of it ---- */

/* A wrong digest or signature refuses the file even where none is asked for. */
static hilum_rc judge(struct hilum_self *plugin, const struct file *file)
{
    const struct hl_node *listed = hl_node_get(plugin->entry, "sha256");
    bool must = strcmp(hl_config_text(plugin->host->config, "trust.plugins"), "listed") == 0;
    digest(file, plugin->digest);
    hilum_rc rc = listed && listed->n_children ? check_listed(plugin, listed) : HILUM_ENOTFOUND;
    if (rc == HILUM_EDENIED)
        return rc;
    hilum_rc signature = check_signature(plugin, file);
    if (signature != HILUM_OK && signature != HILUM_ENOTFOUND)
        return signature;
    /* Our own folder is the package's, whose signature the package manager has checked. */
    if (rc == HILUM_OK || signature == HILUM_OK || !must || hl_plugin_is_own(plugin))
        return HILUM_OK;
    return hl_fail(
        HILUM_EDENIED,
        "%s: trust.plugins = \"listed\" asks for sha256 = ( \"%s\" ) beside name = \"%s\", "
        "or for a signature %s.sig by a key of trust.keys",
        plugin->file, plugin->digest, plugin->id, plugin->file);
}

hilum_rc hl_trust_check(struct hilum_self *plugin)
{
    struct file file;
    if (sodium_init() < 0)
        return hl_fail(HILUM_EINTERNAL, "libsodium cannot be used");
    hilum_rc rc = map(plugin->file, &file);
    if (rc == HILUM_OK)
        rc = judge(plugin, &file);
    unmap(&file);
    return rc;
}
