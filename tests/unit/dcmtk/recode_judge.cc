// A data set read by DCMTK against another one, element by element. For tests only.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/dcmtk/recode_judge.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcostrmb.h>

#include <cstring>
#include <string>
#include <vector>

namespace
{

using Bytes = std::vector<unsigned char>;

bool load(const void *bytes, size_t n, const char *syntax, DcmDataset &out)
{
    DcmInputBufferStream stream;
    stream.setBuffer(const_cast<void *>(bytes), (offile_off_t)n);
    stream.setEos();
    out.transferInit();
    const OFCondition read = out.read(stream, DcmXfer(syntax).getXfer(), EGL_noChange);
    out.transferEnd();
    return read.good();
}

// As dcmconv does: written in the other syntax, read again.
bool convert(DcmDataset &from, const char *syntax, Bytes &out)
{
    out.resize(from.calcElementLength(DcmXfer(syntax).getXfer(), EET_UndefinedLength) * 2 + 65536);
    DcmOutputBufferStream stream(out.data(), (offile_off_t)out.size());
    const DcmXfer target(syntax);
    from.transferInit();
    const OFCondition written =
        from.write(stream, target.getXfer(), EET_UndefinedLength, nullptr, EGL_withoutGL);
    from.transferEnd();
    void *start = nullptr;
    offile_off_t n = 0;
    stream.flushBuffer(start, n);
    out.resize((size_t)n);
    return written.good();
}

Bytes value_of(DcmElement &element)
{
    Bytes bytes(element.getLength());
    if (!bytes.empty() &&
        element.getPartialValue(bytes.data(), 0, (Uint32)bytes.size(), nullptr, EBO_LittleEndian)
            .bad())
        bytes.clear();
    return bytes;
}

bool is_left_out(const DcmObject &object)
{
    return object.getTag().getElement() == 0 ||
           (object.getTag().getGroup() == 8 && object.getTag().getElement() == 1);
}

// What is 16 or more bits wide and has come to be UN cannot be told from bytes.
bool is_same_vr(const DcmTag &a, const DcmTag &b)
{
    const std::string x = a.getVRName(), y = b.getVRName();
    const auto is_word = [](const std::string &vr) { return vr == "US" || vr == "SS"; };
    const auto is_other = [](const std::string &vr) { return vr == "OB" || vr == "OW"; };
    return x == y || x == "UN" || y == "UN" || (is_word(x) && is_word(y)) ||
           (is_other(x) && is_other(y)) || (a.getGroup() & 1);
}

std::string compare(DcmItem &a, DcmItem &b);

std::string compare_sequences(DcmSequenceOfItems &a, DcmSequenceOfItems &b)
{
    if (a.card() != b.card())
        return "items differ in number";
    for (unsigned long i = 0; i < a.card(); i++) {
        const std::string found = compare(*a.getItem(i), *b.getItem(i));
        if (!found.empty())
            return "item " + std::to_string(i) + ": " + found;
    }
    return "";
}

std::string compare_elements(DcmElement &a, DcmElement &b)
{
    auto *x = dynamic_cast<DcmSequenceOfItems *>(&a), *y = dynamic_cast<DcmSequenceOfItems *>(&b);
    if (x && y && a.ident() == EVR_SQ && b.ident() == EVR_SQ)
        return compare_sequences(*x, *y);
    if (!is_same_vr(a.getTag(), b.getTag()))
        return std::string("VR ") + DcmTag(a.getTag()).getVRName() + " and " +
               DcmTag(b.getTag()).getVRName();
    return value_of(a) == value_of(b) ? "" : "values differ";
}

DcmObject *next_of(DcmItem &item, DcmObject *at)
{
    do
        at = item.nextInContainer(at);
    while (at && is_left_out(*at));
    return at;
}

std::string compare(DcmItem &a, DcmItem &b)
{
    DcmObject *x = next_of(a, nullptr), *y = next_of(b, nullptr);
    for (; x && y; x = next_of(a, x), y = next_of(b, y)) {
        const std::string where = std::string(x->getTag().toString().c_str()) + ": ";
        if (x->getTag() != y->getTag())
            return where + "is " + y->getTag().toString().c_str() + " in the other";
        const std::string found =
            compare_elements(*static_cast<DcmElement *>(x), *static_cast<DcmElement *>(y));
        if (!found.empty())
            return where + found;
    }
    return x || y ? "one has more elements" : "";
}

} // namespace

const char *recode_judge(const void *source, size_t n_source, const char *from,
                         const void *converted, size_t n_converted, const char *to)
{
    static thread_local std::string verdict;
    DcmDataset original, ours, theirs;
    Bytes bytes;
    // Its deflating stream wants to be emptied otherwise; what is deflated is explicit little endian.
    const char *plain = std::strcmp(to, UID_DeflatedExplicitVRLittleEndianTransferSyntax) == 0
                            ? UID_LittleEndianExplicitTransferSyntax
                            : to;
    if (!load(source, n_source, from, original) || !convert(original, plain, bytes) ||
        !load(bytes.data(), bytes.size(), plain, theirs))
        return "not judged";
    verdict = load(converted, n_converted, to, ours) ? compare(ours, theirs) : "ours is not read";
    return verdict.c_str();
}
