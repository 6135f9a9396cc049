/* In which syntaxes an object may go to a peer, and the proposal that follows (PS3.8 7.1.1.13, PS3.5 10). It knows
 * nothing of sockets and of how one syntax becomes another. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"
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

/* As stored, by conversion between uncompressed syntaxes, or by decoding. */
static bool can_leave(const char *stored, const char *syntax)
{
    return !strcmp(stored, syntax) || hl_recode_can(stored, syntax) ||
           hl_unpack_can(stored, syntax);
}

void hl_candidates(const struct hl_peer *peer, const char *stored, struct hl_candidates *out)
{
    *out = (struct hl_candidates){0};
    for (size_t i = 0; peer && i < peer->n_transfer_syntaxes; i++) {
        const char *listed = hl_uid_syntax_of(peer->transfer_syntaxes[i]);
        if (can_leave(stored, listed))
            add(out, listed);
    }
    out->n_alone = out->n;
    if (peer && peer->only_listed_syntaxes)
        return;
    add(out, stored);
    out->n_alone = out->n;
    for (size_t i = 0; i < N_PLAIN; i++)
        if (can_leave(stored, plain[i]))
            add(out, plain[i]);
}

/* ---- what a batch needs ----------------------------------------------------------------------- */

/* Contexts a pair may come to. All uncompressed syntaxes of a class are four, listed or not, and a compressed one comes
 * to them; unless the peer has a list, the stored one is proposed alone and the others together. */
static size_t cost_of(const struct hl_pairs *pairs, const char *syntax)
{
    bool is_convertible =
        hl_recode_can(syntax, syntax) || hl_unpack_can(syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    if (pairs->is_exact || !is_convertible)
        return 1;
    return pairs->peer && pairs->peer->n_transfer_syntaxes ? N_PLAIN + 1 : 2;
}

bool hl_pairs_add(struct hl_pairs *pairs, const char *sop_class, const char *syntax)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (!strcmp(pairs->items[i].sop_class, sop_class) &&
            !strcmp(pairs->items[i].syntax, syntax))
            return true;
    size_t cost = cost_of(pairs, syntax);
    if (pairs->n_contexts + cost > HL_PAIRS_MAX)
        return false;
    pairs->n_contexts += cost;
    struct hl_pair *pair = &pairs->items[pairs->n++];
    snprintf(pair->sop_class, sizeof pair->sop_class, "%s", sop_class);
    snprintf(pair->syntax, sizeof pair->syntax, "%s", syntax);
    return true;
}

/* The next batch begins; `peer` and `is_exact` stay. */
void hl_pairs_clear(struct hl_pairs *pairs)
{
    pairs->n = pairs->n_contexts = 0;
}

/* ---- the proposal ----------------------------------------------------------------------------- */

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

static void candidates_of(const struct hl_pairs *pairs, const struct hl_pair *pair,
                          struct hl_candidates *out)
{
    if (!pairs->is_exact) {
        hl_candidates(pairs->peer, pair->syntax, out);
        return;
    }
    *out = (struct hl_candidates){.syntaxes = {pair->syntax}, .n = 1, .n_alone = 1};
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
