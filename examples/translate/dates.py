"""Dates and times as people write them in English, German and French, with their ISO form."""

import datetime
import zlib

FIRST, LAST = datetime.date(1600, 1, 1), datetime.date(2199, 12, 31)
HELD_OUT = 10  # one day in so many occurs in no training pair

MONTHS = {
    "en": """january february march april may june july august september october november december""".split(),
    "de": """januar februar märz april mai juni juli august september oktober november dezember""".split(),
    "fr": """janvier février mars avril mai juin juillet août septembre octobre novembre décembre""".split(),
}
OTHER_MONTHS = {  # abbreviations and other spellings
    "en": ["jan jan.", "feb feb.", "mar mar.", "apr apr.", "may", "jun jun.", "jul jul.", "aug aug.", "sep sept sept.",
           "oct oct.", "nov nov.", "dec dec."],
    "de": ["jan. jänner", "feb. feber", "maerz mrz", "apr.", "mai", "jun.", "jul.", "aug.", "sept. sep.", "okt okt.",
           "nov.", "dez dez."],
    "fr": ["janv.", "févr. fevrier", "mars", "avr.", "mai", "juin", "juil.", "aout", "sept.", "oct.", "nov.",
           "déc. decembre"],
}
WEEKDAYS = {
    "en": """monday tuesday wednesday thursday friday saturday sunday""".split(),
    "de": """montag dienstag mittwoch donnerstag freitag samstag sonntag""".split(),
    "fr": """lundi mardi mercredi jeudi vendredi samedi dimanche""".split(),
}
UNITS = {
    "en": """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
             seventeen eighteen nineteen""".split(),
    "de": """null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn
             siebzehn achtzehn neunzehn""".split(),
    "fr": """zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept
             dix-huit dix-neuf""".split(),
}
TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety".split(),
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(),
    "fr": "vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt".split(),
}
ORDINALS = """zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
              fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth""".split()
HOLIDAYS = {
    "en": {"new year's day": (1, 1), "valentine's day": (2, 14), "april fools' day": (4, 1), "may day": (5, 1),
           "halloween": (10, 31), "christmas eve": (12, 24), "christmas day": (12, 25), "boxing day": (12, 26),
           "new year's eve": (12, 31), "christmas": (12, 25), "independence day": (7, 4)},
    "de": {"neujahr": (1, 1), "heiligabend": (12, 24), "silvester": (12, 31), "tag der arbeit": (5, 1),
           "nikolaus": (12, 6), "valentinstag": (2, 14), "tag der deutschen einheit": (10, 3)},
    "fr": {"noël": (12, 25), "le jour de l'an": (1, 1), "la saint-sylvestre": (12, 31), "la fête du travail": (5, 1),
           "la fête nationale": (7, 14), "la toussaint": (11, 1), "la saint-valentin": (2, 14)},
}


# ---- numbers in words --------------------------------------------------------------------------

def english(n):
    if n < 20:
        return UNITS["en"][n]
    return TENS["en"][n // 10 - 2] + (f"-{UNITS['en'][n % 10]}" if n % 10 else "")


def english_ordinal(n):
    if n < 20:
        return ORDINALS[n]
    tens = TENS["en"][n // 10 - 2]
    return f"{tens}-{ORDINALS[n % 10]}" if n % 10 else tens[:-1] + "ieth"


def german(n, last="eins"):
    if n < 20:
        return last if n == 1 else UNITS["de"][n]
    return (f"{UNITS['de'][n % 10]}und" if n % 10 else "") + TENS["de"][n // 10 - 2]


def german_ordinal(n):
    irregular = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
    return irregular.get(n) or german(n) + ("t" if n < 20 else "st")


def french(n):
    if n < 20:
        return UNITS["fr"][n]
    tens, rest = TENS["fr"][n // 10 - 2], n % 20 if n >= 60 else n % 10
    if rest == 0:
        return tens + ("s" if n == 80 else "")
    return tens + (" et " if rest in (1, 11) and n < 80 else "-") + UNITS["fr"][rest]


def century(random, y, word, hundred, thousand):
    """A year of four digits by its two halves or by thousands, as each language has it."""
    high, low = divmod(y, 100)
    if high in (20, 21):
        return thousand(high - 20, low)
    return hundred(random, word(high), low)


def english_year(random, y):
    def hundred(r, high, low):
        if low == 0:
            return f"{high} hundred"
        if low < 10:
            return r.choice([f"{high} hundred and {english(low)}", f"{high} oh {english(low)}"])
        return r.choice([f"{high} {english(low)}", f"{high} {english(low)}", f"{high} hundred and {english(low)}"])

    if y // 100 in (20, 21) and (y % 100 < 10 or random.random() < 0.4):
        high = "two thousand" + (" one hundred" if y >= 2100 else "")
        return high + (random.choice([" and ", " "]) + english(y % 100) if y % 100 else "")
    return hundred(random, english(y // 100), y % 100)


def german_year(random, y):
    high, low = divmod(y, 100)
    if high in (20, 21):
        return "zweitausend" + ("einhundert" if high == 21 else "") + (german(low) if low else "")
    return german(high) + "hundert" + (random.choice(["", "", "und"]) + german(low) if low else "")


def french_year(random, y):
    high, low = divmod(y, 100)
    text = "deux mille" if high >= 20 else "mil" if random.random() < 0.4 else "mille"
    hundreds = high % 10
    if hundreds:
        text += (" " if hundreds == 1 else f" {french(hundreds)} ") + "cent"
        text += "s" if hundreds > 1 and not low else ""
    return text + (f" {french(low)}" if low else "")


# ---- dates -----------------------------------------------------------------------------------------

def capital(text):
    return text[:1].upper() + text[1:]


def month(random, lang, m):
    names = [MONTHS[lang][m - 1]] * 3 + OTHER_MONTHS[lang][m - 1].split()
    name = random.choice(names)
    return name if lang == "fr" else capital(name)


def year(random, lang, y):
    kind = random.random()
    if kind < 0.60:
        return str(y)
    if kind < 0.68 and 1950 <= y < 2050:
        return f"'{y % 100:02}"
    return {"en": english_year, "de": german_year, "fr": french_year}[lang](random, y)


def english_date(random, d):
    suffix = "th" if 10 < d.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(d.day % 10, "th")
    word, nth = english_ordinal(d.day), f"{d.day}{suffix}"
    m, y = month(random, "en", d.month), year(random, "en", d.year)
    return random.choice([
        f"{d.day} {m} {y}", f"{m} {d.day}, {y}", f"the {nth} of {m} {y}", f"the {nth} of {m}, {y}", f"{m} {nth}, {y}",
        f"{nth} {m} {y}", f"the {word} of {m}, {y}", f"the {word} of {m} {y}", f"{m} the {word}, {y}",
        f"{m} {word} {y}", f"{d.day}-{m}-{d.year}", f"{y}, {m} {d.day}", f"{m} {d.day} {y}"])


def german_date(random, d):
    word, m, y = german_ordinal(d.day), month(random, "de", d.month), year(random, "de", d.year)
    return random.choice([
        f"{d.day}. {m} {y}", f"{d.day}. {m} {y}", f"am {d.day}. {m} {y}", f"{capital(word)}er {m} {y}",
        f"am {word}en {m} {y}", f"der {word}e {m} {y}", f"am {d.day}.{d.month}.{d.year}", f"den {d.day}. {m} {y}",
        f"am {word}en {german_ordinal(d.month)}en {y}", f"der {d.day}. {m} im Jahre {y}"])


def french_date(random, d):
    day = random.choice(["1er", "premier"]) if d.day == 1 else random.choice([str(d.day)] * 2 + [french(d.day)])
    m, y = month(random, "fr", d.month), year(random, "fr", d.year)
    return random.choice([f"{day} {m} {y}", f"le {day} {m} {y}", f"le {day} {m} {y}", f"le {day} {m} de l'an {y}",
                          f"{day} {m}, {y}"])


def numbers_date(random, d):
    return random.choice([f"{d.day}.{d.month}.{d.year}", f"{d.day:02}.{d.month:02}.{d.year}", d.isoformat(),
                          f"{d.year}/{d.month}/{d.day}", f"{d.year}/{d.month:02}/{d.day:02}", f"{d:%Y%m%d}",
                          f"{d.day}. {d.month}. {d.year}"])


def last_day(random, lang, d):
    """The last of a month with always the same number of days."""
    m, y = month(random, lang, d.month), year(random, lang, d.year)
    return {"en": f"the last day of {m} {y}", "de": f"am letzten Tag im {m} {y}",
            "fr": f"le dernier jour de {m} {y}"}[lang]


DATES = {"en": english_date, "de": german_date, "fr": french_date}


def write_date(random, lang, d):
    kind = random.random()
    names = [name for name, day in HOLIDAYS[lang].items() if day == (d.month, d.day)]
    if names and kind < 0.5:
        name = random.choice(names)
        return name + random.choice([" ", ", "]) + str(d.year)
    if d.month != 2 and kind < 0.5 and (d + datetime.timedelta(1)).day == 1:
        return last_day(random, lang, d)
    text = (numbers_date if kind > 0.9 else DATES[lang])(random, d)
    if random.random() < 0.2 and not text.startswith("am "):
        weekday = WEEKDAYS[lang][d.weekday()]
        text = (weekday if lang == "fr" else capital(weekday)) + random.choice([", ", " "]) + text
    return text


# ---- times of the day ----------------------------------------------------------------------------------

def part(lang, hour):
    """What follows an hour of twelve."""
    names = {"en": ("at night", "in the morning", "in the afternoon", "in the evening"),
             "de": ("nachts", "morgens", "nachmittags", "abends"),
             "fr": ("de la nuit", "du matin", "de l'après-midi", "du soir")}[lang]
    return names[0 if hour < 5 else 1 if hour < 12 else 2 if hour < 18 else 3]


def english_time(random, h, m):
    twelve, after = (h + 11) % 12 + 1, "am" if h < 12 else "pm"
    hour, following = english(twelve), english(h % 12 + 1)
    spoken = [f"{h}:{m:02}", f"{h:02}:{m:02}", f"{twelve}:{m:02} {after}", f"{twelve}:{m:02}{after}"]
    if m == 0:
        spoken += [f"{twelve} {after}", f"{twelve}{after}", f"{hour} o'clock {part('en', h)}"]
    if m == 30:
        spoken += [f"half past {hour} {part('en', h)}"] * 3
    if m == 15:
        spoken += [f"a quarter past {hour} {part('en', h)}"] * 3
    if m == 45 and h % 12 != 11 and part("en", h) == part("en", h + 1):
        spoken += [f"a quarter to {following} {part('en', h + 1)}"] * 3
    return "at " + random.choice(spoken)


def german_time(random, h, m):
    twelve, following = (h + 11) % 12 + 1, h % 12 + 1
    spoken = [f"{h}:{m:02}", f"{h}:{m:02} Uhr", f"{h}.{m:02} Uhr"]
    if m == 0:
        spoken += [f"{h} Uhr", f"{german(h, 'ein')} Uhr", f"{german(twelve, 'ein')} Uhr {part('de', h)}"]
    if m == 15:
        spoken += [f"Viertel nach {german(twelve)} {part('de', h)}"] * 3
    if h % 12 != 11 and part("de", h) == part("de", h + 1) and m in (30, 45):
        spoken += [f"{'halb' if m == 30 else 'Viertel vor'} {german(following)} {part('de', h)}"] * 3
    return "um " + random.choice(spoken)


def french_time(random, h, m):
    twelve = (h + 11) % 12 + 1
    hours = "heure" if twelve == 1 else "heures"
    word = "une" if twelve == 1 else french(twelve)
    spoken = [f"{h}h{m:02}", f"{h} h {m:02}", f"{h}:{m:02}"]
    if m == 0:
        spoken += [f"{h} h"] + [f"{word} {hours} {part('fr', h)}"] * 3
    if m in (15, 30):
        spoken += [f"{word} {hours} et {'demie' if m == 30 else 'quart'} {part('fr', h)}"] * 3
    return "à " + random.choice(spoken)


TIMES = {"en": english_time, "de": german_time, "fr": french_time}
NAMED = {"en": {(12, 0): "at noon", (0, 0): "at midnight"}, "de": {(12, 0): "um zwölf Uhr mittags"},
         "fr": {(12, 0): "à midi"}}


def write_time(random, lang, h, m):
    named = NAMED[lang].get((h, m))
    return named if named and random.random() < 0.5 else TIMES[lang](random, h, m)


# ---- pairs ----------------------------------------------------------------------------------------------

def held_out(d):
    return zlib.crc32(d.isoformat().encode()) % HELD_OUT == 0


def random_day(random):
    if random.random() < 0.05:
        m, day = random.choice([v for days in HOLIDAYS.values() for v in days.values()])
        return datetime.date(random.randint(FIRST.year, LAST.year), m, day)
    first = FIRST if random.random() < 0.7 else datetime.date(1900, 1, 1)
    last = LAST if first == FIRST else datetime.date(2049, 12, 31)
    return first + datetime.timedelta(random.randrange((last - first).days + 1))


def pair(random, held):
    """A text and its ISO form, of a day that is held out or of one that is not."""
    while held_out(d := random_day(random)) != held:
        pass
    lang = random.choice(list(DATES))
    text, iso = write_date(random, lang, d), d.isoformat()
    if random.random() < 0.45:
        h, m = random.randrange(24), random.choice([0, 0, 15, 30, 30, 45, random.randrange(60)])
        time, iso = write_time(random, lang, h, m), f"{iso}T{h:02}:{m:02}"
        joint = random.choice([" ", " ", ", "])
        text = f"{time}{joint}{text}" if random.random() < 0.15 else f"{text}{joint}{time}"
    return capital(text) if random.random() < 0.3 else text, iso


# ---- pieces ----------------------------------------------------------------------------------------------

def pieces():
    """Words and parts of words; every byte that may occur is one of them too."""
    words = set("""hundred thousand and oh of the st nd rd th 1st 2nd 3rd tausend hundert und te ten ter ste sten ster
                   erst dritt siebt acht am den der im jahre mil mille cent cents et le de l'an 1er premier deux last
                   day letzten tag dernier jour at noon midnight half past quarter to a am pm o'clock night in morning
                   afternoon evening uhr viertel nach vor halb nachts morgens nachmittags abends mittags um à h heure
                   heures une demie quart midi de la nuit du matin l'après-midi soir eins dix vingt
                   quatre-vingt""".split())
    for lang in DATES:
        words |= {*MONTHS[lang], *" ".join(OTHER_MONTHS[lang]).split(), *WEEKDAYS[lang], *UNITS[lang], *TENS[lang],
                  *" ".join(HOLIDAYS[lang]).split()}
    words |= set(ORDINALS[1:]) | {"twentieth", "thirtieth"}
    return sorted(words | set("abcdefghijklmnopqrstuvwxyz0123456789 .,-/':äöüßéèêàûç"))


def split(text, number, longest):
    """The longest piece from the left, again and again; what is none is left out."""
    text, at, out = text.lower(), 0, []
    while at < len(text):
        for n in range(longest, 0, -1):
            if text[at:at + n] in number:
                out.append(number[text[at:at + n]])
                break
        at += n
    return out
