/* Matching by PS3.4 C.2.2.2: expectations are written from the standard. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "tests/unit/record/fixture.h"

#define PID   0x00100020
#define STUDY "0020000D"

/* name, id, birth, sex, date, time, accession, modality, description, number */
static const char *const people[][10] = {
    {"Smith^John", "A-1", "19600101", "M", "20200105", "1030", "ACC1", "CT", "Head 50%", "7"},
    {"SMITH^Jane^Ann", "A-2", "19700202", "F", "20200110", "103000", "ACC2", "MR", "head_x", "007"},
    {"Smithson^Bo", "a-3", "", "O", "20200131", "235959.5", "ACC3", "CT", "Thorax!", "12"},
    {"M\xC3\xBCller^J\xC3\xBCrgen", "B?4", "19800303", "", "20200201", "000000", "", "US", "", ""},
    {"Wang^XiaoDong=\xE7\x8E\x8B^\xE5\xB0\x8F\xE4\xB8\x9C=", "C*5", "", "M", "", "", "ACC1", "DX",
     "Head", "1"},
    {"Smith", "D%6", "", "", "20210101", "1200", "ACC_6", "CT", "x'; DROP TABLE study; --", "2"},
};

static int people_set_up(void **state)
{
    fixture_set_up(state);
    for (unsigned i = 0; i < sizeof people / sizeof *people; i++) {
        const char *const *p = people[i];
        char study[16];
        snprintf(study, sizeof study, "1.2.%u", i + 1);
        struct sample *s =
            sample_new(i + 1, "00100010", p[0], "00100020", p[1], "00100030", p[2], "00100040",
                       p[3], "00080020", p[4], "00080030", p[5], "00080050", p[6], "00080060", p[7],
                       "00081030", p[8], "00200011", p[9], "0020000D", study, NULL);
        hl_attrs_set(&s->attrs, 0x00080090, i % 2 ? "M\xC3\xBCller^Ref=\xE7\x8E\x8B" : "Ref^Other");
        hl_attrs_set(&s->attrs, 0x00080008, i % 2 ? "ORIGINAL\\PRIMARY" : "DERIVED\\SECONDARY");
        hl_attrs_set(&s->attrs, 0x0008002A, "20200105103000.5+0100");
        assert_int_equal(sample_store(*state, s), HL_OUTCOME_STORED);
    }
    return 0;
}

struct expectation {
    const char *tag, *value, *uids;
};

/* Answers of one key at a level, as last components of study UIDs in ascending order. */
static void expect_all(struct fixture *f, unsigned level, const struct expectation *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char got[64] = "";
        const char *answer =
            find_text(f, level, HL_STUDY_INSTANCE_UID, rows[i].tag, rows[i].value, NULL);
        for (char c = '1'; c <= '6'; c++) {
            char uid[] = {'1', '.', '2', '.', c, 0};
            if (strstr(answer, uid))
                strncat(got, &c, 1);
        }
        if (strncmp(answer, "HILUM", 5) == 0)
            strcpy(got, answer);
        if (strcmp(got, rows[i].uids) != 0)
            fail_msg("%s=%s: expected %s, found %s", rows[i].tag, rows[i].value, rows[i].uids, got);
        size_t answers = *answer ? 1 : 0;
        for (const char *c = answer; *c; c++)
            answers += *c == ' ';
        if (*rows[i].uids != 'H')
            assert_int_equal(answers, strlen(rows[i].uids)); /* none twice */
    }
}
#define EXPECT(f, level, rows) expect_all(f, level, rows, sizeof(rows) / sizeof *(rows))

static void study_keys__match_as_the_standard_says(void **state)
{
    static const struct expectation rows[] = {
        {"00100020", "", "123456"},
        {"00100020", "*", "123456"},
        {"00100020", "A-1", "1"},
        {"00100020", "a-1", ""},
        {"00100020", "A*", "12"},
        {"00100020", "?-?", "123"},
        {"00100020", "*-*", "123"},
        {"00100020", "A-1 ", "1"},
        {"00100020", "D%*", "6"},
        {"00100020", "%", ""},
        {"00100020", "_-_", ""},
        {"00100020", "A-1\\D%6", "16"},
        {"00080050", "ACC1", "15"},
        {"00080050", "ACC?", "1235"},
        {"00080050", "ACC_6", "6"},
        {"00080050", "ACC*", "12356"},
        {"00081030", "Head", "5"},
        {"00081030", "Head*", "15"},
        {"00081030", "*50%", "1"},
        {"00081030", "head_x", "2"},
        {"00081030", "head?x", "2"},
        {"00081030", "*!", "3"},
        {"00081030", "x'; DROP TABLE study; --", "6"},
        {"00100040", "M", "15"},
        {"00100040", "M\\F", "125"},
        {"00100030", "19600101", "1"},
        {"00100030", "19600101-19700202", "12"},
        {"00100030", "-19700202", "12"},
        {"00080061", "CT", "136"},
        {"00080061", "C*", "136"},
        {"00080061", "CT\\MR", "1236"},
        {"0020000D", "1.2.1\\1.2.4\\9.9", "14"},
        {"0020000D", "1.2.*", ""},
        {"00080062", "1.2.840.10008.5.1.4.1.1.2", "123456"},
        {"00209999", "whatever", "123456"},
    };
    EXPECT(*state, 2, rows);
}

static void dates_and_times__match_by_value_and_range(void **state)
{
    static const struct expectation rows[] = {
        {"00080020", "20200105", "1"},
        {"00080020", "2020.01.05", "1"},
        {"00080020", "20200105-20200131", "123"},
        {"00080020", "20200110-", "2346"},
        {"00080020", "-20200110", "12"},
        {"00080020", "20190101-20190102", ""},
        {"00080020", "2020", "HILUM_EINVAL"},
        {"00080020", "20201305", "HILUM_EINVAL"},
        {"00080020", "-", "HILUM_EINVAL"},
        {"00080030", "1030", "12"},
        {"00080030", "103000.000000", "12"},
        {"00080030", "10:30", "12"},
        {"00080030", "1030-1200", "126"},
        {"00080030", "1000-1030", "12"},
        {"00080030", "2359-", "3"},
        {"00080030", "-0000", "4"},
        {"00080030", "25", "HILUM_EINVAL"},
        {"00080030", "noon", "HILUM_EINVAL"},
    };
    static const struct expectation image_rows[] = {
        {"0008002A", "20200105103000.5", "123456"},
        {"0008002A", "20200105-20200106", "123456"},
        {"0008002A", "20200106-", ""},
        {"0008002A", "2020-2021", "123456"},
        {"00080008", "PRIMARY", "246"},
        {"00080008", "DERIVED", "135"},
        {"00080008", "PRIM*", "246"},
        {"00200011", "7", "12"},
        {"00200011", " 007 ", "12"},
        {"00200011", "x", "HILUM_EINVAL"},
    };
    EXPECT(*state, 2, rows);
    EXPECT(*state, 4, image_rows);
}

static void names__match_without_case_and_accents_in_any_group(void **state)
{
    static const struct expectation rows[] = {
        {"00100010", "Smith^John", "1"},
        {"00100010", "SMITH^JOHN", "1"},
        {"00100010", "smith^john^^", "1"},
        {"00100010", "Smith", "6"},
        {"00100010", "smith*", "1236"},
        {"00100010", "smith^*", "126"},
        {"00100010", "*^j*", "124"},
        {"00100010", "sm?th^j*", "12"},
        {"00100010", "*john", "1"},
        {"00100010", "Wang^XiaoDong", "5"},
        {"00100010", "wang^xiaodong=\xE7\x8E\x8B^\xE5\xB0\x8F\xE4\xB8\x9C", "5"},
        {"00100010", "wang^xiaodong=\xE6\x9D\x8E*", ""},
        {"00100010", "\xE7\x8E\x8B^\xE5\xB0\x8F\xE4\xB8\x9C", "5"},
        {"00100010", "\xE7\x8E\x8B*", "5"},
        {"00100010", "m\xC3\xBCller^*", "4"},
        {"00100010", "*", "123456"},
        {"00100010", "smith^john\\smith", "16"},
        {"00100010", "%", ""},
        {"00080090", "ref^other", "135"},
        {"00080090", "\xE7\x8E\x8B", "246"},
        {"00080090", "ref*", "135"},
        {"00080090", "*other", "135"},
        {"00080090", "other", ""},
    };
    EXPECT(*state, 2, rows);
}

static void fuzzy_names__match_words_in_any_order(void **state)
{
    static const struct expectation rows[] = {
        {"00100010~", "john smith", "1"}, {"00100010~", "jane", "2"},
        {"00100010~", "ann, smith", "2"}, {"00100010~", "smith", "126"},
        {"00100010~", "smi*", "1236"},    {"00100010~", "smith miller", ""},
    };
    EXPECT(*state, 2, rows);
}

/* By one or two characters, by pinyin with every reading of the surname, by initials. */
static void chinese_names__are_found_the_ways_people_type_them(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[][2] = {
        {"00100010", "\xE5\x8D\x95*"},              /* 单* */
        {"00100010", "*\xE5\xB0\x8F*"},             /* *小* */
        {"00100010", "*\xE5\xB0\x8F\xE6\x98\x8E*"}, /* *小明* */
        {"00100010", "shan^xiaoming"},
        {"00100010", "SHAN*"},
        {"00100010", "dan xiaoming"},
        {"00100010", "dan^*"},
        {"00100010", "sxm"},
        {"00100010~", "xiaoming"},
        {"00100010~", "\xE5\xB0\x8F\xE6\x98\x8E"}, /* 小明 */
        {"00100010~", "xiaoming, shan"},
    };
    sample_store(f, sample_new(20, "00100020", "H-1", "0020000D", "1.9", "00100010",
                               "\xE5\x8D\x95^\xE5\xB0\x8F\xE6\x98\x8E", NULL));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *answer = find_text(f, 2, HL_PATIENT_ID, keys[i][0], keys[i][1], NULL);
        if (!strstr(answer, "H-1"))
            fail_msg("%s=%s: not found", keys[i][0], keys[i][1]);
    }
    assert_string_equal(
        find_text(f, 2, HL_PATIENT_ID, "00100010", "*\xE6\x98\x8E\xE5\xB0\x8F*", NULL), "");
}

static void date_and_time_ranges__are_one_period_only_when_combined(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find_text(f, 2, HL_STUDY_INSTANCE_UID, "00080020", "20200105-20200131",
                                  "00080030", "1031-2359", NULL),
                        "1.2.3");
    assert_string_equal(find_text(f, 2, HL_STUDY_INSTANCE_UID, "00080020", "20200105-20200131",
                                  "00080030+", "1031-2359", NULL),
                        "1.2.2 1.2.3");
    assert_string_equal(
        find_text(f, 2, HL_STUDY_INSTANCE_UID, "00080020", "20200105-", "00080030+", "1030-", NULL),
        "1.2.1 1.2.2 1.2.3 1.2.4 1.2.6");
}

static void keys__of_several_levels_are_all_applied(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find_text(f, 3, HL_STUDY_INSTANCE_UID, "00100010", "smith*", "00080060",
                                  "CT", "00080020", "2020*", NULL),
                        "HILUM_EINVAL");
    assert_string_equal(find_text(f, 3, HL_STUDY_INSTANCE_UID, "00100010", "smith*", "00080060",
                                  "CT", "00080020", "20200101-20201231", NULL),
                        "1.2.1 1.2.3");
    assert_string_equal(
        find_text(f, 4, HL_STUDY_INSTANCE_UID, STUDY, "1.2.3", "00080060", "CT", NULL), "1.2.3");
    assert_string_equal(find_text(f, 1, PID, "00100010", "smith*", "00100040", "F", NULL), "A-2");
}

static void values__come_back_as_they_are(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find_text(f, 2, 0x00080030, STUDY, "1.2.1", NULL), "1030");
    assert_string_equal(find_text(f, 3, 0x00200011, STUDY, "1.2.2", NULL), "7");
    assert_string_equal(find_text(f, 3, 0x00200011, STUDY, "1.2.4", NULL), "");
    assert_string_equal(find_text(f, 2, 0x00080056, STUDY, "1.2.1", NULL), "ONLINE");
    assert_string_equal(find_text(f, 2, 0x00089999, STUDY, "1.2.1", NULL), "NULL");
    assert_int_equal(hl_record_has_attribute(2, 0x00100010), 1);
    assert_int_equal(hl_record_has_attribute(2, 0x00080060), 0);
}

/* Reads two answers at a time through `after`. */
static void pages_read(struct fixture *f, struct hilum_catalog_query query, char *text, size_t size)
{
    char position[512] = "";
    size_t n = 0;
    unsigned answers = 1;
    while (answers) {
        hilum_cursor *cursor;
        query.after = position;
        query.limit = 2;
        assert_int_equal(hl_record_find(f->record, &query, NULL, &cursor), HILUM_OK);
        for (answers = 0; hl_cursor_next(cursor) == 1; answers++) {
            n += (size_t)snprintf(text + n, size - n, "%s ", hl_cursor_value(cursor, PID));
            snprintf(position, sizeof position, "%s", hl_cursor_position(cursor));
        }
        hl_cursor_close(cursor);
    }
}

static void pages__continue_where_the_last_ended(void **state)
{
    static const uint32_t returns[] = {PID};
    static const struct {
        struct hilum_catalog_key key;
        int order;
        const char *expected;
    } cases[] = {
        {{0x00100010, 0, "smith*"}, 0, "D%6 A-2 A-1 a-3 "},
        {{0x00080020, 0, "20200101-"}, 0, "A-1 A-2 a-3 B?4 D%6 "},
        {{0x00080020, 0, "20200101-"}, HILUM_ORDER_NEWEST, "D%6 B?4 a-3 A-2 A-1 "},
        {{0x00100010, 0, "smith*"}, HILUM_ORDER_NEWEST, "D%6 a-3 A-2 A-1 "},
        {{0x00100020, 0, "*"}, 0, "A-1 A-2 a-3 B?4 C*5 D%6 "},
        {{0x00100020, 0, "A*"}, 0, "A-1 A-2 "},
    };
    for (unsigned level = 2; level <= 4; level++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char text[256] = "";
            const struct hilum_catalog_query query = {.size = sizeof query,
                                                      .level = level,
                                                      .keys = &cases[i].key,
                                                      .n_keys = 1,
                                                      .returns = returns,
                                                      .n_returns = 1,
                                                      .order = cases[i].order};
            pages_read(*state, query, text, sizeof text);
            assert_string_equal(text, cases[i].expected);
        }
    }
}

static void position__of_another_query_is_einval(void **state)
{
    static const char *const bad[] = {
        "x", "n.t61.1.2", "r", "r.", "r.x", "r.1.2", "r.99999999999999999999"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hilum_cursor *cursor = NULL;
        const struct hilum_catalog_query query = {
            .size = sizeof query, .level = 2, .after = bad[i]};
        if (hl_record_find(f->record, &query, NULL, &cursor) != HILUM_EINVAL)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void stalled_reader__holds_no_session(void **state)
{
    struct fixture *f = *state;
    hilum_cursor *cursors[32];
    const struct hilum_catalog_query query = {.size = sizeof query, .level = 2};
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(hl_record_find(f->record, &query, NULL, &cursors[i]), HILUM_OK);
        assert_int_equal(hl_cursor_next(cursors[i]), 1);
    }
    for (unsigned i = 0; i < 32; i++)
        hl_cursor_close(cursors[i]);
}

static void many_answers__come_page_by_page_each_once(void **state)
{
    enum { MANY = 1500 };
    struct fixture *f = *state;
    unsigned n = 0;
    static const uint32_t returns[] = {HL_SOP_INSTANCE_UID};
    for (unsigned i = 0; i < MANY; i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", i / 3); /* equal numbers: the row decides */
        sample_store(f, sample_new(100 + i, "00100020", "P", STUDY, "1.5", "0020000E", "1.5.1",
                                   "00200013", number, NULL));
    }
    const struct hilum_catalog_key key = {.tag = HL_STUDY_INSTANCE_UID, .value = "1.5"};
    const struct hilum_catalog_query query = {.size = sizeof query,
                                              .level = 4,
                                              .keys = &key,
                                              .n_keys = 1,
                                              .returns = returns,
                                              .n_returns = 1};
    hilum_cursor *cursor;
    assert_int_equal(hl_record_find(f->record, &query, NULL, &cursor), HILUM_OK);
    for (; hl_cursor_next(cursor) == 1; n++) {
        char uid[64];
        snprintf(uid, sizeof uid, "1.2.826.4.%u", 100 + n);
        assert_string_equal(hl_cursor_value(cursor, HL_SOP_INSTANCE_UID), uid);
    }
    assert_int_equal(n, MANY);
    hl_cursor_close(cursor);
}

static void han__traditional_and_simplified_are_one_name(void **state)
{
    struct fixture *f = *state;
    static const char *const asked[] = {"張^偉", "张^伟", "张*",      "張*",
                                        "*偉*",  "*伟*",  "zhang^wei"};
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Zhang^Wei=張^偉", NULL));
    sample_store(f, sample_new(2, "00100020", "P2", "00100010", "Zhang^Wei=张^伟", "00080090",
                               "劉^醫", NULL));
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", asked[i], NULL), "P1 P2");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010~", "偉", NULL), "P1 P2");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010~", "张伟", NULL), "P1 P2");
    assert_string_equal(find_text(f, 2, HL_PATIENT_ID, "00080090", "刘^医", NULL), "P2");
    /* and one person */
    sample_store(f, sample_new(3, "00100020", "P1", "00100010", "张^伟", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 0);
}

/* "1.3.0\\1.3.1\\..." with 1.2.3 as the last of n. */
static char *uid_list(unsigned n)
{
    struct hl_buf list = {0};
    for (unsigned i = 1; i < n; i++)
        hl_buf_printf(&list, "1.3.%u\\", i);
    hl_buf_text(&list, "1.2.3");
    char *copy = strdup(hl_buf_str(&list));
    hl_buf_fini(&list);
    assert_non_null(copy);
    return copy;
}

/* Each is stored as the one and asked for as the other, both ways. */
static void han__japanese_families_are_found_however_they_write_themselves(void **state)
{
    static const char *const pairs[][2] = {
        {"髙橋^健一", "高橋^健一"},
        {"山﨑^賢人", "山崎^賢人"},
        {"渡邉^恭子", "渡辺^恭子"},
        {"渡邊^誠", "渡辺^誠"},
        {"齋藤^隆", "斎藤^隆"},
        {"齊藤^和義", "斉藤^和義"},
        {"斉藤^由貴", "齋藤^由貴"},
        {"黒澤^明", "黒沢^明"},
        {"廣瀬^すず", "広瀬^すず"},
        {"櫻井^翔", "桜井^翔"},
        {"國分^太一", "国分^太一"},
        {"濱田^岳", "浜田^岳"},
        {"中嶋^悟", "中島^悟"},
        {"冨田^勲", "富田^勲"},
        {"𠮷野^家", "吉野^家"},
        {"葛󠄀城^ゆき", "葛城^ゆき"}, /* with a selector of the glyph */
        {"龍^馬", "竜^馬"},
        {"瀧^廉太郎", "滝^廉太郎"},
        {"眞子^惠", "真子^恵"},
        {"靜岡^實", "静岡^実"},
    };
    struct fixture *f = *state;
    unsigned n = sizeof pairs / sizeof *pairs;
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "J%u", i);
        sample_store(f, sample_new(i + 1, "00100020", id, "00100010", pairs[i][0], "00080090",
                                   pairs[i][1], NULL));
    }
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "J%u", i);
        assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", pairs[i][1], NULL), id);
        assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", pairs[i][0], NULL), id);
        assert_string_equal(find_text(f, 2, HL_PATIENT_ID, "00080090", pairs[i][0], NULL), id);
    }
    /* By one character, and not whoever has a like one. */
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "*沢*", NULL), "J7");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "埼*", NULL), "");
}

static hilum_rc find_uids(struct fixture *f, unsigned n_keys, const char *list, unsigned *answers)
{
    const struct hilum_catalog_key keys[] = {{HL_STUDY_INSTANCE_UID, 0, list},
                                             {HL_SERIES_INSTANCE_UID, 0, list}};
    const struct hilum_catalog_query query = {
        .size = sizeof query, .level = HILUM_LEVEL_SERIES, .keys = keys, .n_keys = n_keys};
    hilum_cursor *cursor = NULL;
    hilum_rc rc = hl_record_find(f->record, &query, NULL, &cursor);
    *answers = 0;
    if (rc != HILUM_OK)
        return rc;
    while ((rc = hl_cursor_next(cursor)) == 1)
        (*answers)++;
    hl_cursor_close(cursor);
    return rc;
}

static void uid_lists__are_answered_whole_or_refused(void **state)
{
    struct fixture *f = *state;
    unsigned answers;
    char *most = uid_list(16384), *more = uid_list(16385), *half = uid_list(15001);
    for (unsigned i = 0; i < 3; i++) { /* such statements are not kept: each is prepared anew */
        assert_int_equal(find_uids(f, 1, most, &answers), HILUM_OK);
        assert_int_equal(answers, 1);
    }
    assert_int_equal(find_uids(f, 1, more, &answers), HILUM_EFULL);
    assert_non_null(strstr(hl_error(), "more than 16384 UIDs"));
    assert_int_equal(find_uids(f, 2, half, &answers), HILUM_EFULL);
    assert_non_null(strstr(hl_error(), "more than 30000 values"));
    free(most);
    free(more);
    free(half);
}

static void name_lists__lose_no_value(void **state)
{
    struct hl_buf names = {0};
    for (unsigned i = 0; i < 63; i++)
        hl_buf_printf(&names, "NOBODY%u\\", i);
    hl_buf_text(&names, "Smith");
    assert_string_equal(find_text(*state, 2, HL_PATIENT_ID, "00100010", hl_buf_str(&names), NULL),
                        "D%6");
    hl_buf_text(&names, "\\Smith^John");
    assert_int_equal(
        strncmp(find_text(*state, 2, HL_PATIENT_ID, "00100010", hl_buf_str(&names), NULL), "HILUM",
                5),
        0);
    hl_buf_fini(&names);
}

static hilum_rc erase_none(void *arg, const char *store, const char *key)
{
    (void)arg;
    (void)store;
    (void)key;
    return HILUM_OK;
}

/* A catalogue as the version before left it: keys fold no Han. */
static void han__keys_of_an_older_catalogue_are_made_again(void **state)
{
    struct fixture *f = *state;
    sample_store(f,
                 sample_new(1, "00100020", "P1", "00100010", "張^偉", "00080090", "劉^醫", NULL));
    for (unsigned i = 2; i < 250; i++) {
        char id[16];
        snprintf(id, sizeof id, "L%u", i);
        sample_store(f, sample_new(i, "00100020", id, "00100010", "Latin^Name", NULL));
    }
    sample_store(f, sample_new(251, "00100020", "P3", "00100010", "渡邉^恭子", NULL));
    sample_store(f, sample_new(250, "00100020", "P2", "00100010", "陳^龍", NULL));
    sql_run(
        f,
        "DELETE FROM patient_name WHERE patient IN "
        "(SELECT id FROM patient WHERE patient_id LIKE 'P%');"
        "INSERT INTO patient_name SELECT name || '^', id, 0 FROM patient "
        "WHERE patient_id LIKE 'P%';"
        "UPDATE study SET referring_f = '=' || referring || '^=' WHERE referring <> '';"
        "DELETE FROM derivation; INSERT INTO derivation VALUES (1, 0), (2, 0), (3, 0)"); /* as 007 leaves it */
    assert_string_equal(find_text(f, 2, HL_PATIENT_ID, "00080090", "刘^医", NULL), "");
    assert_int_equal(hl_record_housekeep(f->record, 86400000, erase_none, NULL), HILUM_OK);
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "张^伟", NULL), "P1");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "*龙*", NULL), "P2");
    assert_string_equal(find_text(f, 2, HL_PATIENT_ID, "00080090", "刘^医", NULL), "P1");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "渡辺^恭子", NULL), "P3");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM derivation"), 0);
}

int main(void)
{
#define PEOPLE(name) cmocka_unit_test_setup_teardown(name, people_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        PEOPLE(study_keys__match_as_the_standard_says),
        PEOPLE(dates_and_times__match_by_value_and_range),
        PEOPLE(names__match_without_case_and_accents_in_any_group),
        PEOPLE(fuzzy_names__match_words_in_any_order),
        PEOPLE(chinese_names__are_found_the_ways_people_type_them),
        PEOPLE(date_and_time_ranges__are_one_period_only_when_combined),
        PEOPLE(keys__of_several_levels_are_all_applied),
        PEOPLE(values__come_back_as_they_are),
        PEOPLE(pages__continue_where_the_last_ended),
        PEOPLE(position__of_another_query_is_einval),
        PEOPLE(stalled_reader__holds_no_session),
        PEOPLE(many_answers__come_page_by_page_each_once),
        PEOPLE(uid_lists__are_answered_whole_or_refused),
        PEOPLE(name_lists__lose_no_value),
        cmocka_unit_test_setup_teardown(han__traditional_and_simplified_are_one_name,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            han__japanese_families_are_found_however_they_write_themselves, fixture_set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(han__keys_of_an_older_catalogue_are_made_again,
                                        fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
