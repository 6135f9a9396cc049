// Depth and lengths of a data set before DCMTK sees it. It knows nothing of DCMTK.
//
// A walk over heads that never recurses and never allocates by a length: levels are on a stack
// that the check of depth bounds.
// SPDX-License-Identifier: Apache-2.0
#include <cctype>
#include <cstring>
#include <vector>

extern "C" {
#include "core/store/scan.h"
#include "core/store/scan_head.h"
}
#include "core/dicom/dcmtk/dataset_internal.h"

namespace
{

// Where DCMTK may read a damaged data set in another way than we do, the number of items alone
// has to
// show that the stack suffices.
constexpr size_t ITEMS_SAFE = 400;

// What stands directly inside a level: elements, items of a sequence, or fragments of
// encapsulated pixel data (PS3.5 A.4).
enum class Holds { elements, items, fragments };

// `end` is UINT64_MAX for an undefined length, which a delimiter ends (PS3.5 7.5.2).
struct Level {
    uint64_t end;
    Holds holds;
    hl_coding coding;
};

struct Walk {
    const uint8_t *bytes;
    size_t n, at;
    std::vector<Level> levels;
    bool is_odd;     // something DCMTK may see otherwise
    bool is_cut;     // a length goes past the end
    bool is_foreign; // an element DCMTK takes to be of another length
};

// Anywhere in the bytes, in both orders of bytes: an upper bound, whatever a reader takes for
// structure.
size_t count_items(const uint8_t *bytes, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i + 4 <= n; i++)
        count += std::memcmp(bytes + i, "\xFE\xFF\x00\xE0", 4) == 0 ||
                 std::memcmp(bytes + i, "\xFF\xFE\xE0\x00", 4) == 0;
    return count;
}

bool begins_with_item(const Walk &walk, size_t at, hl_coding coding)
{
    return at + 4 <= walk.n && hl_get_tag(walk.bytes + at, coding.is_big_endian) == HL_TAG_ITEM;
}

// One level down; `at` is behind the head then.
void push(Walk &walk, const hl_head &head, Holds holds, hl_coding coding)
{
    const bool is_undefined = head.length == HL_LENGTH_UNDEFINED;
    const uint64_t begin = walk.at + head.size;
    walk.levels.push_back({is_undefined ? UINT64_MAX : begin + head.length, holds, coding});
    walk.at = begin;
}

// A value is skipped by its length, unless it is, or could be taken for, a sequence.
void take_element(Walk &walk, const hl_head &head, hl_coding coding)
{
    const bool is_unknown = std::strcmp(head.vr, "UN") == 0;
    const bool is_pixels =
        head.tag == HL_TAG_PIXEL_DATA &&
        (coding.is_implicit || std::strcmp(head.vr, "OB") == 0 || std::strcmp(head.vr, "OW") == 0);
    const bool may_hide = (coding.is_implicit || is_unknown) && head.length >= HL_HEAD_PEEK;
    if (is_unknown)
        coding = hl_coding{true, false};
    if (head.length == HL_LENGTH_UNDEFINED || std::strcmp(head.vr, "SQ") == 0 ||
        (may_hide && begins_with_item(walk, walk.at + head.size, coding)))
        push(walk, head, is_pixels ? Holds::fragments : Holds::items, coding);
    else
        walk.at += (size_t)head.size + head.length;
}

// Of unknown VRs DCMTK tells the length by the letters alone, the scan by what follows them:
// where the two disagree, DCMTK would go on somewhere inside the value. An undefined length under such a VR
// means items of implicit elements to DCMTK: it would take lengths, and memory, from inside the value.
bool is_foreign(const hl_head &head)
{
    if (!(head.remarks & HL_SCAN_BAD_VR))
        return false;
    const bool has_letters = std::isalpha((unsigned char)head.vr[0]) != 0 &&
                             std::isalpha((unsigned char)head.vr[1]) != 0;
    return head.remarks & HL_SCAN_WRONG_SYNTAX || (has_letters && head.size == 8) ||
           head.length == HL_LENGTH_UNDEFINED;
}

// One head further; false at the end.
bool step(Walk &walk)
{
    while (walk.levels.size() > 1 && walk.at >= walk.levels.back().end)
        walk.levels.pop_back();
    if (walk.at + HL_HEAD_PEEK > walk.n)
        return false;
    const Level level = walk.levels.back();
    const uint8_t *p = walk.bytes + walk.at;
    if (hl_head_size(p, level.coding) > walk.n - walk.at)
        return false;
    hl_head head;
    hl_head_decode(p, level.coding, &head);
    walk.is_odd |= head.remarks != 0;
    walk.is_foreign = is_foreign(head);
    walk.is_cut = head.length != HL_LENGTH_UNDEFINED && head.length > walk.n - walk.at - head.size;
    if (walk.is_cut || walk.is_foreign)
        return false;
    if (head.tag == HL_TAG_ITEM_END || head.tag == HL_TAG_SEQUENCE_END) {
        walk.at += head.size;
        if (walk.levels.size() > 1)
            walk.levels.pop_back();
    } else if (level.holds == Holds::fragments && head.length != HL_LENGTH_UNDEFINED) {
        walk.at += (size_t)head.size + head.length;
    } else if (level.holds != Holds::elements) {
        walk.is_odd |= head.tag != HL_TAG_ITEM;
        push(walk, head, Holds::elements, level.coding);
    } else {
        take_element(walk, head, level.coding);
    }
    return true;
}

} // namespace

// Two levels a nesting: the sequence and its item.
hilum_rc hilum::check_shape(const uint8_t *bytes, size_t n, bool is_implicit, bool is_big_endian)
{
    Walk walk{bytes, n,     0,    {{UINT64_MAX, Holds::elements, {is_implicit, is_big_endian}}},
              false, false, false};
    bool is_deep = false;
    while (!is_deep && step(walk))
        is_deep = walk.levels.size() > 2 * HL_DATASET_DEPTH + 1;
    if (is_deep || (walk.is_odd && count_items(bytes, n) > ITEMS_SAFE))
        return hl_fail(HILUM_EINVAL, "data set: nested over %d deep at offset %zu",
                       HL_DATASET_DEPTH, walk.at);
    if (walk.is_foreign)
        return hl_fail(HILUM_EINVAL, "data set: no VR at offset %zu", walk.at);
    if (walk.is_cut)
        return hl_fail(HILUM_EINVAL, "data set: cut short in the value at offset %zu", walk.at);
    return HILUM_OK;
}
