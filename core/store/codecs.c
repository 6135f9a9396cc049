/* Which syntaxes codecs are asked for, and which of them does it: the best that knows the stream. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/codecs.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/recode.h"

/* Families of syntaxes by the beginning of their UID: JPEG (.50 to .70), RLE, JPEG-LS (.80,
 * .81), JPEG 2000 (.90, .91), JPEG XL (.110 to .112), HTJ2K (.201 to .203). Multi-component JPEG 2000 (.92, .93) has
 * frames that are no images of their own. */
bool hl_unpack_can(const char *from, const char *to)
{
    static const char *const image[] = {
        HL_UID_RLE_LOSSLESS,      "1.2.840.10008.1.2.4.5",  "1.2.840.10008.1.2.4.6",
        "1.2.840.10008.1.2.4.7",  "1.2.840.10008.1.2.4.8",  "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.20", HL_UID_JPEG_XL};
    const struct hl_syntax *syntax = hl_uid_syntax(from);
    if (!syntax || syntax->flags & (HL_SYNTAX_VIDEO | HL_SYNTAX_REFERENCED) ||
        !(syntax->flags & HL_SYNTAX_ENCAPSULATED) || !hl_recode_can(to, to))
        return false;
    for (size_t i = 0; i < sizeof image / sizeof image[0]; i++)
        if (strncmp(from, image[i], strlen(image[i])) == 0)
            return true;
    return false;
}

bool hl_pack_can(const char *from, const char *to, bool may_lose)
{
    const struct hl_syntax *target = hl_uid_syntax(to);
    const unsigned no = HL_SYNTAX_VIDEO | HL_SYNTAX_REFERENCED | HL_SYNTAX_PRIVATE |
                        HL_SYNTAX_RETIRED | (may_lose ? 0 : HL_SYNTAX_LOSSY);
    if (!target || !(target->flags & HL_SYNTAX_ENCAPSULATED) || target->flags & no ||
        strcmp(to, HL_UID_JPEG_XL_OF_JPEG) == 0) /* holds JPEG streams, not pixels */
        return false;
    return hl_recode_can(from, from) || hl_unpack_can(from, HL_UID_EXPLICIT_LITTLE_ENDIAN);
}

/* The processes that libjxl keeps: 8 bits, Huffman coded. */
bool hl_repack_can(const char *from, const char *to)
{
    bool is_in = strcmp(to, HL_UID_JPEG_XL_OF_JPEG) == 0;
    const char *jpeg = is_in ? from : to;
    return (is_in || strcmp(from, HL_UID_JPEG_XL_OF_JPEG) == 0) &&
           (strcmp(jpeg, HL_UID_JPEG_BASELINE) == 0 || strcmp(jpeg, HL_UID_JPEG_EXTENDED) == 0);
}

/* EUNSUP means "not this stream", so the next one is asked; any other failure is the stream's
 * and would be found by all. */
hilum_rc hl_codecs_ask(const struct hl_codecs *codecs, const char *transfer_syntax, uint32_t flags,
                       hilum_rc (*ask)(void *arg, const struct hilum_codec *codec, void *instance),
                       void *arg)
{
    char closed[400] = "";
    hilum_rc rc = HILUM_EUNSUP;
    for (uint32_t rank = 0; rc == HILUM_EUNSUP || rc == HILUM_ECLOSED; rank++) {
        void *instance = NULL;
        const struct hilum_codec *codec =
            codecs ? codecs->find(codecs->arg, transfer_syntax, flags, rank, &instance) : NULL;
        if (closed[0] != '\0' && !codec)
            return hl_fail(HILUM_ECLOSED, "%s: %s", hl_uid_name(transfer_syntax), closed);
        if (!codec)
            return rank ? rc
                        : hl_fail(HILUM_EUNSUP, "no codec %s %s",
                                  flags & HILUM_CODEC_REPACKS   ? "repacks"
                                  : flags & HILUM_CODEC_ENCODES ? "encodes"
                                                                : "decodes",
                                  hl_uid_name(transfer_syntax));
        codecs->enter(codecs->arg, &codec->cap);
        rc = ask(arg, codec, instance);
        codecs->leave(codecs->arg, &codec->cap);
        if (rc == HILUM_ECLOSED) /* in quarantine: the next is asked */
            snprintf(closed, sizeof closed, "%s", hl_error());
    }
    return rc;
}
