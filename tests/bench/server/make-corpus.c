/* make-corpus DIR STUDIES SLICES [SIDE]: synthetic CT studies (16 bit, SIDE x SIDE, default 512) for load.
 * Writes DIR/sNNNN/IIII.dcm. SPDX-License-Identifier: Apache-2.0 */
#include "plugins/demo-phantom/phantom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const names[] = {
    "Wang^Xiaoming=王^小明", "Müller^Jürgen", "Doe^Jane",   "Li^Lei=李^雷",
    "García^Lucía",          "Smith^John",    "Ivanov^Ivan"};

static void put_uid(struct file *file, uint32_t tag, const char *kind, int study, int slice)
{
    char name[64], uid[UID_SIZE];
    snprintf(name, sizeof name, "corpus %s %d %d", kind, study, slice);
    make_uid(name, uid);
    put_text(file, tag, "UI", uid);
}

static void put_pixels_of(struct file *file, int side, uint64_t seed)
{
    uint8_t *pixels = put_pixels(file, "OW", (size_t)2 * (size_t)side * (size_t)side);
    for (int i = 0; pixels && i < side * side; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        pixels[2 * i] = (uint8_t)(seed >> 33);
        pixels[2 * i + 1] = (uint8_t)(seed >> 41 & 0x0F);
    }
}

static void write_slice(struct file *file, int study, int slice, int side)
{
    char text[32], uid[UID_SIZE], name[64];
    snprintf(name, sizeof name, "corpus instance %d %d", study, slice);
    make_uid(name, uid);
    file_clear(file);
    file_begin(file, "1.2.840.10008.5.1.4.1.1.2", uid);
    put_text(file, 0x00080005, "CS", "ISO_IR 192");
    put_text(file, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2");
    put_text(file, 0x00080018, "UI", uid);
    snprintf(text, sizeof text, "2024%02d%02d", 1 + study % 12, 1 + study % 28);
    put_text(file, 0x00080020, "DA", text);
    put_text(file, 0x00080030, "TM", "101500");
    snprintf(text, sizeof text, "A%07d", study);
    put_text(file, 0x00080050, "SH", text);
    put_text(file, 0x00080060, "CS", "CT");
    put_text(file, 0x00081030, "LO", "CHEST ROUTINE");
    put_text(file, 0x00100010, "PN", names[study % 7]);
    snprintf(text, sizeof text, "P%07d", study);
    put_text(file, 0x00100020, "LO", text);
    put_text(file, 0x00100030, "DA", "19600101");
    put_text(file, 0x00100040, "CS", study % 2 ? "F" : "M");
    put_uid(file, 0x0020000D, "study", study, 0);
    put_uid(file, 0x0020000E, "series", study, 0);
    put_text(file, 0x00200010, "SH", "1");
    put_text(file, 0x00200011, "IS", "1");
    snprintf(text, sizeof text, "%d", slice + 1);
    put_text(file, 0x00200013, "IS", text);
    put_us(file, 0x00280002, 1);
    put_text(file, 0x00280004, "CS", "MONOCHROME2");
    put_us(file, 0x00280010, (uint16_t)side);
    put_us(file, 0x00280011, (uint16_t)side);
    put_us(file, 0x00280100, 16);
    put_us(file, 0x00280101, 12);
    put_us(file, 0x00280102, 11);
    put_us(file, 0x00280103, 0);
    put_pixels_of(file, side, (uint64_t)study * 1000003 + (uint64_t)slice);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: make-corpus DIR STUDIES SLICES [SIDE]\n");
        return 2;
    }
    int studies = atoi(argv[2]), slices = atoi(argv[3]), side = argc > 4 ? atoi(argv[4]) : 512;
    struct file file = {0};
    for (int study = 0; study < studies; study++) {
        char dir[3000], path[4000];
        snprintf(dir, sizeof dir, "%s/s%04d", argv[1], study);
        mkdir(dir, 0755);
        for (int slice = 0; slice < slices; slice++) {
            snprintf(path, sizeof path, "%s/%04d.dcm", dir, slice + 1);
            write_slice(&file, study, slice, side);
            FILE *out = file.failed ? NULL : fopen(path, "wb");
            if (!out || fwrite(file.bytes, 1, file.n, out) != file.n || fclose(out) != 0) {
                perror(path);
                return 1;
            }
        }
    }
    file_fini(&file);
    return 0;
}
