/* One HTTP exchange with a peer, by libcurl: who we are, TLS, deadlines on progress. Each has a connection of its own, so
 * that a body that cannot be sent twice never has to be. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bearer tokens of identity providers have some kilobytes. */
enum { SECRET_MAX = 8192 };

/* ---- secrets: in files, read anew each time, so that they can be changed without us ---- */

static void wipe(char *text, size_t size)
{
    explicit_bzero(text, size);
}

/* The first line, without spaces around it. A control character would be a header of its own:
 * refused. */
static hilum_rc secret_read(const struct request *request, const char *path, char *out)
{
    char why[512];
    FILE *file = fopen(path, "re");
    size_t n = file != NULL ? fread(out, 1, SECRET_MAX - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    n = strlen(out);
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
        out[--n] = '\0';
    for (const char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            n = 0;
    if (n > 0)
        return HILUM_OK;
    snprintf(why, sizeof why, "peer %s: %s: no secret can be read from it", request->peer->name,
             path);
    return request->client->host->fail(request->client->self, HILUM_EINVAL, why);
}

/* libcurl copies the line; ours is wiped. */
static hilum_rc token_show(struct request *request)
{
    char token[SECRET_MAX], line[SECRET_MAX + 32];
    hilum_rc rc = secret_read(request, request->peer->token_file, token);
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    if (rc == HILUM_OK && !request_header(request, line))
        rc = HILUM_ENOMEM;
    wipe(token, sizeof token);
    wipe(line, sizeof line);
    return rc;
}

/* Basic only: nothing is asked for first, and the peer is reached by TLS or is in the house. */
static hilum_rc password_show(struct request *request)
{
    char password[SECRET_MAX];
    hilum_rc rc = secret_read(request, request->peer->password_file, password);
    if (rc == HILUM_OK) {
        curl_easy_setopt(request->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(request->curl, CURLOPT_USERNAME, request->peer->user);
        curl_easy_setopt(request->curl, CURLOPT_PASSWORD, password);
    }
    wipe(password, sizeof password);
    return rc;
}

/* A token goes before a password where a peer has both. */
static hilum_rc identity_show(struct request *request)
{
    if (request->peer->token_file != NULL)
        return token_show(request);
    if (request->peer->user != NULL && request->peer->password_file != NULL)
        return password_show(request);
    return HILUM_OK;
}

/* ---- the exchange ---- */

/* Less than was given makes curl end the exchange. */
static size_t answer_keep(char *bytes, size_t size, size_t n, void *arg)
{
    struct request *request = arg;
    size_t length = size * n, max = (size_t)request->client->conf->answer_max;
    if (length > max - request->n_answer)
        return 0;
    char *grown = realloc(request->answer, request->n_answer + length + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + request->n_answer, bytes, length);
    request->answer = grown;
    request->n_answer += length;
    grown[request->n_answer] = '\0';
    return length;
}

/* About once a second. Other than 0 ends the exchange. */
static int go_on(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct request *request = arg;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&request->client->is_draining);
}

/* Never without verification: a peer with a certificate of its own house has `ca`. */
static void tls_set(CURL *curl, const struct hilum_destination *peer)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (peer->ca != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, peer->ca);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (peer->certificate != NULL && peer->key != NULL) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, peer->certificate);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, peer->key);
    }
}

/* No limit for the whole: an object of gigabytes over a slow line takes what it takes, as long
 * as it moves. */
static void limits_set(CURL *curl, struct request *request)
{
    const struct client_conf *conf = request->client->conf;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* a token is for whom it was given */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");          /* nothing from the environment */
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->peer->connect_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((conf->stall + 999) / 1000));
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, go_on);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
}

/* On error it is closed already. */
hilum_rc request_open(struct client *client, const struct hilum_destination *peer, const char *path,
                      struct request *out)
{
    size_t n = strlen(peer->url);
    *out = (struct request){.client = client, .peer = peer, .curl = curl_easy_init()};
    if (out->curl == NULL)
        return client->host->fail(client->self, HILUM_ENOMEM, "no memory for a request");
    while (n > 0 && peer->url[n - 1] == '/')
        n--;
    snprintf(out->url, sizeof out->url, "%.*s%s", (int)n, peer->url, path);
    limits_set(out->curl, out);
    tls_set(out->curl, peer);
    curl_easy_setopt(out->curl, CURLOPT_URL, out->url);
    curl_easy_setopt(out->curl, CURLOPT_ERRORBUFFER, out->error);
    curl_easy_setopt(out->curl, CURLOPT_WRITEFUNCTION, answer_keep);
    curl_easy_setopt(out->curl, CURLOPT_WRITEDATA, out);
    hilum_rc rc = identity_show(out);
    if (rc != HILUM_OK)
        request_close(out);
    return rc;
}

bool request_header(struct request *request, const char *line)
{
    struct curl_slist *longer = curl_slist_append(request->headers, line);
    if (longer != NULL)
        request->headers = longer;
    return longer != NULL;
}

/* No byte of a request left: the peer was not reached, and no attempt is counted
 * (HILUM_EAGAIN). */
hilum_rc request_run(struct request *request)
{
    char why[600];
    long request_bytes = 0;
    curl_easy_setopt(request->curl, CURLOPT_HTTPHEADER, request->headers);
    CURLcode code = curl_easy_perform(request->curl);
    curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &request->status);
    curl_easy_getinfo(request->curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    if (code == CURLE_OK)
        return HILUM_OK;
    snprintf(why, sizeof why, "%s: %s", request->peer->name,
             request->error[0] != '\0' ? request->error : curl_easy_strerror(code));
    return request->client->host->fail(request->client->self,
                                       request_bytes == 0 ? HILUM_EAGAIN : HILUM_EIO, why);
}

void request_close(struct request *request)
{
    curl_easy_cleanup(request->curl);
    curl_slist_free_all(request->headers);
    free(request->answer);
    *request = (struct request){0};
}

/* What a peer says in its body is not repeated: it may name patients. */
void request_explain(const struct request *request, char *out, size_t size)
{
    static const struct {
        long status;
        const char *means;
    } known[] = {{400, "does not understand what it got"},
                 {401, "does not know who we are (token_file, user)"},
                 {403, "does not allow us that"},
                 {404, "has nothing there"},
                 {406, "has it in no form we take"},
                 {409, "did not store it"},
                 {413, "finds it too long"},
                 {415, "does not take this type"},
                 {503, "is busy or full"}};
    const char *means = "answered so";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == request->status)
            means = known[i].means;
    snprintf(out, size, "%s answers %ld: %s", request->peer->name, request->status, means);
}
