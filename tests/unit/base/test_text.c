/* Folding, pinyin, bigrams and sameness of names. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/text.h"
#include "core/base/text_variants.h"

static char text[1024];

static const char *run(void (*work)(const char *, struct hl_buf *), const char *in)
{
    struct hl_buf out = {0};
    work(in, &out);
    assert_false(out.failed);
    snprintf(text, sizeof text, "%s", hl_buf_str(&out));
    hl_buf_fini(&out);
    return text;
}

static void folding__drops_case_marks_and_widths(void **state)
{
    (void)state;
    assert_string_equal(run(hl_text_fold, "Müller^JÜRGEN"), "muller^jurgen");
    assert_string_equal(run(hl_text_fold, "Strauß"), "strauss");
    assert_string_equal(run(hl_text_fold, "ＷＡＮＧ　ｘ"), "wang x");
    assert_string_equal(run(hl_text_fold, "a  \t b"), "a b");
    assert_string_equal(run(hl_text_fold, "ヤマダ"), "やまだ");
    assert_string_equal(run(hl_text_fold, "ﾔﾏﾀﾞ"), "やまだ");
    assert_string_equal(run(hl_text_fold, "홍길동"), "홍길동");
    assert_string_equal(run(hl_text_fold, "Łødź Æ"), "lodz ae");
    assert_string_equal(run(hl_text_fold, "ΔΊΑΣ"), "διασ");
    assert_string_equal(run(hl_text_fold, "王小明"), "王小明");
    assert_string_equal(run(hl_text_fold, ""), "");
    run(hl_text_fold, "\xFF\xE7王");
    assert_true(hl_utf8_is_valid(text, strlen(text)));
}

static void pinyin__has_every_reading_of_the_surname(void **state)
{
    (void)state;
    assert_string_equal(run(hl_text_pinyin, "单^小明"), "|shan xiaoming|sxm|dan xiaoming|dxm|");
    assert_string_equal(run(hl_text_pinyin, "王^小明"), "|wang xiaoming|wxm|");
    assert_string_equal(run(hl_text_pinyin, "Wang^XiaoMing=王^小明"), "|wang xiaoming|wxm|");
    assert_string_equal(run(hl_text_pinyin, "王小明"), "|wang xiaoming|wxm|");
    assert_string_equal(run(hl_text_pinyin, "欧阳修"), "|ouyang xiu|oyx|");
    assert_string_equal(run(hl_text_pinyin, "尉迟^恭"), "|yuchi gong|ycg|weichi gong|wcg|");
    assert_string_equal(run(hl_text_pinyin, "吕^布"), "|lv bu|lb|lu bu|lb|lyu bu|lb|");
    assert_string_equal(run(hl_text_pinyin, "Doe^Jane"), "");
    assert_string_equal(run(hl_text_pinyin, ""), "");
}

static void pinyin__is_bounded(void **state)
{
    (void)state;
    run(hl_text_pinyin, "吕^吕吕吕吕吕吕吕吕吕吕吕吕吕吕吕吕");
    size_t bars = 0;
    for (const char *c = text; *c; c++)
        bars += *c == '|';
    assert_int_equal(bars, 33);
}

static void bigrams__are_singles_then_pairs(void **state)
{
    (void)state;
    assert_string_equal(run(hl_text_bigrams, "王小明"), " 王 小 明 王小 小明 ");
    assert_string_equal(run(hl_text_bigrams, "Wang^XM=王^小明"), " 王 小 明 王小 小明 ");
    assert_string_equal(run(hl_text_bigrams, "Doe^Jane"), "");
}

static void same_name__whatever_the_spelling(void **state)
{
    (void)state;
    assert_true(hl_text_same_name("WANG^XIAOMING", "王^小明"));
    assert_true(hl_text_same_name("Dan^Xiaoming", "单^小明"));
    assert_true(hl_text_same_name("Müller^Jürgen^^^", "MULLER^JURGEN"));
    assert_true(hl_text_same_name("WANG^XIAO MING", "Wang^Xiaoming"));
    assert_true(hl_text_same_name("WANG^XIAO^MING", "Wang^Xiaoming"));
    assert_true(hl_text_same_name("XIAOMING^WANG", "Wang^Xiaoming"));
    assert_true(hl_text_same_name("Wang Xiaoming", "Wang^Xiaoming"));
    assert_true(hl_text_same_name("Wang^XiaoMing=王^小明", "王^小明"));
    assert_true(hl_text_same_name("O'Neil^Ann", "ONEIL^ANN"));
    assert_true(hl_text_same_name("", ""));
}

/* Nothing bounds the value a peer sends. */
static void same_name__however_long(void **state)
{
    (void)state;
    char name[2000], other[2000];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[1000] = '^';
    memcpy(other, name, sizeof name);
    assert_true(hl_text_same_name(name, other));
    other[999] = 'b';
    assert_false(hl_text_same_name(name, other));
}

static void other_name__is_another(void **state)
{
    (void)state;
    assert_false(hl_text_same_name("WANG^XIAOHONG", "王^小明"));
    assert_false(hl_text_same_name("Wang^XiaoMing=王^晓明", "Wang^XiaoMing=王^小明"));
    assert_false(hl_text_same_name("Doe^Jane", "Doe^John"));
    assert_false(hl_text_same_name("Doe^Jane", ""));
    assert_false(hl_text_same_name("Doe", "Doe^Jane"));
}

/* Every character of a class folds to its first: also those that ICU simplifies. And no character is in two. */
static void han_classes__are_closed_and_apart(void **state)
{
    (void)state;
    const char *at = han_classes;
    size_t n = strlen(han_classes);
    char first[8] = "", one[8], seen[sizeof han_classes] = "";
    unsigned characters = 0;
    while (n > 0) {
        const char *from = at;
        if (hl_utf8_next(&at, &n) == ' ') {
            first[0] = '\0';
            continue;
        }
        snprintf(one, sizeof one, "%.*s", (int)(at - from), from);
        if (!first[0])
            snprintf(first, sizeof first, "%s", one);
        assert_string_equal(run(hl_text_fold, one), first);
        assert_null(strstr(seen, one));
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s", one);
        characters++;
    }
    assert_true(characters > 700);
}

static void han__of_families_is_one_and_of_others_is_not(void **state)
{
    (void)state;
    assert_true(hl_text_same_name("渡邉^恭子", "渡辺^恭子"));
    assert_true(hl_text_same_name("齋藤^隆", "斉藤^隆"));
    assert_true(hl_text_same_name("髙﨑^廣", "高崎^広"));
    assert_true(hl_text_same_name("邊^廣", "边^广")); /* as in China */
    assert_true(hl_text_same_name("葛󠄀城^蓮", "葛城^蓮"));
    assert_true(hl_text_same_name("曺^明", "曹^明"));
    assert_false(hl_text_same_name("渡部^恭子", "渡辺^恭子"));
    assert_false(hl_text_same_name("伊藤^隆", "伊東^隆"));
    assert_false(
        hl_text_same_name("王^芸", "王^艺")); /* two names, though Japan writes one as the other */
}

static void validity__is_that_of_the_rfc(void **state)
{
    (void)state;
    assert_true(hl_utf8_is_valid("a\xC3\xA9\xF0\xA0\xAE\xB7", 7));
    assert_false(hl_utf8_is_valid("\xC0\x80", 2));
    assert_false(hl_utf8_is_valid("\xED\xA0\x80", 3));
    assert_false(hl_utf8_is_valid("\xF4\x90\x80\x80", 4));
    assert_false(hl_utf8_is_valid("\xE7\x8E", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding__drops_case_marks_and_widths),
        cmocka_unit_test(pinyin__has_every_reading_of_the_surname),
        cmocka_unit_test(pinyin__is_bounded),
        cmocka_unit_test(bigrams__are_singles_then_pairs),
        cmocka_unit_test(same_name__whatever_the_spelling),
        cmocka_unit_test(same_name__however_long),
        cmocka_unit_test(other_name__is_another),
        cmocka_unit_test(han_classes__are_closed_and_apart),
        cmocka_unit_test(han__of_families_is_one_and_of_others_is_not),
        cmocka_unit_test(validity__is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
