// The DICOM JSON Model (PS3.18 annex F). It knows nothing of paths and files.
//
// Depth is that of the data set, which was bounded when it was parsed (HL_DATASET_DEPTH). All
// text comes out as UTF-8.
// SPDX-License-Identifier: Apache-2.0
#include "core/dicom/dcmtk/dataset_internal.h"

#include <cstring>
#include <vector>

namespace
{

// Larger binary values are left out where nobody says what to point to.
constexpr hl_json_options PLAIN = {nullptr, 64 * 1024, nullptr, 0};

// Where the writer is: in an item at `path` ("" or "54000100/0/"), under this character set.
struct Place {
    const hl_json_options &options;
    std::string path, charset;
};

void write_item(DcmItem &item, const Place &place, hl_buf *out);

// Empty parts count: an empty value keeps its place among the others.
std::vector<std::string> split(const std::string &text, char by)
{
    std::vector<std::string> parts;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(by, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

// Spaces around a value carry nothing but for long texts (PS3.5 6.2).
std::string trimmed(const std::string &text)
{
    const size_t begin = text.find_first_not_of(' ');
    if (begin == std::string::npos)
        return "";
    return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// Empty groups are left out, their place is told by the key.
void write_name(const std::string &name, hl_buf *out)
{
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    const std::vector<std::string> parts = split(name, '=');
    const char *comma = "";
    hl_buf_byte(out, '{');
    for (size_t i = 0; i < parts.size() && i < 3; i++) {
        if (parts[i].empty())
            continue;
        hl_buf_printf(out, "%s\"%s\":", comma, groups[i]);
        hl_buf_json_string(out, parts[i].c_str());
        comma = ",";
    }
    hl_buf_byte(out, '}');
}

// How many digits stand at `at`.
size_t digits(const std::string &text, size_t at)
{
    size_t n = 0;
    while (at + n < text.size() && text[at + n] >= '0' && text[at + n] <= '9')
        n++;
    return n;
}

// The text as JSON's grammar has numbers (RFC 8259 6), digit for digit: a double would add or lose some. "": none.
std::string json_number(const std::string &text)
{
    size_t at = !text.empty() && (text[0] == '+' || text[0] == '-');
    std::string out = at && text[0] == '-' ? "-" : "";
    size_t whole = digits(text, at);
    size_t zeros = 0;
    while (zeros + 1 < whole && text[at + zeros] == '0')
        zeros++;
    out += whole ? text.substr(at + zeros, whole - zeros) : "0";
    at += whole;
    size_t fraction = 0;
    if (at < text.size() && text[at] == '.') {
        fraction = digits(text, ++at);
        out += fraction ? "." + text.substr(at, fraction) : "";
        at += fraction;
    }
    if (whole + fraction == 0)
        return "";
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        const bool is_signed = at + 1 < text.size() && (text[at + 1] == '+' || text[at + 1] == '-');
        const size_t exponent = digits(text, at + 1 + is_signed);
        if (exponent == 0)
            return "";
        out += text.substr(at, 1 + is_signed + exponent);
        at += 1 + is_signed + exponent;
    }
    return at == text.size() ? out : "";
}

// What is no number (a modality's slip) stays a string, as F.2.2 allows for DS and IS.
void write_number(const std::string &text, hl_buf *out)
{
    const std::string number = json_number(text);
    if (number.empty())
        hl_buf_json_string(out, text.c_str());
    else
        hl_buf_text(out, number.c_str());
}

// One value of an attribute, in the JSON type table F.2.3-1 gives its VR.
void write_value(DcmEVR vr, const std::string &text, hl_buf *out)
{
    switch (vr) {
    case EVR_PN: write_name(text, out); break;
    case EVR_DS:
    case EVR_IS:
    case EVR_FL:
    case EVR_FD:
    case EVR_US:
    case EVR_SS:
    case EVR_UL:
    case EVR_SL:
    case EVR_UV:
    case EVR_SV: write_number(trimmed(text), out); break;
    case EVR_AT: {
        const uint32_t tag = hl_dict_tag(text.c_str());
        hl_buf_printf(out, "\"%08X\"", (unsigned)tag);
        break;
    }
    case EVR_LT:
    case EVR_ST:
    case EVR_UT: hl_buf_json_string(out, text.c_str()); break;
    default: hl_buf_json_string(out, trimmed(text).c_str());
    }
}

void write_values(DcmElement &element, const std::string &charset, hl_buf *out)
{
    const DcmEVR vr = element.getVR();
    std::string text = hilum::text_of(element, charset);
    if (text.empty())
        return;
    if (hilum::tag_of(element) == 0x00080005)
        text = "ISO_IR 192"; // all text of the model is UTF-8 (F.2)
    const bool is_one = vr == EVR_LT || vr == EVR_ST || vr == EVR_UT || vr == EVR_UR;
    const char *comma = "";
    hl_buf_text(out, ",\"Value\":[");
    for (const std::string &value : is_one ? std::vector<std::string>{text} : split(text, '\\')) {
        hl_buf_text(out, comma);
        if (value.empty())
            hl_buf_text(out, "null");
        else
            write_value(vr, value, out);
        comma = ",";
    }
    hl_buf_byte(out, ']');
}

// Small enough to have here; the kernel needs no library for it.
void write_base64(const uint8_t *p, size_t n, hl_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                               (i + 2 < n ? p[i + 2] : 0);
        hl_buf_byte(out, digits[three >> 18]);
        hl_buf_byte(out, digits[three >> 12 & 63]);
        hl_buf_byte(out, i + 1 < n ? digits[three >> 6 & 63] : '=');
        hl_buf_byte(out, i + 2 < n ? digits[three & 63] : '=');
    }
}

// The path of the attribute below the base, with the indexes of items on the way.
void write_uri(const Place &place, uint32_t tag, hl_buf *out)
{
    char name[9];
    snprintf(name, sizeof name, "%08X", (unsigned)tag);
    hl_buf_text(out, ",\"BulkDataURI\":");
    hl_buf_json_string(out, (place.options.bulk_url + ("/" + place.path) + name).c_str());
}

// Small ones inline; large ones as a URI where there is a base, else without any value.
void write_binary(DcmElement &element, const Place &place, hl_buf *out)
{
    const void *bytes = nullptr;
    size_t n = 0;
    if (element.getLengthField() > place.options.inline_max) {
        if (place.options.bulk_url)
            write_uri(place, hilum::tag_of(element), out);
        return;
    }
    if (!hilum::raw_value(element, &bytes, &n))
        return;
    hl_buf_text(out, ",\"InlineBinary\":\"");
    write_base64(static_cast<const uint8_t *>(bytes), n, out);
    hl_buf_byte(out, '"');
}

void write_sequence(DcmSequenceOfItems &sequence, const Place &place, hl_buf *out)
{
    char name[9];
    if (sequence.card() == 0)
        return;
    const char *comma = "";
    unsigned long i = 0;
    snprintf(name, sizeof name, "%08X", (unsigned)hilum::tag_of(sequence));
    hl_buf_text(out, ",\"Value\":[");
    for (DcmObject *o = nullptr; (o = sequence.nextInContainer(o)) != nullptr;) {
        hl_buf_text(out, comma);
        const std::string path = place.path + name + "/" + std::to_string(i++) + "/";
        write_item(static_cast<DcmItem &>(*o), Place{place.options, path, place.charset}, out);
        comma = ",";
    }
    hl_buf_byte(out, ']');
}

// UN too: nobody knows whether it is text.
bool is_binary(DcmEVR vr)
{
    return vr == EVR_OB || vr == EVR_OW || vr == EVR_OF || vr == EVR_OD || vr == EVR_OL ||
           vr == EVR_OV || vr == EVR_UN;
}

// The VR is the one PS3.5 knows: DCMTK's own (pixel items, overlays) are told by their valid
// names.
void write_element(DcmElement &element, const Place &place, hl_buf *out)
{
    const DcmEVR vr = DcmVR(DcmVR(element.getVR()).getValidVRName()).getEVR();
    hl_buf_printf(out, "\"%08X\":{\"vr\":\"%s\"", (unsigned)hilum::tag_of(element),
                  DcmVR(vr).getValidVRName());
    if (element.ident() == EVR_SQ)
        write_sequence(static_cast<DcmSequenceOfItems &>(element), place, out);
    else if (element.isLeaf() && is_binary(vr))
        write_binary(element, place, out);
    else if (element.isLeaf())
        write_values(element, place.charset, out);
    hl_buf_byte(out, '}');
}

// Those that lie elsewhere, up to `end`, in their places: attributes ascend (F.2.2).
void write_bulk_before(uint64_t end, const Place &place, size_t *at, const char **comma,
                       hl_buf *out)
{
    for (; *at < place.options.n_bulk && place.options.bulk[*at].tag < end; ++*at) {
        const hl_json_bulk &bulk = place.options.bulk[*at];
        hl_buf_printf(out, "%s\"%08X\":{\"vr\":\"%s\"", *comma, (unsigned)bulk.tag, bulk.vr);
        write_uri(place, bulk.tag, out);
        hl_buf_byte(out, '}');
        *comma = ",";
    }
}

void write_item(DcmItem &item, const Place &around, hl_buf *out)
{
    const Place place{around.options, around.path, hilum::charset_of(item, around.charset)};
    const char *comma = "";
    size_t at = place.path.empty() ? 0 : place.options.n_bulk;
    hl_buf_byte(out, '{');
    for (DcmObject *o = nullptr; (o = item.nextInContainer(o)) != nullptr;) {
        DcmElement &element = static_cast<DcmElement &>(*o);
        if (element.getETag() == 0)
            continue; // group lengths are not part of the model
        write_bulk_before(hilum::tag_of(element), place, &at, &comma, out);
        hl_buf_text(out, comma);
        write_element(element, place, out);
        comma = ",";
    }
    write_bulk_before(UINT64_MAX, place, &at, &comma, out);
    hl_buf_byte(out, '}');
}

} // namespace

hilum_rc hl_dataset_json_bulk(const struct hl_dataset *dataset,
                              const struct hl_json_options *options, struct hl_buf *out)
{
    return hilum::guarded([&]() -> hilum_rc {
        write_item(*dataset->set, Place{*options, "", ""}, out);
        return out->failed ? hl_fail(HILUM_ENOMEM, "data set: no memory") : HILUM_OK;
    });
}

hilum_rc hl_dataset_json(const struct hl_dataset *dataset, struct hl_buf *out)
{
    return hl_dataset_json_bulk(dataset, &PLAIN, out);
}
