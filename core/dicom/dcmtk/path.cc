// Attributes by path: got, put, removed, listed. It knows nothing of streams and files.
//
// A path is parsed whole before anything is touched, so that a bad one changes nothing. It knows
// no value's form.
// SPDX-License-Identifier: Apache-2.0
#include "core/dicom/dcmtk/dataset_internal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

extern "C" {
#include "core/base/text.h"
}

using hilum::guarded;

namespace
{

// One attribute on the way, with the item to enter; without an index it is item 0.
struct Step {
    uint32_t tag;
    unsigned long index;
    bool has_index;
};

// Taken apart without a byte of memory asked for: a picture is drawn by a hundred questions.
class Path
{
  public:
    bool add(const Step &step)
    {
        if (n == steps.size())
            return false;
        steps[n++] = step;
        return true;
    }
    size_t size() const
    {
        return n;
    }
    const Step &operator[](size_t i) const
    {
        return steps[i];
    }
    const Step &back() const
    {
        return steps[n - 1];
    }

  private:
    std::array<Step, HL_DATASET_DEPTH> steps;
    size_t n = 0;
};

// An item, and the character set that holds in it.
struct Place {
    DcmItem *item;
    std::string charset;
};

hilum_rc bad_path(const char *path)
{
    return hl_fail(HILUM_EINVAL, "path \"%s\": expected Attribute or Sequence[0].Attribute", path);
}

bool parse_step(std::string_view text, Step *out)
{
    *out = Step{0, 0, false};
    const size_t bracket = text.find('[');
    if (bracket != std::string_view::npos) {
        const char *last = text.data() + text.size() - 1;
        const auto number = std::from_chars(text.data() + bracket + 1, last, out->index);
        if (*last != ']' || number.ec != std::errc() || number.ptr != last)
            return false;
        out->has_index = true;
        text = text.substr(0, bracket);
    }
    out->tag = hilum::tag_named(text);
    return out->tag != 0;
}

hilum_rc parse_path(const char *text, Path &out)
{
    const std::string_view path = text;
    for (size_t at = 0; at <= path.size();) {
        const size_t dot = std::min(path.find('.', at), path.size());
        Step step;
        if (!parse_step(path.substr(at, dot - at), &step) || !out.add(step))
            return bad_path(text);
        at = dot + 1;
    }
    return HILUM_OK;
}

// DCMTK's list is walked once, not once for each.
const std::vector<DcmElement *> &in_order(const hl_dataset &dataset)
{
    if (dataset.index.empty())
        for (DcmObject *o = nullptr; (o = dataset.set->nextInContainer(o)) != nullptr;)
            dataset.index.push_back(static_cast<DcmElement *>(o));
    return dataset.index;
}

// In this item only, not below: the first of that tag.
DcmElement *element_in(DcmItem &item, uint32_t tag)
{
    DcmObject *o = nullptr;
    while ((o = item.nextInContainer(o)) != nullptr && hilum::tag_of(*o) != tag)
        ;
    return static_cast<DcmElement *>(o);
}

// The same of the top level, where most questions are asked: in a list that is sorted once.
DcmElement *element_on_top(const hl_dataset &dataset, uint32_t tag)
{
    std::vector<DcmElement *> &list = dataset.by_tag;
    const auto is_before = [](const DcmElement *a, const DcmElement *b) {
        return hilum::tag_of(*a) < hilum::tag_of(*b);
    };
    if (list.empty()) {
        list = in_order(dataset);
        std::stable_sort(list.begin(), list.end(), is_before);
    }
    const auto found =
        std::lower_bound(list.begin(), list.end(), tag, [](const DcmElement *e, uint32_t wanted) {
            return hilum::tag_of(*e) < wanted;
        });
    return found != list.end() && hilum::tag_of(**found) == tag ? *found : nullptr;
}

DcmElement *element_of(const hl_dataset &dataset, DcmItem &item, uint32_t tag)
{
    return &item == dataset.set.get() ? element_on_top(dataset, tag) : element_in(item, tag);
}

// nullptr: absent, or no sequence.
DcmSequenceOfItems *as_sequence(DcmElement *element)
{
    return element && element->ident() == EVR_SQ ? static_cast<DcmSequenceOfItems *>(element)
                                                 : nullptr;
}

// Below this DCMTK's list is walked: it is short, and nothing has to be kept.
enum { SHORT = 64 };

// DCMTK walks its list from the start for each: whoever asks for all items of a sequence of 200,000, as of a presentation
// state that names as many images, would wait for hours.
DcmItem *item_at(const hl_dataset &dataset, DcmSequenceOfItems &sequence, unsigned long i)
{
    if (sequence.card() < SHORT)
        return sequence.getItem(i);
    std::vector<DcmItem *> &items = dataset.items[&sequence];
    if (items.empty()) {
        items.reserve(sequence.card());
        for (DcmObject *o = nullptr; (o = sequence.nextInContainer(o)) != nullptr;)
            items.push_back(static_cast<DcmItem *>(o));
    }
    return i < items.size() ? items[i] : nullptr;
}

// After a change, also one that failed half way: what is remembered may have been freed by it.
void forget(hl_dataset &dataset)
{
    dataset.index.clear();
    dataset.by_tag.clear();
    dataset.items.clear();
}

// The item the last step of the path is in; nullptr when it is not there. `visit` is called with each item on the way, the
// data set first.
template <class Visit> DcmItem *find_item(const hl_dataset &dataset, const Path &path, Visit visit)
{
    DcmItem *item = dataset.set.get();
    visit(*item);
    for (size_t i = 0; i + 1 < path.size(); i++) {
        DcmSequenceOfItems *inner = as_sequence(element_of(dataset, *item, path[i].tag));
        if (!inner || path[i].index >= inner->card())
            return nullptr;
        item = item_at(dataset, *inner, path[i].index);
        if (!item)
            return nullptr;
        visit(*item);
    }
    return item;
}

DcmItem *find_item(const hl_dataset &dataset, const Path &path)
{
    return find_item(dataset, path, [](DcmItem &) {});
}

// Asked only for what there is: most of what is looked for is not, and of the rest little is text.
std::string charset_at(const hl_dataset &dataset, const Path &path)
{
    std::string charset;
    find_item(dataset, path, [&](DcmItem &item) { charset = hilum::charset_of(item, charset); });
    return charset;
}

// HILUM_ENOTFOUND when any step of the way is absent.
hilum_rc find_element(const hl_dataset *dataset, const char *path, Path &steps, DcmElement **out)
{
    const hilum_rc rc = parse_path(path, steps);
    if (rc != HILUM_OK)
        return rc;
    DcmItem *item = find_item(*dataset, steps);
    *out = item ? element_of(*dataset, *item, steps.back().tag) : nullptr;
    return *out ? HILUM_OK : hl_fail(HILUM_ENOTFOUND, "%s is absent", path);
}

// A sequence has no text; saying so beats an empty answer.
hilum_rc get_text(const hl_dataset *dataset, const char *path, std::string &out)
{
    Path steps;
    DcmElement *element = nullptr;
    const hilum_rc rc = find_element(dataset, path, steps, &element);
    if (rc != HILUM_OK)
        return rc;
    if (!element->isLeaf())
        return hl_fail(HILUM_EINVAL, "%s is a sequence", path);
    out = hilum::text_of(*element, hilum::is_in_charset(*element) ? charset_at(*dataset, steps)
                                                                  : std::string());
    return HILUM_OK;
}

// ---- putting ----

// Takes the element, also when it fails; one of that tag is replaced.
hilum_rc insert(DcmItem &item, DcmElement *element, const char *path)
{
    std::unique_ptr<DcmElement> owned(element);
    if (item.insert(element, OFTrue).bad())
        return hl_fail(HILUM_EINVAL, "%s: cannot be inserted", path);
    owned.release();
    return HILUM_OK;
}

// The item at the step, made if it is the next one.
hilum_rc enter(Place &place, const Step &step, const char *path)
{
    DcmSequenceOfItems *inner = as_sequence(element_in(*place.item, step.tag));
    if (!inner) {
        inner = new DcmSequenceOfItems(DcmTag(hilum::key_of(step.tag), EVR_SQ));
        const hilum_rc rc = insert(*place.item, inner, path);
        if (rc != HILUM_OK)
            return rc;
    }
    if (step.index > inner->card())
        return hl_fail(HILUM_EINVAL, "%s: there are %lu items only", path, inner->card());
    if (step.index == inner->card()) {
        place.item = new DcmItem();
        inner->append(place.item);
    } else {
        place.item = inner->getItem(step.index);
    }
    place.charset = hilum::charset_of(*place.item, place.charset);
    return HILUM_OK;
}

// What the dictionary does not know is text, as people type it.
DcmEVR vr_to_put(uint32_t tag)
{
    const char *vr = hl_dict_vr(tag);
    return std::strcmp(vr, "UN") == 0 ? EVR_LO : DcmVR(vr).getEVR();
}

// Always a new element: an old one may have another VR from a careless sender.
hilum_rc put_leaf(Place &place, const Step &step, const char *path, const std::string &utf8)
{
    const DcmEVR vr = vr_to_put(step.tag);
    if (vr == EVR_SQ && !utf8.empty())
        return hl_fail(HILUM_EINVAL, "%s is a sequence", path);
    if (step.has_index)
        return bad_path(path);
    DcmElement *element = nullptr;
    DcmTag tag(hilum::key_of(step.tag), vr);
    if (DcmItem::newDicomElement(element, tag).bad() || !element)
        return hl_fail(HILUM_EINVAL, "%s: no such attribute", path);
    const hilum_rc rc = utf8.empty() ? HILUM_OK : hilum::put_text(*element, utf8, place.charset);
    if (rc < HILUM_OK) {
        delete element;
        return rc;
    }
    return insert(*place.item, element, path);
}

// Items made on the way stay when the last step fails: an empty item says nothing wrong.
hilum_rc put(hl_dataset *dataset, const char *path, const std::string &utf8)
{
    Path steps;
    hilum_rc rc = parse_path(path, steps);
    Place place{dataset->set.get(), hilum::charset_of(*dataset->set, "")};
    for (size_t i = 0; rc == HILUM_OK && i + 1 < steps.size(); i++)
        rc = enter(place, steps[i], path);
    return rc == HILUM_OK ? put_leaf(place, steps.back(), path, utf8) : rc;
}

hilum_rc remove_at(hl_dataset *dataset, const char *path)
{
    Path steps;
    const hilum_rc rc = parse_path(path, steps);
    if (rc != HILUM_OK)
        return rc;
    bool is_gone = false;
    const Step &last = steps.back();
    if (DcmItem *item = find_item(*dataset, steps)) {
        DcmSequenceOfItems *items =
            last.has_index ? as_sequence(element_in(*item, last.tag)) : nullptr;
        if (items && last.index < items->card()) {
            delete items->remove(last.index);
            is_gone = true;
        } else if (!last.has_index) {
            is_gone = item->findAndDeleteElement(hilum::key_of(last.tag)).good();
        }
    }
    return is_gone ? HILUM_OK : hl_fail(HILUM_ENOTFOUND, "%s is absent", path);
}

// ---- character set of all ----

hilum_rc convert_item(DcmItem &item, const std::string &inherited, const std::string &wanted);

hilum_rc convert_items(DcmSequenceOfItems &items, const std::string &charset,
                       const std::string &wanted)
{
    hilum_rc rc = HILUM_OK;
    for (DcmObject *o = nullptr; rc >= HILUM_OK && (o = items.nextInContainer(o)) != nullptr;) {
        const hilum_rc one = convert_item(static_cast<DcmItem &>(*o), charset, wanted);
        rc = one < HILUM_OK ? one : std::max(rc, one);
    }
    return rc;
}

// Returns 1 when something became '?'.
hilum_rc convert_item(DcmItem &item, const std::string &inherited, const std::string &wanted)
{
    const std::string charset = hilum::charset_of(item, inherited);
    hilum_rc rc = HILUM_OK;
    for (DcmObject *o = nullptr; rc >= HILUM_OK && (o = item.nextInContainer(o)) != nullptr;) {
        DcmElement &element = static_cast<DcmElement &>(*o);
        hilum_rc one = HILUM_OK;
        if (element.ident() == EVR_SQ) {
            one = convert_items(static_cast<DcmSequenceOfItems &>(element), charset, wanted);
        } else if (hilum::has_charset(element)) {
            one = hilum::put_text(element, hilum::text_of(element, charset), wanted);
        }
        rc = one < HILUM_OK ? one : std::max(rc, one);
    }
    item.findAndDeleteElement(DCM_SpecificCharacterSet);
    return rc;
}

// On a copy: a set that proves too poor must leave the data set as it was.
hilum_rc convert(hl_dataset *dataset, const std::string &wanted)
{
    auto copy = std::make_unique<DcmDataset>(*dataset->set);
    const hilum_rc rc = convert_item(*copy, "", wanted);
    if (rc != HILUM_OK)
        return rc;
    if (!wanted.empty())
        copy->putAndInsertString(DCM_SpecificCharacterSet, wanted.c_str());
    dataset->set = std::move(copy);
    return HILUM_OK;
}

} // namespace

hilum_rc hl_dataset_raw(const struct hl_dataset *dataset, const char *path, const void **bytes,
                        size_t *n)
{
    return guarded([&]() -> hilum_rc {
        Path steps;
        DcmElement *element = nullptr;
        const hilum_rc rc = find_element(dataset, path, steps, &element);
        if (rc != HILUM_OK)
            return rc;
        if (!element->isLeaf())
            return hl_fail(HILUM_EINVAL, "%s is a sequence", path);
        return hilum::raw_value(*element, bytes, n) ? HILUM_OK
                                                    : hl_fail(HILUM_ENOTFOUND, "%s is empty", path);
    });
}

hilum_rc hl_dataset_get(const struct hl_dataset *dataset, const char *path, struct hl_buf *out)
{
    return guarded([&]() -> hilum_rc {
        std::string text;
        const hilum_rc rc = get_text(dataset, path, text);
        hl_buf_add(out, text.data(), text.size());
        return rc;
    });
}

const char *hl_dataset_text(const struct hl_dataset *dataset, const char *path, char *out,
                            size_t size)
{
    out[0] = '\0';
    guarded([&]() -> hilum_rc {
        std::string text;
        const hilum_rc rc = get_text(dataset, path, text);
        size_t n = std::min(text.size(), size - 1);
        while (n < text.size() && n && (text[n] & 0xC0) == 0x80)
            n--; // not in the middle of a character
        std::memcpy(out, text.data(), n);
        out[n] = '\0';
        return rc;
    });
    return out;
}

bool hl_dataset_has(const struct hl_dataset *dataset, const char *path)
{
    return guarded([&]() -> hilum_rc {
               Path steps;
               DcmElement *element = nullptr;
               return find_element(dataset, path, steps, &element);
           }) == HILUM_OK;
}

size_t hl_dataset_items(const struct hl_dataset *dataset, const char *path)
{
    size_t n = 0;
    guarded([&]() -> hilum_rc {
        Path steps;
        DcmElement *element = nullptr;
        const hilum_rc rc = find_element(dataset, path, steps, &element);
        if (rc == HILUM_OK && element->ident() == EVR_SQ)
            n = static_cast<DcmSequenceOfItems *>(element)->card();
        return rc;
    });
    return n;
}

hilum_rc hl_dataset_put(struct hl_dataset *dataset, const char *path, const char *utf8)
{
    const hilum_rc rc = guarded([&] { return put(dataset, path, utf8); });
    forget(*dataset);
    return rc;
}

hilum_rc hl_dataset_remove(struct hl_dataset *dataset, const char *path)
{
    const hilum_rc rc = guarded([&] { return remove_at(dataset, path); });
    forget(*dataset);
    return rc;
}

hilum_rc hl_dataset_set_charset(struct hl_dataset *dataset, const char *charset)
{
    const hilum_rc rc = guarded([&]() -> hilum_rc {
        const hilum_rc first = convert(dataset, charset);
        if (first <= HILUM_OK)
            return first;
        const hilum_rc again = convert(dataset, "ISO_IR 192");
        return again == HILUM_OK ? 1 : again;
    });
    forget(*dataset);
    return rc;
}

size_t hl_dataset_count(const struct hl_dataset *dataset)
{
    return dataset->set->card();
}

bool hl_dataset_at(const struct hl_dataset *dataset, size_t i, struct hl_field *out)
{
    *out = hl_field{};
    return guarded([&]() -> hilum_rc {
               const std::vector<DcmElement *> &elements = in_order(*dataset);
               if (i >= elements.size())
                   return HILUM_ENOTFOUND;
               DcmElement *element = elements[i];
               out->tag = hilum::tag_of(*element);
               std::strncpy(out->vr, DcmVR(element->getVR()).getValidVRName(), 2);
               out->is_sequence = element->ident() == EVR_SQ;
               hilum::raw_value(*element, &out->raw, &out->length);
               return HILUM_OK;
           }) == HILUM_OK;
}
