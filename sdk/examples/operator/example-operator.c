/* example-operator: a picture in, the same picture with black and white exchanged out. It knows the SDK only.
 * SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hilum/host.h"
#include "hilum/operator.h"

/* What this operator understands; everything else is HILUM_EUNSUP and another one may be asked. */
static int is_known(const struct hilum_frame *frame)
{
    return frame->samples == 1 && frame->sample_type == HILUM_SAMPLE_UNSIGNED &&
           (frame->bits_allocated == 8 || frame->bits_allocated == 16) && frame->bits_stored > 0 &&
           frame->bits_stored <= frame->bits_allocated;
}

static hilum_rc plan(void *instance, const char *parameters_json, const struct hilum_frame *in,
                     struct hilum_frame *out)
{
    (void)instance, (void)parameters_json;
    if (!is_known(in))
        return HILUM_EUNSUP;
    *out = *in; /* both are of the host's making: the same size member */
    return HILUM_OK;
}

/* Samples of more than 8 bits are little endian, whatever the machine. */
static void invert16(const unsigned char *in, unsigned char *out, uint64_t n, uint32_t largest)
{
    for (uint64_t i = 0; i + 1 < n; i += 2) {
        uint32_t sample = (uint32_t)in[i] | (uint32_t)in[i + 1] << 8;
        sample = largest - (sample & largest);
        out[i] = (unsigned char)sample;
        out[i + 1] = (unsigned char)(sample >> 8);
    }
}

static hilum_rc apply(void *instance, const char *parameters_json, const struct hilum_image *in,
                      uint32_t n, void *dst, uint64_t dst_size)
{
    (void)instance, (void)parameters_json;
    if (n != 1 || !is_known(in->frame))
        return HILUM_EUNSUP;
    uint64_t bytes = hilum_frame_bytes(in->frame);
    uint32_t largest = (1u << in->frame->bits_stored) - 1;
    const unsigned char *from = in->pixels;
    unsigned char *to = dst;
    if (!bytes || dst_size < bytes)
        return HILUM_EINVAL;
    if (in->frame->bits_allocated == 16) {
        invert16(from, to, bytes, largest);
        return HILUM_OK;
    }
    for (uint64_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(largest - (from[i] & largest));
    return HILUM_OK;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_operator table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_OPERATOR,
                .threads = HILUM_PARALLEL,
                .name = "example-operator"},
        .title = "Invert",
        .n_inputs = 1,
        .plan = plan,
        .apply = apply,
    };
    (void)conf;
    *state = NULL;
    return host->provide(self, &table.cap, NULL);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-operator",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
