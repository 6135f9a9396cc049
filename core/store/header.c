/* From the scan to attributes in UTF-8: what the catalogue may keep and what rules may ask for.
 *
 * The list is what the catalogue may keep; a rule may ask for any other attribute by keyword
 * (rules.c), which is then read from the scan.
 *
 * Values are decoded to UTF-8 once, here: everything behind (catalogue, rules, queries, the
 * web) knows no other character set. A text that cannot be decoded is left out rather than
 * guessed, and stays in the object.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/charset.h"

enum { HEADER_VALUE_MAX = 4096 }; /* a catalogue value; longer ones stay in the object */

/* VRs for implicit syntaxes and for senders that write UN (PS3.6). */
static const struct hl_header_field fields[] = {
    {0x00080008, "CS", "ImageType"},
    {0x00080012, "DA", "InstanceCreationDate"},
    {0x00080013, "TM", "InstanceCreationTime"},
    {0x00080016, "UI", "SOPClassUID"},
    {0x00080018, "UI", "SOPInstanceUID"},
    {0x00080020, "DA", "StudyDate"},
    {0x00080021, "DA", "SeriesDate"},
    {0x00080022, "DA", "AcquisitionDate"},
    {0x00080023, "DA", "ContentDate"},
    {0x0008002A, "DT", "AcquisitionDateTime"},
    {0x00080030, "TM", "StudyTime"},
    {0x00080031, "TM", "SeriesTime"},
    {0x00080032, "TM", "AcquisitionTime"},
    {0x00080033, "TM", "ContentTime"},
    {0x00080050, "SH", "AccessionNumber"},
    {0x00080060, "CS", "Modality"},
    {0x00080064, "CS", "ConversionType"},
    {0x00080068, "CS", "PresentationIntentType"},
    {0x00080070, "LO", "Manufacturer"},
    {0x00080080, "LO", "InstitutionName"},
    {0x00080090, "PN", "ReferringPhysicianName"},
    {0x00080201, "SH", "TimezoneOffsetFromUTC"},
    {0x00081010, "SH", "StationName"},
    {0x00081030, "LO", "StudyDescription"},
    {0x0008103E, "LO", "SeriesDescription"},
    {0x00081040, "LO", "InstitutionalDepartmentName"},
    {0x00081048, "PN", "PhysiciansOfRecord"},
    {0x00081050, "PN", "PerformingPhysicianName"},
    {0x00081060, "PN", "NameOfPhysiciansReadingStudy"},
    {0x00081070, "PN", "OperatorsName"},
    {0x00081080, "LO", "AdmittingDiagnosesDescription"},
    {0x00081090, "LO", "ManufacturerModelName"},
    {0x00100010, "PN", "PatientName"},
    {0x00100020, "LO", "PatientID"},
    {0x00100021, "LO", "IssuerOfPatientID"},
    {0x00100030, "DA", "PatientBirthDate"},
    {0x00100032, "TM", "PatientBirthTime"},
    {0x00100040, "CS", "PatientSex"},
    {0x00101000, "LO", "OtherPatientIDs"},
    {0x00101001, "PN", "OtherPatientNames"},
    {0x00101010, "AS", "PatientAge"},
    {0x00101020, "DS", "PatientSize"},
    {0x00101030, "DS", "PatientWeight"},
    {0x00102160, "SH", "EthnicGroup"},
    {0x00102180, "SH", "Occupation"},
    {0x001021B0, "LT", "AdditionalPatientHistory"},
    {0x00104000, "LT", "PatientComments"},
    {0x00180010, "LO", "ContrastBolusAgent"},
    {0x00180015, "CS", "BodyPartExamined"},
    {0x00180050, "DS", "SliceThickness"},
    {0x00181000, "LO", "DeviceSerialNumber"},
    {0x00181030, "LO", "ProtocolName"},
    {0x00181210, "SH", "ConvolutionKernel"},
    {0x00185100, "CS", "PatientPosition"},
    {0x00185101, "CS", "ViewPosition"},
    {0x0020000D, "UI", "StudyInstanceUID"},
    {0x0020000E, "UI", "SeriesInstanceUID"},
    {0x00200010, "SH", "StudyID"},
    {0x00200011, "IS", "SeriesNumber"},
    {0x00200012, "IS", "AcquisitionNumber"},
    {0x00200013, "IS", "InstanceNumber"},
    {0x00200032, "DS", "ImagePositionPatient"},
    {0x00200037, "DS", "ImageOrientationPatient"},
    {0x00200052, "UI", "FrameOfReferenceUID"},
    {0x00200060, "CS", "Laterality"},
    {0x00200062, "CS", "ImageLaterality"},
    {0x00201002, "IS", "ImagesInAcquisition"},
    {0x00201041, "DS", "SliceLocation"},
    {0x00204000, "LT", "ImageComments"},
    {0x00280002, "US", "SamplesPerPixel"},
    {0x00280004, "CS", "PhotometricInterpretation"},
    {0x00280008, "IS", "NumberOfFrames"},
    {0x00280010, "US", "Rows"},
    {0x00280011, "US", "Columns"},
    {0x00280030, "DS", "PixelSpacing"},
    {0x00280100, "US", "BitsAllocated"},
    {0x00280101, "US", "BitsStored"},
    {0x00280103, "US", "PixelRepresentation"},
    {0x00280301, "CS", "BurnedInAnnotation"},
    {0x00282110, "CS", "LossyImageCompression"},
    {0x00321032, "PN", "RequestingPhysician"},
    {0x00321033, "LO", "RequestingService"},
    {0x00321060, "LO", "RequestedProcedureDescription"},
    {0x00324000, "LT", "StudyComments"},
    {0x00380010, "LO", "AdmissionID"},
    {0x00400244, "DA", "PerformedProcedureStepStartDate"},
    {0x00400245, "TM", "PerformedProcedureStepStartTime"},
    {0x00400253, "SH", "PerformedProcedureStepID"},
    {0x00400254, "LO", "PerformedProcedureStepDescription"},
    {0x00401001, "SH", "RequestedProcedureID"},
    {0x0040A491, "CS", "CompletionFlag"},
    {0x0040A493, "CS", "VerificationFlag"},
    {0x00420010, "ST", "DocumentTitle"},
    {0x00700080, "CS", "ContentLabel"},
    {0x00700081, "LO", "ContentDescription"},
    {0x00700082, "DA", "PresentationCreationDate"},
    {0x00700083, "TM", "PresentationCreationTime"},
    {0x00700084, "PN", "ContentCreatorName"},
};

const struct hl_header_field *hl_header_field_find(const char *keyword)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(fields[i].keyword, keyword) == 0)
            return &fields[i];
    }
    return NULL;
}

const struct hl_header_field *hl_header_field_at(uint32_t tag)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].tag == tag)
            return &fields[i];
    }
    return NULL;
}

/* Binary numbers that are shown as decimal text. AT and OB are not among them: no field of the
 * catalogue has them. */
static bool is_number_vr(const char *vr)
{
    return strcmp(vr, "US") == 0 || strcmp(vr, "SS") == 0 || strcmp(vr, "UL") == 0 ||
           strcmp(vr, "SL") == 0 || strcmp(vr, "FD") == 0 || strcmp(vr, "FL") == 0;
}

bool hl_header_is_text_vr(const char *vr)
{
    static const char texts[] = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT ";
    for (const char *p = texts; *p != '\0'; p += 3) {
        if (strncmp(p, vr, 2) == 0)
            return true;
    }
    return false;
}

/* `bytes` in little endian order, as many as the VR has. */
static void number_add(struct hl_buf *out, const uint8_t *bytes, const char *vr)
{
    uint64_t raw = 0;
    size_t size = vr[0] == 'F' && vr[1] == 'D' ? 8 : vr[1] == 'S' ? 2 : 4;
    for (size_t i = 0; i < size; i++)
        raw |= (uint64_t)bytes[i] << (8 * i);
    if (vr[0] == 'F') {
        float single = 0;
        double value = 0;
        uint32_t low = (uint32_t)raw;
        memcpy(&single, &low, sizeof single);
        memcpy(&value, &raw, sizeof value);
        hl_buf_printf(out, "%.9g", size == 4 ? (double)single : value);
    } else if (vr[0] == 'S') {
        hl_buf_printf(out, "%d", size == 2 ? (int)(int16_t)raw : (int)(int32_t)raw);
    } else {
        hl_buf_printf(out, "%llu", (unsigned long long)raw);
    }
}

/* At most 64 values, joined by a backslash as in text VRs. */
static void numbers_text(const struct hl_element *element, const char *vr, bool is_big_endian,
                         struct hl_buf *out)
{
    size_t size = vr[0] == 'F' && vr[1] == 'D' ? 8 : vr[1] == 'S' ? 2 : 4;
    for (size_t at = 0; at + size <= element->length && at < 64 * size; at += size) {
        uint8_t bytes[8];
        for (size_t i = 0; i < size; i++)
            bytes[i] = element->value[at + (is_big_endian ? size - 1 - i : i)];
        if (at > 0)
            hl_buf_byte(out, '\\');
        number_add(out, bytes, vr);
    }
}

/* Spaces around each value do not count, but LT, ST and UT keep what is inside (PS3.5 6.2). */
static void values_trim(char *text, const char *vr)
{
    bool is_one = strcmp(vr, "LT") == 0 || strcmp(vr, "ST") == 0 || strcmp(vr, "UT") == 0;
    char *to = text;
    for (char *from = text; from != NULL;) {
        char *end = is_one ? NULL : strchr(from, '\\');
        char *last = end != NULL ? end : from + strlen(from);
        while (!is_one && from < last && *from == ' ')
            from++;
        while (last > from && (last[-1] == ' ' || last[-1] == '\0'))
            last--;
        memmove(to, from, (size_t)(last - from));
        to += last - from;
        if (end != NULL)
            *to++ = '\\';
        from = end != NULL ? end + 1 : NULL;
    }
    *to = '\0';
}

/* ESC begins a code extension (ISO 2022), so text with one is not plain. */
static bool is_ascii(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] >= 0x80 || bytes[i] == 0x1B)
            return false;
    }
    return true;
}

/* (0008,0005) says how (PS3.5 6.1); charset_repair is the site's word for a sender that says
 * it wrongly. false: bytes no reading makes text of. The repair set comes into play only where
 * the declared one fails, see hl_charset_to_utf8; that it did is remarked on the instance. */
static bool text_decode(const struct hl_scan *scan, const uint8_t *bytes, size_t n,
                        const char *charset_repair, struct hl_buf *out, bool *was_repaired)
{
    char declared[256];
    bool is_repaired = false;
    if (is_ascii(bytes, n)) { /* nearly all values of nearly all objects */
        hl_buf_add(out, bytes, n);
        return !out->failed;
    }
    hl_scan_text(scan, HL_TAG(0x0008, 0x0005), declared, sizeof declared);
    if (hl_charset_to_utf8((const char *)bytes, n, declared, charset_repair, out, &is_repaired) < 0)
        return false;
    *was_repaired = *was_repaired || is_repaired;
    return true;
}

/* A value longer than HEADER_VALUE_MAX is cut: it is for looking up, the whole one stays in the
 * object. */
bool hl_header_text(const struct hl_scan *scan, uint32_t tag, const char *vr,
                    const char *charset_repair, struct hl_buf *out, bool *was_repaired)
{
    const struct hl_element *element = hl_scan_find(scan, tag);
    hl_buf_clear(out);
    if (element == NULL || (element->value == NULL && element->length > 0))
        return false;
    /* The object's own VR counts; UN and implicit VR are read as the dictionary's (PS3.5
     * 6.2.2). */
    const char *known = element->vr[0] != '\0' && strcmp(element->vr, "UN") != 0 ? element->vr : vr;
    if (is_number_vr(known)) {
        numbers_text(element, known, hl_scan_is_big_endian(scan), out);
        return !out->failed;
    }
    if (!hl_header_is_text_vr(known))
        return false;
    /* NUL ends a text: some writers leave their buffer's remains behind it. */
    size_t n = element->length < HEADER_VALUE_MAX ? (size_t)element->length : HEADER_VALUE_MAX;
    const uint8_t *nul = n > 0 ? memchr(element->value, 0, n) : NULL;
    n = nul != NULL ? (size_t)(nul - element->value) : n;
    if (n > 0 && !text_decode(scan, element->value, n, charset_repair, out, was_repaired))
        return false;
    if (out->data != NULL) {
        values_trim(out->data, known);
        out->len = strlen(out->data);
    }
    return !out->failed;
}

hilum_rc hl_header_read(const struct hl_scan *scan, const char *charset_repair,
                        struct hl_attrs *attrs, bool *was_repaired)
{
    struct hl_buf text = {0};
    hilum_rc rc = HILUM_OK;
    *was_repaired = false;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && rc == HILUM_OK; i++) {
        if (hl_header_text(scan, fields[i].tag, fields[i].vr, charset_repair, &text,
                           was_repaired) &&
            text.len > 0)
            rc = hl_attrs_set(attrs, fields[i].tag, hl_buf_str(&text));
        else if (text.failed)
            rc = hl_fail(HILUM_ENOMEM, "no memory for header values");
    }
    hl_buf_fini(&text);
    return rc;
}

void hl_header_remarks(unsigned remarks, bool is_repaired, bool is_derived, struct hl_buf *out)
{
    static const struct {
        unsigned bit;
        const char *words;
    } words[] = {
        {HL_SCAN_ODD_LENGTH, "value of odd length"},
        {HL_SCAN_BAD_VR, "unknown VR"},
        {HL_SCAN_WRONG_SYNTAX, "not encoded in the transfer syntax named"},
        {HL_SCAN_TAG_ORDER, "elements out of order"},
        {HL_SCAN_TRUNCATED, "pixel data or padding cut short"},
        {HL_SCAN_GROUP_LENGTH, "wrong group length"},
        {HL_SCAN_DUPLICATE, "element given twice"},
        {HL_SCAN_TRAILING, "bytes after the data set"},
        {HL_SCAN_ACR_NEMA, "no file meta information (ACR-NEMA or bare data set)"},
        {HL_SCAN_UNKNOWN_SYNTAX, "unknown transfer syntax"},
        {HL_SCAN_DELIMITER, "sequence delimiters wrong"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (remarks & words[i].bit) {
            hl_buf_text(out, out->len > 0 ? "; " : "");
            hl_buf_text(out, words[i].words);
        }
    }
    if (is_repaired)
        hl_buf_printf(out, "%stext not in the character set declared", out->len > 0 ? "; " : "");
    if (is_derived)
        hl_buf_printf(out, "%sUIDs derived by Hilum", out->len > 0 ? "; " : "");
}
