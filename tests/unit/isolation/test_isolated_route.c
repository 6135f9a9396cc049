/* A route in a worker: asked and answering as in process, its bodies flowing piece by piece, its crashes one answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/plugin.h"
#include "hilum/route.h"
#include "tests/unit/isolation/bench.h"

/* ---- an exchange as a server keeps it ---- */

struct hilum_http {
    struct hilum_http_request request;
    const char *word;
    uint64_t body_left, body;
    uint32_t status;
    unsigned n_headers;
    bool is_ended;
    struct hl_buf sent;
    struct hilum_http_source source;
};

static const struct hilum_http_request *request(hilum_http *http)
{
    return &http->request;
}

static const char *param(hilum_http *http, const char *name)
{
    return strcmp(name, "word") == 0 ? http->word : NULL;
}

static const char *query(hilum_http *http, const char *name, uint32_t i)
{
    (void)http;
    return strcmp(name, "a") == 0 && i < 1 ? "first" : NULL;
}

static hilum_rc query_at(hilum_http *http, uint32_t i, const char **name, const char **value)
{
    (void)http;
    *name = i == 1 ? "b" : "a";
    *value = i == 1 ? "second" : "first";
    return i < 2 ? HILUM_OK : HILUM_ENOTFOUND;
}

static const char *header(hilum_http *http, const char *name)
{
    (void)http;
    return strcmp(name, "Accept") == 0 ? "text/*" : NULL;
}

static hilum_rc read_body(hilum_http *http, void *dst, uint64_t n, uint64_t *got)
{
    *got = n < http->body_left ? n : http->body_left;
    memset(dst, 'b', *got);
    http->body_left -= *got;
    return HILUM_OK;
}

static hilum_rc allow(hilum_http *http, const char *action, const char *resource)
{
    (void)http;
    if (strcmp(action, "store") == 0)
        assert_string_equal(resource, "1.2");
    return strcmp(action, "store") == 0 ? HILUM_OK : hl_fail(HILUM_EDENIED, "not that");
}

static hilum_rc add_header(hilum_http *http, const char *name, const char *value)
{
    (void)name;
    if (strchr(value, '\r'))
        return hl_fail(HILUM_EINVAL, "control characters");
    http->n_headers++;
    return HILUM_OK;
}

static hilum_rc begin(hilum_http *http, uint32_t status, const char *media_type, uint64_t length)
{
    (void)media_type, (void)length;
    if (http->status)
        return hl_fail(HILUM_EINVAL, "the response was begun before");
    http->status = status;
    return HILUM_OK;
}

static hilum_rc write_bytes(hilum_http *http, const void *bytes, uint64_t n)
{
    hl_buf_add(&http->sent, bytes, n);
    return HILUM_OK;
}

static hilum_rc end(hilum_http *http)
{
    http->is_ended = true;
    return HILUM_OK;
}

static hilum_rc problem(hilum_http *http, uint32_t status, hilum_rc rc, const char *detail)
{
    assert_int_equal(rc, HILUM_EINVAL);
    hl_buf_text(&http->sent, detail);
    http->is_ended = true;
    return begin(http, status, NULL, 0);
}

static hilum_rc stream(hilum_http *http, uint32_t status, const char *media_type, uint64_t length,
                       const struct hilum_http_source *source)
{
    (void)length;
    hilum_rc rc = begin(http, status, media_type, 0);
    if (rc != HILUM_OK)
        source->close(source->arg);
    else
        http->source = *source;
    http->is_ended = true;
    return rc;
}

static const struct hilum_http_api api = {.size = sizeof api,
                                          .request = request,
                                          .param = param,
                                          .query = query,
                                          .query_at = query_at,
                                          .header = header,
                                          .read = read_body,
                                          .allow = allow,
                                          .add_header = add_header,
                                          .begin = begin,
                                          .write = write_bytes,
                                          .end = end,
                                          .problem = problem,
                                          .stream = stream};

/* ---- the host ---- */

static const struct hilum_route *route;
static void *instance;
static hilum_http http;

static int route_setup(void **state)
{
    const struct hilum_cap *cap;
    if (setup(state) != 0)
        return -1;
    bench_bring_up("router", "isolation = \"process\"; limits = { crashes = 100; workers = 1; };");
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_ROUTE, NULL, &cap, &instance), HILUM_OK);
    route = (const struct hilum_route *)(const void *)cap;
    return 0;
}

static int route_teardown(void **state)
{
    hl_buf_fini(&http.sent);
    return teardown(state);
}

static hilum_rc ask(const char *word, uint64_t body)
{
    hl_buf_fini(&http.sent);
    http = (hilum_http){.request = {.size = sizeof http.request,
                                    .method = "POST",
                                    .path = "/router/x",
                                    .query = "a=first&b=second",
                                    .base_url = "http://h",
                                    .remote = "127.0.0.1",
                                    .content_type = "text/plain",
                                    .languages = "en",
                                    .trace_id = "T1",
                                    .user = "li",
                                    .content_length = body,
                                    .who = (const hilum_principal *)(const void *)&http},
                        .word = word,
                        .body_left = body};
    return route->run(instance, &api, &http);
}

/* As a server would, until the end or an error. */
static hilum_rc pull(void)
{
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && n > 0) {
        rc = http.source.next(http.source.arg, &bytes, &n);
        if (rc == HILUM_OK)
            hl_buf_add(&http.sent, bytes, n);
    }
    http.source.close(http.source.arg);
    return rc;
}

/* ---- the tests ---- */

static void route__is_described_as_in_process(void **state)
{
    (void)state;
    assert_string_equal(route->cap.name, "router/word");
    assert_string_equal(route->methods, "GET,POST");
    assert_string_equal(route->pattern, "/router/{word}");
    assert_string_equal(route->permission, "find"); /* what the server asks before run() */
    assert_int_equal(route->body_max, 64 << 20);
}

static void route__sees_its_request_and_answers(void **state)
{
    (void)state;
    if (ask("tell", 50000) != HILUM_OK)
        fail_msg("%s", hl_error());
    assert_int_equal(http.status, 201);
    assert_true(http.is_ended);
    assert_int_equal(http.n_headers, 1);
    assert_string_equal(hl_buf_str(&http.sent),
                        "POST /router/x li 50000 first - b=second text/* 1");
    assert_int_equal(ask("problem", 0), HILUM_OK);
    assert_int_equal(http.status, 422);
    assert_string_equal(hl_buf_str(&http.sent), "not this way");
    assert_int_equal(ask("allow", 0), HILUM_OK);
    assert_int_equal(http.status, 204);
}

static void route__errors_are_those_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(ask("nothing", 0), HILUM_ENOTFOUND);
    assert_string_equal(hl_error(), "no such word");
    assert_int_equal(ask("twice", 0), HILUM_EINVAL);
    assert_string_equal(hl_buf_str(&http.sent), "a");
    assert_int_equal(ask("later", 0), HILUM_EUNSUP);
    if (ask("table", 0) != HILUM_OK)
        fail_msg("%s: see core/worker/route.c", hl_error());
    assert_int_equal(ask("tell", (64u << 20) + 1), HILUM_EFULL);
    assert_int_equal(ask("silent", 0), HILUM_EFULL);
    assert_string_equal(hl_error(), "");
    assert_int_equal(ask("nothing", 0), HILUM_ENOTFOUND);
    assert_int_equal(ask("mute", 0), HILUM_ENOTFOUND); /* nor why a call before it failed */
    assert_string_equal(hl_error(), "");
    assert_int_equal(ask("null", 0), HILUM_EINTERNAL);
    assert_int_equal(ask("tell", 5), HILUM_OK);
}

static void route__answers_longer_than_its_window(void **state)
{
    (void)state;
    assert_int_equal(ask("large", 0), HILUM_OK);
    assert_int_equal(http.sent.len, 3 * 1024 * 1024 + 5);
    for (size_t i = 0; i < http.sent.len; i++)
        if (http.sent.data[i] != (char)(i * 7))
            fail_msg("byte %zu", i);
}

static void route__streams_while_others_are_answered(void **state)
{
    (void)state;
    assert_int_equal(ask("stream", 0), HILUM_OK);
    hilum_http first = http;
    http.sent = (struct hl_buf){0};
    assert_int_equal(ask("tell", 0), HILUM_OK); /* the worker is free between pieces */
    hl_buf_fini(&http.sent);
    http = first;
    assert_int_equal(pull(), HILUM_OK);
    assert_int_equal(http.sent.len, 10 + 3 * 1024 * 1024 + 10);
    assert_int_equal(http.sent.data[0], 'd');
    assert_int_equal(http.sent.data[10], 'c');
    assert_int_equal(http.sent.data[http.sent.len - 1], 'b');
    /* close() is heard over there, once, though nobody waited for it. */
    for (int64_t until = hl_mono_ms() + 10000; hl_mono_ms() < until; usleep(5000)) {
        assert_int_equal(ask("closed", 0), HILUM_OK);
        if (strcmp(hl_buf_str(&http.sent), "1") == 0)
            break;
    }
    assert_string_equal(hl_buf_str(&http.sent), "1");
}

static void route__a_body_that_breaks_is_not_taken_for_whole(void **state)
{
    (void)state;
    assert_int_equal(ask("dry", 0), HILUM_OK);
    assert_int_equal(pull(), HILUM_EIO);
    assert_string_equal(hl_error(), "the source ran dry");
    assert_int_equal(ask("crash-in-stream", 0), HILUM_OK);
    assert_int_equal(pull(), HILUM_EINTERNAL);
    assert_int_equal(ask("stream", 0), HILUM_OK);
    hilum_http streaming = http;
    http.sent = (struct hl_buf){0};
    /* Its worker dies of another request; which of the two it is nobody knows, so both do. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask("null", 0), HILUM_EINTERNAL);
        hl_buf_fini(&http.sent);
        http.sent = (struct hl_buf){0};
    }
    http = streaming;
    assert_int_equal(pull(), HILUM_ECLOSED);
    assert_int_equal(ask("tell", 0), HILUM_OK);
}

static void route__left_streaming_ends_with_the_host(void **state)
{
    (void)state;
    assert_int_equal(ask("stream", 0), HILUM_OK);
    http.source.close(http.source.arg);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, route_setup, route_teardown)
    const struct CMUnitTest tests[] = {
        T(route__is_described_as_in_process),
        T(route__sees_its_request_and_answers),
        T(route__errors_are_those_of_its_own),
        T(route__answers_longer_than_its_window),
        T(route__streams_while_others_are_answered),
        T(route__a_body_that_breaks_is_not_taken_for_whole),
        T(route__left_streaming_ends_with_the_host),
    };
    if (!has_landlock()) {
        printf("skipped: this kernel has no Landlock, without which isolation = \"process\" "
               "refuses to start\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
