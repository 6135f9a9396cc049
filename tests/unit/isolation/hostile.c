/* A codec and an operator that do what the first word of their input asks for: work, or every harm an engineer could
 * think of. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hilum/codec.h"
#include "hilum/hl7.h"
#include "hilum/host.h"
#include "hilum/operator.h"
#include "hilum/renderer.h"
#include "hilum/report.h"

struct conf {
    const char *greeting;
    int64_t number;
    int32_t flag;
};

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
    uint32_t calls, sizes; /* metrics */
};

static const struct hilum_host *late_host;
#ifndef SYNTAX
#define SYNTAX "1.2.3.4"
#endif
#ifndef LATE
#define LATE 0
#endif

static void *burn(void *arg)
{
    for (volatile unsigned long i = 0;; i++)
        (void)arg;
    return NULL;
}

static void destroyed(const int *what)
{
    if (*what)
        abort();
}

/* What C++ does when a destructor throws. */
static hilum_rc abort_in_destructor(void)
{
    int object __attribute__((cleanup(destroyed))) = 1;
    return object ? HILUM_OK : HILUM_EINVAL;
}

static hilum_rc fork_bomb(void)
{
    while (fork() >= 0) {
    }
    return HILUM_EDENIED;
}

static hilum_rc leave_a_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, burn, NULL) == 0 ? HILUM_OK : HILUM_ENOMEM;
}

static hilum_rc open_socket(const struct state *s)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0
               ? s->host->fail(s->self, HILUM_EDENIED, "no socket for me")
               : HILUM_OK;
}

static hilum_rc open_file(const struct state *s, const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? s->host->fail(s->self, HILUM_EDENIED, "no file for me") : HILUM_OK;
}

/* Memory it never gives back, touched so that it counts. */
static hilum_rc leak(uint64_t n)
{
    char *memory = n < SIZE_MAX ? malloc((size_t)n) : NULL;
    if (!memory)
        return HILUM_ENOMEM;
    for (uint64_t i = 0; i < n; i += 4096)
        ((volatile char *)memory)[i] = 1;
    return HILUM_OK;
}

/* A plugin calls what the table of its ABI has, without asking whether it is there. */
static hilum_rc look_at_table(const struct state *s)
{
    static const size_t absent[] = {
        offsetof(struct hilum_host, dicom), offsetof(struct hilum_host, catalog),
        offsetof(struct hilum_host, objects), offsetof(struct hilum_host, scu),
        offsetof(struct hilum_host, commands)};
    for (size_t at = offsetof(struct hilum_host, log); at + sizeof(void *) <= s->host->size;
         at += sizeof(void *)) {
        const void *member;
        memcpy(&member, (const char *)s->host + at, sizeof member);
        bool may_be_absent = false;
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
            may_be_absent = may_be_absent || at == absent[i];
        if (!member && !may_be_absent)
            return s->host->fail(s->self, HILUM_EINTERNAL, "a member of the table is missing");
    }
    return HILUM_OK;
}

/* Numbers of its own, also one that is wrong. */
static hilum_rc count(const struct state *s)
{
    const char *const labels[] = {"a \"word\""};
    hilum_rc rc = s->host->metric_add(s->self, s->calls, labels, 1);
    if (rc == HILUM_OK)
        rc = s->host->metric_add(s->self, s->calls, labels, 2);
    if (rc == HILUM_OK)
        rc = s->host->metric_add(s->self, s->sizes, NULL, 0.5);
    return rc == HILUM_OK && s->host->metric_add(s->self, s->calls, labels, -1) == HILUM_EINVAL
               ? HILUM_OK
               : HILUM_EINTERNAL;
}

struct heard {
    char text[100000];
    uint64_t n;
};

static hilum_rc hear(void *ctx, const void *bytes, uint64_t n)
{
    struct heard *heard = ctx;
    if (n > sizeof heard->text - heard->n)
        return HILUM_EFULL;
    memcpy(heard->text + heard->n, bytes, n);
    heard->n += n;
    return HILUM_OK;
}

/* A listed program takes and gives more than one message holds; its status comes back; another one is refused. */
static hilum_rc ask_for_child(const struct state *s)
{
    static struct heard out, err;
    static char input[90000];
    const char *const cat[] = {"/bin/sh", "-c", "cat; echo said >&2; exit 7", NULL};
    const char *const other[] = {"/bin/true", NULL};
    struct hilum_sink output = {.size = sizeof output, .write = hear, .ctx = &out};
    struct hilum_sink errors = {.size = sizeof errors, .write = hear, .ctx = &err};
    struct hilum_child child = {.size = sizeof child,
                                .argv = cat,
                                .input = input,
                                .n = sizeof input,
                                .output = &output,
                                .errors = &errors};
    int32_t status = 0;
    memset(input, 'i', sizeof input);
    out.n = err.n = 0;
    hilum_rc rc = s->host->run_child(s->self, &child, &status);
    if (rc != HILUM_OK)
        return rc;
    if (status != 7 || out.n != sizeof input || memcmp(out.text, input, out.n) != 0 || err.n != 5 ||
        memcmp(err.text, "said\n", 5) != 0)
        return s->host->fail(s->self, HILUM_EIO, "a child that was not heard");
    child.argv = other;
    return s->host->run_child(s->self, &child, &status) == HILUM_EDENIED ? HILUM_OK
                                                                         : HILUM_EINTERNAL;
}

static hilum_rc ask_for_sleeper(const struct state *s)
{
    const char *const sleeper[] = {"/bin/sh", "-c", "sleep 1000", NULL};
    const struct hilum_child child = {.size = sizeof child, .argv = sleeper};
    int32_t status;
    return s->host->run_child(s->self, &child, &status);
}

/* A ticket that is nobody's, settled twice. */
static hilum_rc settle_twice(const struct state *s)
{
    hilum_rc first = s->host->settle(s->self, 1, HILUM_PASS, "mine");
    hilum_rc second = s->host->settle(s->self, 1, HILUM_ACCEPT, "mine again");
    return first < 0 && second < 0 ? s->host->fail(s->self, first, "no ticket for me") : HILUM_OK;
}

/* Tables and events of others, by every door there is. */
static hilum_rc reach_for_others(const struct state *s)
{
    const struct hilum_record_step step = {.sql = "DELETE FROM \"p_acme_queue\"", .rows = -1};
    const struct hilum_cap *cap;
    void *instance;
    if (s->host->record(s->self, &step, 1) == HILUM_OK ||
        s->host->acquire(s->self, HILUM_CAP_DATABASE, NULL, &cap, &instance) == HILUM_OK ||
        s->host->publish(s->self, "instance.stored", "{}") == HILUM_OK ||
        s->host->value_put(s->self, "k", "v") == HILUM_OK)
        return HILUM_OK;
    return s->host->fail(s->self, HILUM_EDENIED, "no table for me");
}

static hilum_rc harm(const struct state *s, const char *what)
{
    if (strcmp(what, "settle") == 0)
        return settle_twice(s);
    if (strcmp(what, "tables") == 0)
        return reach_for_others(s);
    if (strcmp(what, "count") == 0)
        return count(s);
    if (strcmp(what, "child") == 0)
        return ask_for_child(s);
    if (strcmp(what, "sleeper") == 0)
        return ask_for_sleeper(s);
    if (strcmp(what, "flood") == 0)
        for (;;)
            s->host->log(s->self, HILUM_LOG_INFO, "la");
    if (strcmp(what, "table") == 0)
        return look_at_table(s);
    if (strcmp(what, "null") == 0)
        *(volatile int *)(uintptr_t)(s->conf->number & 0) = 1;
    if (strcmp(what, "loop") == 0)
        burn(NULL);
    if (strcmp(what, "nap") == 0)
        for (;;)
            pause();
    if (strcmp(what, "compute") == 0) /* 220 ms of the processor */
        while (clock() < CLOCKS_PER_SEC * 220 / 1000) {
        }
    if (strcmp(what, "fork") == 0)
        return fork_bomb();
    if (strcmp(what, "exec") == 0)
        return execl("/bin/sh", "sh", "-c", "true", (char *)NULL) ? HILUM_EDENIED : HILUM_OK;
    if (strcmp(what, "malloc") == 0)
        return leak(64ull << 30);
    if (strcmp(what, "leak") == 0)
        return leak(64ull << 20);
    if (strcmp(what, "destructor") == 0)
        return abort_in_destructor();
    if (strcmp(what, "thread") == 0)
        return leave_a_thread();
    if (strcmp(what, "exit") == 0)
        exit(3);
    if (strcmp(what, "close") == 0)
        return close(3) == 0 && close(4) == 0 ? HILUM_OK : HILUM_EIO;
    if (strcmp(what, "babble") == 0)
        for (int i = 0; i < 100000; i++)
            s->host->log(s->self, HILUM_LOG_WARN, "la la la");
    if (strcmp(what, "metrics") == 0) { /* as if defined anew, with a type there is none of */
        static const uint32_t metric[] = {0x57494C48, 68,         60,         0, 99,
                                          0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0};
        for (int i = 0; i < 1000; i++)
            if (write(3, metric, sizeof metric) != sizeof metric)
                return HILUM_EIO;
    }
    if (strcmp(what, "nonsense") == 0)
        return write(3, "nonsense", 8) == 8 ? HILUM_OK : HILUM_EIO;
    if (strcmp(what, "socket") == 0)
        return open_socket(s);
    if (strcmp(what, "read") == 0)
        return open_file(s, "/etc/passwd", O_RDONLY);
    if (strcmp(what, "write") == 0)
        return open_file(s, "/tmp/hilum-hostile", O_WRONLY | O_CREAT);
    if (strcmp(what, "granted") == 0)
        return open_file(s, s->conf->greeting, O_RDONLY);
    if (strcmp(what, "kill") == 0)
        return kill(getppid(), 9) ? HILUM_EDENIED : HILUM_OK;
    if (strcmp(what, "shrink") == 0)
        return ftruncate(4, 0) ? HILUM_EDENIED : HILUM_OK;
    return HILUM_OK;
}

/* ---- codec: the code stream is the pixels, every byte turned round ---- */

static void first_word(const struct hilum_coded *coded, char out[16])
{
    const struct hilum_fragment *f = &coded->fragments[0];
    size_t n = f->n < 15 ? (size_t)f->n : 15;
    memcpy(out, f->bytes, n);
    out[n] = '\0';
    out[strcspn(out, " ")] = '\0';
}

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    const struct state *s = self;
    char word[16];
    first_word(coded, word);
    if (strcmp(word, "options") == 0) {
        out->levels = (uint32_t)s->conf->number;
        out->layers = (uint32_t)s->conf->flag;
        out->tile_width = (uint32_t)strlen(s->conf->greeting);
    }
    out->is_lossless = 1;
    *out->frame = *coded->declared;
    return HILUM_OK;
}

static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    char word[16];
    const unsigned char *from = coded->fragments[0].bytes;
    unsigned char *to = dst;
    (void)wanted;
    first_word(coded, word);
    hilum_rc rc = harm(self, word);
    *out = *coded->declared;
    if (strcmp(word, "lie") == 0)
        out->rows = 60000;
    for (uint64_t i = 0; i < coded->fragments[0].n && i < dst_size; i++)
        to[i] = (unsigned char)~from[i];
    return rc;
}

static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    const struct state *s = self;
    unsigned char byte;
    (void)frame;
    if (strcmp(wanted->transfer_syntax, SYNTAX) != 0)
        return s->host->fail(s->self, HILUM_EUNSUP, "another syntax");
    for (uint64_t i = 0; i < n; i++) {
        byte = (unsigned char)~((const unsigned char *)src)[i];
        hilum_rc rc = out->write(out->ctx, &byte, 1);
        if (rc != HILUM_OK)
            return rc;
    }
    done->is_lossy = 1;
    done->ratio = 1.0;
    done->method = "ISO_TEST";
    return HILUM_OK;
}

static const struct hilum_codec_syntax syntaxes[] = {
    {SYNTAX, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES, 10},
    {0},
};
static const struct hilum_codec codec = {
    .cap = {.size = sizeof codec,
            .kind = HILUM_CAP_CODEC,
            .threads = HILUM_PARALLEL,
            .name = "hostile"},
    .syntaxes = syntaxes,
    .info = info,
    .decode = decode,
    .encode = encode,
};

/* ---- operator: twice as wide, inverted ---- */

static hilum_rc plan(void *self, const char *parameters, const struct hilum_frame *in,
                     struct hilum_frame *out)
{
    const struct state *s = self;
    if (strcmp(parameters, "bad") == 0)
        return s->host->fail(s->self, HILUM_EINVAL, "parameters: expected good ones");
    *out = *in;
    out->columns = strcmp(parameters, "impossible") == 0 ? 0 : in->columns * 2;
    return HILUM_OK;
}

static hilum_rc apply(void *self, const char *parameters, const struct hilum_image *in, uint32_t n,
                      void *dst, uint64_t dst_size)
{
    hilum_rc rc = harm(self, parameters);
    for (uint64_t i = 0; i < dst_size; i++)
        ((unsigned char *)dst)[i] =
            (unsigned char)~((const unsigned char *)in[n - 1].pixels)[i / 2];
    return rc;
}

static const struct hilum_operator operator_ = {
    .cap = {.size = sizeof operator_,
            .kind = HILUM_CAP_OPERATOR,
            .threads = HILUM_PARALLEL,
            .name = "wide"},
    .title = "Wide",
    .parameters_schema = "{\"type\":\"object\"}",
    .n_inputs = 2,
    .plan = plan,
    .apply = apply,
};

/* ---- report: the text, then the attachment it names ---- */

static hilum_rc report_write(void *self, const char *report_json, uint64_t n,
                             const struct hilum_report_source *source, struct hilum_sink *out)
{
    char word[16] = "";
    memcpy(word, report_json, n < 15 ? (size_t)n : 15);
    hilum_rc rc = harm(self, word);
    if (rc == HILUM_OK)
        rc = out->write(out->ctx, report_json, n);
    if (rc == HILUM_OK && strcmp(word, "image") == 0)
        rc = source->attachment(source->ctx, "image:1", "image/png", out);
    if (rc == HILUM_OK && strcmp(word, "style") == 0)
        rc = source->style(source->ctx, "plain", out);
    if (strcmp(word, "endless") == 0)
        while ((rc = out->write(out->ctx, word, 8)) == HILUM_OK) {
        }
    return rc;
}

static hilum_rc report_parse(void *self, const void *document, uint64_t n,
                             struct hilum_sink *report_json)
{
    (void)self;
    return report_json->write(report_json->ctx, document, n / 2);
}

static const struct hilum_report report = {
    .cap = {.size = sizeof report,
            .kind = HILUM_CAP_REPORT,
            .threads = HILUM_PARALLEL,
            .name = "echo"},
    .media_type = "text/plain",
    .file_suffix = ".txt",
    .write = report_write,
    .parse = report_parse,
};

/* ---- renderer: the first pixel of a slice and a text of it; the mode says what harm is done ---- */

struct scene {
    const struct hilum_source *source;
    int n_drawn;
};

static hilum_rc scene_open(void *self, const struct hilum_source *source, void **out)
{
    struct scene *scene = calloc(1, sizeof *scene);
    const struct state *s = self;
    struct hilum_slice slice = {.size = sizeof slice};
    if (!scene)
        return HILUM_ENOMEM;
    scene->source = source;
    *out = scene;
    if (strcmp(source->modality, "US") == 0) {
        free(scene);
        return s->host->fail(s->self, HILUM_EUNSUP, "no ultrasound");
    }
    return source->describe(source->ctx, source->n_slices - 1, &slice);
}

static hilum_rc scene_render(void *self, void *arg, const struct hilum_view *view,
                             struct hilum_sink *out, struct hilum_rendered *done)
{
    struct scene *scene = arg;
    const struct hilum_source *source = scene->source;
    struct hilum_slice slice = {.size = sizeof slice};
    char text[128];
    hilum_rc rc = harm(self, view->mode);
    if (rc == HILUM_OK)
        rc = source->describe(source->ctx, view->slice, &slice);
    uint64_t n = rc == HILUM_OK ? hilum_frame_bytes(slice.frame) : 0;
    unsigned char *pixels = n ? malloc((size_t)n) : NULL;
    if (rc != HILUM_OK || !pixels)
        return rc == HILUM_OK ? HILUM_ENOMEM : rc;
    uint64_t wanted = strcmp(view->mode, "greedy") == 0 ? n * 1000 : n;
    rc = source->read(source->ctx, view->slice, pixels, wanted);
    const char *name = source->text(source->ctx, view->slice, "PatientID");
    int length = snprintf(text, sizeof text, "%d %s %s %s %d", pixels[n - 1], slice.sop_instance,
                          name ? name : "-", slice.unit, ++scene->n_drawn);
    free(pixels);
    done->width = view->width;
    return rc == HILUM_OK ? out->write(out->ctx, text, (uint64_t)length) : rc;
}

static hilum_rc scene_query(void *self, void *arg, const char *request_json, struct hilum_sink *out)
{
    (void)self;
    (void)arg;
    return out->write(out->ctx, request_json, strlen(request_json));
}

static void scene_close(void *self, void *arg)
{
    (void)self;
    free(arg);
}

static const struct hilum_renderer renderer = {
    .cap = {.size = sizeof renderer,
            .kind = HILUM_CAP_RENDERER,
            .threads = HILUM_PARALLEL,
            .name = "pixel"},
    .modes = "flat",
    .media_types = "text/plain",
    .open = scene_open,
    .render = scene_render,
    .query = scene_query,
    .close = scene_close,
};

/* ---- HL7 handler: says it is out of memory, and has an answer all the same ---- */

static hilum_rc receive(void *self, const struct hilum_hl7_api *api, hilum_hl7_message *message,
                        struct hilum_hl7_answer *answer)
{
    static const char segments[] = "NTE|1||still here\r";
    (void)self;
    (void)api;
    (void)message;
    answer->segments.write(answer->segments.ctx, segments, sizeof segments - 1);
    return HILUM_ENOMEM;
}

static const char *const types[] = {"ADT^A08", NULL};
static const struct hilum_hl7 hl7 = {
    .cap = {.size = sizeof hl7, .kind = HILUM_CAP_HL7, .threads = HILUM_PARALLEL, .name = "full"},
    .accepts = types,
    .receive = receive,
};

/* ---- hook: does what the event's field "harm" asks for ---- */

static int32_t stored(void *arg, hilum_event *event)
{
    const struct state *s = arg;
    const char *word = NULL, *again = NULL;
    int64_t size = 0;
    if (s->host->event_text(event, "harm", &word) != HILUM_OK)
        return HILUM_PASS;
    hilum_rc rc = harm(s, word);
    if (rc == HILUM_OK && strcmp(word, "edit") == 0)
        rc = s->host->event_set(event, "PatientName", "X");
    if (rc == HILUM_OK)
        rc = s->host->event_int(event, "size", &size);
    if (rc == HILUM_OK && size == 77 && s->host->event_text(event, "harm", &again) == HILUM_OK &&
        strcmp(word, again) == 0)
        rc = s->host->event_plan(event, "tag", "{\"tag\": \"seen\"}");
    return rc == HILUM_OK ? HILUM_ACCEPT : rc;
}

/* ---- life ---- */

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return HILUM_ENOMEM;
    *s = (struct state){.host = host, .self = self, .conf = conf};
    *state = s;
    static const double bounds[] = {0.1, 1};
    const struct hilum_metric calls = {.size = sizeof calls,
                                       .type = HILUM_METRIC_COUNTER,
                                       .name = "calls_total",
                                       .help = "Calls that count.",
                                       .labels = "word"};
    const struct hilum_metric sizes = {.size = sizeof sizes,
                                       .type = HILUM_METRIC_HISTOGRAM,
                                       .name = "sizes",
                                       .bounds = bounds,
                                       .n_bounds = 2};
    if (host->metric_define(self, &calls, &s->calls) != HILUM_OK ||
        host->metric_define(self, &sizes, &s->sizes) != HILUM_OK)
        return HILUM_EINTERNAL;
#ifdef CRASH_IN_INIT
    abort();
#endif
#ifdef SHORT_REPLY_IN_INIT
    /* The head of the reply to the second request, and nothing behind it. */
    static const uint32_t head[] = {0x57494C48, 64, 2, 0};
    if (write(3, head, sizeof head) != sizeof head)
        return HILUM_EIO;
#endif
#ifdef PROVIDE_STORE
    static const struct hilum_cap store = {
        .size = sizeof store, .kind = HILUM_CAP_STORE, .name = "x"};
    return host->provide(self, &store, s);
#endif
    hilum_rc rc = HILUM_OK;
#ifndef HOOK_ONLY /* so that it can stand beside another */
    rc = host->provide(self, &codec.cap, s);
    if (rc == HILUM_OK)
        rc = host->provide(self, &operator_.cap, s);
    if (rc == HILUM_OK)
        rc = host->provide(self, &report.cap, s);
    if (rc == HILUM_OK)
        rc = host->provide(self, &renderer.cap, s);
    if (rc == HILUM_OK)
        rc = host->provide(self, &hl7.cap, s);
#endif
    const struct hilum_hook hook = {.size = sizeof hook,
                                    .phase = HILUM_NOTIFY,
                                    .event = "instance.stored",
                                    .name = PLUGIN_ID "/stored",
                                    .where = "Modality=CT",
                                    .run = stored,
                                    .arg = s,
                                    .threads = HILUM_PARALLEL};
    return rc == HILUM_OK ? host->subscribe(self, &hook) : rc;
}

static hilum_rc start(void *state)
{
    const struct state *s = state;
    s->host->log(s->self, HILUM_LOG_INFO, s->conf->greeting);
    return HILUM_OK;
}

/* After fini, on a thread nobody knows of, with memory that is gone. */
static void *call_late(void *arg)
{
    struct hilum_self *self = arg;
    for (int i = 0; i < 1000; i++) {
        late_host->log(self, HILUM_LOG_INFO, "still here");
        late_host->fail(self, HILUM_EIO, "still here");
        late_host->publish(self, "instance.stored", "{}");
    }
    return NULL;
}

static void fini(void *state)
{
    const struct state *s = state;
    pthread_t thread;
    late_host = s->host;
    if (LATE)
        pthread_create(&thread, NULL, call_late, s->self);
    free(state);
#ifdef ABORT_IN_FINI
    abort();
#endif
}

#ifdef CRASH_IN_CONSTRUCTOR
__attribute__((constructor)) static void constructed(void)
{
    *(volatile int *)(uintptr_t)(getpid() & 0) = 1;
}
#endif

static const struct hilum_option options[] = {
    {"greeting", HILUM_OPT_STR, offsetof(struct conf, greeting), "hello", NULL, "What it says."},
    {"number", HILUM_OPT_INT, offsetof(struct conf, number), "7", "1..99", "A number."},
    {"flag", HILUM_OPT_BOOL, offsetof(struct conf, flag), "true", NULL, "A flag."},
    {0},
};
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof plugin,
    .abi_major = HILUM_ABI_MAJOR,
    .conf_size = sizeof(struct conf),
    .id = PLUGIN_ID,
    .version = "1.0",
    .vendor = "test",
    .licence = "Apache-2.0",
    .options = options,
    .init = init,
    .start = start,
    .fini = fini,
};

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
