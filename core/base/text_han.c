/* Traditional Han characters to simplified ones, one by one, so that a part of a name folds as it does within the
 * name. By ICU's rules. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>

#include <unicode/utrans.h>

#include "core/base/text_internal.h"

enum { FIRST = 0x3400, LAST = 0x9FFF };

/* A transliterator takes milliseconds to make and may not be used by two threads; what it said is kept. 0: not
 * asked yet. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static UTransliterator *transliterator;
static _Atomic uint16_t known[LAST - FIRST + 1];

static int32_t ask(int32_t point)
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

int32_t hl_han_simplified(int32_t point)
{
    if (point < FIRST || point > LAST)
        return point;
    int32_t found = atomic_load_explicit(&known[point - FIRST], memory_order_relaxed);
    if (found == 0) {
        found = ask(point);
        atomic_store_explicit(&known[point - FIRST], (uint16_t)found, memory_order_relaxed);
    }
    return found;
}
