/* Inside of demo-phantom: a writer of Part 10 files and the pictures it writes.
 * Knows nothing of the host.
 *
 * Everything is computed, nothing is read: the same bytes on every machine and at every time, so
 * that tests can compare digests, and there is no patient whose consent is needed. demo-phantom.c
 * is the plugin, write-files.c a program that writes the same as files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PHANTOM_H
#define PHANTOM_H

#include <stddef.h>
#include <stdint.h>

/* ---- writer.c: an explicit VR little endian Part 10 file in memory (PS3.10 7, PS3.5 7.1.2) ----
 */

struct file {
    uint8_t *bytes;
    size_t n, cap;
    int failed; /* out of memory: checked once, at the end */
};

void file_clear(struct file *file);
void file_fini(struct file *file);
/* Preamble, DICM and file meta information for an object. */
void file_begin(struct file *file, const char *sop_class, const char *sop_instance);
/* Elements must come in tag order. Texts are UTF-8 and padded as their VR wants. */
void put_text(struct file *file, uint32_t tag, const char vr[2], const char *text);
void put_us(struct file *file, uint32_t tag, uint16_t value);
void put_at(struct file *file, uint32_t tag, uint32_t value);
/* A sequence without items. */
void put_empty_sequence(struct file *file, uint32_t tag);
/* Appends the head of a pixel data element of n bytes (VR OW or OB) and returns where to write
 * them; NULL when out of memory. */
uint8_t *put_pixels(struct file *file, const char vr[2], size_t n);
void put_double(struct file *file, uint32_t tag, double value);

/* ---- demo.c / the studies ---- */

enum { UID_SIZE = 64 };
/* The same name always gives the same UID, 2.25.<128 bits of a hash> (PS3.5 B.2). */
void make_uid(const char *name, char out[UID_SIZE]);

struct person {
    const char *name; /* PN, all component groups */
    const char *id, *birth_date, *sex;
};

/* One object of the demo. `index` is 0-based within its series. */
struct picture {
    const char *study, *series;     /* keys for make_uid */
    const char *frame_of_reference; /* key, NULL: none */
    const struct person *person;
    const char *accession, *study_date, *study_time, *study_description;
    const char *modality, *sop_class, *series_description, *series_number, *body_part;
    int count; /* objects in the series */
    void (*write)(struct file *file, const struct picture *picture, int index);
};

extern const struct picture pictures[];
extern const int n_pictures;

/* Writes the whole file of one object. */
void picture_write(const struct picture *picture, int index, struct file *file);
/* Patient, study, series and equipment modules, in tag order up to group 0018. */
void put_common_0008(struct file *file, const struct picture *picture, int index,
                     const char *image_type);
void put_patient(struct file *file, const struct picture *picture);
void put_relation(struct file *file, const struct picture *picture, int index);

void write_ct(struct file *file, const struct picture *picture, int index);
void write_localizer(struct file *file, const struct picture *picture, int index);
void write_ultrasound(struct file *file, const struct picture *picture, int index);
void write_radiograph(struct file *file, const struct picture *picture, int index);

/* ---- chest.c: an analytic chest; x right to left, y front to back, z upwards, mm, centre at 0
 * ---- */

enum { CHEST_BOTTOM_MM = -96, CHEST_TOP_MM = 96 };
/* CT number (HU) at a point. */
double chest_hu(double x, double y, double z);
/* Integral of attenuation along y (front to back) at x, z: arbitrary units, 0 outside of the body.
 */
double chest_projection(double x, double z);

#endif
