/* example-report: writes a report as plain text: the site's heading, then the JSON as it is. A real one would
 * lay it out. It knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/report.h"

static hilum_rc put(struct hilum_sink *out, const char *text)
{
    return out->write(out->ctx, text, strlen(text));
}

/* The same input gives the same bytes: no dates, no random boundaries; reports are signed. */
static hilum_rc write_text(void *instance, const char *report_json, uint64_t n,
                           const struct hilum_report_source *source, struct hilum_sink *out)
{
    (void)instance;
    if (n == 0 || report_json[0] != '{')
        return HILUM_EINVAL;
    hilum_rc rc = source->style(source->ctx, "heading", out);
    if (rc == HILUM_ENOTFOUND) /* the site has none */
        rc = put(out, "REPORT");
    if (rc == HILUM_OK)
        rc = put(out, "\n\n");
    if (rc == HILUM_OK)
        rc = out->write(out->ctx, report_json, n);
    return rc == HILUM_OK ? put(out, "\n") : rc;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_report table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_REPORT,
                .threads = HILUM_PARALLEL,
                .name = "example-report"},
        .media_type = "text/plain",
        .file_suffix = ".txt",
        .write = write_text,
    };
    (void)conf;
    *state = NULL;
    return host->provide(self, &table.cap, NULL);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-report",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
