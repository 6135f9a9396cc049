/* Look-up in the UID tables. It knows nothing of what a server does with a UID.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/uid.h"

#include <stdlib.h>
#include <string.h>

#include "core/dicom/uid_table.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A walk: the most frequent ones come first, in the order of the standard. */
const struct hl_syntax *hl_uid_syntax(const char *uid)
{
    for (size_t i = 0; i < COUNT(syntaxes); i++)
        if (strcmp(syntaxes[i].uid, uid) == 0)
            return &syntaxes[i];
    return NULL;
}

const char *hl_uid_syntax_of(const char *uid_or_keyword)
{
    for (size_t i = 0; i < COUNT(syntaxes); i++)
        if (strcmp(syntaxes[i].name, uid_or_keyword) == 0)
            return syntaxes[i].uid;
    return uid_or_keyword;
}

const struct hl_syntax *hl_uid_syntax_named(const char *name)
{
    static const struct {
        const char *name, *keyword;
    } shorts[] = {{"jpegls", "JPEGLSLossless"},
                  {"htj2k", "HTJ2KLossless"},
                  {"htj2k-rpcl", "HTJ2KLosslessRPCL"},
                  {"j2k", "JPEG2000Lossless"},
                  {"jpegxl", "JPEGXLLossless"},
                  {"jpeg-lossless", "JPEGLosslessSV1"},
                  {"rle", "RLELossless"},
                  {"explicit", "ExplicitVRLittleEndian"},
                  {"implicit", "ImplicitVRLittleEndian"},
                  {"jpeg", "JPEGBaseline8Bit"},
                  {"jpegls-near", "JPEGLSNearLossless"},
                  {"j2k-lossy", "JPEG2000"},
                  {"htj2k-lossy", "HTJ2K"},
                  {"jpegxl-jpeg", "JPEGXLJPEGRecompression"},
                  {"jpegxl-lossy", "JPEGXL"}};
    for (size_t i = 0; i < COUNT(shorts); i++)
        if (strcmp(shorts[i].name, name) == 0)
            name = shorts[i].keyword;
    return hl_uid_syntax(hl_uid_syntax_of(name));
}

size_t hl_uid_syntaxes(const struct hl_syntax **out)
{
    *out = syntaxes;
    return COUNT(syntaxes);
}

size_t hl_uid_storage_classes(const struct hl_uid_entry **out)
{
    *out = storage_classes;
    return COUNT(storage_classes);
}

static int compare_uid(const void *key, const void *entry)
{
    return strcmp(key, ((const struct hl_uid_entry *)entry)->uid);
}

/* Asked for each proposed context of each association, hence by halves. */
static const struct hl_uid_entry *storage_class(const char *uid)
{
    return bsearch(uid, storage_classes, COUNT(storage_classes), sizeof storage_classes[0],
                   compare_uid);
}

bool hl_uid_is_storage(const char *uid)
{
    return strncmp(uid, HL_UID_STORAGE_PREFIX, strlen(HL_UID_STORAGE_PREFIX)) == 0 ||
           storage_class(uid) != NULL;
}

/* Storage classes by halves first: they are asked for most often. */
const char *hl_uid_name(const char *uid)
{
    const struct hl_uid_entry *found = storage_class(uid);
    if (found)
        return found->name;
    for (size_t i = 0; i < COUNT(others); i++)
        if (strcmp(others[i].uid, uid) == 0)
            return others[i].name;
    const struct hl_syntax *syntax = hl_uid_syntax(uid);
    return syntax ? syntax->name : uid;
}

bool hl_uid_is_valid(const char *uid)
{
    size_t n = strnlen(uid, 65);
    if (n == 0 || n > 64)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool is_first = i == 0 || uid[i - 1] == '.';
        bool is_last = uid[i + 1] == '.' || uid[i + 1] == '\0';
        if (uid[i] == '.' ? is_first || is_last : uid[i] < '0' || uid[i] > '9')
            return false;
        if (uid[i] == '0' && is_first && !is_last)
            return false;
    }
    return true;
}

bool hl_uid_is_usable(const char *uid)
{
    size_t n = strlen(uid);
    return n > 0 && n <= 64 && strspn(uid, "0123456789.") == n;
}
