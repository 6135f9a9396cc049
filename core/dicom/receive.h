/* An object that comes by C-STORE, on whichever side's association: as a request of a peer, or back by a C-GET of ours.
 * Included by core/dicom only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_RECEIVE_H
#define HL_DICOM_RECEIVE_H

#include "core/access/access.h"
#include "core/dicom/dimse.h"
#include "core/store/ingest.h"

/* Reads the object of a C-STORE-RQ (PS3.7 9.1.1) that has a data set off the wire, stores it and answers: with 0124 where
 * `sender` may not store into its study. source->may is set here, the rest is the caller's; all is borrowed for the call.
 * The thread that reads the association. An error means that the association is out of step. */
hilum_rc hl_receive_object(struct hl_ul_assoc *ul, struct hl_store *store,
                           const struct hl_principal *sender, struct hl_ingest_source *source,
                           const struct hl_dimse *command);

#endif
