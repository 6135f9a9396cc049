/* acme-asker: what a vendor could do with the host beside capabilities: ask other DICOM systems, run jobs, count, answer
 * datagrams of its own. tests/cli/vendor.py builds it against the installed SDK and uses it. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hilum/host.h"

#define STUDY_ROOT_FIND "1.2.840.10008.5.1.4.1.2.2.1"
#define STUDY_ROOT_MOVE "1.2.840.10008.5.1.4.1.2.2.2"
#define STUDY_ROOT_GET  "1.2.840.10008.5.1.4.1.2.2.3"
#define COMMITMENT      "1.2.840.10008.1.20.1"
#define COMMITMENT_SELF "1.2.840.10008.1.20.1.1"

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    uint32_t asked, waited;
    int fd;
    uint64_t watch;
};

/* {"peer":"A","study":"1.2"}: arguments of our own commands, whose texts have no escapes. */
static const char *argument(const struct hilum_call *call, const char *key, char out[128])
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = strstr(call->arguments, quoted);
    out[0] = '\0';
    if (!at)
        return NULL;
    at += strlen(quoted);
    snprintf(out, 128, "%.*s", (int)strcspn(at, "\""), at);
    return out;
}

static hilum_rc say(struct hilum_call *call, const char *text)
{
    return call->result.write(call->result.ctx, text, strlen(text));
}

static void count(const struct state *s, const char *what, hilum_rc rc)
{
    const char *const labels[] = {what, rc == HILUM_OK ? "ok" : "failed"};
    s->host->metric_add(s->self, s->asked, labels, 1);
}

static hilum_rc echo(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    char name[128], line[64];
    uint32_t ms = 0;
    const struct hilum_scu_peer peer = {.size = sizeof peer, .name = argument(call, "peer", name)};
    hilum_rc rc = s->host->scu->echo(s->self, &peer, &ms);
    count(s, "echo", rc);
    s->host->metric_add(s->self, s->waited, NULL, ms);
    snprintf(line, sizeof line, "{\"ms\":%u}", ms);
    return rc == HILUM_OK ? say(call, line) : rc;
}

struct finding {
    const struct state *s;
    struct hilum_call *call;
    unsigned n, max;
};

static hilum_rc found(void *arg, hilum_dataset *answer)
{
    struct finding *f = arg;
    const struct hilum_dicom_api *dicom = f->s->host->dicom;
    const char *uid = dicom->get(answer, "StudyInstanceUID");
    const char *name = dicom->get(answer, "PatientName");
    char line[256];
    snprintf(line, sizeof line, "%s[\"%s\",\"%s\"]", f->n ? "," : "", uid ? uid : "",
             name ? name : "");
    if (f->n++ == f->max)
        return f->s->host->fail(f->s->self, HILUM_ECANCELLED, "enough");
    return say(f->call, line);
}

static hilum_dataset *study_keys(const struct state *s, const char *study)
{
    const struct hilum_dicom_api *dicom = s->host->dicom;
    hilum_dataset *keys = dicom->dataset_new();
    dicom->put(keys, "QueryRetrieveLevel", "STUDY");
    dicom->put(keys, "StudyInstanceUID", study);
    return keys;
}

static hilum_rc find(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    char name[128], pattern[128], max[128];
    const struct hilum_scu_peer peer = {.size = sizeof peer, .name = argument(call, "peer", name)};
    struct finding finding = {s, call, 0, argument(call, "max", max) ? (unsigned)atoi(max) : 1000};
    uint16_t status = 0;
    hilum_dataset *keys = study_keys(s, "");
    s->host->dicom->put(keys, "PatientName", argument(call, "pattern", pattern) ? pattern : "");
    say(call, "[");
    hilum_rc rc =
        s->host->scu->find(s->self, &peer, STUDY_ROOT_FIND, keys, found, &finding, &status);
    s->host->dicom->dataset_free(keys);
    count(s, "find", rc);
    return rc == HILUM_OK ? say(call, "]") : rc;
}

static hilum_rc retrieve(struct state *s, struct hilum_call *call, int by_get)
{
    char name[128], study[128], to[128], class[128], line[128];
    const char *const classes[] = {argument(call, "class", class), NULL};
    const struct hilum_scu_peer peer = {.size = sizeof peer, .name = argument(call, "peer", name)};
    struct hilum_suboperations total = {.size = sizeof total};
    uint16_t status = 0;
    hilum_dataset *keys = study_keys(s, argument(call, "study", study));
    hilum_rc rc =
        by_get ? s->host->scu->get(s->self, &peer, STUDY_ROOT_GET, classes[0] ? classes : NULL,
                                   keys, NULL, NULL, &total, &status)
               : s->host->scu->move(s->self, &peer, STUDY_ROOT_MOVE, keys, argument(call, "to", to),
                                    NULL, NULL, &total, &status);
    s->host->dicom->dataset_free(keys);
    count(s, by_get ? "get" : "move", rc);
    snprintf(line, sizeof line, "{\"completed\":%u,\"failed\":%u,\"status\":%u}", total.completed,
             total.failed, status);
    return rc == HILUM_OK ? say(call, line) : rc;
}

static hilum_rc get(void *arg, struct hilum_call *call)
{
    return retrieve(arg, call, 1);
}

static hilum_rc move(void *arg, struct hilum_call *call)
{
    return retrieve(arg, call, 0);
}

/* Asks for storage commitment (PS3.4 J): an N-ACTION with a sequence. */
static hilum_rc commit(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    const struct hilum_dicom_api *dicom = s->host->dicom;
    char name[128], instance[128], line[64];
    const struct hilum_scu_peer peer = {.size = sizeof peer, .name = argument(call, "peer", name)};
    const struct hilum_dimse_request request = {.size = sizeof request,
                                                .command_field = HILUM_N_ACTION,
                                                .sop_class = COMMITMENT,
                                                .sop_instance = COMMITMENT_SELF,
                                                .action_type = 1};
    struct hilum_scu_answer answer = {.size = sizeof answer};
    hilum_dataset *data = dicom->dataset_new();
    dicom->put(data, "TransactionUID", "1.2.3.99");
    dicom->put(data, "ReferencedSOPSequence[0].ReferencedSOPClassUID", "1.2.840.10008.5.1.4.1.1.2");
    dicom->put(data, "ReferencedSOPSequence[0].ReferencedSOPInstanceUID",
               argument(call, "instance", instance));
    hilum_rc rc = s->host->scu->request(s->self, &peer, &request, data, &answer);
    dicom->dataset_free(data);
    count(s, "n-action", rc);
    if (rc != HILUM_OK)
        return rc;
    dicom->dataset_free(answer.data);
    snprintf(line, sizeof line, "{\"status\":%u}", answer.status);
    return say(call, line);
}

/* ---- a plugin built when structs were shorter ---- */

/* Room for any of them, and what must stay as it is behind the one that is `size` long. */
struct older {
    union {
        uint32_t size;
        unsigned char bytes[512];
        struct hilum_object_names names;
        struct hilum_frames frames;
        struct hilum_extent extent;
        struct hilum_frame frame;
        struct hilum_intake_result result;
        struct hilum_scu_answer answer;
        struct hilum_suboperations total;
    } as;
    uint32_t size;
};

static struct older *made(struct older *o, size_t size)
{
    memset(&o->as, 0xA5, sizeof o->as);
    o->as.size = o->size = (uint32_t)size;
    return o;
}

/* One line of the answer: what was asked, whether it was filled in and nothing behind it. */
static void tell(struct hilum_call *call, const char *what, const struct older *o, int is_filled)
{
    char line[96];
    int is_kept = o->as.size == o->size;
    for (size_t i = o->size; i < sizeof o->as.bytes; i++)
        is_kept = is_kept && o->as.bytes[i] == 0xA5;
    snprintf(line, sizeof line, "\"%s\":%s,", what, is_kept && is_filled ? "true" : "false");
    say(call, line);
}

static hilum_rc first_object(void *arg, const struct hilum_object_ref *object)
{
    if (!*(int64_t *)arg)
        *(int64_t *)arg = object->instance;
    return HILUM_OK;
}

static void older_object(struct state *s, struct hilum_call *call, hilum_object *object)
{
    const struct hilum_object_api *api = s->host->objects;
    const void *pixels;
    uint64_t n;
    struct older o;
    api->names(object, &made(&o, offsetof(struct hilum_object_names, study_uid))->as.names);
    tell(call, "names", &o, o.as.names.sop_class && o.as.names.sop_class[0] == '1');
    api->frames(object, &made(&o, offsetof(struct hilum_frames, length))->as.frames);
    tell(call, "frames", &o, o.as.frames.n >= 1);
    api->find(object, "00280010", &made(&o, offsetof(struct hilum_extent, length))->as.extent);
    tell(call, "find", &o, o.as.extent.offset > 0 && !memcmp(o.as.extent.vr, "US", 3));
    api->pixels(object, 0, &made(&o, offsetof(struct hilum_frame, photometric))->as.frame, &pixels,
                &n);
    tell(call, "pixels", &o, o.as.frame.columns > 0);
}

static void older_intake(struct state *s, struct hilum_call *call)
{
    const struct hilum_object_api *api = s->host->objects;
    const struct hilum_identity nurse = {.size = sizeof nurse,
                                         .user = "nurse",
                                         .display = "",
                                         .roles = "gateway",
                                         .departments = "",
                                         .scope = ""};
    const struct hilum_intake_source source = {.size = sizeof source, .kind = "ACME"};
    hilum_principal *who = NULL;
    hilum_intake *intake = NULL;
    struct older o;
    made(&o, offsetof(struct hilum_intake_result, comment));
    if (s->host->principal_new(s->self, &nurse, "127.0.0.1", &who) == HILUM_OK &&
        api->receive(s->self, who, &source, &intake) == HILUM_OK) {
        api->intake_write(intake, "no object", 9);
        api->intake_end(intake, &o.as.result);
    }
    tell(call, "intake", &o, o.as.result.status >= 0x100 && o.as.result.status < 0x10000);
    api->intake_close(intake);
    s->host->principal_free(who);
}

/* Of an SCU too, where nobody answers: what is filled in then is zeroes. */
static void older_asking(struct state *s, struct hilum_call *call)
{
    const struct hilum_scu_peer nobody = {.size = sizeof nobody, .name = "nobody"};
    const struct hilum_dimse_request request = {
        .size = sizeof request, .command_field = HILUM_N_ACTION, .sop_class = COMMITMENT};
    struct older o;
    hilum_dataset *keys = study_keys(s, "1.2");
    s->host->scu->request(s->self, &nobody, &request, NULL,
                          &made(&o, offsetof(struct hilum_scu_answer, comment))->as.answer);
    tell(call, "request", &o, o.as.answer.status == 0 && o.as.answer.sop_instance[0] == 0);
    s->host->scu->move(s->self, &nobody, STUDY_ROOT_MOVE, keys, NULL, NULL, NULL,
                       &made(&o, offsetof(struct hilum_suboperations, warning))->as.total, NULL);
    tell(call, "move", &o, o.as.total.failed == 0);
    s->host->scu->get(s->self, &nobody, STUDY_ROOT_GET, NULL, keys, NULL, NULL,
                      &made(&o, offsetof(struct hilum_suboperations, warning))->as.total, NULL);
    tell(call, "get", &o, o.as.total.failed == 0);
    s->host->dicom->dataset_free(keys);
}

static hilum_rc older(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    char study[128];
    const struct hilum_catalog_key key = {.tag = 0x0020000D,
                                          .value = argument(call, "study", study)};
    int64_t instance = 0, as_of = 0;
    hilum_object *object = NULL;
    hilum_rc rc =
        s->host->catalog->objects(s->self, NULL, &key, 1, &as_of, first_object, &instance);
    if (rc == HILUM_OK)
        rc = s->host->objects->open(s->self, NULL, instance, as_of, &object);
    if (rc != HILUM_OK)
        return rc;
    say(call, "{");
    older_object(s, call, object);
    s->host->objects->close(object);
    older_intake(s, call);
    older_asking(s, call);
    return say(call, "\"all\":true}");
}

/* Fails the first time, so that somebody has to try again. */
static hilum_rc note(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    static int times;
    if (times++ == 0)
        return s->host->fail(s->self, HILUM_EAGAIN, "not at the first attempt");
    s->host->value_put(s->self, "noted", call->arguments);
    return say(call, "noted");
}

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct hilum_call *call = ctx;
    return call->result.write(call->result.ctx, bytes, n);
}

static hilum_rc noted(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = call};
    return s->host->value_get(s->self, "noted", &sink);
}

static hilum_rc start_note(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    int64_t job;
    char line[64];
    hilum_rc rc = s->host->start_job(s->self, "acme_note", call->arguments, &job);
    snprintf(line, sizeof line, "{\"job\":%lld}", (long long)job);
    return rc == HILUM_OK ? say(call, line) : rc;
}

/* ev:acme_twice("field"): the field of the event, said twice. */
static hilum_rc twice(void *arg, hilum_event *event, const char *path, struct hilum_sink *out)
{
    struct state *s = arg;
    const char *text = NULL;
    hilum_rc rc = s->host->event_text(event, path, &text);
    for (int i = 0; rc == HILUM_OK && i < 2; i++)
        rc = out->write(out->ctx, text, strlen(text));
    return rc;
}

/* On the loop thread. */
static void answer_datagram(void *arg, uint32_t events)
{
    struct state *s = arg;
    char bytes[64];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(s->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    (void)events;
    if (n > 0)
        sendto(s->fd, "heard", 5, MSG_DONTWAIT, (const struct sockaddr *)&from, size);
}

static const struct hilum_decl declarations[] = {
    {.type = HILUM_DECL_COMMAND, .name = "acme echo", .fields = "peer:text", .run = echo},
    {.type = HILUM_DECL_COMMAND,
     .name = "acme find",
     .fields = "peer:text pattern?:text max?:text",
     .run = find},
    {.type = HILUM_DECL_COMMAND,
     .name = "acme get",
     .fields = "peer:text study:text class?:text",
     .run = get},
    {.type = HILUM_DECL_COMMAND,
     .name = "acme move",
     .fields = "peer:text study:text to?:text",
     .run = move},
    {.type = HILUM_DECL_COMMAND,
     .name = "acme commit",
     .fields = "peer:text instance:text",
     .run = commit},
    {.type = HILUM_DECL_COMMAND, .name = "acme note", .fields = "text:text", .run = start_note},
    {.type = HILUM_DECL_COMMAND, .name = "acme noted", .run = noted},
    {.type = HILUM_DECL_COMMAND, .name = "acme older", .fields = "study:text", .run = older},
    {.type = HILUM_DECL_JOB, .name = "acme_note", .fields = "text:text", .run = note},
    {.type = HILUM_DECL_READER, .name = "acme_twice", .read = twice},
    {.type = HILUM_DECL_VERB, .name = "acme_tell", .fields = "text:text", .job = "acme_note"},
};

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const double bounds[] = {1, 10, 100, 1000};
    const struct hilum_metric asked = {.size = sizeof asked,
                                       .type = HILUM_METRIC_COUNTER,
                                       .name = "asked_total",
                                       .help = "Questions to other systems.",
                                       .labels = "what,result"};
    const struct hilum_metric waited = {.size = sizeof waited,
                                        .type = HILUM_METRIC_HISTOGRAM,
                                        .name = "echo_ms",
                                        .bounds = bounds,
                                        .n_bounds = 4};
    struct state *s = calloc(1, sizeof *s);
    (void)conf;
    if (!s)
        return HILUM_ENOMEM;
    *s = (struct state){.host = host, .self = self, .fd = -1};
    *state = s;
    hilum_rc rc = host->metric_define(self, &asked, &s->asked);
    if (rc == HILUM_OK)
        rc = host->metric_define(self, &waited, &s->waited);
    for (size_t i = 0; rc == HILUM_OK && i < sizeof declarations / sizeof *declarations; i++) {
        struct hilum_decl decl = declarations[i];
        decl.size = sizeof decl;
        decl.summary = "Of the vendor test.";
        decl.permission = decl.type == HILUM_DECL_COMMAND ? "status" : NULL;
        decl.arg = s;
        rc = host->declare(self, &decl);
    }
    if (rc != HILUM_OK)
        free(s);
    return rc;
}

static hilum_rc start(void *state)
{
    struct state *s = state;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    char port[16];
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (const struct sockaddr *)&here, size) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&here, &size) != 0)
        return s->host->fail(s->self, HILUM_EIO, "no socket for datagrams");
    snprintf(port, sizeof port, "%u", ntohs(here.sin_port));
    s->host->announce(s->self, "acme", port);
    return s->host->watch(s->self, s->fd, HILUM_READABLE, answer_datagram, s, &s->watch);
}

static void fini(void *state)
{
    struct state *s = state;
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,
                                               .size = sizeof plugin,
                                               .abi_major = HILUM_ABI_MAJOR,
                                               .abi_minor = HILUM_ABI_MINOR,
                                               .id = "acme-asker",
                                               .version = "1.0.0",
                                               .vendor = "Acme",
                                               .licence = "MIT",
                                               .init = init,
                                               .start = start,
                                               .fini = fini};
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
