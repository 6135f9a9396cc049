/* Sends Part 10 files that are in memory to an address: what plugins get as host->store_scu. It
 * reads the file meta information and forwards the rest untouched. SPDX-License-Identifier:
 * Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/scu_query.h"
#include "core/store/scan.h"

/* One association at a time: each object says itself which context it needs, and only when the
 * association at hand lacks it a new one is made that has all seen so far. */
struct call {
    struct hl_scu *scu;
    struct hl_peer peer;
    char host[256];
    struct hl_pairs pairs;
    struct hl_link *link;
};

/* Kept is meaningless for an address that is no peer (its idle time is 0): putting it back
 * releases it. */
static void close_link(struct call *call, bool is_sound)
{
    if (call->link && is_sound)
        hl_link_put(call->scu, &call->peer, call->link);
    else if (call->link)
        hl_link_drop(call->link, hl_error());
    call->link = NULL;
}

/* An association that has the object's context, or a new one with all contexts seen so far. When
 * those are 128 the list begins anew. */
static hilum_rc link_for(struct call *call, const struct hl_part10 *head)
{
    size_t before = call->pairs.n;
    if (!hl_pairs_add(&call->pairs, head->sop_class, head->transfer_syntax, NULL)) {
        hl_pairs_clear(&call->pairs);
        before = 0;
        (void)hl_pairs_add(&call->pairs, head->sop_class, head->transfer_syntax, NULL);
        close_link(call, true);
    }
    if (call->link && call->pairs.n == before)
        return HILUM_OK;
    close_link(call, true);
    return hl_link_get(call->scu, &call->peer, &call->pairs, true, &call->link);
}

/* The file's data set goes out as it lies in memory, without a copy. */
static hilum_rc transmit(struct call *call, const struct hl_part10 *head, const uint8_t *dataset,
                         uint64_t n)
{
    assert(call->link);
    struct hl_sending sending = {
        .ul = call->link->ul, .peer = call->peer.name, .message_id = ++call->link->last_message_id};
    const struct hl_ul_context *context =
        hl_sending_context(&sending, head->sop_class, head->transfer_syntax);
    struct hl_dimse response;
    if (!context)
        return HILUM_EUNSUP;
    hilum_rc rc = hl_sending_request(&sending, context, head->sop_class, head->sop_instance);
    if (!rc)
        rc = hl_ul_write(sending.ul, context->id, false, dataset, n, true);
    if (!rc)
        rc = hl_sending_answer(&sending, &response);
    if (rc) {
        close_link(call, false);
        return rc;
    }
    call->link->answered++;
    rc = hl_store_rc(response.status);
    return rc ? hl_fail(rc, "%s refuses %s: status %04X %s", call->peer.name, head->sop_instance,
                        response.status, response.comment)
              : HILUM_OK;
}

static hilum_rc send_file(struct call *call, const uint8_t *part10, uint64_t n)
{
    struct hl_part10 head;
    hilum_rc rc = hl_part10_read(part10, n, &head);
    if (rc)
        return rc;
    if (!head.sop_class[0] || !head.sop_instance[0])
        return hl_fail(HILUM_EINVAL, "file meta information without SOP class or instance");
    rc = link_for(call, &head);
    return rc ? rc : transmit(call, &head, part10 + head.dataset_offset, n - head.dataset_offset);
}

hilum_rc hl_scu_store_part10(struct hl_scu *scu, const struct hl_scu_target *target,
                             hilum_rc (*next)(void *arg, const void **part10, uint64_t *n),
                             void *arg, uint64_t *stored)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return hl_fail(HILUM_ENOMEM, "sending to %s: out of memory", target->address);
    call->scu = scu;
    call->pairs.is_exact = true;
    *stored = 0;
    hilum_rc rc = hl_query_peer(target->address, target->called_aet, call->host, &call->peer);
    call->peer.own_aet = target->calling_aet;
    while (!rc) {
        const void *part10;
        uint64_t n;
        hilum_rc more = next(arg, &part10, &n);
        if (more != 1) {
            rc = more;
            break;
        }
        rc = send_file(call, part10, n);
        *stored += rc == HILUM_OK;
    }
    close_link(call, true);
    free(call);
    return rc;
}
