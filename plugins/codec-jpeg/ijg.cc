/* DCMTK's copies of the IJG library behind C: no exception and no type of it leaves this file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "jpeg.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/oflog/oflog.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/dcmjpeg/djeijg12.h>
#include <dcmtk/dcmjpeg/djeijg16.h>
#include <dcmtk/dcmjpeg/djeijg8.h>

namespace
{

/* Selection value 1 is what .70 demands (PS3.5 A.4.1) and what .57 may have. */
enum { PREDICTOR = 1, POINT_TRANSFORM = 0 };

/* What it complains of comes back as text; lines of its own on standard error are noise. */
void silence()
{
    static const bool is_done = [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        return true;
    }();
    (void)is_done;
}

template <class Body> int guarded(char complaint[160], Body body) noexcept
{
    try {
        silence();
        OFCondition result = body();
        if (result.good())
            return 0;
        snprintf(complaint, 160, "%s", result.text());
    } catch (const std::bad_alloc &) {
        snprintf(complaint, 160, "no memory");
    } catch (const std::exception &e) {
        snprintf(complaint, 160, "%s", e.what());
    } catch (...) {
        snprintf(complaint, 160, "unknown exception");
    }
    return 1;
}

/* Colours stay as they are in the stream, Huffman tables are made for each picture (12 bits
 * have no others). Nothing that DCMTK could do to UIDs, colours or the data set is wanted: it
 * sees pixels only. */
DJCodecParameter parameters()
{
    return DJCodecParameter(ECC_lossyRGB, EDC_never, EUC_never, EPC_colorByPixel, OFFalse, OFFalse,
                            OFFalse, OFTrue);
}

std::unique_ptr<DJDecoder> decoder_of(uint32_t depth, const DJCodecParameter &parameter,
                                      bool is_ycc)
{
    switch (depth) {
    case 8: return std::make_unique<DJDecompressIJG8Bit>(parameter, is_ycc);
    case 12: return std::make_unique<DJDecompressIJG12Bit>(parameter, is_ycc);
    default: return std::make_unique<DJDecompressIJG16Bit>(parameter, is_ycc);
    }
}

/* Loss is for 12 bits only: 8 are libjpeg-turbo's. */
std::unique_ptr<DJEncoder> encoder_of(uint32_t depth, const DJCodecParameter &parameter,
                                      uint32_t quality)
{
    if (quality)
        return std::make_unique<DJCompressIJG12Bit>(parameter, EJM_sequential,
                                                    static_cast<Uint8>(quality));
    switch (depth) {
    case 8:
        return std::make_unique<DJCompressIJG8Bit>(parameter, EJM_lossless, PREDICTOR,
                                                   POINT_TRANSFORM);
    case 12:
        return std::make_unique<DJCompressIJG12Bit>(parameter, EJM_lossless, PREDICTOR,
                                                    POINT_TRANSFORM);
    default:
        return std::make_unique<DJCompressIJG16Bit>(parameter, EJM_lossless, PREDICTOR,
                                                    POINT_TRANSFORM);
    }
}

} // namespace

int ijg_decode(const uint8_t *bytes, uint64_t n, const struct ijg_pixels *to, bool is_ycc,
               char complaint[160])
{
    return guarded(complaint, [&] {
        DJCodecParameter parameter = parameters();
        std::unique_ptr<DJDecoder> decoder = decoder_of(to->depth, parameter, is_ycc);
        OFCondition result = decoder->init();
        if (result.good())
            result = decoder->decode(const_cast<Uint8 *>(bytes), static_cast<Uint32>(n),
                                     static_cast<Uint8 *>(to->pixels),
                                     static_cast<Uint32>(to->size), OFFalse);
        return result;
    });
}

int ijg_encode(const struct ijg_pixels *from, uint32_t quality, uint8_t **bytes, uint64_t *n,
               char complaint[160])
{
    return guarded(complaint, [&] {
        DJCodecParameter parameter = parameters();
        std::unique_ptr<DJEncoder> encoder = encoder_of(from->depth, parameter, quality);
        EP_Interpretation colours = from->samples == 1 ? EPI_Monochrome2 : EPI_RGB;
        Uint8 *to = nullptr;
        Uint32 length = 0;
        OFCondition result =
            from->depth == 8 ? encoder->encode(from->columns, from->rows, colours, from->samples,
                                               static_cast<Uint8 *>(from->pixels), to, length)
                             : encoder->encode(from->columns, from->rows, colours, from->samples,
                                               static_cast<Uint16 *>(from->pixels), to, length);
        *bytes = to;
        *n = length;
        return result;
    });
}

void ijg_free(uint8_t *bytes)
{
    delete[] bytes;
}
