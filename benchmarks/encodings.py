"""How often the encoding of a text is guessed right, in many languages, from 300 lines and from 12.

python -m benchmarks.encodings [--texts 20] [--json FILE]

The lines were written for this script. Each text draws its lines at random from those of one
language, is written in an encoding of the time before Unicode and read again; a hit is a text that
comes back as it was, by whatever name. charset-normalizer is asked the same.
"""

import json
import random
from pathlib import Path
from typing import Annotated

import typer
from charset_normalizer import from_bytes

from charlstm.errors import CorpusError
from charlstm.text.encodings import decode

SIZES = (300, 12)
TEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Simplified Chinese": (
        ("gb18030",),
        (
            "雨停在车站的屋檐下",
            "你把名字写在玻璃上",
            "风一吹就散了",
            "我们绕着湖走了一圈",
            "谁的灯还亮到半夜",
            "旧毛衣里有去年的味道",
            "他说明天会早一点回来",
            "后来信都没有寄到",
            "桥那边是另一座城",
            "慢慢喝完这杯凉茶",
        ),
    ),
    "Traditional Chinese": (
        ("big5",),
        (
            "雨停在車站的屋簷下",
            "你把名字寫在玻璃上",
            "風一吹就散了",
            "我們繞著湖走了一圈",
            "誰的燈還亮到半夜",
            "舊毛衣裡有去年的味道",
            "他說明天會早一點回來",
            "後來信都沒有寄到",
            "橋那邊是另一座城",
            "慢慢喝完這杯涼茶",
        ),
    ),
    "Japanese": (
        ("shift_jis", "euc_jp", "iso2022_jp"),
        (
            "駅の屋根に雨がやんだ",
            "君は窓に名前を書いた",
            "風が吹けば消えてしまう",
            "二人で湖をひとまわり",
            "だれの灯りがまだついてる",
            "古いセーターに去年のにおい",
            "あしたは早く帰るよと言った",
            "手紙はとうとう届かなかった",
            "橋のむこうは別の街",
            "冷めたお茶をゆっくり飲む",
        ),
    ),
    "Korean": (
        ("euc_kr",),
        (
            "역 지붕 아래 비가 그쳤네",
            "너는 창문에 이름을 썼지",
            "바람이 불면 흩어져 버려",
            "우리는 호수를 한 바퀴 돌고",
            "누구의 등불이 아직 켜져 있을까",
            "낡은 스웨터에 지난해 냄새",
            "내일은 일찍 온다고 했는데",
            "편지는 끝내 닿지 않았어",
            "다리 건너편은 다른 도시",
            "식은 차를 천천히 마신다",
        ),
    ),
    "Polish": (
        ("cp1250", "iso8859_2", "mac_latin2"),
        (
            "deszcz ucichł na dachu stacji",
            "na szybie piszesz swoje imię",
            "wiatr zdmuchnął je w mgłę",
            "szliśmy wokół jeziora aż do świtu",
            "czyja lampa jeszcze się pali",
            "stary płaszcz pachnie zeszłą jesienią",
            "jutro wrócę wcześniej, mówił",
            "a listy nigdy nie doszły",
            "za mostem zaczyna się inne miasto",
            "powoli piję zimną herbatę",
        ),
    ),
    "Czech": (
        ("cp1250", "iso8859_2"),
        (
            "déšť utichl na střeše nádraží",
            "na sklo píšeš své jméno",
            "vítr je odvál do mlhy",
            "šli jsme kolem jezera až k ránu",
            "čí lampa ještě svítí",
            "starý kabát voní loňským podzimem",
            "zítra přijdu dřív, říkal",
            "a dopisy nikdy nedošly",
            "za mostem začíná jiné město",
            "pomalu piju studený čaj",
        ),
    ),
    "Hungarian": (
        ("cp1250", "iso8859_2"),
        (
            "elállt az eső az állomás tetején",
            "az üvegre írod a nevedet",
            "a szél a ködbe fújta",
            "körbejártuk a tavat hajnalig",
            "kinek a lámpája ég még",
            "a régi kabát őszi illatú",
            "holnap előbb jövök, mondta",
            "a levelek sosem értek ide",
            "a hídon túl másik város kezdődik",
            "lassan iszom a hűvös teát",
        ),
    ),
    "Russian": (
        ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"),
        (
            "Дождь затих на крыше вокзала",
            "на стекле ты пишешь имя",
            "ветер сдул его в туман",
            "мы кружили у озера до утра",
            "чья же лампа ещё горит",
            "старый плащ пахнет прошлой осенью",
            "завтра вернусь пораньше, сказал",
            "а письма так и не дошли",
            "за мостом уже другой город",
            "медленно пью остывший чай",
        ),
    ),
    "Ukrainian": (
        ("cp1251", "koi8_u"),
        (
            "Дощ затих на даху вокзалу",
            "на шибці ти пишеш ім’я".replace("’", "'"),
            "вітер здув його в імлу",
            "ми кружляли біля озера до ранку",
            "чия ж лампа ще горить",
            "старий плащ пахне минулою осінню",
            "завтра вернуся раніше, казав",
            "а листи так і не дійшли",
            "за мостом уже інше місто",
            "повільно п'ю холодний чай",
        ),
    ),
    "Greek": (
        ("cp1253", "iso8859_7"),
        (
            "η βροχή σταμάτησε στον σταθμό",
            "γράφεις στο τζάμι το όνομά σου",
            "ο άνεμος το πήρε στην ομίχλη",
            "γυρίσαμε τη λίμνη ως το πρωί",
            "ποιανού η λάμπα καίει ακόμα",
            "το παλιό παλτό μυρίζει φθινόπωρο",
            "αύριο θα γυρίσω νωρίς, είπε",
            "τα γράμματα δεν ήρθαν ποτέ",
            "πέρα απ το γεφύρι άλλη πόλη",
            "πίνω αργά το κρύο τσάι",
        ),
    ),
    "Turkish": (
        ("cp1254",),
        (
            "yağmur dindi istasyonun çatısında",
            "adını yazdın buğulu cama",
            "rüzgâr onu sise üfledi",
            "gölün çevresinde yürüdük sabaha dek",
            "kimin ışığı hâlâ yanıyor",
            "eski palto geçen güz kokuyor",
            "yarın erken dönerim dedi",
            "mektuplar hiç ulaşmadı",
            "köprünün ötesi başka şehir",
            "soğuk çayı yavaşça içiyorum",
        ),
    ),
    "French": (
        ("cp1252", "mac_roman", "cp850"),
        (
            "la pluie s'est arrêtée sur la gare",
            "tu écris ton prénom sur la vitre",
            "le vent l'a soufflé dans la brume",
            "nous avons marché jusqu'au matin",
            "à qui la lampe allumée là-bas",
            "le vieux manteau sent l'été passé",
            "demain je rentrerai plus tôt",
            "les lettres ne sont jamais arrivées",
            "de l'autre côté du pont, une ville",
            "je bois le thé déjà refroidi",
        ),
    ),
    "German": (
        ("cp1252", "mac_roman", "cp850"),
        (
            "der Regen hört am Bahnhof auf",
            "du schreibst den Namen auf die Scheibe",
            "der Wind verweht ihn über Nacht",
            "wir gingen um den See bis früh",
            "für wen brennt noch die Lampe",
            "der alte Mantel riecht nach Gärten",
            "ich komme morgen früher, hieß es",
            "die Briefe sind nie angekommen",
            "hinter der Brücke beginnt die Stadt",
            "ich trinke langsam kühlen Tee",
        ),
    ),
    "Spanish": (
        ("cp1252", "mac_roman"),
        (
            "la lluvia calló en la estación",
            "escribes tu nombre en el cristal",
            "el viento lo llevó a la niebla",
            "rodeamos el lago hasta la mañana",
            "¿de quién es la lámpara encendida?",
            "el viejo abrigo huele a otoño",
            "mañana volveré más temprano",
            "las cartas nunca llegaron",
            "detrás del puente empieza otra ciudad",
            "bebo despacio el té ya frío",
        ),
    ),
    "Portuguese": (
        ("cp1252", "mac_roman"),
        (
            "a chuva calou-se na estação",
            "escreves o teu nome no vidro",
            "o vento levou-o à neblina",
            "andámos à volta do lago até de manhã",
            "de quem é a lâmpada acesa",
            "o velho casaco cheira a verão",
            "amanhã não chego tão tarde",
            "as cartas nunca vieram",
            "depois da ponte há outra cidade",
            "bebo devagar o chá já frio",
        ),
    ),
    "Italian": (
        ("cp1252", "mac_roman"),
        (
            "la pioggia tace sulla stazione",
            "scrivi il tuo nome sul vetro",
            "il vento lo portò più in là",
            "girammo il lago fino al mattino",
            "di chi è la lampada accesa",
            "il cappotto sa già d'autunno",
            "domani tornerò più presto",
            "le lettere non arrivarono mai",
            "oltre il ponte c'è un'altra città",
            "bevo piano un tè ormai freddo",
        ),
    ),
    "Swedish": (
        ("cp1252", "mac_roman"),
        (
            "regnet tystnar över stationen",
            "du skriver ditt namn på rutan",
            "vinden blåste bort det i dimman",
            "vi gick runt sjön till gryningen",
            "vems lampa lyser ännu där",
            "den gamla rocken luktar höst",
            "i morgon kommer jag tidigare",
            "breven kom aldrig fram till mig",
            "bortom bron en annan stad",
            "jag dricker sakta kallnat te",
        ),
    ),
    "English": (
        ("cp1252", "mac_roman"),
        (
            "the rain gave up above the station",
            "you wrote your name across the glass",
            "and then the wind said “never mind”",
            "we walked around the lake till morning",
            "whose lamp is that? I don’t know",
            "the coat still smells like last year’s leaves",
            "“I’ll be home early,” so you said",
            "the letters never did arrive",
            "beyond the bridge another town",
            "I drink my tea — it has gone cold",
        ),
    ),
    "Lithuanian": (
        ("cp1257",),
        (
            "lietus nutilo ant stoties stogo",
            "ant stiklo rašai savo vardą",
            "vėjas nupūtė jį į rūką",
            "ėjome aplink ežerą iki ryto",
            "kieno lempa dar šviečia",
            "senas paltas kvepia rudeniu",
            "rytoj grįšiu anksčiau, sakė",
            "o laiškai taip ir neatėjo",
            "už tilto jau kitas miestas",
            "lėtai geriu šaltą arbatą",
        ),
    ),
    "Hebrew": (
        ("cp1255",),
        (
            "הגשם נדם על גג התחנה",
            "כתבת את שמך על החלון",
            "הרוח נשאה אותו לערפל",
            "הלכנו סביב האגם עד הבוקר",
            "של מי המנורה שעוד דולקת",
            "המעיל הישן מריח מסתיו",
            "מחר אחזור מוקדם, אמר",
            "המכתבים לא הגיעו לעולם",
            "מעבר לגשר עיר אחרת",
            "אני שותה לאט תה קר",
        ),
    ),
    "Arabic": (
        ("cp1256", "iso8859_6"),
        (
            "سكت المطر فوق سقف المحطة",
            "تكتب اسمك على الزجاج",
            "حملته الريح الى الضباب",
            "مشينا حول البحيرة حتى الصباح",
            "لمن المصباح الذي ما زال مضيئا",
            "المعطف القديم يشبه الخريف",
            "قال سأعود غدا باكرا",
            "لكن الرسائل لم تصل ابدا",
            "خلف الجسر مدينة اخرى",
            "اشرب الشاي البارد على مهل",
        ),
    ),
    "Thai": (
        ("cp874",),
        (
            "ฝนหยุดแล้วที่สถานี",
            "เธอเขียนชื่อบนกระจก",
            "ลมพัดไปกับหมอก",
            "เราเดินรอบทะเลสาบจนเช้า",
            "ไฟของใครยังสว่างอยู่",
            "เสื้อตัวเก่ามีกลิ่นปีก่อน",
            "พรุ่งนี้จะกลับเร็วกว่านี้",
            "จดหมายไม่เคยมาถึง",
            "อีกฝั่งสะพานคือเมืองอื่น",
            "ดื่มชาเย็นช้าช้า",
        ),
    ),
}


def text_of(lines: tuple[str, ...], size: int, seed: int) -> str:
    """Return a text of this many lines, drawn at random."""
    generator = random.Random(seed)
    return "".join(f"{generator.choice(lines)}\n" for _ in range(size))


def ours(data: bytes) -> str:
    """Read bytes as charlstm does."""
    try:
        return decode(data, name="text")[0]
    except CorpusError:
        return ""


def theirs(data: bytes) -> str:
    """Read bytes as charset-normalizer alone does."""
    best = from_bytes(data).best()
    return "" if best is None else str(best)


def hits(texts: int) -> list[dict[str, object]]:
    """Count the hits in every encoding."""
    rows: list[dict[str, object]] = []
    for language, (encodings, lines) in TEXTS.items():
        for encoding in encodings:
            row: dict[str, object] = {"language": language, "encoding": encoding}
            for size in SIZES:
                drawn = [text_of(lines, size, seed) for seed in range(texts)]
                for name, read in (("charlstm", ours), ("charset-normalizer", theirs)):
                    row[f"{name}, {size} lines"] = sum(
                        read(text.encode(encoding)) == text for text in drawn
                    )
            rows.append(row)
    return rows


def main(
    texts: Annotated[int, typer.Option(min=1, help="Texts of each size in each encoding.")] = 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Print how many texts came back as they were."""
    rows = hits(texts)
    for row in rows:
        print("  ".join(f"{value!s:>18}" for value in row.values()))
    counted = [name for name in rows[0] if "lines" in name]
    whole = [sum(int(str(row[name])) for row in rows) for name in counted]
    for name, number in zip(counted, whole, strict=True):
        print(f"{name}: {number:,} of {texts * len(rows):,}")
    if json_file is not None:
        json_file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
