#!/usr/bin/env python3
"""Makes text_variants.h: Han characters that are one character in a name, beyond traditional and simplified.
make_variants.py [FOLDER_OF_UNIHAN]. Needs Unicode's Unihan tables (Debian: unicode-data) and ICU's uconv (icu-devtools);
run by hand when a list here has changed, the result is committed. SPDX-License-Identifier: Apache-2.0"""
import bz2
import os
import subprocess
import sys
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))

# The forms in parentheses of the Joyo table (Cabinet Notification 2 of 30 November 2010), each before its modern form, and
# further forms of the same kind that the table does not list since nobody prints them any more.
JOYO = """
亞亜 惡悪 壓圧 圍囲 醫医 爲為 壹壱 隱隠 榮栄 營営 衞衛 驛駅 圓円 鹽塩 緣縁 艷艶 應応 歐欧 毆殴 櫻桜 奧奥 橫横 溫温 穩穏 假仮
價価 畫画 會会 繪絵 壞壊 懷懐 槪概 擴拡 殼殻 覺覚 學学 嶽岳 樂楽 渴渇 卷巻 陷陥 勸勧 寬寛 關関 歡歓 觀観 氣気 旣既 歸帰 僞偽
戲戯 犧犠 舊旧 據拠 擧挙 虛虚 峽峡 挾挟 狹狭 鄕郷 曉暁 區区 驅駆 勳勲 薰薫 徑径 惠恵 揭掲 溪渓 經経 螢蛍 輕軽 繼継 鷄鶏 擊撃
硏研 縣県 儉倹 劍剣 險険 圈圏 檢検 獻献 權権 顯顕 驗験 嚴厳 廣広 效効 恆恒 黃黄 鑛鉱 號号 國国 黑黒 碎砕 濟済 齋斎 劑剤 雜雑
參参 棧桟 蠶蚕 慘惨 贊賛 殘残 齒歯 兒児 辭辞 濕湿 實実 寫写 舍舎 釋釈 壽寿 收収 從従 澁渋 獸獣 縱縦 肅粛 處処 緖緒 敍叙 尙尚
奬奨 將将 稱称 涉渉 燒焼 證証 乘乗 剩剰 壤壌 孃嬢 條条 淨浄 狀状 疊畳 讓譲 釀醸 囑嘱 觸触 寢寝 愼慎 晉晋 眞真 盡尽 圖図 粹粋
醉酔 隨随 髓髄 數数 樞枢 瀨瀬 聲声 靜静 齊斉 攝摂 竊窃 專専 戰戦 淺浅 潛潜 纖繊 踐践 錢銭 禪禅 曾曽 雙双 壯壮 搜捜 插挿 巢巣
爭争 總総 聰聡 莊荘 裝装 騷騒 增増 臟臓 藏蔵 卽即 屬属 續続 墮堕 對対 體体 帶帯 滯滞 臺台 瀧滝 擇択 澤沢 單単 擔担 膽胆 團団
彈弾 斷断 癡痴 遲遅 晝昼 蟲虫 鑄鋳 廳庁 徵徴 聽聴 敕勅 鎭鎮 遞逓 鐵鉄 轉転 點点 傳伝 黨党 盜盗 燈灯 當当 鬭闘 德徳 獨独 讀読
屆届 繩縄 貳弐 惱悩 腦脳 霸覇 廢廃 拜拝 賣売 麥麦 發発 髮髪 拔抜 晚晩 蠻蛮 祕秘 濱浜 甁瓶 拂払 佛仏 倂併 竝並 變変 邊辺 步歩
寶宝 豐豊 襃褒 沒没 飜翻 每毎 萬万 滿満 麵麺 默黙 餠餅 戾戻 彌弥 藥薬 譯訳 餘余 與与 譽誉 搖揺 樣様 謠謡 來来 賴頼 亂乱 覽覧
龍竜 兩両 獵猟 綠緑 淚涙 壘塁 勵励 禮礼 隸隷 靈霊 齡齢 戀恋 鍊錬 爐炉 勞労 樓楼 錄録 灣湾
彥彦 顏顔 產産 淸清 靑青 說説 脫脱 閱閲 稅税 銳鋭 悅悦 內内 吳呉 娛娯 戶戸 絕絶 歲歳 敎教 强強 吿告 剝剥 塡填 頰頬 郞郎 黑黒
鷗鴎 禱祷 蔣蒋 萊莱 麴麹 瘦痩 繫繋 攪撹 嚙噛 穎頴 龜亀 巖巌 穰穣 鬱欝 靱靭
"""

# How families write themselves, as the registers of people have it: what an office reads out as the same name.
NAMES = """
高髙 崎﨑嵜 邊辺邉 濱浜濵 齊斉齋斎斋 島嶋嶌 富冨 峰峯 野埜 園薗 淵渕 館舘 橋槗 桑桒 柳栁 昇曻 國国圀囯 吉𠮷 土圡 船舩 兔兎 檜桧 槙槇
籠篭 藪籔薮 秋穐龝 梅楳 柏栢 松枩 喜㐂 留畄 恒恆 凜凛 涼凉 熙熈煕 皋皐 晄晃 鶴靏靍 條条 岩巌 鐵鉄鐡 澁渋澀 瀬瀨 德徳 尚尙 昂昻
曹曺 裴裵 劉刘 棲栖 芦蘆 總総 敕勅 翠翆 關関 闊濶 鰺鯵 勢㔟 煙烟 堯尭 査查 桝枡
"""

# Not one in Chinese or Korean, where both are names of their own: left apart, whatever a list says.
APART = {"芸", "弁", "予", "欠", "糸", "缶"}

BLOCKS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFF))


def unihan(folder, name, field):
    """Pairs of characters of one field; what stands after '<' is its source."""
    path = os.path.join(folder, name)
    with (bz2.open(path + ".bz2", "rt") if os.path.exists(path + ".bz2") else open(path)) as lines:
        for line in lines:
            parts = line.rstrip("\n").split("\t")
            if len(parts) != 3 or parts[1] != field:
                continue
            for value in parts[2].split():
                target = value.split("<")[0].split(":")[-1]
                if target.startswith("U+"):
                    yield chr(int(parts[0][2:], 16)), chr(int(target[2:], 16))


def pairs(folder):
    for text in (JOYO, NAMES):
        for word in text.split():
            for other in word[1:]:
                yield word[0], other
    yield from unihan(folder, "Unihan_OtherMappings.txt", "kJinmeiyoKanji")
    for a, b in unihan(folder, "Unihan_Variants.txt", "kZVariant"):
        if max(ord(a), ord(b)) < 0x10000:  # the rare ones are in no name list
            yield a, b


def simplified(characters):
    """What ICU's Traditional-Simplified makes of each by itself."""
    text = "\n".join(characters)
    out = subprocess.run(["uconv", "-f", "utf-8", "-t", "utf-8", "-x", "Traditional-Simplified"], input=text.encode(),
                         stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    return {a: b if len(b) == 1 else a for a, b in zip(characters, out)}


def classes(folder):
    parent = {}

    def root(c):
        while parent.setdefault(c, c) != c:
            c = parent[c]
        return c

    for a, b in pairs(folder):
        a, b = (unicodedata.normalize("NFKC", c) for c in (a, b))
        if a != b and not {a, b} & APART:
            parent[root(b)] = root(a)
    members = sorted(parent)
    for a, b in simplified(members).items():
        parent[root(b)] = root(a)
    found = {}
    for c in sorted(parent):
        found.setdefault(root(c), []).append(c)
    forms = simplified(sorted(parent))
    words = []
    for word in found.values():
        images = [forms[c] for c in word]
        if len(set(images)) > 1:  # ICU alone makes one of the others
            first = max(images, key=lambda c: (images.count(c), -ord(c)))
            words.append(first + "".join(c for c in word if c != first))
    return sorted(words)


HEAD = """/* Made by make_variants.py. Han characters that are one in a name though ICU's traditional and simplified forms leave them
 * apart: one class a word, closed under those forms, its first character standing for all.
 *
 * From the Joyo table of Japan (Cabinet Notification 2 of 2010), Unicode's Unihan database (kJinmeiyoKanji, kZVariant; Copyright
 * Unicode, Inc., under the Unicode License v3, https://www.unicode.org/license.txt) and a list of how families write
 * themselves. It knows nothing of look-up. SPDX-License-Identifier: Apache-2.0 AND Unicode-3.0 */
static const char han_classes[] =
"""


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    words = classes(folder)
    for word in words:
        assert all(any(a <= ord(c) <= b for a, b in BLOCKS) for c in word) and 0x3400 <= ord(word[0]) <= 0x9FFF, word
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 42:
            lines.append(line)
            line = ""
        line += word + " "
    lines.append(line)
    with open(os.path.join(HERE, "text_variants.h"), "w", encoding="utf-8") as out:
        out.write(HEAD + "\n".join(f'    "{x}"' for x in lines) + ";\n")
    print(len(words), "classes of", sum(map(len, words)), "characters")


main()
