/* The pictures: axial CT and its localizer, a colour ultrasound loop, a large radiograph.
 * SPDX-License-Identifier: Apache-2.0 */
#include "phantom.h"

#include <math.h>
#include <stdio.h>

/* A small reproducible noise generator: the demo's objects are the same bytes everywhere.
 * Knuth's constants; the sum of four evens out to a bell. */
static double noise(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 40) / 16777216.0;
    }
    return sum - 2; /* mean 0, standard deviation about 0.58 */
}

static void put_size(struct file *file, uint16_t rows, uint16_t columns)
{
    put_us(file, 0x00280010, rows);
    put_us(file, 0x00280011, columns);
}

static void put_bits(struct file *file, uint16_t allocated, uint16_t stored, uint16_t is_signed)
{
    put_us(file, 0x00280100, allocated);
    put_us(file, 0x00280101, stored);
    put_us(file, 0x00280102, (uint16_t)(stored - 1));
    put_us(file, 0x00280103, is_signed);
}

static void put_16(uint8_t *at, int value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

/* PS3.3 C.7.6.2 and C.7.4.1: where the picture lies in the patient, so that viewers show the
 * localizer's line. */
static void put_plane(struct file *file, const struct picture *picture, const char *position,
                      const char *orientation)
{
    char uid[UID_SIZE];
    put_text(file, 0x00200032, "DS", position);
    put_text(file, 0x00200037, "DS", orientation);
    make_uid(picture->frame_of_reference, uid);
    put_text(file, 0x00200052, "UI", uid);
    put_text(file, 0x00201040, "LO", "");
}

static void put_ct_window(struct file *file, const char *center, const char *width)
{
    put_text(file, 0x00281050, "DS", center);
    put_text(file, 0x00281051, "DS", width);
    put_text(file, 0x00281052, "DS", "-1024");
    put_text(file, 0x00281053, "DS", "1");
}

/* 64 slices of 3 mm, 512 x 512 of 0.703125 mm: the geometry of a calcium score scan. Stored as
 * 12 bits with an intercept of -1024 (PS3.3 C.11.1). */
void write_ct(struct file *file, const struct picture *picture, int index)
{
    enum { N = 512 };
    const double spacing = 360.0 / N, z = CHEST_BOTTOM_MM + 1.5 + 3.0 * index;
    put_common_0008(file, picture, index, "ORIGINAL\\PRIMARY\\AXIAL");
    put_patient(file, picture);
    put_text(file, 0x00180050, "DS", "3.0");
    put_text(file, 0x00180060, "DS", "120");
    put_text(file, 0x00185100, "CS", "HFS");
    put_relation(file, picture, index);
    char position[48];
    snprintf(position, sizeof position, "%.4f\\%.4f\\%.1f", -180 + spacing / 2, -180 + spacing / 2,
             z);
    put_plane(file, picture, position, "1\\0\\0\\0\\1\\0");
    put_us(file, 0x00280002, 1);
    put_text(file, 0x00280004, "CS", "MONOCHROME2");
    put_size(file, N, N);
    put_text(file, 0x00280030, "DS", "0.703125\\0.703125");
    put_bits(file, 16, 12, 0);
    put_ct_window(file, "40", "400");
    put_text(file, 0x00281054, "LO", "HU");
    uint8_t *pixels = put_pixels(file, "OW", (size_t)2 * N * N);
    uint64_t state = (uint64_t)index * 977 + 1;
    for (int i = 0; pixels && i < N * N; i++) {
        int column = i % N, row = i / N;
        double x = (column + 0.5 - N / 2.0) * spacing, y = (row - N / 2.0) * spacing;
        double value = chest_hu(x, y, z) + 1024 + 14 * noise(&state);
        put_16(pixels + 2 * (size_t)i, value < 0 ? 0 : value > 4095 ? 4095 : (int)value);
    }
}

/* A frontal projection in the axial series' frame of reference. */
void write_localizer(struct file *file, const struct picture *picture, int index)
{
    enum { ROWS = 256, COLUMNS = 480 };
    put_common_0008(file, picture, index, "ORIGINAL\\PRIMARY\\LOCALIZER");
    put_patient(file, picture);
    put_text(file, 0x00180050, "DS", "230");
    put_text(file, 0x00180060, "DS", "120");
    put_text(file, 0x00185100, "CS", "HFS");
    put_relation(file, picture, index);
    put_plane(file, picture, "-179.625\\0\\95.625", "1\\0\\0\\0\\0\\-1");
    put_us(file, 0x00280002, 1);
    put_text(file, 0x00280004, "CS", "MONOCHROME2");
    put_size(file, ROWS, COLUMNS);
    put_text(file, 0x00280030, "DS", "0.75\\0.75");
    put_bits(file, 16, 12, 0);
    put_ct_window(file, "150", "1200");
    uint8_t *pixels = put_pixels(file, "OW", (size_t)2 * ROWS * COLUMNS);
    for (int i = 0; pixels && i < ROWS * COLUMNS; i++) {
        int column = i % COLUMNS, row = i / COLUMNS;
        double x = (column + 0.5 - COLUMNS / 2.0) * 0.75;
        double z = 95.625 - row * 0.75;
        double value = 4 * chest_projection(x, z) + 400;
        put_16(pixels + 2 * (size_t)i, value > 4095 ? 4095 : (int)value);
    }
}

/* One frame of a vessel whose wall and coloured flow pulse once a second. */
static void ultrasound_frame(uint8_t *rgb, int columns, int rows, double phase, uint64_t *state)
{
    double pulse = exp(-6 * phase) * sin(9 * phase) + 0.15;
    for (int i = 0; i < rows * columns; i++) {
        int column = i % columns, row = i / columns;
        double x = column - columns / 2.0, y = row; /* px from the probe */
        double angle = atan2(x, y + 60), depth = hypot(x, y + 60) - 60;
        double wall = 22 + 3 * pulse, d = fabs(y - 120 - 0.12 * x);
        double speckle = 60 + 40 * noise(state);
        double grey = d < wall ? 6 : d < wall + 5 ? 190 : speckle * exp(-depth / 260);
        int is_sector = fabs(angle) < 0.75 && depth > 0 && depth < rows - 8;
        int is_flow = d < wall - 3 && fabs(x) < columns * 0.22;
        double flow = is_flow ? (1 - d * d / (wall * wall)) * (0.35 + pulse) : 0;
        double g = !is_sector ? 0 : fmin(255, fmax(0, grey));
        rgb[3 * (size_t)i] =
            (uint8_t)(is_sector && is_flow ? fmin(255, 90 + 260 * fmax(0, flow)) : g);
        rgb[3 * (size_t)i + 1] =
            (uint8_t)(is_sector && is_flow ? fmin(255, 120 * fmax(0, flow)) : g);
        rgb[3 * (size_t)i + 2] = (uint8_t)(is_sector && is_flow ? (flow < 0 ? 200 : 10) : g);
    }
}

void write_ultrasound(struct file *file, const struct picture *picture, int index)
{
    enum { ROWS = 240, COLUMNS = 320, FRAMES = 30 };
    put_common_0008(file, picture, index, "ORIGINAL\\PRIMARY");
    put_patient(file, picture);
    put_text(file, 0x00181063, "DS", "33.333");
    put_relation(file, picture, index);
    put_text(file, 0x00200020, "CS", "");
    put_us(file, 0x00280002, 3);
    put_text(file, 0x00280004, "CS", "RGB");
    put_us(file, 0x00280006, 0);
    put_text(file, 0x00280008, "IS", "30");
    put_at(file, 0x00280009, 0x00181063);
    put_size(file, ROWS, COLUMNS);
    put_bits(file, 8, 8, 0);
    put_text(file, 0x00282110, "CS", "00");
    uint8_t *pixels = put_pixels(file, "OB", (size_t)3 * ROWS * COLUMNS * FRAMES);
    uint64_t state = 42;
    for (int f = 0; pixels && f < FRAMES; f++)
        ultrasound_frame(pixels + (size_t)f * 3 * ROWS * COLUMNS, COLUMNS, ROWS, (double)f / FRAMES,
                         &state);
}

/* 2800 x 3408 of 0.125 mm, 14 bits: the size of a real thorax radiograph. */
void write_radiograph(struct file *file, const struct picture *picture, int index)
{
    enum { ROWS = 2800, COLUMNS = 3408 };
    put_common_0008(file, picture, index, "ORIGINAL\\PRIMARY");
    put_patient(file, picture);
    put_text(file, 0x00181164, "DS", "0.125\\0.125");
    put_text(file, 0x00185101, "CS", "PA");
    put_relation(file, picture, index);
    put_text(file, 0x00200020, "CS", "L\\F");
    put_us(file, 0x00280002, 1);
    put_text(file, 0x00280004, "CS", "MONOCHROME2");
    put_size(file, ROWS, COLUMNS);
    put_bits(file, 16, 14, 0);
    put_text(file, 0x00281050, "DS", "5200");
    put_text(file, 0x00281051, "DS", "9000");
    uint8_t *pixels = put_pixels(file, "OW", (size_t)2 * ROWS * COLUMNS);
    uint64_t state = 7;
    for (int i = 0; pixels && i < ROWS * COLUMNS; i++) {
        int column = i % COLUMNS, row = i / COLUMNS;
        double x = (column + 0.5 - COLUMNS / 2.0) * 0.125;
        double z = (ROWS / 2.0 - row) * 0.125;
        double value = 600 + 40 * chest_projection(x, z * 0.8) + 30 * noise(&state);
        put_16(pixels + 2 * (size_t)i, value < 0 ? 0 : value > 16383 ? 16383 : (int)value);
    }
}
