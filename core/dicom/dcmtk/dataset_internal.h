/* What the .cc files of this folder share.
 *
 * Only this folder includes it. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_DATASET_INTERNAL_H
#define HL_DICOM_DATASET_INTERNAL_H

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

extern "C" {
#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/dicom/charset.h"
}
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/dcmtk/guard.h"

struct hl_dataset {
    std::unique_ptr<DcmDataset> set;
    // Elements in order, and by tag; empty: not made yet, or forgotten with a change.
    mutable std::vector<DcmElement *> index, by_tag;
    // Items of long sequences in order, as they are asked for; forgotten with every change.
    mutable std::map<const DcmSequenceOfItems *, std::vector<DcmItem *>> items;
};

namespace hilum
{

inline uint32_t tag_of(const DcmObject &object)
{
    return (uint32_t)object.getGTag() << 16 | object.getETag();
}

inline DcmTagKey key_of(uint32_t tag)
{
    return DcmTagKey((Uint16)(tag >> 16), (Uint16)(tag & 0xFFFF));
}

/* hl_dict_tag() of a part of a path; throws. */
uint32_t tag_named(std::string_view name);

/* The element's bytes as DCMTK holds them; numbers in host order. */
bool raw_value(DcmElement &element, const void **bytes, size_t *length);
/* (0008,0005) of the item, or `inherited`. */
std::string charset_of(DcmItem &item, const std::string &inherited);
/* Does what text_of() says depend on the character set? That of UN as well. */
bool is_in_charset(DcmElement &element);
/* Is the text of this VR in the Specific Character Set (PS3.5 6.1.2.2)? */
bool has_charset(const DcmElement &element);
/* The value as UTF-8 without padding; numbers joined by '\'. charset: of the text, where is_in_charset() says it has one. */
std::string text_of(DcmElement &element, const std::string &charset);
/* Sets the value of a text element from UTF-8. Returns 1 when something became '?'. */
hilum_rc put_text(DcmElement &element, const std::string &utf8, const std::string &charset);

/* Refuses what DCMTK, which bounds nothing, would follow until the stack ends, or allocate for up to
 * 4 GiB because a length says so. */
hilum_rc check_shape(const uint8_t *bytes, size_t n, bool is_implicit, bool is_big_endian);

} // namespace hilum

#endif
