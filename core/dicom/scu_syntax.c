/* In which syntaxes an object may go to a peer, and the proposal that follows (PS3.8 7.1.1.13, PS3.5 10). It knows
 * nothing of sockets and of how one syntax becomes another. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"
#include "core/store/pack.h"
#include "core/store/recode.h"
#include "core/store/unpack.h"

/* What keeps most of a data set, then what every tool can read, then what none prefers. */
static const char *const plain[] = {HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN,
                                    HL_UID_DEFLATED_LITTLE_ENDIAN, HL_UID_EXPLICIT_BIG_ENDIAN};
enum { N_PLAIN = sizeof plain / sizeof plain[0] };

/* Once each, in order; a list of a peer longer than the room keeps its first. */
static void add(struct hl_candidates *out, const char *syntax)
{
    for (size_t i = 0; i < out->n; i++)
        if (!strcmp(out->syntaxes[i], syntax))
            return;
    if (out->n < HL_CANDIDATES_MAX)
        out->syntaxes[out->n++] = syntax;
}

/* As stored, by conversion between uncompressed syntaxes, by decoding, by encoding, or with its very code streams. */
static bool can_leave(const struct hl_peer *peer, const char *stored, const char *syntax)
{
    return !strcmp(stored, syntax) || hl_recode_can(stored, syntax) ||
           hl_unpack_can(stored, syntax) || hl_repack_can(stored, syntax) ||
           hl_pack_can(stored, syntax, peer && peer->may_lose);
}

/* only_listed_syntaxes is a site's word about a receiver that accepts what it cannot read. */
static bool may_take(const struct hl_peer *peer, const char *syntax)
{
    for (size_t i = 0; peer && i < peer->n_transfer_syntaxes; i++)
        if (!strcmp(hl_uid_syntax_of(peer->transfer_syntaxes[i]), syntax))
            return true;
    return !peer || !peer->only_listed_syntaxes;
}

/* Order is preference: what a rule wishes, the peer's list, as stored (nothing is lost or
 * converted), and what anybody can read. */
void hl_candidates(const struct hl_peer *peer, const char *wish, const char *stored,
                   struct hl_candidates *out)
{
    *out = (struct hl_candidates){0};
    if (wish && *wish && may_take(peer, wish) &&
        (!strcmp(stored, wish) || hl_pack_can(stored, wish, true) || can_leave(peer, stored, wish)))
        add(out, wish);
    for (size_t i = 0; peer && i < peer->n_transfer_syntaxes; i++) {
        const char *listed = hl_uid_syntax_of(peer->transfer_syntaxes[i]);
        if (can_leave(peer, stored, listed))
            add(out, listed);
    }
    out->n_alone = out->n;
    if (peer && peer->only_listed_syntaxes)
        return;
    add(out, stored);
    if (hl_repack_can(stored, HL_UID_JPEG_BASELINE)) /* the very JPEG, before its pixels */
        add(out, HL_UID_JPEG_BASELINE);
    out->n_alone = out->n;
    for (size_t i = 0; i < N_PLAIN; i++)
        if (can_leave(peer, stored, plain[i]))
            add(out, plain[i]);
}

void hl_candidates_last(const char *stored, struct hl_candidates *out)
{
    static const char *const lossless[] = {HL_UID_JPEG_LS_LOSSLESS, HL_UID_HTJ2K_LOSSLESS,
                                           HL_UID_JPEG_2000_LOSSLESS, HL_UID_JPEG_LOSSLESS_SV1,
                                           HL_UID_RLE_LOSSLESS};
    for (size_t i = 0; i < sizeof lossless / sizeof lossless[0]; i++)
        if (hl_pack_can(stored, lossless[i], false))
            add(out, lossless[i]);
}

/* ---- what a batch needs ----------------------------------------------------------------------- */

static void candidates_of(const struct hl_pairs *pairs, const struct hl_pair *pair,
                          struct hl_candidates *out)
{
    if (!pairs->is_exact) {
        hl_candidates(pairs->peer, pair->wish, pair->syntax, out);
        return;
    }
    *out = (struct hl_candidates){.syntaxes = {pair->syntax}, .n = 1, .n_alone = 1};
}

/* Contexts a pair may come to: one for each syntax of its own, and one for all that any will do of. */
static size_t cost_of(const struct hl_pairs *pairs, const struct hl_pair *pair)
{
    struct hl_candidates candidates;
    candidates_of(pairs, pair, &candidates);
    return candidates.n_alone + (candidates.n > candidates.n_alone);
}

bool hl_pairs_add(struct hl_pairs *pairs, const char *sop_class, const char *syntax,
                  const char *wish)
{
    struct hl_pair *pair = &pairs->items[pairs->n];
    for (size_t i = 0; i < pairs->n; i++)
        if (!strcmp(pairs->items[i].sop_class, sop_class) &&
            !strcmp(pairs->items[i].syntax, syntax) &&
            !strcmp(pairs->items[i].wish, wish ? wish : ""))
            return true;
    if (pairs->n == HL_PAIRS_MAX)
        return false;
    snprintf(pair->sop_class, sizeof pair->sop_class, "%s", sop_class);
    snprintf(pair->syntax, sizeof pair->syntax, "%s", syntax);
    snprintf(pair->wish, sizeof pair->wish, "%s", wish ? wish : "");
    size_t cost = cost_of(pairs, pair);
    if (pairs->n_contexts + cost > HL_PAIRS_MAX)
        return false;
    pairs->n_contexts += cost;
    pairs->n++;
    return true;
}

/* The next batch begins; `peer` and `is_exact` stay. */
void hl_pairs_clear(struct hl_pairs *pairs)
{
    pairs->n = pairs->n_contexts = 0;
}

/* ---- the proposal ----------------------------------------------------------------------------- */

/* By class and syntax, so that two pairs share a context where they can. */
static bool is_proposed(const struct hl_proposal *proposal, const char *sop_class,
                        const char *syntax)
{
    for (size_t i = 0; i < proposal->params.n_contexts; i++)
        for (size_t k = 0; k < proposal->contexts[i].n_transfer_syntaxes; k++)
            if (!strcmp(proposal->contexts[i].abstract_syntax, sop_class) &&
                !strcmp(proposal->syntaxes[i][k], syntax))
                return true;
    return false;
}

/* Ids are odd and ascend (PS3.8 9.3.2.2); hl_pairs_add has bounded their number. */
static struct hl_ul_context *add_context(struct hl_proposal *proposal, const char *sop_class)
{
    size_t i = proposal->params.n_contexts++;
    struct hl_ul_context *context = &proposal->contexts[i];
    context->id = (uint8_t)(2 * i + 1);
    snprintf(context->abstract_syntax, HL_UID_MAX, "%s", sop_class);
    context->transfer_syntaxes = proposal->syntaxes[i];
    return context;
}

static void add_syntax(struct hl_ul_context *context, const char *syntax)
{
    snprintf(context->transfer_syntaxes[context->n_transfer_syntaxes++], HL_UID_MAX, "%s", syntax);
}

/* A context of one syntax leaves the acceptor no choice, so that an object goes as it is stored or as the peer's
 * list says where the peer can take that. */
static void propose_alone(const struct hl_pairs *pairs, const struct hl_pair *pair,
                          struct hl_proposal *proposal)
{
    struct hl_candidates candidates;
    candidates_of(pairs, pair, &candidates);
    for (size_t i = 0; i < candidates.n_alone; i++)
        if (!is_proposed(proposal, pair->sop_class, candidates.syntaxes[i]))
            add_syntax(add_context(proposal, pair->sop_class), candidates.syntaxes[i]);
}

static void propose_rest(const struct hl_pairs *pairs, const struct hl_pair *pair,
                         struct hl_proposal *proposal)
{
    struct hl_candidates candidates;
    struct hl_ul_context *context = NULL;
    candidates_of(pairs, pair, &candidates);
    for (size_t i = candidates.n_alone; i < candidates.n; i++) {
        if (is_proposed(proposal, pair->sop_class, candidates.syntaxes[i]))
            continue;
        if (!context)
            context = add_context(proposal, pair->sop_class);
        add_syntax(context, candidates.syntaxes[i]);
    }
}

/* Contexts of one syntax first, the shared ones after: an acceptor that answers only some takes
 * those that need no conversion. */
void hl_propose(const struct hl_pairs *pairs, struct hl_proposal *proposal)
{
    proposal->params.contexts = proposal->contexts;
    for (size_t i = 0; i < pairs->n; i++)
        propose_alone(pairs, &pairs->items[i], proposal);
    for (size_t i = 0; i < pairs->n; i++)
        propose_rest(pairs, &pairs->items[i], proposal);
}
