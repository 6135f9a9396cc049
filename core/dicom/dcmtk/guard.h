/* The border of C++: every function of the C interface runs inside guarded(), which turns
 * exceptions into codes. Nothing may be thrown through C. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_DCMTK_GUARD_H
#define HL_DICOM_DCMTK_GUARD_H

#include <exception>
#include <new>

extern "C" {
#include "core/base/error.h"
}

namespace hilum
{

template <class Body> hilum_rc guarded(Body body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return hl_fail(HILUM_ENOMEM, "data set: no memory");
    } catch (const std::exception &e) {
        return hl_fail(HILUM_EINTERNAL, "data set: %s", e.what());
    } catch (...) {
        return hl_fail(HILUM_EINTERNAL, "data set: unknown exception");
    }
}

} // namespace hilum

#endif
