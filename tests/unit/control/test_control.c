/* The control socket as a client, a silent client and a hostile one see it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int connect_to(const struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    struct timeval limit = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next line without its end; "" at the end of the connection. */
static const char *read_line(int fd)
{
    static char line[65536];
    size_t n = 0;
    while (n < sizeof line - 1 && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
        n++;
    line[n] = 0;
    return line;
}

static void assert_answer(int fd, const char *request, const char *expected)
{
    send_text(fd, request);
    const char *line = read_line(fd);
    if (!strstr(line, expected))
        fail_msg("%s -> %s, expected %s", request, line, expected);
}

static void wait_for(atomic_int *counter, int value)
{
    for (int i = 0; i < 20000 && atomic_load(counter) < value; i++)
        poll(NULL, 0, 1);
    assert_true(atomic_load(counter) >= value);
}

static void request__gets_its_result(void **state)
{
    int fd = connect_to(*state);
    assert_answer(fd,
                  "{\"command\":\"study "
                  "find\",\"args\":{\"limit\":1,\"keys\":[\"a\",\"b\"],\"exact\":true}}\n",
                  "{\"result\":[{\"patient\":\"王小明\",\"number\":0,\"keys\":2,\"exact\":true}]}");
    assert_answer(fd, "{\"command\":\"study find\"}\n", "\"number\":1");
    close(fd);
}

static void pipelined_requests__are_answered_in_turn(void **state)
{
    int fd = connect_to(*state);
    send_text(fd, "\n{\"command\":\"study find\",\"args\":{\"limit\":0}}\n{\"command\":\"study "
                  "refuse\",\"args\":{\"uid\":\"1\"}}\n{\"comm");
    assert_string_equal(read_line(fd), "{\"result\":[]}");
    assert_non_null(strstr(read_line(fd), "HILUM_ENOTFOUND"));
    assert_answer(fd, "and\":\"study find\",\"args\":{\"limit\":0}}\n", "{\"result\":[]}");
    close(fd);
}

static void failure__gives_code_and_reason_as_valid_json(void **state)
{
    int fd = connect_to(*state);
    send_text(fd, "{\"command\":\"study refuse\",\"args\":{\"uid\":\"1\"}}\n");
    assert_string_equal(read_line(fd), "{\"error\":{\"code\":\"HILUM_ENOTFOUND\",\"text\":\"no "
                                       "study \\\"1.2\xEF\xBF\xBD\\\"; see `study find`\"}}");
    close(fd);
}

static void bad_requests__are_refused_with_what_was_expected(void **state)
{
    static const char *const cases[][2] = {
        {"{\"command\":\"study fnd\"}\n",
         "no command \\\"study fnd\\\"; did you mean \\\"study find\\\"?"},
        {"{\"command\":\"x\"}\n", "no command \\\"x\\\"; `commands` lists them"},
        {"{\"command\":\"study find\",\"args\":{\"limt\":1}}\n",
         "no argument \\\"limt\\\"; did you mean \\\"limit\\\"?"},
        {"{\"command\":\"study find\",\"args\":{\"limit\":\"1\"}}\n",
         "argument limit: expected int"},
        {"{\"command\":\"study find\",\"args\":{\"keys\":[1]}}\n", "argument keys: expected texts"},
        {"{\"command\":\"study find\",\"args\":{\"level\":\"image\"}}\n",
         "expected one of study|series, found \\\"image\\\""},
        {"{\"command\":\"study refuse\"}\n", "argument uid is missing: study to refuse"},
        {"{\"command\":\"study find\",\"args\":[]}\n", "request: expected {"},
        {"{\"args\":{}}\n", "request: expected {"},
        {"[]\n", "request: expected {"},
        {"hello\n", "request: expected one JSON object on a line"},
        {"{\"command\":\"a\",\"command\":\"b\"}\n", "request: expected one JSON object"},
        {"\xFF\xFE\x01\n", "request: expected one JSON object"},
    };
    int fd = connect_to(*state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(fd, cases[i][0], cases[i][1]);
    close(fd);
}

static void progress_and_items__come_before_the_result(void **state)
{
    int fd = connect_to(*state);
    assert_answer(fd, "{\"command\":\"work\"}\n",
                  "{\"progress\":{\"text\":\"first\",\"done\":1,\"total\":2}}");
    assert_string_equal(read_line(fd),
                        "{\"progress\":{\"text\":\"second\",\"done\":2,\"total\":2}}");
    assert_string_equal(read_line(fd), "{\"item\":{\"row\":0,\"name\":\"x\"}}");
    read_line(fd);
    read_line(fd);
    assert_string_equal(read_line(fd), "{\"result\":{\"done\":2,\"where\":{\"path\":\"/x\"}}}");
    close(fd);
}

static void client_that_hangs_up__cancels_its_call(void **state)
{
    struct server *server = *state;
    int fd = connect_to(server);
    assert_answer(fd, "{\"command\":\"wait\"}\n", "one of 3");
    assert_int_equal(atomic_load(&server->cancelled), 0);
    close(fd);
    wait_for(&server->cancelled, 1);
}

static void half_closed_client__still_gets_its_answer(void **state)
{
    int fd = connect_to(*state);
    send_text(fd, "{\"command\":\"work\"}\n");
    shutdown(fd, SHUT_WR);
    int lines = 0;
    while (*read_line(fd))
        lines++;
    assert_int_equal(lines, 6);
    close(fd);
}

static void stopping_server__cancels_calls_and_answers(void **state)
{
    struct server *server = *state;
    int fd = connect_to(server);
    assert_answer(fd, "{\"command\":\"wait\"}\n", "one of 3");
    hl_control_free(server->control);
    server->control = NULL;
    assert_int_equal(atomic_load(&server->cancelled), 1);
    assert_non_null(strstr(read_line(fd), "HILUM_ECANCELLED"));
    close(fd);
}

static void silent_and_garbling_clients__do_not_delay_others(void **state)
{
    struct server *server = *state;
    int silent[8], garbling = connect_to(server), dripping = connect_to(server);
    for (int i = 0; i < 8; i++)
        silent[i] = connect_to(server);
    send_text(dripping, "{");
    for (int i = 0; i < 100; i++)
        (void)send(garbling, "\x00\xFF{{{[[[\"\n", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
    int fd = connect_to(server);
    assert_answer(fd, "{\"command\":\"study find\",\"args\":{\"limit\":0}}\n", "{\"result\":[]}");
    close(fd);
    close(garbling);
    close(dripping);
    for (int i = 0; i < 8; i++)
        close(silent[i]);
}

static void request_over_1_mib__is_refused(void **state)
{
    int fd = connect_to(*state);
    char *text = malloc(1 << 16);
    memset(text, ' ', 1 << 16);
    for (int i = 0; i < 18; i++)
        if (send(fd, text, 1 << 16, MSG_NOSIGNAL) < 0)
            break;
    free(text);
    assert_non_null(strstr(read_line(fd), "at most 1 MiB"));
    close(fd);
}

static void deep_nesting__is_refused(void **state)
{
    int fd = connect_to(*state);
    char *text = malloc(100001);
    memset(text, '[', 100000);
    text[99999] = '\n';
    text[100000] = 0;
    assert_answer(fd, text, "request: expected one JSON object");
    free(text);
    close(fd);
}

static void connection_beyond_the_limit__is_told_so(void **state)
{
    struct server *server = *state;
    int fds[32];
    for (int i = 0; i < 32; i++) {
        fds[i] = connect_to(server);
        assert_answer(fds[i], "{\"command\":\"study find\",\"args\":{\"limit\":0}}\n",
                      "{\"result\":[]}");
    }
    int extra = connect_to(server);
    assert_non_null(strstr(read_line(extra), "32 control connections are open"));
    close(extra);
    for (int i = 0; i < 32; i++)
        close(fds[i]);
}

static void reader_that_stops__is_given_up(void **state)
{
    struct server *server = *state;
    int fd = connect_to(server);
    send_text(fd, "{\"command\":\"flood\"}\n");
    wait_for(&server->begun, 1);
    wait_for(&server->cancelled, 1);
    close(fd);
}

static void dripped_request__ends_by_its_deadline(void **state)
{
    int fd = connect_to(*state);
    const char *request = "{\"command\":\"study find\"}";
    struct pollfd answered = {fd, POLLIN, 0};
    for (size_t i = 0; i < 1000 && poll(&answered, 1, 20) == 0; i++)
        (void)send(fd, request + i % strlen(request), 1, MSG_NOSIGNAL);
    assert_non_null(strstr(read_line(fd), "HILUM_ETIMEDOUT"));
    assert_string_equal(read_line(fd), "");
    close(fd);
}

static void silent_client__ends_by_its_deadline(void **state)
{
    int fd = connect_to(*state);
    assert_non_null(strstr(read_line(fd), "no whole request came in time"));
    assert_string_equal(read_line(fd), "");
    close(fd);
}

/* A deadline is one request's: many requests in a row outlive it. */
static void busy_client__is_not_ended(void **state)
{
    int fd = connect_to(*state);
    for (int i = 0; i < 30; i++) {
        poll(NULL, 0, 20);
        assert_answer(fd, "{\"command\":\"study find\",\"args\":{\"limit\":0}}\n",
                      "{\"result\":[]}");
    }
    close(fd);
}

static int setup_impatient(void **state)
{
    return server_setup_with(state, &(struct hl_control_deadlines){300, 300, 300});
}
#define impatient_test(f) cmocka_unit_test_setup_teardown(f, setup_impatient, server_teardown)

static void socket__has_the_asked_mode(void **state)
{
    struct server *server = *state;
    struct stat st;
    assert_int_equal(stat(server->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void second_server__does_not_steal_the_socket(void **state)
{
    struct server *server = *state;
    struct hl_control *second;
    assert_int_equal(hl_control_new(&second), HILUM_OK);
    assert_int_equal(hl_control_start(second, server->path, 0600), HILUM_EEXISTS);
    assert_non_null(strstr(hl_error(), "another hilumd answers there"));
    hl_control_free(second);
    int fd = connect_to(server);
    assert_answer(fd, "{\"command\":\"study find\",\"args\":{\"limit\":0}}\n", "{\"result\":[]}");
    close(fd);
}

static void socket_of_a_dead_server__is_replaced(void **state)
{
    struct server *server = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct hl_control *second;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/dead.sock", server->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    assert_int_equal(hl_control_new(&second), HILUM_OK);
    assert_int_equal(hl_control_start(second, address.sun_path, 0600), HILUM_OK);
    hl_control_free(second);
}

static void file_in_the_way__is_not_removed(void **state)
{
    struct server *server = *state;
    struct hl_control *second;
    char path[128];
    snprintf(path, sizeof path, "%s/file", server->dir);
    fclose(fopen(path, "w"));
    assert_int_equal(hl_control_new(&second), HILUM_OK);
    assert_int_equal(hl_control_start(second, path, 0600), HILUM_EEXISTS);
    hl_control_free(second);
    assert_int_equal(unlink(path), 0);
}

static void path_too_long__is_refused(void **state)
{
    (void)state;
    struct hl_control *control;
    char path[200];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(hl_control_new(&control), HILUM_OK);
    assert_int_equal(hl_control_start(control, path, 0600), HILUM_EINVAL);
    hl_control_free(control);
}

static void bad_tables__are_refused_at_registration(void **state)
{
    (void)state;
    struct hl_control *control;
    static const struct hl_command_arg twice[] = {
        {"a", HL_ARG_TEXT, true, false, "", NULL}, {"a", HL_ARG_INT, false, false, "", NULL}, {0}};
    static const struct hl_command_arg rest[] = {
        {"a", HL_ARG_TEXTS, true, false, "", NULL}, {"b", HL_ARG_TEXT, true, false, "", NULL}, {0}};
    assert_int_equal(hl_control_new(&control), HILUM_OK);
    const struct hl_command bad[] = {
        {"", "s", "admin", NULL, run_refuse, NULL},
        {"Study", "s", "admin", NULL, run_refuse, NULL},
        {"a  b", "s", "admin", NULL, run_refuse, NULL},
        {"a", NULL, "admin", NULL, run_refuse, NULL},
        {"a", "s", "no.such", NULL, run_refuse, NULL},
        {"a", "s", "admin", NULL, NULL, NULL},
        {"a", "s", "admin", twice, run_refuse, NULL},
        {"a", "s", "admin", rest, run_refuse, NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hl_control_register(control, &bad[i]), HILUM_EINVAL);
    const struct hl_command log = {"log", "s", "admin", NULL, run_refuse, NULL};
    assert_int_equal(hl_control_register(control, &log), HILUM_EEXISTS);
    hl_control_free(control);
}

static void commands__lists_all_with_their_arguments(void **state)
{
    int fd = connect_to(*state);
    send_text(fd, "{\"command\":\"commands\"}\n");
    json_t *answer = json_loads(read_line(fd), 0, NULL);
    json_t *result = json_object_get(answer, "result"), *list = json_object_get(result, "commands");
    assert_int_equal(json_array_size(list), 7);
    assert_string_equal(json_string_value(json_object_get(result, "version")), HILUM_VERSION);
    json_t *find = json_array_get(list, 3);
    assert_string_equal(json_string_value(json_object_get(find, "name")), "study find");
    json_t *level = json_array_get(json_object_get(find, "args"), 4);
    assert_string_equal(json_string_value(json_object_get(level, "choices")), "study|series");
    json_decref(answer);
    close(fd);
}

static void any_bytes__become_json_text(void **state)
{
    (void)state;
    json_t *text = hl_json_text("\xCD\xF5.dcm\x01");
    assert_string_equal(json_string_value(text), "\xEF\xBF\xBD\xEF\xBF\xBD.dcm\x01");
    json_decref(text);
    assert_true(json_is_null(hl_json_text(NULL)));
}

static void log__gives_the_last_lines_and_follows(void **state)
{
    int fd = connect_to(*state);
    hl_log(HL_INFO, "test", "first");
    hl_log(HL_WARN, "test", "second");
    assert_answer(fd, "{\"command\":\"log\",\"args\":{\"lines\":1}}\n", "second");
    assert_string_equal(read_line(fd), "{\"result\":{}}");
    assert_answer(
        fd, "{\"command\":\"log\",\"args\":{\"lines\":1,\"follow\":true,\"level\":\"warn\"}}\n",
        "second");
    hl_log(HL_INFO, "test", "not this");
    hl_log(HL_ERROR, "test", "third");
    assert_non_null(strstr(read_line(fd), "third"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_test(request__gets_its_result),
        server_test(pipelined_requests__are_answered_in_turn),
        server_test(failure__gives_code_and_reason_as_valid_json),
        server_test(bad_requests__are_refused_with_what_was_expected),
        server_test(progress_and_items__come_before_the_result),
        server_test(client_that_hangs_up__cancels_its_call),
        server_test(half_closed_client__still_gets_its_answer),
        server_test(stopping_server__cancels_calls_and_answers),
        server_test(silent_and_garbling_clients__do_not_delay_others),
        server_test(request_over_1_mib__is_refused),
        server_test(deep_nesting__is_refused),
        server_test(connection_beyond_the_limit__is_told_so),
        impatient_test(reader_that_stops__is_given_up),
        impatient_test(dripped_request__ends_by_its_deadline),
        impatient_test(silent_client__ends_by_its_deadline),
        impatient_test(busy_client__is_not_ended),
        server_test(socket__has_the_asked_mode),
        server_test(second_server__does_not_steal_the_socket),
        server_test(socket_of_a_dead_server__is_replaced),
        server_test(file_in_the_way__is_not_removed),
        cmocka_unit_test(path_too_long__is_refused),
        cmocka_unit_test(bad_tables__are_refused_at_registration),
        server_test(commands__lists_all_with_their_arguments),
        cmocka_unit_test(any_bytes__become_json_text),
        server_test(log__gives_the_last_lines_and_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
