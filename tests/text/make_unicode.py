"""Writes src/text/unicode_table.h: what the tokenisers need to know of Unicode, from Python's unicodedata.

    python3 tests/text/make_unicode.py src/text/unicode_table.h

Five tables: classes of characters as runs, lower case as runs with a difference, canonical decompositions
of one step (with a mark where composition must not take them back), compatibility decompositions of one
step, and combining classes as runs.
"""

import sys
import unicodedata as U

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CIRCLED = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]  # alphabetic symbols


def kind(c):
    """The number of the class, as in enum ln_unicode_class."""
    category = U.category(chr(c))
    names = {"Mn": 2, "Mc": 3, "Me": 3, "Nd": 4, "Nl": 5, "No": 6, "Pc": 7, "Zs": 9, "Zl": 9, "Zp": 9,
             "Cc": 10, "Cf": 10, "Co": 10}
    if category in names:
        return names[category]
    if any(a <= c <= b for a, b in CIRCLED):
        return 11
    return {"L": 1, "P": 8}.get(category[0], 0)


def runs(value):
    """(first code, value) wherever the value changes."""
    out, last = [], None
    for c in CODES:
        v = value(c)
        if v != last:
            out.append((c, v))
            last = v
    return out


def lower_runs():
    """(first, last, step, difference): lower case of every step-th character."""
    out = []
    for c in CODES:
        low = chr(c).lower()
        if low == chr(c) or len(low) > 1:
            continue  # U+0130 alone becomes two characters
        d = ord(low) - c
        if out and out[-1][3] == d and out[-1][0] == out[-1][1] and c - out[-1][1] <= 2:
            out[-1][1:3] = [c, c - out[-1][1]]
        elif out and out[-1][3] == d and out[-1][1] + out[-1][2] == c:
            out[-1][1] = c
        else:
            out.append([c, c, 1, d])
    return out


def decompositions():
    """(code, first, second or 0, not composed)"""
    out = []
    for c in CODES:
        text = U.decomposition(chr(c))
        if not text or text.startswith("<"):
            continue
        parts = [int(p, 16) for p in text.split()]
        back = U.normalize("NFC", "".join(map(chr, parts))) == chr(c)
        out.append((c, parts[0], parts[1] if len(parts) > 1 else 0, 0 if back else 1))
    return out


def compatible():
    """Runs of (first, last, characters): of a run of several, the one character goes up with the code."""
    out = []
    for c in CODES:
        text = U.decomposition(chr(c))
        if not text.startswith("<"):
            continue
        parts = [int(p, 16) for p in text.split()[1:]]
        last = out[-1] if out else None
        if last and len(parts) == len(last[2]) == 1 and last[1] + 1 == c and parts[0] - last[2][0] == c - last[0] < 256:
            last[1] = c
        else:
            out.append([c, c, parts])
    return out


def table(f, head, items, per_line=8):
    f.write(head + " = {\n")
    for i in range(0, len(items), per_line):
        f.write("    " + " ".join(x + "," for x in items[i:i + per_line]) + "\n")
    f.write("};\n\n")


def main(path):
    pairs = decompositions()
    back = sorted((p for p in pairs if not p[3]), key=lambda p: (p[1], p[2]))
    place = {p[0]: i for i, p in enumerate(pairs)}
    with open(path, "w") as f:
        f.write(f"""/*
 * unicode_table.h - made by tests/text/make_unicode.py from Unicode {U.unidata_version}; not to be edited.
 */
#ifndef LN_UNICODE_TABLE_H
#define LN_UNICODE_TABLE_H

#include <stdint.h>

/* code << 4 | class: from here to the next entry. */
""")
        table(f, "static const uint32_t unicode_class[]", [f"0x{c << 4 | v:x}" for c, v in runs(kind)], 12)
        f.write("/* first, last, step, difference to the lower case */\n")
        table(f, "static const struct { uint32_t first, last; int32_t step, difference; } unicode_lower[]",
              ["{ 0x%x, 0x%x, %d, %d }" % tuple(r) for r in lower_runs()], 4)
        f.write("/* canonical decomposition, one step: code << 43 | first << 22 | second << 1 | not composed */\n")
        table(f, "static const uint64_t unicode_pair[]",
              [f"0x{c << 43 | a << 22 | b << 1 | x:x}" for c, a, b, x in pairs], 6)
        f.write("/* those that are composed, in order of first and second: places in unicode_pair */\n")
        table(f, "static const uint16_t unicode_back[]", [str(place[p[0]]) for p in back], 20)
        chars, items = [], []
        for first, last, parts in compatible():
            items.append(f"0x{first << 32 | (last - first) << 24 | len(parts) << 16 | len(chars):x}")
            chars += parts
        assert len(chars) < 1 << 16
        f.write("/* compatibility decomposition, one step: first << 32 | how many more << 24 | count << 16 | place of its\n"
                " * characters; of a run of several the character goes up with the code */\n")
        table(f, "static const uint64_t unicode_compatible[]", items, 8)
        table(f, "static const uint32_t unicode_chars[]", [f"0x{c:x}" for c in chars], 16)
        f.write("/* code << 8 | combining class: from here to the next entry. */\n")
        table(f, "static const uint32_t unicode_combining[]",
              [f"0x{c << 8 | v:x}" for c, v in runs(lambda c: U.combining(chr(c)))], 12)
        f.write("#endif\n")


main(sys.argv[1])
