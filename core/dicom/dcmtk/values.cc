// Values of single elements: raw, as UTF-8 text, and set from it. It knows nothing of paths and
// of whole data sets.
//
// DCMTK's accessors load and convert values lazily, hence the const_casts: reading may change an
// element's inside, never its value. One thread at a time.
// SPDX-License-Identifier: Apache-2.0
#include "core/dicom/dcmtk/dataset_internal.h"

#include <charconv>
#include <cstring>

namespace
{

// Each number type has its own accessor in DCMTK, all of one shape.
template <class T, class Get> bool array(Get get, size_t size, const void **bytes, size_t *length)
{
    T *values = nullptr;
    if (get(values).bad() || !values)
        return false;
    *bytes = values;
    *length = size;
    return true;
}

// By the element's class or by the VR of its tag: text read under an unknown VR is text all the
// same.
bool is_string(const DcmElement &element)
{
    return const_cast<DcmElement &>(element).isaString() || element.getTag().getVR().isaString();
}

// Leading spaces stay: in long texts they are the layout.
std::string padded_text(const char *text, size_t n)
{
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\0'))
        n--;
    return std::string(text, n);
}

} // namespace

bool hilum::raw_value(DcmElement &e, const void **bytes, size_t *length)
{
    const size_t size = e.getLengthField();
    *bytes = nullptr;
    *length = 0;
    if (e.isEmpty() || !e.isLeaf())
        return false;
    if (is_string(e)) {
        char *text = nullptr;
        Uint32 n = 0;
        if (e.getString(text, n).bad() || !text)
            return false;
        *bytes = text;
        *length = n;
        return true;
    }
    switch (e.getVR()) {
    case EVR_US:
    case EVR_AT:
        return array<Uint16>([&](Uint16 *&v) { return e.getUint16Array(v); }, size, bytes, length);
    case EVR_SS:
        return array<Sint16>([&](Sint16 *&v) { return e.getSint16Array(v); }, size, bytes, length);
    case EVR_UL:
        return array<Uint32>([&](Uint32 *&v) { return e.getUint32Array(v); }, size, bytes, length);
    case EVR_SL:
        return array<Sint32>([&](Sint32 *&v) { return e.getSint32Array(v); }, size, bytes, length);
    case EVR_FL:
    case EVR_OF:
        return array<Float32>([&](Float32 *&v) { return e.getFloat32Array(v); }, size, bytes,
                              length);
    case EVR_FD:
    case EVR_OD:
        return array<Float64>([&](Float64 *&v) { return e.getFloat64Array(v); }, size, bytes,
                              length);
    case EVR_OW:
        return array<Uint16>([&](Uint16 *&v) { return e.getUint16Array(v); }, size, bytes, length);
    case EVR_OL:
        return array<Uint32>([&](Uint32 *&v) { return e.getUint32Array(v); }, size, bytes, length);
    default:
        return array<Uint8>([&](Uint8 *&v) { return e.getUint8Array(v); }, size, bytes, length);
    }
}

std::string hilum::charset_of(DcmItem &item, const std::string &inherited)
{
    DcmElement *element = nullptr;
    const void *bytes = nullptr;
    size_t n = 0;
    if (item.findAndGetElement(DCM_SpecificCharacterSet, element).bad() || !element)
        return inherited;
    return raw_value(*element, &bytes, &n) ? padded_text(static_cast<const char *>(bytes), n) : "";
}

bool hilum::has_charset(const DcmElement &element)
{
    switch (const_cast<DcmElement &>(element).ident()) {
    case EVR_SH:
    case EVR_LO:
    case EVR_ST:
    case EVR_LT:
    case EVR_PN:
    case EVR_UC:
    case EVR_UT: return true;
    default: return false;
    }
}

bool hilum::is_in_charset(DcmElement &element)
{
    return has_charset(element) || element.getVR() == EVR_UN;
}

// Digits enough to read the same number back, and no more: the library's own text is off by the last one at times.
static std::string reals_text(DcmElement &element)
{
    std::string text;
    const unsigned long n = element.getNumberOfValues();
    for (unsigned long i = 0; i < n; i++) {
        char digits[32];
        Float32 single = 0;
        Float64 value = 0;
        if (element.getVR() == EVR_FL && element.getFloat32(single, i).good())
            value = single;
        else if (element.getVR() == EVR_FL || element.getFloat64(value, i).bad())
            return "";
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text += (i > 0 ? "\\" : "") + std::string(digits, end);
    }
    return text;
}

// UN is tried as text too: what unknown attributes hold mostly is. No repair here; that belongs
// to the ingest, which knows the source.
std::string hilum::text_of(DcmElement &element, const std::string &charset)
{
    if (element.getVR() == EVR_FL || element.getVR() == EVR_FD)
        return reals_text(element);
    const bool is_unknown = element.getVR() == EVR_UN;
    if (!is_string(element) && !is_unknown) {
        OFString text;
        return element.getOFStringArray(text).good() ? std::string(text.c_str()) : std::string();
    }
    const void *bytes = nullptr;
    size_t n = 0;
    if (!raw_value(element, &bytes, &n))
        return "";
    const std::string raw = padded_text(static_cast<const char *>(bytes), n);
    hl_buf utf8{};
    const char *declared = is_in_charset(element) ? charset.c_str() : "";
    hl_charset_to_utf8(raw.data(), raw.size(), declared, nullptr, &utf8, nullptr);
    const std::string text(hl_buf_str(&utf8));
    hl_buf_fini(&utf8);
    return text;
}

hilum_rc hilum::put_text(DcmElement &element, const std::string &utf8, const std::string &charset)
{
    hl_buf coded{};
    const char *wanted = has_charset(element) ? charset.c_str() : "";
    hilum_rc rc = hl_charset_from_utf8(utf8.data(), utf8.size(), wanted, &coded);
    if (rc >= HILUM_OK && element.putString(hl_buf_str(&coded)).bad())
        rc = hl_fail(HILUM_EINVAL, "(%04X,%04X): not a value of VR %s", element.getGTag(),
                     element.getETag(), DcmVR(element.getVR()).getValidVRName());
    hl_buf_fini(&coded);
    return rc;
}
