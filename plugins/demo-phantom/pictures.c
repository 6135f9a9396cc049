/* The demo studies: who, what, and the modules every object shares (PS3.3 C.7).
 * SPDX-License-Identifier: Apache-2.0 */
#include "phantom.h"

#include <stdio.h>
#include <string.h>

static const struct person wang = {"Wang^Xiaoming=王^小明", "DEMO-0001", "19610412", "M"};
static const struct person yamada = {"Yamada^Tarou=山田^太郎=やまだ^たろう", "DEMO-0002",
                                     "19750923", "M"};
static const struct person mueller = {"Müller^Jürgen", "DEMO-0003", "19480117", "M"};

#define CHEST_STUDY                                                                                \
    .study = "demo chest", .frame_of_reference = "demo chest frame", .person = &wang,              \
    .accession = "DEMO-A1", .study_date = "20260105", .study_time = "091500",                      \
    .study_description = "Chest CT, calcium score", .modality = "CT", .body_part = "CHEST",        \
    .sop_class = "1.2.840.10008.5.1.4.1.1.2"

const struct picture pictures[] = {
    {CHEST_STUDY, .series = "demo chest scout", .series_description = "Localizer",
     .series_number = "1", .count = 1, .write = write_localizer},
    {CHEST_STUDY, .series = "demo chest axial", .series_description = "Axial 3.0 mm",
     .series_number = "2", .count = 64, .write = write_ct},
    {.study = "demo us",
     .series = "demo us loop",
     .person = &yamada,
     .accession = "DEMO-A2",
     .study_date = "20260106",
     .study_time = "101000",
     .study_description = "Carotid ultrasound",
     .modality = "US",
     .body_part = "NECK",
     .sop_class = "1.2.840.10008.5.1.4.1.1.3.1",
     .series_description = "Colour loop",
     .series_number = "1",
     .count = 1,
     .write = write_ultrasound},
    {.study = "demo cr",
     .series = "demo cr pa",
     .person = &mueller,
     .accession = "DEMO-A3",
     .study_date = "20260107",
     .study_time = "114500",
     .study_description = "Thorax p.a.",
     .modality = "CR",
     .body_part = "CHEST",
     .sop_class = "1.2.840.10008.5.1.4.1.1.1",
     .series_description = "p.a.",
     .series_number = "1",
     .count = 1,
     .write = write_radiograph},
};
const int n_pictures = sizeof pictures / sizeof *pictures;

/* FNV-1a over the name, twice with different offsets: 128 bits that need only be distinct here. */
void make_uid(const char *name, char out[UID_SIZE])
{
    unsigned __int128 hash = ((unsigned __int128)0x6c62272e07bb0142u << 64) | 0x62b821756295c58du;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * (((unsigned __int128)0x1000000u << 64) | 0x13bu);
    char digits[48];
    int n = 0;
    do {
        digits[n++] = (char)('0' + (int)(hash % 10));
        hash /= 10;
    } while (hash > 0);
    memcpy(out, "2.25.", 5);
    for (int i = 0; i < n; i++)
        out[5 + i] = digits[n - 1 - i];
    out[5 + n] = '\0';
}

static void instance_uid(const struct picture *picture, int index, char out[UID_SIZE])
{
    char name[96];
    snprintf(name, sizeof name, "%s %d", picture->series, index + 1);
    make_uid(name, out);
}

void put_common_0008(struct file *file, const struct picture *p, int index, const char *image_type)
{
    char uid[UID_SIZE];
    instance_uid(p, index, uid);
    put_text(file, 0x00080005, "CS", "ISO_IR 192");
    put_text(file, 0x00080008, "CS", image_type);
    put_text(file, 0x00080016, "UI", p->sop_class);
    put_text(file, 0x00080018, "UI", uid);
    put_text(file, 0x00080020, "DA", p->study_date);
    put_text(file, 0x00080021, "DA", p->study_date);
    put_text(file, 0x00080022, "DA", p->study_date);
    put_text(file, 0x00080023, "DA", p->study_date);
    put_text(file, 0x00080030, "TM", p->study_time);
    put_text(file, 0x00080031, "TM", p->study_time);
    put_text(file, 0x00080032, "TM", p->study_time);
    put_text(file, 0x00080033, "TM", p->study_time);
    put_text(file, 0x00080050, "SH", p->accession);
    put_text(file, 0x00080060, "CS", p->modality);
    put_text(file, 0x00080070, "LO", "Hilum");
    put_text(file, 0x00080080, "LO", "Demo Hospital");
    put_text(file, 0x00080090, "PN", "Demo^Referring");
    put_text(file, 0x00081030, "LO", p->study_description);
    put_text(file, 0x0008103E, "LO", p->series_description);
    put_text(file, 0x00081090, "LO", "demo-phantom");
}

void put_patient(struct file *file, const struct picture *p)
{
    put_text(file, 0x00100010, "PN", p->person->name);
    put_text(file, 0x00100020, "LO", p->person->id);
    put_text(file, 0x00100030, "DA", p->person->birth_date);
    put_text(file, 0x00100040, "CS", p->person->sex);
    put_text(file, 0x00180015, "CS", p->body_part);
}

void put_relation(struct file *file, const struct picture *p, int index)
{
    char uid[UID_SIZE], number[12];
    make_uid(p->study, uid);
    put_text(file, 0x0020000D, "UI", uid);
    make_uid(p->series, uid);
    put_text(file, 0x0020000E, "UI", uid);
    put_text(file, 0x00200010, "SH", p->accession);
    put_text(file, 0x00200011, "IS", p->series_number);
    if (strcmp(p->modality, "CT") == 0)
        put_text(file, 0x00200012, "IS", p->series_number);
    snprintf(number, sizeof number, "%d", index + 1);
    put_text(file, 0x00200013, "IS", number);
}

/* The buffer is used again for the next object. */
void picture_write(const struct picture *picture, int index, struct file *file)
{
    char uid[UID_SIZE];
    instance_uid(picture, index, uid);
    file_clear(file);
    file_begin(file, picture->sop_class, uid);
    picture->write(file, picture, index);
}
