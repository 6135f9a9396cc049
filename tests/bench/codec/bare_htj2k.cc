/* OpenJPH by itself: 16 bits, one sample. SPDX-License-Identifier: Apache-2.0 */
#include <cstring>
#include <exception>

#include <openjph/ojph_arch.h>
#include <openjph/ojph_base.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_params.h>

#include <openjph/ojph_codestream.h>

#include "tests/bench/codec/bare.h"

int bare_htj2k(const uint8_t *bytes, size_t n, void *pixels, size_t size)
try {
    ojph::mem_infile file;
    ojph::codestream stream;
    file.open(bytes, n);
    stream.read_headers(&file);
    stream.set_planar(false);
    stream.create();
    const ojph::ui32 columns = stream.access_siz().get_recon_width(0);
    uint16_t *to = static_cast<uint16_t *>(pixels);
    for (size_t left = size / 2; left >= columns; left -= columns, to += columns) {
        ojph::ui32 component = 0;
        const ojph::line_buf *line = stream.pull(component);
        for (ojph::ui32 x = 0; x < columns; x++)
            to[x] = static_cast<uint16_t>(line->i32[x]);
    }
    stream.close();
    return 0;
} catch (const std::exception &) {
    return 1;
}

int bare_encode_htj2k(const struct bare_picture *picture, void *out, size_t room, size_t *n)
try {
    ojph::mem_outfile file;
    ojph::codestream stream;
    file.open();
    ojph::param_siz siz = stream.access_siz();
    siz.set_image_extent(ojph::point(picture->columns, picture->rows));
    siz.set_num_components(1);
    siz.set_component(0, ojph::point(1, 1), picture->bits, false);
    ojph::param_cod cod = stream.access_cod();
    cod.set_num_decomposition(5);
    cod.set_block_dims(64, 64);
    cod.set_progression_order("RPCL");
    cod.set_reversible(true);
    stream.set_planar(false);
    stream.write_headers(&file);
    ojph::ui32 component = 0;
    ojph::line_buf *line = stream.exchange(nullptr, component);
    for (uint32_t row = 0; row < picture->rows; row++) {
        const uint16_t *from = picture->pixels + static_cast<size_t>(row) * picture->columns;
        for (uint32_t x = 0; x < picture->columns; x++)
            line->i32[x] = from[x];
        line = stream.exchange(line, component);
    }
    stream.flush();
    *n = static_cast<size_t>(file.tell());
    if (*n > room)
        return 1;
    memcpy(out, file.get_data(), *n);
    stream.close();
    return 0;
} catch (const std::exception &) {
    return 1;
}
