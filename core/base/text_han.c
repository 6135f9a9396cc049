/* Han characters that are one in a name as one: traditional ones as simplified, by ICU's rules, then the variants of
 * text_variants.h. Character by character, so that a part of a name folds as it does within the name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <unicode/utrans.h>

#include "core/base/text.h"
#include "core/base/text_internal.h"
#include "core/base/text_variants.h"

enum { FIRST = 0x3400, LAST = 0x9FFF, FAR_MAX = 16 };

/* A transliterator takes milliseconds to make and may not be used by two threads; what it said is kept. 0: not
 * asked yet. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static UTransliterator *transliterator;
static _Atomic uint16_t known[LAST - FIRST + 1];

/* Written once, read by all. 0: stands for itself. Those beyond the block are a handful. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint16_t variants[LAST - FIRST + 1];
static struct {
    int32_t point;
    uint16_t stands;
} far_variants[FAR_MAX];
static unsigned n_far;

static void variant_add(int32_t point, int32_t stands)
{
    if (point >= FIRST && point <= LAST)
        variants[point - FIRST] = (uint16_t)stands;
    else if (n_far < FAR_MAX) {
        far_variants[n_far].point = point;
        far_variants[n_far++].stands = (uint16_t)stands;
    }
}

static void variants_read(void)
{
    const char *at = han_classes;
    size_t n = strlen(han_classes);
    for (int32_t first = 0; n > 0;) {
        int32_t point = hl_utf8_next(&at, &n);
        if (point == ' ')
            first = 0;
        else if (first == 0)
            first = point;
        else
            variant_add(point, first);
    }
}

static int32_t far_find(int32_t point)
{
    for (unsigned i = 0; i < n_far; i++)
        if (far_variants[i].point == point)
            return far_variants[i].stands;
    return point;
}

/* ICU has no answer for a character by itself but by its transliterator: as text in, as text out. */
static int32_t simplified(int32_t point)
{
    static const UChar id[] = u"Traditional-Simplified";
    UErrorCode status = U_ZERO_ERROR;
    UChar text[8] = {(UChar)point};
    int32_t n = 1, limit = 1;
    pthread_mutex_lock(&lock);
    if (!transliterator)
        transliterator = utrans_openU(id, -1, UTRANS_FORWARD, NULL, 0, NULL, &status);
    if (transliterator)
        utrans_transUChars(transliterator, text, &n, 8, 0, &limit, &status);
    pthread_mutex_unlock(&lock);
    bool is_one = U_SUCCESS(status) && transliterator && n == 1 && hl_is_han(text[0]);
    return is_one ? text[0] : point;
}

/* A class holds the simplified forms of its members, so one look after ICU's is enough. */
static int32_t ask(int32_t point)
{
    int32_t plain = simplified(point);
    int32_t stands = plain >= FIRST && plain <= LAST ? variants[plain - FIRST] : 0;
    return stands ? stands : plain;
}

int32_t hl_han_common(int32_t point)
{
    pthread_once(&once, variants_read);
    if (point < FIRST || point > LAST)
        return far_find(point);
    int32_t found = atomic_load_explicit(&known[point - FIRST], memory_order_relaxed);
    if (found == 0) {
        found = ask(point);
        atomic_store_explicit(&known[point - FIRST], (uint16_t)found, memory_order_relaxed);
    }
    return found;
}
