/* How much of an answer waits in the kernel of a client on this machine.
 *
 * Such a client (a proxy, mostly) reads what lies in our socket's buffer. As the kernel grows it, megabytes wait there and
 * have left the processor's cache by the time they are read; a few hundred KiB have not: 52 MB take 12 ms of the server's
 * time in place of 20, and the client's sinks too. To other machines data leave by a card at its own speed, and a long way
 * wants a large buffer: there it is the kernel's to choose, and for short answers too, which leave in one call where all of
 * it fits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <sys/socket.h>

/* LONG: no frame of a CT. SMALL: what anybody may ask for (net.core.wmem_max as Linux has it); the kernel takes it twice. */
enum { LONG = 4 * 1024 * 1024, SMALL = 212992 };

void http_conn_buffer(struct http_conn *conn, uint64_t length)
{
    int size = SMALL, free_again = 0;
    bool is_small = conn->is_loopback && length >= LONG;
    if (is_small == conn->is_small)
        return;
    conn->is_small = is_small;
    if (is_small)
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
#ifdef SO_BUF_LOCK /* Linux 5.14: the kernel grows it again, as it needs to */
    else
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_BUF_LOCK, &free_again, sizeof free_again);
#endif
    (void)free_again;
}
