// Data sets whole: made, read, written. It knows nothing of paths and text.
//
// Everything a peer sends is checked by nesting.cc and bounded in bytes before DCMTK sees it:
// DCMTK recurses and allocates as a length says. Objects are owned by unique_ptr, and no
// exception leaves a function with C linkage.
// SPDX-License-Identifier: Apache-2.0
#include "core/dicom/dcmtk/dataset_internal.h"

#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dcwcache.h>

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <vector>

extern "C" {
#include "core/dicom/uid.h"
#include "core/store/scan.h"
#include "core/store/scan_head.h"
}

namespace
{

// Bytes read, inflated or written at a time.
constexpr size_t CHUNK = 65536;

// Unknown syntaxes have no flags: explicit little endian, as PS3.5 10 demands of them.
unsigned flags_of(const char *syntax)
{
    const hl_syntax *found = hl_uid_syntax(syntax);
    return found ? found->flags : 0u;
}

// Implicit big endian is neither in PS3.5 nor in DCMTK: it is refused.
E_TransferSyntax native(hl_coding coding)
{
    if (coding.is_implicit)
        return coding.is_big_endian ? EXS_Unknown : EXS_LittleEndianImplicit;
    return coding.is_big_endian ? EXS_BigEndianExplicit : EXS_LittleEndianExplicit;
}

// Fragments are only read under the name of their syntax.
E_TransferSyntax xfer_of(const char *syntax, hl_coding coding)
{
    const bool is_explicit_little = !coding.is_implicit && !coding.is_big_endian;
    if (flags_of(syntax) & HL_SYNTAX_ENCAPSULATED && is_explicit_little) {
        const E_TransferSyntax known = DcmXfer(syntax).getXfer();
        return known != EXS_Unknown ? known : EXS_JPEGProcess14SV1;
    }
    return native(coding);
}

// The dictionary first: without it DCMTK would take implicit elements for UN.
hilum_rc make(hl_dataset **out)
{
    const hilum_rc rc = hl_dicom_init();
    if (rc != HILUM_OK)
        return rc;
    *out = new hl_dataset{std::make_unique<DcmDataset>(), {}, {}, {}};
    return HILUM_OK;
}

// The coding is guessed from the first element where the bytes contradict the syntax's name:
// senders mistake one for the other.
hilum_rc read_native(const uint8_t *bytes, size_t n, const char *syntax, hl_dataset **out)
{
    const unsigned flags = flags_of(syntax);
    hl_coding coding{(flags & HL_SYNTAX_IMPLICIT) != 0, (flags & HL_SYNTAX_BIG_ENDIAN) != 0};
    if (n >= HL_HEAD_PEEK)
        hl_head_sniff(bytes, &coding);
    const E_TransferSyntax xfer = xfer_of(syntax, coding);
    if (xfer == EXS_Unknown)
        return hl_fail(HILUM_EINVAL, "data set: implicit big endian is no transfer syntax");
    hilum_rc rc = hilum::check_shape(bytes, n, coding.is_implicit, coding.is_big_endian);
    if (rc != HILUM_OK)
        return rc;
    hl_dataset *made = nullptr;
    rc = make(&made);
    if (rc != HILUM_OK)
        return rc;
    std::unique_ptr<hl_dataset> dataset(made);
    DcmInputBufferStream stream;
    stream.setBuffer(bytes, (offile_off_t)n);
    stream.setEos();
    dataset->set->transferInit();
    const OFCondition condition = dataset->set->read(stream, xfer, EGL_noChange);
    dataset->set->transferEnd();
    if (condition.bad() && condition != EC_EndOfStream)
        return hl_fail(HILUM_EINVAL, "data set: %s", condition.text());
    *out = dataset.release();
    return HILUM_OK;
}

// At most `max` bytes come out; `is_whole` tells whether that was all.
hilum_rc inflate_some(const uint8_t *bytes, size_t n, size_t max, std::vector<uint8_t> &out,
                      bool *is_whole)
{
    z_stream z{};
    if (inflateInit2(&z, -15) != Z_OK)
        return hl_fail(HILUM_ENOMEM, "data set: no memory to inflate");
    z.next_in = const_cast<Bytef *>(bytes);
    z.avail_in = (unsigned)n;
    int status = Z_OK;
    while (status == Z_OK && out.size() < max) {
        const size_t at = out.size();
        out.resize(at + CHUNK);
        z.next_out = out.data() + at;
        z.avail_out = CHUNK;
        status = inflate(&z, Z_NO_FLUSH);
        out.resize(out.size() - z.avail_out);
    }
    inflateEnd(&z);
    *is_whole = status == Z_STREAM_END;
    if (status == Z_OK || status == Z_STREAM_END || (status == Z_BUF_ERROR && !out.empty()))
        return HILUM_OK;
    return hl_fail(HILUM_EINVAL, "data set: deflated data is damaged");
}

// The limit is the answer: whoever sent that much meant no query.
hilum_rc too_large(size_t max)
{
    return hl_fail(HILUM_EFULL, "data set: over %zu bytes", max);
}

// Deflated bytes are inflated here, since DCMTK would inflate without end.
hilum_rc parse(const uint8_t *bytes, size_t n, const char *syntax, hl_dataset **out)
{
    if (n > HL_DATASET_MAX)
        return too_large(HL_DATASET_MAX);
    if (!(flags_of(syntax) & HL_SYNTAX_DEFLATED) || n == 0)
        return read_native(bytes, n, syntax, out);
    std::vector<uint8_t> inflated;
    bool is_whole = false;
    const hilum_rc rc = inflate_some(bytes, n, HL_DATASET_MAX, inflated, &is_whole);
    if (rc != HILUM_OK)
        return rc;
    if (!is_whole)
        return inflated.size() >= HL_DATASET_MAX
                   ? too_large(HL_DATASET_MAX)
                   : hl_fail(HILUM_EINVAL, "data set: deflated data cut short");
    return read_native(inflated.data(), inflated.size(), HL_UID_EXPLICIT_LITTLE_ENDIAN, out);
}

// ---- files ----

// Closes at the end of its scope, whatever ended it.
struct File {
    int fd;
    explicit File(const char *path) : fd(open(path, O_RDONLY | O_CLOEXEC))
    {
    }
    ~File()
    {
        if (fd >= 0)
            close(fd);
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
};

// Up to one chunk more. 0 at the end of the file, -1 on failure.
ssize_t read_more(int fd, std::vector<uint8_t> &bytes)
{
    const size_t at = bytes.size();
    bytes.resize(at + CHUNK);
    ssize_t got;
    do {
        got = read(fd, bytes.data() + at, CHUNK);
    } while (got < 0 && errno == EINTR);
    bytes.resize(at + (got > 0 ? (size_t)got : 0));
    return got;
}

// Whatever kind comes first ends the header.
const hl_element *pixel_data(const hl_scan *scan)
{
    for (const uint32_t tag : {0x7FE00008u, 0x7FE00009u, HL_TAG_PIXEL_DATA})
        if (const hl_element *e = hl_scan_find(scan, tag))
            return e;
    return nullptr;
}

using Scan = std::unique_ptr<hl_scan, decltype(&hl_scan_free)>;

// No limits of its own: the caller bounds what it feeds.
hilum_rc new_scan(const char *syntax, Scan &out)
{
    hl_scan *scan = nullptr;
    const hl_scan_limits limits{0, HL_DATASET_DEPTH, 0};
    const hilum_rc rc = hl_scan_new(syntax, &limits, &scan);
    out.reset(scan);
    return rc;
}

// Reads on until the pixel data; *n receives the length of the data set before it.
hilum_rc read_to_pixels(int fd, const hl_part10 &head, size_t max, std::vector<uint8_t> &bytes,
                        size_t *n)
{
    Scan scan(nullptr, hl_scan_free);
    hilum_rc rc = new_scan(head.transfer_syntax, scan);
    size_t fed = head.dataset_offset;
    for (ssize_t got = 1; rc == HILUM_OK && got > 0 && !pixel_data(scan.get());) {
        rc = hl_scan_feed(scan.get(), bytes.data() + fed, bytes.size() - fed);
        fed = bytes.size();
        if (rc == HILUM_OK && !pixel_data(scan.get())) {
            if (fed - head.dataset_offset > max)
                return too_large(max);
            got = read_more(fd, bytes);
            if (got < 0)
                return hl_fail(hl_rc_from_errno(errno), "read: %s", std::strerror(errno));
        }
    }
    const hl_element *pixels = pixel_data(scan.get());
    *n = pixels ? (size_t)pixels->offset : bytes.size() - head.dataset_offset;
    return *n > max ? too_large(max) : rc;
}

// Only as far as `max` inflated bytes; the pixel data behind is never unpacked.
hilum_rc open_deflated(int fd, const hl_part10 &head, size_t max, std::vector<uint8_t> &bytes,
                       hl_dataset **out)
{
    while (bytes.size() < max && read_more(fd, bytes) > 0)
        ;
    std::vector<uint8_t> inflated;
    bool is_whole = false;
    hilum_rc rc = inflate_some(bytes.data() + head.dataset_offset,
                               bytes.size() - head.dataset_offset, max, inflated, &is_whole);
    Scan scan(nullptr, hl_scan_free);
    if (rc == HILUM_OK)
        rc = new_scan(HL_UID_EXPLICIT_LITTLE_ENDIAN, scan);
    if (rc == HILUM_OK)
        rc = hl_scan_feed(scan.get(), inflated.data(), inflated.size());
    if (rc != HILUM_OK)
        return rc;
    const hl_element *pixels = pixel_data(scan.get());
    if (!pixels && !is_whole)
        return too_large(max);
    return read_native(inflated.data(), pixels ? (size_t)pixels->offset : inflated.size(),
                       HL_UID_EXPLICIT_LITTLE_ENDIAN, out);
}

// The first read covers preamble, meta information and almost every header.
hilum_rc open_file(const char *path, size_t max, char *transfer_syntax, hl_dataset **out)
{
    const File file(path);
    if (file.fd < 0)
        return hl_fail(hl_rc_from_errno(errno), "open %s: %s", path, std::strerror(errno));
    std::vector<uint8_t> bytes;
    while (bytes.size() < 2 * CHUNK + 4096 && read_more(file.fd, bytes) > 0)
        ;
    hl_part10 head;
    hilum_rc rc = hl_part10_read(bytes.data(), bytes.size(), &head);
    if (rc != HILUM_OK)
        return rc;
    if (transfer_syntax)
        std::strcpy(transfer_syntax, head.transfer_syntax);
    if (flags_of(head.transfer_syntax) & HL_SYNTAX_DEFLATED)
        return open_deflated(file.fd, head, max, bytes, out);
    size_t n = 0;
    rc = read_to_pixels(file.fd, head, max, bytes, &n);
    if (rc != HILUM_OK)
        return rc;
    return read_native(bytes.data() + head.dataset_offset, n, head.transfer_syntax, out);
}

// ---- writing ----

// HILUM_EUNSUP rather than a data set whose pixels are not in the syntax it claims: coding is
// the codecs' business.
hilum_rc output_syntax(DcmDataset &set, const char *syntax, E_TransferSyntax *out)
{
    const unsigned flags = flags_of(syntax);
    *out = native({(flags & HL_SYNTAX_IMPLICIT) != 0, (flags & HL_SYNTAX_BIG_ENDIAN) != 0});
    if (flags & HL_SYNTAX_DEFLATED)
        *out = EXS_DeflatedLittleEndianExplicit;
    if (flags & HL_SYNTAX_ENCAPSULATED && set.tagExists(DCM_PixelData))
        return hl_fail(HILUM_EUNSUP, "data set: pixel data is not coded into %s here",
                       hl_uid_name(syntax));
    return HILUM_OK;
}

// The compressor may hold bytes back after the last element; it is done when both are.
hilum_rc write_all(DcmDataset &set, E_TransferSyntax xfer, hl_buf *out)
{
    std::vector<char> chunk(CHUNK);
    DcmOutputBufferStream stream(chunk.data(), (offile_off_t)chunk.size());
    DcmWriteCache cache;
    OFCondition condition = EC_StreamNotifyClient;
    set.transferInit();
    for (bool is_done = false; !is_done && !out->failed;) {
        if (condition == EC_StreamNotifyClient)
            condition = set.write(stream, xfer, EET_ExplicitLength, &cache, EGL_withoutGL,
                                  EPD_withoutPadding);
        if (condition.good())
            stream.flush(); // what the compressor still holds
        void *bytes = nullptr;
        offile_off_t n = 0;
        stream.flushBuffer(bytes, n);
        hl_buf_add(out, bytes, (size_t)n);
        is_done = condition != EC_StreamNotifyClient && (condition.bad() || stream.isFlushed());
    }
    set.transferEnd();
    if (out->failed)
        return hl_fail(HILUM_ENOMEM, "data set: no memory");
    return condition.bad() ? hl_fail(HILUM_EINVAL, "data set: %s", condition.text()) : HILUM_OK;
}

} // namespace

hilum_rc hl_dataset_new(struct hl_dataset **out)
{
    return hilum::guarded([&] { return make(out); });
}

void hl_dataset_free(struct hl_dataset *dataset)
{
    hilum::guarded([&]() -> hilum_rc {
        delete dataset;
        return HILUM_OK;
    });
}

hilum_rc hl_dataset_copy(const struct hl_dataset *dataset, struct hl_dataset **out)
{
    return hilum::guarded([&]() -> hilum_rc {
        *out = new hl_dataset{std::make_unique<DcmDataset>(*dataset->set), {}, {}, {}};
        return HILUM_OK;
    });
}

hilum_rc hl_dataset_parse(const void *bytes, size_t n, const char *transfer_syntax,
                          struct hl_dataset **out)
{
    return hilum::guarded(
        [&] { return parse(static_cast<const uint8_t *>(bytes), n, transfer_syntax, out); });
}

hilum_rc hl_dataset_open(const char *path, size_t max, char *transfer_syntax,
                         struct hl_dataset **out)
{
    return hilum::guarded(
        [&] { return open_file(path, max ? max : (size_t)HL_DATASET_MAX, transfer_syntax, out); });
}

hilum_rc hl_dataset_write(const struct hl_dataset *dataset, const char *transfer_syntax,
                          struct hl_buf *out)
{
    return hilum::guarded([&]() -> hilum_rc {
        E_TransferSyntax xfer = EXS_Unknown;
        const hilum_rc rc = output_syntax(*dataset->set, transfer_syntax, &xfer);
        return rc == HILUM_OK ? write_all(*dataset->set, xfer, out) : rc;
    });
}
