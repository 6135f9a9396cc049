/* One decoder fed with anybody's streams: CODEC_SO is the plugin. The first eight bytes of an input say what the data set
 * declares and where the stream is cut in two; the rest is the code stream. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "hilum/codec.h"
#include "tests/fake_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 8, ROOM = 1 << 17 };

#ifdef LIBRARY_DIES
/* The library ends its process, or reads where nothing is, on some damaged streams, which is why it runs in a worker and
 * costs one frame there. What happens in our own code is found all the same: it is told by where the process stood. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0:allow_user_segv_handler=1";
}

/* What the library copies from freed memory is its own affair; what lies there is in ASan's quarantine. */
__attribute__((visibility("default"))) const char *__asan_default_suppressions(void);
const char *__asan_default_suppressions(void)
{
    return "interceptor_via_lib:libopenjp2";
}

static sigjmp_buf ended;

static void died(int number, siginfo_t *info, void *context)
{
    const ucontext_t *at = context;
    Dl_info place;
    (void)info;
#ifdef __x86_64__
    uintptr_t pc = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
    bool is_known = dladdr((const void *)pc, &place) != 0 && place.dli_fname;
    if (number != SIGABRT && is_known &&
        (strstr(place.dli_fname, "codec-") || strstr(place.dli_fname, "fuzz_")))
        _exit(3); /* ours */
#else
    (void)at, (void)number, (void)place;
#endif
    siglongjmp(ended, 1);
}

static void catch_deaths(void)
{
    const struct sigaction action = {.sa_sigaction = died, .sa_flags = SA_SIGINFO | SA_NODEFER};
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}
#endif

static bool is_in_quarantine;

/* What is in quarantine is opened anew: its library dies of one in a dozen of what a fuzzer thinks of. */
static const struct hilum_codec *codec_get(void **instance)
{
    static const struct hilum_codec *codec;
    static hilum_self *host;
    static void *kept;
    if (is_in_quarantine) {
        fake_host_close(host);
        codec = NULL;
        is_in_quarantine = false;
    }
    if (!codec) {
        host = fake_host_open(CODEC_SO, "/nonexistent", NULL);
        if (!host)
            abort();
#ifdef LIBRARY_TALKS
        FILE *nowhere = fopen("/dev/null", "w"); /* sanitizers write past it */
        stderr = nowhere ? nowhere : stderr;
#endif
        codec = fake_host_cap(host, HILUM_CAP_CODEC, &kept);
    }
    *instance = kept;
    return codec;
}

/* A worker's death has to become an error with a reason, whatever the library has done to it, and never pixels that are
 * none. Our own code is built with sanitizers there too: a report of theirs that is neither a signal's nor of what the library
 * itself handed to memset and its like (core/worker/sanitiser.c) is ours. Where it destroyed what the sanitizer keeps, that says
 * so: code of ours would have been reported before. */
static void judge(hilum_rc rc, const struct hilum_frame *frame, uint64_t room)
{
#ifdef IN_WORKER
    uint64_t n = hilum_frame_bytes(frame);
    const char *why = fake_host_reason();
    if (rc == HILUM_OK ? !n || n > room : !why || !*why)
        abort();
    bool is_reported = strstr(why, "runtime error") ||
                       (strstr(why, "AddressSanitizer on ") && !strstr(why, "on libopenjph"));
    if (rc != HILUM_OK && is_reported) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    is_in_quarantine |= rc == HILUM_ECLOSED;
#else
    (void)rc, (void)frame, (void)room;
#endif
}

static struct hilum_frame declared_of(const uint8_t *head)
{
    static const uint32_t samples[] = {1, 3, 4, 1}, allocated[] = {8, 16, 32, 1};
    struct hilum_frame frame = {.size = sizeof frame,
                                .columns = head[0] + 1u,
                                .rows = head[1] + 1u,
                                .samples = samples[head[2] & 3],
                                .bits_allocated = allocated[head[3] & 3],
                                .sample_type = head[5] & 1,
                                .is_planar = head[5] >> 1 & 1,
                                .photometric = head[5] >> 4};
    frame.bits_stored = head[4] % frame.bits_allocated + 1;
    return frame;
}

/* A library that breaks the process it is in is only let loose on its own, and one that writes into freed memory never:
 * of these our own reading of the headers is what is tried. */
static bool may_decode(void)
{
#if defined HEADERS_ONLY
    return false;
#elif defined LIBRARY_DIES
    const char *is_long = getenv("HILUM_LONG"); /* empty in a run that is not */
    return is_long && is_long[0];
#elif defined IN_WORKER
    enum { PART = 8 }; /* starting workers anew takes its time */
    static unsigned n;
    const char *is_long = getenv("HILUM_LONG");
    return (is_long && is_long[0]) || n++ % PART == 0;
#else
    return true;
#endif
}

static hilum_rc take(void *ctx, const void *bytes, uint64_t n)
{
    uint64_t *written = ctx;
    (void)bytes;
    *written += n;
    return HILUM_OK;
}

/* Both ways: a JPEG of a stranger's is read by the library too. */
static void repack_all(const struct hilum_codec *codec, void *instance,
                       const struct hilum_coded *coded)
{
    static const char jpeg[] = "1.2.840.10008.1.2.4.50", jpeg_xl[] = "1.2.840.10008.1.2.4.111";
    struct hilum_encoded done = {.size = sizeof done};
    uint64_t written = 0;
    struct hilum_sink sink = {.size = sizeof sink, .write = take, .ctx = &written};
    if (!HILUM_HAS(struct hilum_codec, codec->cap.size, repack) || !codec->repack)
        return;
    (void)codec->repack(instance, coded, jpeg, &sink, &done);
    (void)codec->repack(instance, coded, jpeg_xl, &sink, &done);
}

static void decode_all(const struct hilum_codec *codec, void *instance,
                       const struct hilum_coded *coded, const uint8_t *head)
{
    struct hilum_frame frame = {.size = sizeof frame};
    struct hilum_code_info info = {.size = sizeof info, .frame = &frame};
    struct hilum_decode part = {.size = sizeof part, .reduce = head[6] & 3};
    hilum_rc rc = codec->info(instance, coded, &info);
    is_in_quarantine |= rc == HILUM_ECLOSED;
    if (rc != HILUM_OK)
        return;
    uint64_t n = hilum_frame_bytes(&frame);
    if (!n || n > ROOM || !may_decode())
        return;
    uint8_t *pixels = malloc((size_t)n); /* no byte more: writing past it is seen */
    if (!pixels)
        return;
    rc = codec->decode(instance, coded, NULL, pixels, n, &frame);
    judge(rc, &frame, n);
    part.width = frame.columns / 2 + (head[6] >> 4);
    part.height = frame.rows / 2 + 1;
    part.x = head[6] >> 5;
    rc = codec->decode(instance, coded, &part, pixels, n, &frame);
    judge(rc, &frame, n);
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *instance;
    const struct hilum_codec *codec = codec_get(&instance);
    if (size <= HEAD)
        return 0;
    struct hilum_frame declared = declared_of(data);
    const uint8_t *stream = data + HEAD;
    size_t n = size - HEAD, cut = n * data[7] / 256, n_syntaxes = 0;
    while (codec->syntaxes[n_syntaxes].uid)
        n_syntaxes++;
    const struct hilum_fragment fragments[] = {{stream, cut ? cut : n}, {stream + cut, n - cut}};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = cut ? 2 : 1,
                                      .fragments = fragments,
                                      .transfer_syntax =
                                          codec->syntaxes[(data[5] >> 2 & 3) % n_syntaxes].uid,
                                      .declared = &declared};
#ifdef LIBRARY_DIES
    catch_deaths();
    if (sigsetjmp(ended, 1))
        return 0;
#endif
    decode_all(codec, instance, &coded, data);
    repack_all(codec, instance, &coded);
    return 0;
}
