/* What a rule or a person may make the value of an attribute (PS3.5 6.2): a slip of the hand must not leave an object that
 * devices refuse, or pixels that nobody reads any more. Not about what arrives: that is kept as it came.
 * Pure. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/dicom/charset.h"
#include "core/store/store_internal.h"

/* Of those not listed, the longest is that of LO and PN in bytes, several values and groups of components included. */
enum { LINES_MAX = 10240, VALUE_MAX = 1024 };

static bool is_one_of(const char *vr, const char *list)
{
    const char *found = strlen(vr) == 2 ? strstr(list, vr) : NULL;
    return found != NULL && (found - list) % 3 == 0;
}

static bool has_lines(const char *vr)
{
    return is_one_of(vr, "LT ST UT");
}

/* Escape sequences and line ends that a paste brings along; texts of several lines may have the latter (PS3.5 6.1.3). */
static bool has_control(const char *vr, const char *utf8)
{
    for (const unsigned char *p = (const unsigned char *)utf8; *p; p++)
        if ((*p < ' ' && !(has_lines(vr) && strchr("\t\n\f\r", *p))) || *p == 0x7F ||
            (*p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0)) /* C1, as UTF-8 has it */
            return true;
    return false;
}

/* One value in decimal that the VR can hold. */
static bool is_number(const char *vr, const char *utf8)
{
    static const struct {
        char vr[3];
        long long min, max;
    } ranges[] = {{"US", 0, UINT16_MAX},
                  {"SS", INT16_MIN, INT16_MAX},
                  {"UL", 0, UINT32_MAX},
                  {"SL", INT32_MIN, INT32_MAX}};
    char *rest;
    errno = 0;
    long long value = strtoll(utf8, &rest, 10);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (strcmp(ranges[i].vr, vr) == 0)
            return rest != utf8 && *rest == '\0' && errno == 0 && value >= ranges[i].min &&
                   value <= ranges[i].max;
    return false;
}

/* Characters a VR is made of, several values included; NULL: any. */
static const char *alphabet_of(const char *vr)
{
    if (strcmp(vr, "IS") == 0)
        return "0123456789+- \\";
    if (strcmp(vr, "DS") == 0)
        return "0123456789+-.eE \\";
    if (strcmp(vr, "DA") == 0)
        return "0123456789\\";
    if (strcmp(vr, "UI") == 0)
        return "0123456789.\\";
    return NULL;
}

hilum_rc hl_value_check(const char *name, uint32_t tag, const char *vr, const char *utf8)
{
    size_t n = strlen(utf8), most = has_lines(vr) ? LINES_MAX : VALUE_MAX;
    const char *alphabet = alphabet_of(vr);
    if (!hl_utf8_is_valid(utf8, n))
        return hl_fail(HILUM_EINVAL, "%s: expected UTF-8", name);
    if (is_one_of(vr, "OB OW OF OD OL OV UN SQ AT FD FL SV UV"))
        return hl_fail(HILUM_EDENIED,
                       "%s: expected an attribute that is text or a whole number, found VR %s",
                       name, vr);
    if (is_one_of(vr, "US SS UL SL") && !is_number(vr, utf8))
        return hl_fail(HILUM_EINVAL, "%s: expected a whole number that fits VR %s", name, vr);
    if (alphabet != NULL && strspn(utf8, alphabet) != n)
        return hl_fail(HILUM_EINVAL, "%s: expected a value of VR %s", name, vr);
    if (has_control(vr, utf8))
        return hl_fail(HILUM_EINVAL, "%s: expected a value without control characters", name);
    if (n > most)
        return hl_fail(HILUM_EINVAL, "%s: the value is too long", name);
    if (tag == HL_TAG(0x0008, 0x0005) && !hl_charset_is_known(utf8))
        return hl_fail(HILUM_EINVAL, "%s: expected a character set of PS3.3 C.12.1.1.2", name);
    return HILUM_OK;
}
