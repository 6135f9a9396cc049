/* Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1): what modalities send to UTF-8 and back.
 * It knows nothing of data sets, VRs and peers. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_CHARSET_H
#define HL_DICOM_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

/* Appends n bytes of text as UTF-8, always valid, whatever comes. `declared` is the value of
 * (0008,0005)
 * ("", "ISO_IR 100", "\ISO 2022 IR 87"; NULL as ""). Code extensions are followed, and end at the
 * delimiters of PS3.5 6.1.2.5.3.
 *
 * Bytes the declared set has no meaning for are repaired: as UTF-8 if they are that, else in
 * `repair`
 * ("GB18030", "GBK", "Big5", "Shift_JIS", "EUC-KR", "latin1"; the source's; NULL: none), else each
 * becomes U+FFFD. A declared single-byte set whose text is UTF-8 beyond doubt (a sequence of more
 * than one byte, all well formed) is believed to be UTF-8. *was_repaired (may be NULL) tells of any
 * of this. Any thread. HILUM_ENOMEM. */
hilum_rc hl_charset_to_utf8(const char *bytes, size_t n, const char *declared, const char *repair,
                            struct hl_buf *out, bool *was_repaired);

/* Appends UTF-8 text (invalid bytes: '?') in the wanted set, with escapes where the set has code
 * extensions, back in the initial set before every delimiter. What it cannot say becomes '?', and 1
 * is returned: the caller answers in ISO_IR 192 instead, or lets it be. An unknown set: as ASCII.
 * HILUM_ENOMEM. */
hilum_rc hl_charset_from_utf8(const char *utf8, size_t n, const char *wanted, struct hl_buf *out);

/* Is this value of (0008,0005) one we can read (each of its terms known)? */
bool hl_charset_is_known(const char *declared);

#endif
