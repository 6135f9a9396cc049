/* The body of hilum_dataset. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_DATASET_API_H
#define HL_DICOM_DATASET_API_H

#include "core/base/arena.h"
#include "core/dicom/dcmtk/dataset.h"
#include "hilum/service.h"

struct hilum_dataset {
    struct hl_dataset *data;
    struct hl_arena texts; /* what get() lent since the last change */
};

/* Takes `data` over; NULL: out of memory, and data is freed. */
hilum_dataset *hl_dataset_api_wrap(struct hl_dataset *data);
/* The members of hilum_dicom_api that need no exchange; documented there. */
hilum_dataset *hl_dataset_api_new(void);
void hl_dataset_api_free(hilum_dataset *dataset);
const char *hl_dataset_api_get(hilum_dataset *dataset, const char *path);
hilum_rc hl_dataset_api_put(hilum_dataset *dataset, const char *path, const char *utf8);
hilum_rc hl_dataset_api_at(hilum_dataset *dataset, uint64_t i, uint32_t *tag, char vr[3]);
const char *hl_dataset_api_get_tag(hilum_dataset *dataset, uint32_t tag);
hilum_rc hl_dataset_api_put_tag(hilum_dataset *dataset, uint32_t tag, const char *utf8);
uint64_t hl_dataset_api_items(hilum_dataset *dataset, const char *path);
hilum_rc hl_dataset_api_parse(const void *bytes, uint64_t n, const char *transfer_syntax,
                              hilum_dataset **out);
hilum_rc hl_dataset_api_write(hilum_dataset *dataset, const char *transfer_syntax,
                              struct hilum_sink *out);
hilum_rc hl_dataset_api_json(hilum_dataset *dataset, const struct hilum_sink *sink);

#endif
