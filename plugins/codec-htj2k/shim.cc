/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

#include <openjph/ojph_arch.h>
#include <openjph/ojph_base.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_message.h>
#include <openjph/ojph_params.h>

#include <openjph/ojph_codestream.h>

namespace
{

ssize_t swallow(void *, const char *, size_t n)
{
    return static_cast<ssize_t>(n);
}

/* The library tells standard output what it thinks of a stream; its 0.9 ignores objects given for that, so the file
 * is one that keeps nothing. Once a process. */
void silence()
{
    static const bool is_done = [] {
        cookie_io_functions_t nowhere = {};
        nowhere.write = swallow;
        FILE *file = fopencookie(nullptr, "w", nowhere);
        if (file) {
            ojph::set_info_stream(file);
            ojph::set_warning_stream(file);
            ojph::set_error_stream(file);
        }
        return true;
    }();
    (void)is_done;
}

/* noexcept: nothing may leave through C frames. Assertions of the library still end the
 * process, see codec-htj2k.c. */
template <class Body> int guarded(struct ht_complaint *complaint, Body body) noexcept
{
    try {
        silence();
        body();
        return HT_OK;
    } catch (const std::bad_alloc &) {
        return HT_NO_MEMORY;
    } catch (const std::exception &e) {
        snprintf(complaint->text, sizeof complaint->text, "%s", e.what());
    } catch (...) {
        snprintf(complaint->text, sizeof complaint->text, "unknown exception");
    }
    return HT_FAILED;
}

/* ---- decoding ---- */

/* Sizes of each component are held against what the caller made room for: the library's own
 * reading of the header is not trusted to be ours. */
void decode(const struct ht_decode &job)
{
    ojph::mem_infile file;
    ojph::codestream stream;
    file.open(job.bytes, job.n);
    if (job.is_resilient)
        stream.enable_resilience();
    stream.read_headers(&file);
    stream.restrict_input_resolution(job.reduce, job.reduce);
    stream.set_planar(false);
    stream.create();
    ojph::param_siz siz = stream.access_siz();
    for (uint32_t i = 0; i < job.components; i++)
        if (siz.get_recon_width(i) != job.columns || siz.get_recon_height(i) != job.rows)
            throw std::runtime_error("picture size contradicts itself");
    for (uint32_t row = 0; row < job.rows; row++)
        for (uint32_t i = 0; i < job.components; i++) {
            ojph::ui32 component = 0;
            ojph::line_buf *line = stream.pull(component);
            if (!line || component >= job.components)
                throw std::runtime_error("rows end early");
            job.put(job.arg, row, component, line->i32);
        }
    stream.close();
}

/* ---- encoding ---- */

/* at_ never goes back: OpenJPH does not seek while it writes. */
class written_file : public ojph::outfile_base
{
  public:
    explicit written_file(const struct ht_encode &job) : job_(job)
    {
    }
    size_t write(const void *bytes, size_t n) override
    {
        if (job_.write(job_.ctx, bytes, n))
            throw std::runtime_error("output is not taken");
        at_ += static_cast<ojph::si64>(n);
        return n;
    }
    ojph::si64 tell() override
    {
        return at_;
    }

  private:
    const struct ht_encode &job_;
    ojph::si64 at_ = 0;
};

/* RPCL: what .202 demands does no harm to the others. */
void set_up(ojph::codestream &stream, const struct ht_encode &job)
{
    ojph::param_siz siz = stream.access_siz();
    siz.set_image_extent(ojph::point(job.columns, job.rows));
    siz.set_num_components(job.components);
    for (uint32_t i = 0; i < job.components; i++)
        siz.set_component(i, ojph::point(1, 1), job.bits, job.is_signed);
    if (job.tile_width && job.tile_height)
        siz.set_tile_size(ojph::size(job.tile_width, job.tile_height));
    ojph::param_cod cod = stream.access_cod();
    cod.set_num_decomposition(job.levels);
    cod.set_block_dims(64, 64);
    cod.set_progression_order("RPCL");
    cod.set_color_transform(job.is_mixed);
    cod.set_reversible(job.delta <= 0);
    if (job.delta > 0)
        stream.access_qcd().set_irrev_quant(static_cast<float>(job.delta));
    stream.set_planar(false);
}

/* The library says which component's next row it wants; each counts for itself. */
void encode(const struct ht_encode &job)
{
    written_file file(job);
    ojph::codestream stream;
    set_up(stream, job);
    stream.write_headers(&file);
    ojph::ui32 component = 0;
    std::vector<uint32_t> rows(job.components, 0);
    ojph::line_buf *line = stream.exchange(nullptr, component);
    for (uint64_t left = static_cast<uint64_t>(job.rows) * job.components; left; left--) {
        job.get(job.arg, rows[component]++, component, line->i32);
        line = stream.exchange(line, component);
    }
    stream.flush();
    stream.close();
}

} // namespace

int ht_decode(const struct ht_decode *job, struct ht_complaint *complaint)
{
    return guarded(complaint, [&] { decode(*job); });
}

int ht_encode(const struct ht_encode *job, struct ht_complaint *complaint)
{
    return guarded(complaint, [&] { encode(*job); });
}
