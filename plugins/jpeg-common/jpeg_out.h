/* A JPEG that libjpeg writes into memory, and the way out where the library gives up: what jpeg_mem_dest() would do, but
 * that the bytes stay their owner's.
 *
 * With jpeg_mem_dest() what the file has grown into is lost, and the caller's pointer to it stale,
 * when the library leaves by longjmp() in the middle.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef JPEG_OUT_H
#define JPEG_OUT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>

/* One file after the other, in the same memory; one thread at a time. */
struct jpeg_out {
    jmp_buf way_out;           /* the caller's setjmp(), before jpeg_out_begin */
    char why[JMSG_LENGTH_MAX]; /* what libjpeg said before it left by that */
    unsigned char *bytes;      /* the file, until the next one is begun */
    size_t n, room;
    struct jpeg_destination_mgr target;
    struct jpeg_error_mgr errors;
};

/* False: no memory. jpeg_out_fini in every case. */
bool jpeg_out_init(struct jpeg_out *out);
void jpeg_out_fini(struct jpeg_out *out);

/* Makes a compressor that writes there, of one that is all zero; its client_data is taken. Its errors lead to way_out, where
 * jpeg_destroy_compress is the caller's as it is at the end. n is the file's length once jpeg_finish_compress has returned. */
void jpeg_out_begin(struct jpeg_out *out, struct jpeg_compress_struct *jpeg);

#endif
