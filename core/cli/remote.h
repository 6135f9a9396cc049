/* A server reached by HTTP instead of its socket (`hilum --server URL`). SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CLI_REMOTE_H
#define HL_CLI_REMOTE_H

#include "core/cli/cli.h"

struct hl_remote;

/* Parses the URL and reads the token; connects to nobody yet. HILUM_EINVAL: the URL, the token's file or the file of
 * authorities, with the reason. */
hilum_rc hl_remote_new(const struct hl_cli_options *options, struct hl_remote **out);
void hl_remote_free(struct hl_remote *remote); /* NULL is fine */
/* Connects (a connection a command), verifies the server's certificate, asks. What of the answer came with its head, or
 * the error it is, is put into `in` as lines of the control socket. HILUM_ECLOSED, HILUM_EDENIED with the reason. */
hilum_rc hl_remote_send(struct hl_remote *remote, const char *command, json_t *args,
                        struct hl_buf *in);
/* Sends `n` bytes of fd as the body of a POST to `path` below the server's URL; the whole answer's body is put into `in`.
 * HILUM_ECLOSED; HILUM_EIO: the file cannot be read to its end. */
struct hl_remote_file {
    const char *path, *type, *accept;
    int fd;
    uint64_t n;
};
hilum_rc hl_remote_post(struct hl_remote *remote, const struct hl_remote_file *file, int *status,
                        struct hl_buf *in);
/* More of the answer. `ms` < 0: waits for ever. HILUM_ECLOSED, HILUM_ETIMEDOUT. */
hilum_rc hl_remote_more(struct hl_remote *remote, int64_t ms, struct hl_buf *in);

#endif
