/* Everything of the SDK whose layout is promised, as one shared object that abidiff can compare with what it was
 * when the ABI was fixed. Preview kinds are not here. SPDX-License-Identifier: MIT */
#include "hilum/codec.h"
#include "hilum/database.h"
#include "hilum/host.h"
#include "hilum/route.h"
#include "hilum/store.h"

#define PROMISED(name)                                                                             \
    HILUM_EXPORT void surface_##name(struct name *it);                                             \
    void surface_##name(struct name *it)                                                           \
    {                                                                                              \
        (void)it;                                                                                  \
    }

PROMISED(hilum_sink)
PROMISED(hilum_cap)
PROMISED(hilum_option)
PROMISED(hilum_plugin)
PROMISED(hilum_host)
PROMISED(hilum_hook)
PROMISED(hilum_decl)
PROMISED(hilum_call)
PROMISED(hilum_store)
PROMISED(hilum_database)
PROMISED(hilum_value)
PROMISED(hilum_service)
PROMISED(hilum_dicom_api)
PROMISED(hilum_scu_api)
PROMISED(hilum_metric)
PROMISED(hilum_catalog_api)
PROMISED(hilum_codec)
PROMISED(hilum_route)
PROMISED(hilum_http_api)
PROMISED(hilum_http_request)
PROMISED(hilum_http_source)
