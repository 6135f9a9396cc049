/* SPDX-License-Identifier: Apache-2.0 */
#include "jpeg_out.h"

#include <stdlib.h>

#include <jerror.h>

enum { ROOM = 64 * 1024 }; /* bytes to begin with: malloc has them without asking the system */

static void file_begin(j_compress_ptr jpeg)
{
    struct jpeg_out *out = jpeg->client_data;
    out->target.next_output_byte = out->bytes;
    out->target.free_in_buffer = out->room;
}

/* Called when it is full, all of it. */
static boolean file_grow(j_compress_ptr jpeg)
{
    struct jpeg_out *out = jpeg->client_data;
    unsigned char *larger = realloc(out->bytes, 2 * out->room);
    if (larger == NULL)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    out->bytes = larger;
    out->target.next_output_byte = larger + out->room;
    out->target.free_in_buffer = out->room;
    out->room *= 2;
    return TRUE;
}

static void file_end(j_compress_ptr jpeg)
{
    struct jpeg_out *out = jpeg->client_data;
    out->n = out->room - out->target.free_in_buffer;
}

static _Noreturn void leave(j_common_ptr jpeg)
{
    struct jpeg_out *out = jpeg->client_data;
    jpeg->err->format_message(jpeg, out->why);
    longjmp(out->way_out, 1);
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

bool jpeg_out_init(struct jpeg_out *out)
{
    *out = (struct jpeg_out){.bytes = malloc(ROOM), .room = ROOM};
    return out->bytes != NULL;
}

void jpeg_out_fini(struct jpeg_out *out)
{
    free(out->bytes);
    out->bytes = NULL;
}

void jpeg_out_begin(struct jpeg_out *out, struct jpeg_compress_struct *jpeg)
{
    jpeg->err = jpeg_std_error(&out->errors);
    out->errors.error_exit = leave;
    out->errors.output_message = say_nothing;
    jpeg->client_data = out;
    jpeg_create_compress(jpeg);
    out->target.init_destination = file_begin;
    out->target.empty_output_buffer = file_grow;
    out->target.term_destination = file_end;
    jpeg->dest = &out->target;
}
