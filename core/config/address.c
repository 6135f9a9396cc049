/* Addresses and prefixes, IPv4 and IPv6 as one family of sixteen bytes. No name is ever resolved here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/config/peers.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/* One family inside: a peer's range is written once, whichever listener takes the call. */
static bool is_mapped(const uint8_t address[16])
{
    return memcmp(address, mapped_prefix, sizeof mapped_prefix) == 0;
}

hilum_rc hl_address_parse(const char *text, uint8_t out[16])
{
    char bare[64];
    size_t n = strcspn(text, "%"); /* a scope names our interface, not the peer */
    if (n < sizeof bare) {
        memcpy(bare, text, n);
        bare[n] = 0;
        memcpy(out, mapped_prefix, sizeof mapped_prefix);
        if (inet_pton(AF_INET, bare, out + 12) == 1 || inet_pton(AF_INET6, bare, out) == 1)
            return HILUM_OK;
    }
    return hl_fail(HILUM_EINVAL, "expected a numeric address, found \"%.40s\"", text);
}

/* The part of byte i that lies within the prefix, as a mask. */
static unsigned mask_of_byte(const struct hl_cidr *cidr, unsigned i)
{
    unsigned first = 8 * i;
    if (cidr->bits >= first + 8)
        return 0xFF;
    return cidr->bits <= first ? 0 : (0xFFu << (8 - (cidr->bits - first))) & 0xFF;
}

hilum_rc hl_cidr_parse(const char *text, struct hl_cidr *out)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    char address[64], *rest = "";
    if (n >= sizeof address || strchr(text, '%'))
        return hl_fail(HILUM_EINVAL, "expected an address range, found \"%.40s\"", text);
    memcpy(address, text, n);
    address[n] = 0;
    hilum_rc rc = hl_address_parse(address, out->address);
    if (rc != HILUM_OK)
        return rc;
    /* A prefix counts from the form it was written in: /8 of IPv4 is /104 of the mapped form. */
    long offset = strchr(address, ':') ? 0 : 96;
    long written = slash ? strtol(slash + 1, &rest, 10) : 128 - offset;
    bool is_number = !slash || (slash[1] >= '0' && slash[1] <= '9' && !*rest);
    if (!is_number || written > 128 - offset)
        return hl_fail(HILUM_EINVAL, "expected a prefix of at most %ld bits, found \"%.60s\"",
                       128 - offset, text);
    out->bits = (uint8_t)(written + offset);
    /* "10.0.0.5/8" is a slip (the host or the range?), and guessing would open 16 million addresses. */
    for (unsigned i = 0; i < 16; i++)
        if (out->address[i] & ~mask_of_byte(out, i))
            return hl_fail(HILUM_EINVAL, "expected no bits beyond the prefix, found \"%.60s\"",
                           text);
    return HILUM_OK;
}

bool hl_cidr_has(const struct hl_cidr *cidr, const uint8_t address[16])
{
    /* "::/0" written for IPv6 is not meant to let IPv4 in through the mapped range. */
    if (cidr->bits < 96 && is_mapped(address) && !is_mapped(cidr->address))
        return false;
    for (unsigned i = 0; i < 16; i++)
        if ((address[i] & mask_of_byte(cidr, i)) != cidr->address[i])
            return false;
    return true;
}

bool hl_address_is_loopback(const char *address)
{
    static const struct hl_cidr v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127}, 104};
    static const struct hl_cidr v6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};
    uint8_t bytes[16];
    return address && hl_address_parse(address, bytes) == HILUM_OK &&
           (hl_cidr_has(&v4, bytes) || hl_cidr_has(&v6, bytes));
}
