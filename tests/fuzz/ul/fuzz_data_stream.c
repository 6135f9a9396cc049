/* Everything a peer may send inside an association, through the reader of PDVs: pieces never leave
 * their PDV, the end always comes. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/ul/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT = 64 * 1024 };

/* What was read is touched, so that a sanitizer sees a bad piece. */
static unsigned read_all(struct hl_ul_assoc *assoc)
{
    struct hl_ul_pdv pdv;
    unsigned sum = 0;
    while (hl_ul_poll(assoc, 0) == 1 && hl_ul_read(assoc, &pdv) == HILUM_OK) {
        if (!hl_ul_context(assoc, pdv.context_id) || (pdv.length == 0 && !pdv.is_last))
            abort();
        for (size_t i = 0; i < pdv.length; i++)
            sum += pdv.data[i];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_ul_context context = {.id = 1};
    struct hl_ul_assoc *assoc = calloc(1, sizeof *assoc);
    int pair[2];
    if (!assoc || size > MAX_INPUT || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        free(assoc);
        return 0;
    }
    hl_ul_io_init(&assoc->io, pair[0], NULL);
    assoc->max_pdu = 16384;
    assoc->pdu_ms = assoc->write_ms = 1000;
    assoc->params.contexts = &context;
    assoc->params.n_contexts = 1;
    hl_ul_assoc_index(assoc);
    if (send(pair[1], data, size, MSG_NOSIGNAL) == (ssize_t)size) {
        shutdown(pair[1], SHUT_WR);
        (void)read_all(assoc);
        hl_ul_assoc_send_abort(assoc);
    }
    close(pair[1]);
    hl_ul_io_close(&assoc->io);
    free(assoc->in);
    free(assoc);
    return 0;
}
