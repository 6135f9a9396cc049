/* Services of plugins as the provider sees them. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/scp_internal.h"

static bool has(void *arg, const char *sop_class)
{
    (void)arg;
    (void)sop_class;
    return false;
}

void hl_scp_services(struct hl_scp *scp)
{
    scp->services = (struct hl_services){.has = has, .arg = scp};
}

hilum_rc hl_request_service(const struct hl_request *request)
{
    hilum_rc rc = hl_request_skip(request);
    return rc ? rc : hl_request_answer(request, 0x0122, "no plugin serves this SOP class");
}
