/* The list itself. Adding a row here and a migration for its column is all that a new matching
 * or return key needs; keys of higher levels are seen by queries of lower ones (PS3.4 C.6.1.1,
 * C.6.2.1 and extensions). SPDX-License-Identifier: Apache-2.0 */
#include "core/record/columns.h"

#include "hilum/catalog.h"

#define PATIENT HILUM_LEVEL_PATIENT
#define STUDY   HILUM_LEVEL_STUDY
#define SERIES  HILUM_LEVEL_SERIES
#define IMAGE   HILUM_LEVEL_IMAGE
#define UID     HL_KIND_UID
#define TEXT    HL_KIND_TEXT
#define NAME    HL_KIND_NAME
#define DATE    HL_KIND_DATE
#define TIME    HL_KIND_TIME
#define WHEN    HL_KIND_DATETIME
#define INT     HL_KIND_INT
#define MANY    HL_COLUMN_MANY
#define KEPT    HL_COLUMN_KEPT

const struct hl_column hl_columns[] = {
    {0x00100010, PATIENT, NAME, 0, "name", "PatientName"},
    {0x00100020, PATIENT, TEXT, KEPT, "patient_id", "PatientID"},
    {0x00100021, PATIENT, TEXT, KEPT, "issuer", "IssuerOfPatientID"},
    {0x00100030, PATIENT, DATE, 0, "birth_date", "PatientBirthDate"},
    {0x00100032, PATIENT, TIME, 0, "birth_time", "PatientBirthTime"},
    {0x00100040, PATIENT, TEXT, 0, "sex", "PatientSex"},
    {0x00101000, PATIENT, TEXT, MANY, "other_ids", "OtherPatientIDs"},
    {0x00101001, PATIENT, NAME, MANY, "other_names", "OtherPatientNames"},
    {0x00102160, PATIENT, TEXT, 0, "ethnic_group", "EthnicGroup"},
    {0x00104000, PATIENT, TEXT, 0, "comments", "PatientComments"},
    {0x00201200, PATIENT, INT, KEPT, "n_studies", "NumberOfPatientRelatedStudies"},
    {0x00201202, PATIENT, INT, KEPT, "n_series", "NumberOfPatientRelatedSeries"},
    {0x00201204, PATIENT, INT, KEPT, "n_instances", "NumberOfPatientRelatedInstances"},

    {0x0020000D, STUDY, UID, KEPT, "uid", "StudyInstanceUID"},
    {0x00080020, STUDY, DATE, 0, "study_date", "StudyDate"},
    {0x00080030, STUDY, TIME, 0, "study_time", "StudyTime"},
    {0x00080050, STUDY, TEXT, 0, "accession", "AccessionNumber"},
    {0x00200010, STUDY, TEXT, 0, "study_id", "StudyID"},
    {0x00081030, STUDY, TEXT, 0, "description", "StudyDescription"},
    {0x00080090, STUDY, NAME, 0, "referring", "ReferringPhysicianName"},
    {0x00081060, STUDY, NAME, MANY, "reading", "NameOfPhysiciansReadingStudy"},
    {0x00081080, STUDY, TEXT, MANY, "admitting_diagnoses", "AdmittingDiagnosesDescription"},
    {0x00101010, STUDY, TEXT, 0, "patient_age", "PatientAge"},
    {0x00101020, STUDY, TEXT, 0, "patient_size", "PatientSize"},
    {0x00101030, STUDY, TEXT, 0, "patient_weight", "PatientWeight"},
    {0x00102180, STUDY, TEXT, 0, "occupation", "Occupation"},
    {0x001021B0, STUDY, TEXT, 0, "history", "AdditionalPatientHistory"},
    {0x00201070, STUDY, TEXT, MANY, "other_study_numbers", "OtherStudyNumbers"},
    {0x00080080, STUDY, TEXT, 0, "institution", "InstitutionName"},
    {0x00080061, STUDY, TEXT, MANY | KEPT, "modalities", "ModalitiesInStudy"},
    {0x00080062, STUDY, TEXT, MANY | KEPT, "sop_classes", "SOPClassesInStudy"},
    {0x00201206, STUDY, INT, KEPT, "n_series", "NumberOfStudyRelatedSeries"},
    {0x00201208, STUDY, INT, KEPT, "n_instances", "NumberOfStudyRelatedInstances"},

    {0x0020000E, SERIES, UID, KEPT, "uid", "SeriesInstanceUID"},
    {0x00080060, SERIES, TEXT, 0, "modality", "Modality"},
    {0x00200011, SERIES, INT, 0, "number", "SeriesNumber"},
    {0x0008103E, SERIES, TEXT, 0, "description", "SeriesDescription"},
    {0x00180015, SERIES, TEXT, 0, "body_part", "BodyPartExamined"},
    {0x00200060, SERIES, TEXT, 0, "laterality", "Laterality"},
    {0x00181030, SERIES, TEXT, 0, "protocol", "ProtocolName"},
    {0x00080021, SERIES, DATE, 0, "series_date", "SeriesDate"},
    {0x00080031, SERIES, TIME, 0, "series_time", "SeriesTime"},
    {0x00081010, SERIES, TEXT, 0, "station", "StationName"},
    {0x00081040, SERIES, TEXT, 0, "department", "InstitutionalDepartmentName"},
    {0x00080070, SERIES, TEXT, 0, "manufacturer", "Manufacturer"},
    {0x00081090, SERIES, TEXT, 0, "model", "ManufacturerModelName"},
    {0x00081050, SERIES, NAME, MANY, "performing", "PerformingPhysicianName"},
    {0x00081070, SERIES, NAME, MANY, "operators", "OperatorsName"},
    {0x00185100, SERIES, TEXT, 0, "position", "PatientPosition"},
    {0x00200052, SERIES, UID, 0, "frame_of_reference", "FrameOfReferenceUID"},
    {0x00400244, SERIES, DATE, 0, "step_date", "PerformedProcedureStepStartDate"},
    {0x00400245, SERIES, TIME, 0, "step_time", "PerformedProcedureStepStartTime"},
    {0x00400253, SERIES, TEXT, 0, "step_id", "PerformedProcedureStepID"},
    {0x00400254, SERIES, TEXT, 0, "step_description", "PerformedProcedureStepDescription"},
    {0x00201209, SERIES, INT, KEPT, "n_instances", "NumberOfSeriesRelatedInstances"},

    {0x00080018, IMAGE, UID, KEPT, "uid", "SOPInstanceUID"},
    {0x00080016, IMAGE, UID, 0, "sop_class", "SOPClassUID"},
    {0x00083002, IMAGE, UID, KEPT, "transfer_syntax", "AvailableTransferSyntaxUID"},
    {0x00200013, IMAGE, INT, 0, "number", "InstanceNumber"},
    {0x00280010, IMAGE, INT, 0, "image_rows", "Rows"},
    {0x00280011, IMAGE, INT, 0, "image_columns", "Columns"},
    {0x00280008, IMAGE, INT, 0, "frames", "NumberOfFrames"},
    {0x00280100, IMAGE, INT, 0, "bits_allocated", "BitsAllocated"},
    {0x00080008, IMAGE, TEXT, MANY, "image_type", "ImageType"},
    {0x00080023, IMAGE, DATE, 0, "content_date", "ContentDate"},
    {0x00080033, IMAGE, TIME, 0, "content_time", "ContentTime"},
    {0x00080022, IMAGE, DATE, 0, "acquisition_date", "AcquisitionDate"},
    {0x00080032, IMAGE, TIME, 0, "acquisition_time", "AcquisitionTime"},
    {0x0008002A, IMAGE, WHEN, 0, "acquisition_datetime", "AcquisitionDateTime"},
    {0x00200012, IMAGE, INT, 0, "acquisition_number", "AcquisitionNumber"},
    {0x00201041, IMAGE, TEXT, 0, "slice_location", "SliceLocation"},
    {0x0040A491, IMAGE, TEXT, 0, "completion_flag", "CompletionFlag"},
    {0x0040A493, IMAGE, TEXT, 0, "verification_flag", "VerificationFlag"},
    {0x00700080, IMAGE, TEXT, 0, "content_label", "ContentLabel"},
    {0x00700081, IMAGE, TEXT, 0, "content_description", "ContentDescription"},
    {0x00420010, IMAGE, TEXT, 0, "document_title", "DocumentTitle"},
    {0x00204000, IMAGE, TEXT, 0, "image_comments", "ImageComments"},

    /* Everything found can be had at once: there are no slower tiers. */
    {0x00080056, PATIENT, TEXT, KEPT | HL_COLUMN_CONSTANT, "ONLINE", "InstanceAvailability"},
};
const size_t hl_columns_count = sizeof hl_columns / sizeof *hl_columns;

/* The same tag is never kept on two levels, so the first that is high enough is the one. A
 * walk over some 85 rows: queries ask a few dozen times, once each. */
const struct hl_column *hl_column_find(uint32_t level, uint32_t tag)
{
    for (size_t i = 0; i < hl_columns_count; i++)
        if (hl_columns[i].tag == tag && hl_columns[i].level <= level)
            return &hl_columns[i];
    return NULL;
}

const char *hl_level_table(unsigned level)
{
    static const char *const names[] = {"", "patient", "study", "series", "instance"};
    return names[level];
}

/* Tables are called p, s, e and i in every statement: i is the instance, e the series. */
char hl_level_letter(unsigned level)
{
    return " psei"[level];
}
