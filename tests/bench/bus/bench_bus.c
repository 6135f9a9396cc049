/* What an event with ten hooks costs, against the bare loop over ten function pointers measured in
 * the same run. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/bus/bus.h"
#include "core/config/config.h"

enum { HOOKS = 10, EVENTS = 1000000 };

static int32_t touch(void *arg, hilum_event *event)
{
    (void)event;
    (*(volatile unsigned *)arg)++;
    return HILUM_PASS;
}

static struct hl_bus *bus_with(const char *where, unsigned threads, unsigned *counter)
{
    static char names[HOOKS][16];
    struct hl_hook_source hooks[HOOKS] = {0};
    struct hl_bus *bus = NULL;
    for (int i = 0; i < HOOKS; i++) {
        snprintf(names[i], sizeof names[i], "site/h%d", i);
        hooks[i].hook = (struct hilum_hook){.size = sizeof(struct hilum_hook),
                                            .phase = HILUM_FILTER,
                                            .event = "instance.received",
                                            .name = names[i],
                                            .where = where,
                                            .run = touch,
                                            .arg = counter,
                                            .threads = threads};
    }
    if (hl_bus_new(&bus) != HILUM_OK ||
        hl_bus_replace(bus, "rules", hooks, HOOKS, NULL, NULL, false, NULL) != HILUM_OK)
        exit(1);
    return bus;
}

static hilum_event *event_make(void)
{
    hilum_event *event = hl_event_new("instance.received");
    if (!event)
        exit(1);
    hl_event_set_text(event, "calling_aet", "SCANNER1");
    hl_event_set_text(event, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2");
    hl_event_set_text(event, "Modality", "CT");
    hl_event_set_int(event, "size", 524288);
    return event;
}

static double bare_loop(void)
{
    unsigned counter = 0;
    struct {
        int32_t (*run)(void *arg, hilum_event *event);
        void *arg;
    } calls[HOOKS];
    for (int k = 0; k < HOOKS; k++) {
        calls[k].run = touch;
        calls[k].arg = &counter;
    }
    int64_t from = hl_mono_ns();
    for (int i = 0; i < EVENTS; i++) {
        __asm__ volatile("" ::: "memory"); /* the pointers are not known to the optimiser */
        for (int k = 0; k < HOOKS; k++)
            calls[k].run(calls[k].arg, NULL);
    }
    return (double)(hl_mono_ns() - from) / EVENTS;
}

static double dispatch_loop(const char *where, unsigned threads, bool fresh)
{
    unsigned counter = 0;
    struct hl_verdict verdict;
    struct hl_bus *bus = bus_with(where, threads, &counter);
    hilum_event *event = event_make();
    int64_t from = hl_mono_ns();
    for (int i = 0; i < EVENTS; i++) {
        if (fresh) {
            hl_event_free(event);
            event = event_make();
        }
        hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    }
    double ns = (double)(hl_mono_ns() - from) / EVENTS;
    hl_event_free(event);
    hl_bus_free(bus);
    return ns;
}

static void report(const char *what, double ns, double bare)
{
    printf("%-52s %8.1f ns/event %8.1f x bare loop\n", what, ns, ns / bare);
}

int main(void)
{
    double bare = bare_loop();
    report("10 bare function pointers", bare, bare);
    report("10 hooks, parallel", dispatch_loop(NULL, HILUM_PARALLEL, false), bare);
    report("10 hooks, serial", dispatch_loop(NULL, HILUM_SERIAL, false), bare);
    report("10 hooks, where matches",
           dispatch_loop("Modality=CT,MR;size>1000", HILUM_SERIAL, false), bare);
    report("10 hooks, where does not match", dispatch_loop("Modality=US", HILUM_SERIAL, false),
           bare);
    report("10 hooks, serial, event made and freed", dispatch_loop(NULL, HILUM_SERIAL, true), bare);
    return 0;
}
