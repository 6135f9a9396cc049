/* OpenJPEG's streams over memory, and its messages. SPDX-License-Identifier: Apache-2.0 */
#include "j2k.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -1 is the end: a 0 would be asked for again and again. */
static OPJ_SIZE_T stream_read(void *to, OPJ_SIZE_T n, void *data)
{
    struct j2k_stream *stream = data;
    size_t left = stream->n - stream->at;
    if (!left)
        return (OPJ_SIZE_T)-1;
    if (n > left)
        n = left;
    memcpy(to, stream->read + stream->at, n);
    stream->at += n;
    return n;
}

static bool make_room(struct j2k_stream *stream, size_t end)
{
    if (end <= stream->room)
        return true;
    size_t room = stream->room + stream->room / 2;
    if (room < end)
        room = end + 65536;
    uint8_t *bytes = realloc(stream->bytes, room);
    if (!bytes) {
        stream->is_out_of_memory = true;
        return false;
    }
    memset(bytes + stream->room, 0, room - stream->room);
    stream->bytes = bytes;
    stream->room = room;
    return true;
}

static OPJ_SIZE_T stream_write(void *from, OPJ_SIZE_T n, void *data)
{
    struct j2k_stream *stream = data;
    if (n > SIZE_MAX / 4 - stream->at || !make_room(stream, stream->at + n))
        return (OPJ_SIZE_T)-1;
    memcpy(stream->bytes + stream->at, from, n);
    stream->at += n;
    if (stream->at > stream->n)
        stream->n = stream->at;
    return n;
}

/* While writing past the end is allowed, and what lies between is zero. */
static OPJ_BOOL stream_seek(OPJ_OFF_T to, void *data)
{
    struct j2k_stream *stream = data;
    if (to < 0 || (uint64_t)to > SIZE_MAX / 4)
        return OPJ_FALSE;
    if ((size_t)to > stream->n && (stream->read || !make_room(stream, (size_t)to)))
        return OPJ_FALSE;
    stream->at = (size_t)to;
    return OPJ_TRUE;
}

/* Skipping past the end of what is read stops there, as a file would. */
static OPJ_OFF_T stream_skip(OPJ_OFF_T by, void *data)
{
    struct j2k_stream *stream = data;
    OPJ_OFF_T to = (OPJ_OFF_T)stream->at + by;
    if (stream->read && to > (OPJ_OFF_T)stream->n)
        to = (OPJ_OFF_T)stream->n;
    by = to - (OPJ_OFF_T)stream->at;
    return stream_seek(to, data) && by ? by : -1;
}

opj_stream_t *j2k_stream_open(struct j2k_stream *stream)
{
    opj_stream_t *opj = opj_stream_default_create(stream->read != NULL);
    if (!opj)
        return NULL;
    opj_stream_set_user_data(opj, stream, NULL);
    opj_stream_set_user_data_length(opj, stream->read ? stream->n : 0);
    opj_stream_set_read_function(opj, stream_read);
    opj_stream_set_write_function(opj, stream_write);
    opj_stream_set_seek_function(opj, stream_seek);
    opj_stream_set_skip_function(opj, stream_skip);
    return opj;
}

/* The first complaint says most; later ones follow from it. */
static void take_complaint(const char *text, void *data)
{
    struct j2k_complaint *complaint = data;
    if (!complaint->text[0])
        snprintf(complaint->text, sizeof complaint->text, "%.*s", (int)strcspn(text, "\n"), text);
}

static void ignore(const char *text, void *data)
{
    (void)text;
    (void)data;
}

void j2k_complain_to(opj_codec_t *codec, struct j2k_complaint *complaint)
{
    complaint->text[0] = 0;
    opj_set_error_handler(codec, take_complaint, complaint);
    opj_set_warning_handler(codec, ignore, NULL);
    opj_set_info_handler(codec, ignore, NULL);
}
