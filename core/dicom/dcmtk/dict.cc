// The data dictionary: DCMTK's, copied once into tables that need no lock. It knows nothing of
// data sets.
//
// Immutable once made: look-ups take no lock. DCMTK's own dictionary has one, which every
// look-up would pay.
// SPDX-License-Identifier: Apache-2.0
#include "core/dicom/dcmtk/dataset_internal.h"

#include <dcmtk/dcmdata/dcdicent.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/oflog/oflog.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <deque>
#include <unordered_map>

namespace
{

// What PS3.6 says of an attribute, as far as anybody here asks.
struct Row {
    std::string_view keyword; // of Dictionary::keywords, zero-terminated
    const char *vr;
};

// Groups 50xx and 60xx, and the few ranges of elements.
struct Range {
    uint32_t first, last;
    Row row;
};

// Tags by views of keywords: a look-up makes no string.
struct Dictionary {
    std::deque<std::string> keywords;
    std::unordered_map<std::string_view, uint32_t> tags;
    std::unordered_map<uint32_t, Row> rows;
    std::vector<Range> ranges;

    Dictionary();
    const Row *find(uint32_t tag) const;

  private:
    void add(const DcmDictEntry &entry);
};

// DCMTK has VRs of its own for attributes that may have two; ours are those of PS3.5, the one
// that is written by default.
const char *plain_vr(const DcmDictEntry &entry)
{
    switch (entry.getVR().getEVR()) {
    case EVR_xs: return "US";
    case EVR_lt: return "OW";
    case EVR_ox:
    case EVR_px: return "OW";
    case EVR_up: return "UL";
    default: return entry.getVR().isStandard() ? entry.getVR().getValidVRName() : "UN";
    }
}

// DCMTK marks what was retired in the name; PS3.6 does not.
const char *plain_keyword(const char *name)
{
    for (const char *prefix : {"RETIRED_", "ACR_NEMA_", "DICONDE_", "DICOS_"})
        if (std::strncmp(name, prefix, std::strlen(prefix)) == 0)
            return name + std::strlen(prefix);
    return name;
}

void Dictionary::add(const DcmDictEntry &entry)
{
    if (entry.getPrivateCreator() || entry.getGroup() == 0)
        return;
    const uint32_t first = (uint32_t)entry.getGroup() << 16 | entry.getElement();
    const uint32_t last = (uint32_t)entry.getUpperGroup() << 16 | entry.getUpperElement();
    const Row row{keywords.emplace_back(plain_keyword(entry.getTagName())), plain_vr(entry)};
    const bool is_retired = row.keyword != entry.getTagName();
    if (is_retired)
        tags.emplace(row.keyword, first); // a current attribute of that name stays
    else
        tags[row.keyword] = first;
    if (first != last)
        ranges.push_back({first, last, row});
    else if (!is_retired || !rows.count(first))
        rows[first] = row;
}

Dictionary::Dictionary()
{
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    // Its iterators are not const, though they change nothing.
    auto &source = const_cast<DcmDataDictionary &>(dcmDataDict.rdlock());
    for (auto i = source.normalBegin(); i != source.normalEnd(); ++i)
        add(**i);
    for (auto i = source.repeatingBegin(); i != source.repeatingEnd(); ++i)
        add(**i);
    dcmDataDict.rdunlock();
}

// Repeating groups are even (PS3.5 7.6): 6001 is not one of them.
bool is_in(const Range &range, uint32_t tag)
{
    const uint32_t group = tag >> 16, element = tag & 0xFFFF;
    return group >= range.first >> 16 && group <= range.last >> 16 &&
           element >= (range.first & 0xFFFF) && element <= (range.last & 0xFFFF) &&
           (group - (range.first >> 16)) % 2 == 0;
}

// Exact tags first: ranges are few, and asked only for what is left.
const Row *Dictionary::find(uint32_t tag) const
{
    const auto exact = rows.find(tag);
    if (exact != rows.end())
        return &exact->second;
    for (const Range &range : ranges)
        if (is_in(range, tag))
            return &range.row;
    return nullptr;
}

// The language makes it once, whichever thread comes first, and nothing changes it after.
const Dictionary &dictionary()
{
    static const Dictionary loaded;
    return loaded;
}

// "(0010,0020)", "0010,0020" or "00100020"; 0 when it is not of that form.
uint32_t tag_of_digits(std::string_view text)
{
    std::string digits;
    for (const char c : text) {
        if (std::isxdigit((unsigned char)c) && digits.size() <= 8)
            digits += c;
        else if (std::string_view("(,)").find(c) == std::string_view::npos)
            return 0;
    }
    return digits.size() == 8 ? (uint32_t)std::stoul(digits, nullptr, 16) : 0;
}

} // namespace

hilum_rc hl_dicom_init(void)
{
    return hilum::guarded([]() -> hilum_rc {
        if (dictionary().rows.empty())
            return hl_fail(HILUM_ENOTFOUND,
                           "data dictionary: none found; install DCMTK's or set DCMDICTPATH");
        return HILUM_OK;
    });
}

uint32_t hilum::tag_named(std::string_view name)
{
    const auto found = dictionary().tags.find(name);
    return found != dictionary().tags.end() ? found->second : tag_of_digits(name);
}

uint32_t hl_dict_tag(const char *name)
{
    uint32_t tag = 0;
    hilum::guarded([&]() -> hilum_rc {
        tag = hilum::tag_named(name);
        return HILUM_OK;
    });
    return tag;
}

const char *hl_dict_keyword(uint32_t tag)
{
    const char *keyword = nullptr;
    hilum::guarded([&]() -> hilum_rc {
        const Row *row = tag >> 16 & 1 ? nullptr : dictionary().find(tag);
        keyword = row ? row->keyword.data() : nullptr;
        return HILUM_OK;
    });
    return keyword;
}

const char *hl_dict_vr(uint32_t tag)
{
    const uint32_t element = tag & 0xFFFF;
    if (element == 0)
        return "UL";
    if (tag >> 16 & 1)
        return element >= 0x10 && element <= 0xFF ? "LO" : "UN";
    const char *vr = "UN";
    hilum::guarded([&]() -> hilum_rc {
        const Row *row = dictionary().find(tag);
        vr = row ? row->vr : "UN";
        return HILUM_OK;
    });
    return vr;
}
