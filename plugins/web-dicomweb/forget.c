/* What was made of an object goes with it: thumbnails, films and metadata, once the kernel has erased it for good.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

/* Not every erasure is an end: what was compressed is there in another form, and the event then
 * names no instance. Told again after a crash; then there is nothing left to do. */
static int32_t is_erased(void *arg, hilum_event *event)
{
    struct web *web = arg;
    const char *uid = NULL;
    int64_t instance = 0;
    if (web->host->event_int(event, "instance", &instance) != HILUM_OK ||
        web->host->event_text(event, "SOPInstanceUID", &uid) != HILUM_OK)
        return HILUM_PASS;
    web_thumbnails_forget(web, uid, instance);
    web_blobs_forget(web->blobs, instance);
    return HILUM_PASS;
}

hilum_rc web_forget_init(struct web *web)
{
    const struct hilum_hook hook = {.size = sizeof hook,
                                    .phase = HILUM_NOTIFY,
                                    .event = "object.erased",
                                    .name = "web-dicomweb/forget",
                                    .run = is_erased,
                                    .arg = web,
                                    .threads = HILUM_PARALLEL};
    return web->host->subscribe(web->self, &hook);
}
