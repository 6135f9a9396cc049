/* What every `route` must do (hilum/route.h): one response or an error, whatever is asked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/check/empty.h"
#include "hilum/route.h"

struct hilum_http {
    struct hilum_http_request request;
    const struct hilum_route *route;
    const char *value;          /* of every {name} */
    int may, has_gone, is_bare; /* nothing but its path */
    unsigned n_begun, n_ended;
};

/* What a route reads it has declared: nobody else can tell its users. */
static void must_be_declared(const hilum_http *http, uint32_t in, const char *name)
{
    const struct hilum_route_param *p = http->route->params;
    while (p != NULL && p->name != NULL && (p->in != in || strcasecmp(p->name, name) != 0))
        p++;
    if (p == NULL || p->name == NULL)
        fail_msg("route %s reads %s, which is not among its params", http->route->cap.name, name);
}

static void must_take_any(const hilum_http *http)
{
    const struct hilum_route_param *p = http->route->params;
    while (p != NULL && p->name != NULL && strcmp(p->type, "object") != 0)
        p++;
    if (p == NULL || p->name == NULL)
        fail_msg("route %s reads all of the query and declares no object", http->route->cap.name);
}

static const struct hilum_http_request *request(hilum_http *http)
{
    return &http->request;
}

static const char *param(hilum_http *http, const char *name)
{
    (void)name;
    return http->value;
}

static const char *query(hilum_http *http, const char *name, uint32_t i)
{
    must_be_declared(http, HILUM_IN_QUERY, name);
    return i == 0 && !http->is_bare ? http->value : NULL;
}

static hilum_rc query_at(hilum_http *http, uint32_t i, const char **name, const char **value)
{
    must_take_any(http);
    if (i > 2 || http->is_bare)
        return HILUM_ENOTFOUND;
    *name = i == 1 ? "" : "PatientName";
    *value = http->value;
    return HILUM_OK;
}

static const char *header(hilum_http *http, const char *name)
{
    /* What it gives says what may be accepted. */
    bool is_said = strcmp(name, "Accept") == 0 && http->route->gives != NULL;
    if (!is_said)
        must_be_declared(http, HILUM_IN_HEADER, name);
    return strcmp(name, "Accept") == 0 && !http->is_bare ? http->value : NULL;
}

static hilum_rc read_body(hilum_http *http, void *dst, uint64_t n, uint64_t *got)
{
    (void)dst, (void)n;
    *got = 0;
    return http->has_gone ? HILUM_ECLOSED : HILUM_OK;
}

static hilum_rc allow(hilum_http *http, const char *action, const char *resource)
{
    (void)action, (void)resource;
    return http->may ? HILUM_OK : HILUM_EDENIED;
}

static hilum_rc add_header(hilum_http *http, const char *name, const char *value)
{
    (void)http;
    return strpbrk(name, "\r\n") || strpbrk(value, "\r\n") ? HILUM_EINVAL : HILUM_OK;
}

static hilum_rc begun(hilum_http *http, uint32_t status)
{
    assert_in_range(status, 100, 599);
    if (http->has_gone)
        return HILUM_ECLOSED;
    if (http->n_begun)
        return HILUM_EINVAL;
    http->n_begun++;
    return HILUM_OK;
}

static hilum_rc whole(hilum_http *http, uint32_t status)
{
    hilum_rc rc = begun(http, status);
    http->n_ended += rc == HILUM_OK;
    return rc;
}

static hilum_rc respond(hilum_http *http, uint32_t status, const char *media_type,
                        const void *bytes, uint64_t n)
{
    (void)media_type;
    assert_true(bytes || n == 0);
    return whole(http, status);
}

static hilum_rc respond_fd(hilum_http *http, uint32_t status, const char *media_type, int32_t fd,
                           uint64_t offset, uint64_t length)
{
    (void)media_type, (void)offset, (void)length;
    close(fd);
    return whole(http, status);
}

static hilum_rc begin(hilum_http *http, uint32_t status, const char *media_type, uint64_t length)
{
    (void)media_type, (void)length;
    return begun(http, status);
}

static hilum_rc write_bytes(hilum_http *http, const void *bytes, uint64_t n)
{
    (void)bytes, (void)n;
    return http->has_gone ? HILUM_ECLOSED : HILUM_OK;
}

static hilum_rc end(hilum_http *http)
{
    http->n_ended++;
    return http->has_gone ? HILUM_ECLOSED : HILUM_OK;
}

static hilum_rc write_fd(hilum_http *http, int32_t fd, uint64_t offset, uint64_t length)
{
    (void)offset, (void)length;
    close(fd);
    return http->has_gone ? HILUM_ECLOSED : HILUM_OK;
}

static hilum_rc problem(hilum_http *http, uint32_t status, hilum_rc rc, const char *detail)
{
    (void)rc, (void)detail;
    return whole(http, status ? status : 500);
}

static hilum_rc suspend(hilum_http *http, uint32_t deadline_ms, void (*on_gone)(void *arg),
                        void *arg)
{
    (void)http, (void)deadline_ms, (void)on_gone, (void)arg;
    return HILUM_EUNSUP;
}

static void resume(hilum_http *http)
{
    (void)http;
}

static hilum_rc lend(hilum_http *http, const void *bytes, uint64_t n, void (*done)(void *arg),
                     void *arg)
{
    (void)bytes, (void)n;
    done(arg);
    return http->has_gone ? HILUM_ECLOSED : HILUM_OK;
}

/* Takes the body as a server does. */
static hilum_rc stream(hilum_http *http, uint32_t status, const char *media_type, uint64_t length,
                       const struct hilum_http_source *source)
{
    (void)media_type, (void)length;
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = whole(http, status);
    while (rc == HILUM_OK && n > 0)
        rc = source->next(source->arg, &bytes, &n);
    if (source->close)
        source->close(source->arg);
    return rc;
}

static hilum_rc go_on(hilum_http *http)
{
    (void)http;
    return HILUM_OK;
}

static hilum_rc respond_file(hilum_http *http, const char *root, const char *path)
{
    char file[4096];
    assert_non_null(root);
    assert_non_null(path);
    int fits = (size_t)snprintf(file, sizeof file, "%s/%s", root, path) < sizeof file;
    return fits && !strstr(path, "..") && access(file, R_OK) == 0 ? whole(http, 200)
                                                                  : HILUM_ENOTFOUND;
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
                                          .respond = respond,
                                          .respond_fd = respond_fd,
                                          .begin = begin,
                                          .write = write_bytes,
                                          .end = end,
                                          .write_fd = write_fd,
                                          .problem = problem,
                                          .suspend = suspend,
                                          .resume = resume,
                                          .lend = lend,
                                          .stream = stream,
                                          .respond_file = respond_file,
                                          .go_on = go_on};

static uint32_t tag_of(const char *keyword)
{
    return strcmp(keyword, "PatientName") == 0 ? 0x00100010 : 0;
}

static const char *vr_of(uint32_t tag)
{
    (void)tag;
    return "LO";
}

static const struct hilum_dicom_api dicom = {.size = sizeof dicom, .tag = tag_of, .vr = vr_of};

/* ---- the tests ---- */

static hilum_http http_of(const struct hilum_route *route, const char *value)
{
    static char method[16];
    strncpy(method, route->methods, sizeof method - 1);
    method[strcspn(method, ",")] = '\0';
    return (hilum_http){.request = {.size = sizeof(struct hilum_http_request),
                                    .method = method,
                                    .path = route->pattern,
                                    .query = "",
                                    .base_url = "http://127.0.0.1:1",
                                    .remote = "127.0.0.1",
                                    .content_type = "application/json",
                                    .languages = "zh-CN, en",
                                    .trace_id = "T1",
                                    .user = ""},
                        .route = route,
                        .value = value,
                        .may = 1};
}

static void each_route_as(struct provided *p, const char *value, const struct hilum_http *as)
{
    const struct hilum_route *route;
    void *instance;
    for (uint32_t i = 0; (route = fake_host_cap_at(p->host, HILUM_CAP_ROUTE, i, &instance)); i++) {
        hilum_http http = http_of(route, value);
        http.may = as->may;
        http.has_gone = as->has_gone;
        http.is_bare = as->is_bare;
        hilum_rc rc = route->run(instance, &api, &http);
        assert_true(rc < 0 || as->has_gone ||
                    http.n_begun == 1); /* an error is the server's to answer */
        assert_true(rc < 0 || as->has_gone || http.n_ended == 1);
    }
}

static void each_route(struct provided *p, const char *value, int may, int has_gone)
{
    each_route_as(p, value, &(struct hilum_http){.may = may, .has_gone = has_gone});
}

/* A request in good form comes furthest; whatever it could have said is asked for. */
static void run__reads_nothing_it_does_not_declare(void **state)
{
    each_route_as(*state, "1.2.3", &(struct hilum_http){.may = 1, .is_bare = 1});
    each_route_as(*state, "1", &(struct hilum_http){.may = 1, .is_bare = 1});
}

static void run__makes_one_response_or_fails(void **state)
{
    static const char *const values[] = {"1.2.3",
                                         "",
                                         "../../etc/passwd",
                                         "\xE7\x8E\x8B",
                                         "*",
                                         "%s%n",
                                         "application/dicom+json;q=x,*/*;q=9"};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        each_route(*state, values[i], 1, 0);
}

static void run__survives_very_long_values(void **state)
{
    static char text[9000];
    memset(text, 'a', sizeof text - 1);
    each_route(*state, text, 1, 0);
}

static void run__ends_when_the_client_has_gone_or_is_refused(void **state)
{
    each_route(*state, "1.2.3", 1, 1);
    each_route(*state, "1.2.3", 0, 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(run__makes_one_response_or_fails),
        PROVIDED_TEST(run__reads_nothing_it_does_not_declare),
        PROVIDED_TEST(run__survives_very_long_values),
        PROVIDED_TEST(run__ends_when_the_client_has_gone_or_is_refused)};
    fake_host_lend(&dicom, &hl_empty_catalog, &hl_empty_objects);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_ROUTE, run);
}
