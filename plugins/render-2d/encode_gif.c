/* Pictures as GIF (89a): shades as they are; colours as they are where there are up to 256 of them, otherwise the nearest of
 * a cube, dithered. No library. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdlib.h>
#include <string.h>

enum {
    COLOURS = 256,
    REDS = 6,
    GREENS = 7,
    BLUES = 6,
    SLOTS = 1024,   /* of the table of colours: a power of two */
    CODES = 4096,   /* of LZW at most */
    CHAINS = 16384, /* of the table of strings: a power of two */
    CLEAR = 256,
    END = 257,
    BLOCK = 255
};

static const size_t PALETTE = (size_t)COLOURS * 3;

/* ---- colours ---- */

struct colours_used {
    uint32_t key[SLOTS]; /* colour + 1; 0: free */
    uint8_t number[SLOTS];
    uint8_t rgb[COLOURS * 3];
    unsigned n;
};

static uint32_t colour_of(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* Its number; negative: it is one too many. */
static int number_of(struct colours_used *used, const uint8_t *p)
{
    uint32_t colour = colour_of(p), slot = (colour * 0x9E3779B1u) >> 22;
    while (used->key[slot] != 0 && used->key[slot] != colour + 1)
        slot = (slot + 1) % SLOTS;
    if (used->key[slot] == 0) {
        if (used->n == COLOURS)
            return -1;
        used->key[slot] = colour + 1;
        used->number[slot] = (uint8_t)used->n;
        memcpy(used->rgb + (size_t)used->n * 3, p, 3);
        used->n++;
    }
    return used->number[slot];
}

/* A grey picture, or a drawing, has few colours: then GIF loses nothing. */
static bool number_exactly(const struct picture *picture, struct colours_used *used, uint8_t *out)
{
    size_t n = (size_t)picture->width * picture->height;
    const uint8_t *p = picture->pixels;
    for (size_t i = 0; i < n; i++, p += 3) {
        int number = number_of(used, p);
        if (number < 0)
            return false;
        out[i] = (uint8_t)number;
    }
    return true;
}

/* More greens than reds and blues: eyes tell those apart best. */
static void cube(uint8_t *rgb)
{
    for (unsigned r = 0; r < REDS; r++)
        for (unsigned g = 0; g < GREENS; g++)
            for (unsigned b = 0; b < BLUES; b++, rgb += 3) {
                rgb[0] = (uint8_t)(r * 255 / (REDS - 1));
                rgb[1] = (uint8_t)(g * 255 / (GREENS - 1));
                rgb[2] = (uint8_t)(b * 255 / (BLUES - 1));
            }
}

/* A level of n, moved by the pattern's place so that the mean of an area is right. */
static unsigned level(uint8_t value, unsigned n, unsigned threshold)
{
    unsigned scaled = value * (n - 1) * 16 + threshold * 255 + 127;
    unsigned at = scaled / (255 * 16);
    return at < n ? at : n - 1;
}

/* An ordered pattern (Bayer), not diffused errors: frames of a film do not crawl. */
static void number_dithered(const struct picture *picture, uint8_t *out)
{
    static const uint8_t pattern[4][4] = {
        {0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
    const uint8_t *p = picture->pixels;
    for (uint32_t y = 0; y < picture->height; y++)
        for (uint32_t x = 0; x < picture->width; x++, p += 3) {
            unsigned t = pattern[y % 4][x % 4];
            *out++ = (uint8_t)((level(p[0], REDS, t) * GREENS + level(p[1], GREENS, t)) * BLUES +
                               level(p[2], BLUES, t));
        }
}

/* Numbers of a palette, a byte a pixel; NULL: no memory. */
static uint8_t *number_all(const struct picture *picture, uint8_t rgb[COLOURS * 3])
{
    size_t n = (size_t)picture->width * picture->height;
    uint8_t *numbers = malloc(n + 1);
    struct colours_used *used = calloc(1, sizeof *used);
    memset(rgb, 0, PALETTE);
    if (numbers != NULL && picture->channels == 1) {
        memcpy(numbers, picture->pixels, n);
        for (unsigned k = 0; k < COLOURS * 3; k++)
            rgb[k] = (uint8_t)(k / 3);
    } else if (numbers != NULL && used != NULL && number_exactly(picture, used, numbers)) {
        memcpy(rgb, used->rgb, PALETTE);
    } else if (numbers != NULL) {
        cube(rgb);
        number_dithered(picture, numbers);
    }
    free(used);
    return numbers;
}

/* ---- LZW ---- */

/* The strings seen so far as a hash table: key tells which, code what it is sent as. */
struct packer {
    struct hilum_sink *out;
    hilum_rc rc;
    uint8_t block[BLOCK + 1]; /* its length, then as many bytes */
    uint32_t bits;
    unsigned n_bits, width, next;
    uint32_t key[CHAINS]; /* string's code and what follows it, + 1; 0: free */
    uint16_t code[CHAINS];
};

static void flush(struct packer *packer)
{
    if (packer->block[0] > 0 && packer->rc == HILUM_OK)
        packer->rc = packer->out->write(packer->out->ctx, packer->block, packer->block[0] + 1u);
    packer->block[0] = 0;
}

/* Lowest bits first (GIF89a appendix F); block[0] is the number of bytes in it. */
static void put(struct packer *packer, uint32_t code)
{
    packer->bits |= code << packer->n_bits;
    packer->n_bits += packer->width;
    for (; packer->n_bits >= 8; packer->n_bits -= 8, packer->bits >>= 8) {
        packer->block[++packer->block[0]] = (uint8_t)packer->bits;
        if (packer->block[0] == BLOCK)
            flush(packer);
    }
}

static void begin_anew(struct packer *packer)
{
    put(packer, CLEAR);
    memset(packer->key, 0, sizeof packer->key);
    packer->width = 9;
    packer->next = END + 1;
}

/* The slot of the string, or a free one. */
static uint32_t slot_of(const struct packer *packer, uint32_t key)
{
    uint32_t slot = (key * 0x9E3779B1u) >> 18;
    while (packer->key[slot] != 0 && packer->key[slot] != key)
        slot = (slot + 1) % CHAINS;
    return slot;
}

static void pack(struct packer *packer, const uint8_t *p, size_t n)
{
    uint32_t string = n > 0 ? p[0] : 0;
    packer->width = 9;
    begin_anew(packer);
    for (size_t i = 1; i < n && packer->rc == HILUM_OK; i++) {
        uint32_t key = (string << 8 | p[i]) + 1, slot = slot_of(packer, key);
        if (packer->key[slot] == key) {
            string = packer->code[slot];
            continue;
        }
        put(packer, string);
        packer->key[slot] = key;
        packer->code[slot] = (uint16_t)packer->next;
        if (packer->next == 1u << packer->width && packer->width < 12)
            packer->width++;
        if (++packer->next == CODES)
            begin_anew(packer);
        string = p[i];
    }
    put(packer, string);
    if (packer->next == 1u << packer->width && packer->width < 12)
        packer->width++; /* who reads has added a string by now */
    put(packer, END);
    packer->width = 8;
    if (packer->n_bits > 0)
        put(packer, 0); /* what is left of a byte */
    flush(packer);
}

/* ---- the file ---- */

static void word(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static hilum_rc write_all(const struct picture *picture, const uint8_t *rgb, const uint8_t *numbers,
                          struct hilum_sink *out)
{
    uint8_t head[13] = {'G', 'I', 'F', '8', '9', 'a', 0, 0, 0, 0, 0xF7}, image[11] = {','};
    static const uint8_t tail[] = {0, ';'};
    word(head + 6, picture->width);
    word(head + 8, picture->height);
    word(image + 5, picture->width);
    word(image + 7, picture->height);
    image[10] = 8; /* bits of a number */
    struct packer *packer = calloc(1, sizeof *packer);
    if (packer == NULL)
        return HILUM_ENOMEM;
    packer->out = out;
    packer->rc = out->write(out->ctx, head, sizeof head);
    if (packer->rc == HILUM_OK)
        packer->rc = out->write(out->ctx, rgb, PALETTE);
    if (packer->rc == HILUM_OK)
        packer->rc = out->write(out->ctx, image, sizeof image);
    if (packer->rc == HILUM_OK)
        pack(packer, numbers, (size_t)picture->width * picture->height);
    hilum_rc rc = packer->rc;
    free(packer);
    return rc == HILUM_OK ? out->write(out->ctx, tail, sizeof tail) : rc;
}

hilum_rc encode_gif(const struct render *render, const struct picture *picture,
                    struct hilum_sink *out)
{
    uint8_t rgb[COLOURS * 3];
    if (picture->depth != 8)
        return render_fail(render, HILUM_EUNSUP, "GIF has 8 bits: ask for image/png");
    uint8_t *numbers = number_all(picture, rgb);
    hilum_rc rc = numbers != NULL ? write_all(picture, rgb, numbers, out) : HILUM_ENOMEM;
    free(numbers);
    return rc == HILUM_ENOMEM ? render_fail(render, rc, "no memory for a GIF") : rc;
}
