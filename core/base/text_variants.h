/* Made by make_variants.py. Han characters that are one in a name though ICU's traditional and simplified forms leave them
 * apart: one class a word, closed under those forms, its first character standing for all.
 *
 * From the Joyo table of Japan (Cabinet Notification 2 of 2010), Unicode's Unihan database (kJinmeiyoKanji, kZVariant; Copyright
 * Unicode, Inc., under the Unicode License v3, https://www.unicode.org/license.txt) and a list of how families write
 * themselves. It knows nothing of look-up. SPDX-License-Identifier: Apache-2.0 AND Unicode-3.0 */
static const char han_classes[] =
    "㐂喜 㖈䎛 㘽㦳 㩁搉 㫚曶 㮣槩 䱍䱎 专専專 两両兩 严厳嚴 丰豊豐 乐楽樂 "
    "乗乘 乡郷鄉鄕 亚亜亞 从従從 仏佛 仮假 价価價 传伝傳 俭倹儉 値值 儿児兒 "
    "兎兔 兽獣獸 冨富 净浄淨 击撃擊 剂剤劑 剑剣劍 剩剰 劝勧勸 劳労勞 効效 "
    "势㔟勢 勅敕 勋勲勳 升昇曻 单単單 卖売賣 卫衛衞 即卽 卷巻 厅庁廳 历暦曆歴歷 "
    "压圧壓 县県縣 収收 发発發髪髮 变変變 叙敍 叠畳疊 吉𠮷 听聴聽 吴吳呉 吿告 "
    "啮噛嚙 团団團 园園薗 围囲圍 国囯圀國 图図圖 圆円圓 圈圏 土圡 坏壊壞 垒塁壘 "
    "埜野 塡填 増增 墫壿 壌壤 壱壹 壳殻殼 处処處 奖奨奬獎 娘嬢孃 娱娛娯 实実實 "
    "宽寛寬 对対對 尙尚 尧堯尭 岁歲歳 岛島嶋嶌 岩巌巖 岳嶽 峯峰 崎嵜﨑 巢巣 "
    "帡帲 带帯帶 并並併倂竝 广広廣 庄荘莊 应応應 废廃廢 弹弾彈 归帰歸 征徴徵 "
    "徳德 怀懐懷 总総總 恵惠 恶悪惡 恼悩惱 愼慎 戏戯戲 战戦戰 户戶戸 戻戾 払拂 "
    "扩拡擴 抜拔 拜拝 择択擇 挙擧 挿插揷 捜搜 据拠據 掲揭 搅撹攪 摄摂攝 摇揺搖 "
    "敎教 敓敚 斋斉斎齊齋齐 既旣 昂昻 显顕顯 晃晄 晓暁曉 晚晩 曹曺 曽曾 杂雑雜 "
    "权権權 松枩 枡桝 柏栢 查査 柳栁 栈桟棧 样様樣 桑桒 桥槗橋 梅楳 检検檢 "
    "概槪 榝樧 槇槙 樱桜櫻 欢歓歡 步歩 毎每 气気氣 泪涙淚 泷滝瀧 泽沢澤 济済濟 "
    "涉渉 涗涚 涩渋澀澁 淸清 渇渴 渊淵渕 渓溪 满満滿 滨浜濱濵 濑瀨瀬 灵霊靈 "
    "炼錬鍊 烧焼燒 煕熈熙 牺犠犧 猎猟獵 瓶甁 畄留 痩瘦 皋皐 盐塩鹽 砕碎 秋穐龝 "
    "稲稻 稳穏穩 穂穗 穣穰 笼篭籠 粋粹 系繋繫 絙絚 纤繊纖 纵縦縱 经経經 绘絵繪 "
    "继継繼 绪緒緖 续続續 绳縄繩 缘緣縁 翆翠 翻飜 聪聡聰 肃粛肅 胼腁 脏臓臟 "
    "脑脳腦 舍舎 舩船 艳艶艷 苿茉 荣栄榮 药薬藥 萌萠 萤蛍螢 营営營 蒍蔿 蔵藏 "
    "薫薰 薮籔藪 蘷虁 裴裵 褒襃 覇霸 观観觀 览覧覽 觉覚覺 訮詽 让譲讓 译訳譯 "
    "读読讀 豜豣 贰弐貳 赖賴頼 赞賛贊 跥跺 躗躛 軿輧 转転轉 轻軽輕 边辺邉邊 "
    "迟遅遲 递逓遞 郁欝鬱 郎郞 酔醉 酿醸釀 释釈釋 鉱鑛 钱銭錢 铁鉄鐡鐵 铸鋳鑄 "
    "镇鎭鎮 阔濶闊 陥陷 险険險 隐隠隱 隶隷隸 靑青 面麵麺 靭靱 颊頬頰 颕穎頴颖 "
    "饼餅餠 馆舘館 驱駆駈驅 驿駅驛 验験驗 骚騒騷 髄髓 高髙 鲹鯵鰺 鸡鶏鷄 鸥鴎鷗 "
    "鹤靍靏鶴 麴麹 黑黒 默黙 齿歯齒 龄齡齢 龙竜龍 龟亀龜 ";
