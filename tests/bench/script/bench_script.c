/* What a rule costs, beside the same hook in C measured in the same run. SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "tests/unit/script/rules.h"

enum { RUNS = 100000 };

static int32_t hook_in_c(void *arg, hilum_event *event)
{
    (void)arg;
    hl_event_plan(event, "send", "{\"to\":\"ARCHIVE\"}");
    const char *part = hl_event_text(event, "BodyPartExamined");
    if (part && strcmp(part, "CHEST") == 0) {
        hl_event_plan(event, "send", "{\"to\":\"AI_LUNG\",\"priority\":1}");
    }
    return HILUM_PASS;
}

/* Of this thread: the machine may be busy. */
static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* With making and freeing the event. */
static double run_us(struct site *site, const char *event_name, unsigned phase)
{
    struct hl_verdict verdict;
    int64_t start = cpu_ns();
    for (int i = 0; i < RUNS; i++) {
        hilum_event *event = ct_event(event_name);
        hl_bus_dispatch(site->bus, event, phase, &verdict);
        hl_event_free(event);
    }
    return (double)(cpu_ns() - start) / 1000.0 / RUNS;
}

int main(void)
{
    struct site site;
    struct hl_hook_source source = {.hook = {.size = sizeof(struct hilum_hook),
                                             .phase = HILUM_NOTIFY,
                                             .event = "instance.edited",
                                             .name = "bench/c",
                                             .where = "Modality=CT",
                                             .run = hook_in_c,
                                             .threads = HILUM_PARALLEL}};
    site_open(&site, NULL);
    site_rules(&site,
               "hilum.on { event = 'instance.stored', name = 'fan-out', where = 'Modality=CT',\n"
               "  run = function(ev)\n"
               "    ev:send('ARCHIVE')\n"
               "    if ev:text('BodyPartExamined') == 'CHEST' then\n"
               "      ev:send('AI_LUNG', { priority = 'high' })\n"
               "    end\n"
               "  end }\n"
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'veto', run = "
               "function(ev)\n"
               "  if not ev:has('Modality') and not hilum.peers[ev.calling_aet] then\n"
               "    return hilum.reject('no') end end }\n"
               "hilum.on { event = 'instance.deleted', name = 'miss', where = 'Modality=MR', run = "
               "print }");
    hl_bus_replace(site.bus, "bench", &source, 1, NULL, NULL, false, &site.faults);
    double in_c = run_us(&site, "instance.edited", HILUM_NOTIFY);
    double fan_out = run_us(&site, "instance.stored", HILUM_NOTIFY);
    double veto = run_us(&site, "instance.received", HILUM_FILTER);
    double miss = run_us(&site, "instance.deleted", HILUM_NOTIFY);
    printf("rule with two sends %.2f us, the same in C %.2f us, ratio %.2f\n", fan_out, in_c,
           fan_out / in_c);
    printf("filter without objection %.2f us; rule whose where does not match %.2f us\n", veto,
           miss);
    site_close(&site);
    return 0;
}
