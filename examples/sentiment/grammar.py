"""Reviews from a grammar: sentences with a known sentiment.

A clause is good, bad or neutral by construction. Templates have slots {s:...} for words of the clause's own
sign and {o:...} for words of the opposite one ("not {o:a} at all"), so that negation, contrast, hearsay and
what-might-have-been turn words round in either direction. A pair of things that meet in a sentence (template
and word, subject and word, intensifier and word) may be held out: such a pair never occurs in training.
"""

import re
import zlib

LABELS = ["negative", "neutral", "positive"]

# Adjectives, nouns with article, verbs (past, base), things that one may have or lack.
WORDS = {
    +1: {
        "a": """good great excellent wonderful brilliant superb lovely delightful charming impressive fantastic
                beautiful perfect outstanding pleasant enjoyable clever memorable amazing marvellous magnificent
                splendid remarkable refreshing funny elegant satisfying moving fun nice fine gripping""".split(),
        "n": """a masterpiece|a gem|a triumph|a treat|a delight|a joy|a pleasure|a success|a winner|a classic|a marvel
                |a surprise of the best kind|a feast""".split("|"),
        "v": "loved/love enjoyed/enjoy liked/like adored/adore admired/admire appreciated/appreciate".split(),
        "t": "charm wit warmth style imagination humour energy heart depth taste".split(),
    },
    -1: {
        "a": """bad terrible awful dreadful boring dull poor horrible disappointing weak mediocre clumsy annoying ugly
                tedious forgettable lazy unpleasant stale predictable painful pointless shallow ridiculous bland
                miserable confusing irritating atrocious lifeless stupid pathetic""".split(),
        "n": """a disaster|a mess|a failure|a waste of time|a letdown|a joke|a nightmare|a disgrace|a bore|a shambles
                |a mistake|a chore|a flop""".split("|"),
        "v": "hated/hate disliked/dislike regretted/regret loathed/loathe despised/despise detested/detest".split(),
        "t": "cliches noise flaws holes errors problems dirt bugs delays gloom".split(),
    },
}
WORDS = {sign: {k: [w.strip() for w in v] for k, v in kinds.items()} for sign, kinds in WORDS.items()}

SINGULAR = """the film|the movie|this film|this movie|the book|the novel|the story|the plot|the acting|the music
|the ending|the dialogue|the script|the show|the play|the album|the concert|the restaurant|the food|the service
|the soup|the dessert|the wine|the pizza|the hotel|the room|the bed|the breakfast|the view|the staff|the phone
|the screen|the battery|the camera|the sound|the game|the lecture|the museum|the app|the coffee|it|this|everything
|the whole thing|the cast|the second half|the beginning|the place"""
PLURAL = """the actors|the characters|the songs|the scenes|the jokes|the waiters|the rooms|the photos|the pictures
|the effects|the costumes|the desserts|the seats|the dialogues|the chapters|the prices"""
SUBJECTS = [(s.strip(), "was is".split()) for s in SINGULAR.split("|")] + \
           [(s.strip(), "were are".split()) for s in PLURAL.split("|")]
OBJECTS = [s for s, _ in SUBJECTS]

INTENSE = "very really truly absolutely incredibly extremely so quite remarkably utterly surprisingly simply".split()
MILD = "rather pretty somewhat fairly a little".split(" ", 4)

# Of either sign. {S} subject, {B} its verb, {N} the verb with not, {I} intensifier, {O} object.
TEMPLATES = """{S} {B} {s:a}
{S} {B} {s:a}
{S} {B} {I} {s:a}
{S} {B} {I} {s:a}
{S} {B} {M} {s:a}
{S} {B} {s:a} and {s:a}
{S} {B} {s:a} , {s:a} and {s:a}
{S} {N} {o:a}
{S} {N} {o:a} at all
{S} {N} {I} {o:a}
{S} {B} never {o:a}
{S} {B} anything but {o:a}
{S} {B} far from {o:a}
{S} {B} by no means {o:a}
{S} {B} hardly {o:a}
{S} {B} not in the least {o:a}
{S} {B} nothing short of {s:a}
{S} {B} not only {s:a} but {s:a}
{S} {B} not just {s:a} , {B} {s:a}
{S} {B} neither {o:a} nor {o:a}
{S} {B} no longer {o:a}
{S} {B} {s:n}
{S} {B} truly {s:n}
{S} {N} {o:n}
{S} {B} hardly {o:n}
{S} {B} never {o:n}
{S} {B} {s:a} from beginning to end
{S} turned out to be {s:a}
{S} turned out to be {s:n}
{S} seemed {s:a} to me
{S} proved {I} {s:a}
{s:a}
{I} {s:a}
what {s:n}
what {s:n} {S} {B}
how {s:a}
how {s:a} {S} {B}
i {s:v} {O}
i {s:b} {O}
i {I} {s:v} {O}
we {s:v} every minute of it
we all {s:v} {O}
my friends {s:v} {O}
i did not {o:b} {O}
i didn't {o:b} {O} at all
nobody could {o:b} {O}
i could not {o:b} {O}
i found {O} {s:a}
i found {O} {I} {s:a}
i did not find {O} {o:a}
nothing about {O} {B1} {o:a}
everything about {O} {B1} {s:a}
i have never seen anything so {s:a}
{S} {B} full of {s:t}
{S} {B} without {o:t}
{S} had no {o:t}
{S} had plenty of {s:t}
{s:a} {W} and {s:a} {W}
{I} {s:a} {W}
not a {o:a} {W}
a {I} {s:a} {W}
it was a {s:a} {W}
{S} {B} a {s:a} {W}
such a {s:a} {W}
this was not a {o:a} {W}
there was nothing {o:a} about {O}
it is hard to {o:b} {O}
it is easy to {s:b} {O}
you will {s:b} {O}
you will not {o:b} {O}""".split("\n")
WHATS = """film movie book story evening meal hotel phone game show concert performance idea experience dinner room
place day night product service plot""".split()

# Of one sign only; fixed phrases.
ONLY = {
    +1: """not bad|not bad at all|not too bad|not half bad|could not have been better|it could have been worse
|worth every penny|money well spent|well worth a visit|i cannot recommend it enough|i recommend {O}
|i would recommend {O} to anyone|highly recommended|do not miss it|never a dull moment|{S} did not disappoint
|{S} never failed to impress|i can't wait to return|i would go back tomorrow|nothing wrong with {O}
|there was nothing to complain about|i could not stop laughing|{S} exceeded my expectations|{S} {B} a cut above the rest
|{S} made my day|i would watch it again|i can't complain about {O}|{S} won me over|five stars|two thumbs up
|{S} {B} better than expected|{S} {B} better than i had hoped|{S} {B} as good as it gets|the best {W} i have ever seen
|the best {W} i have ever had|{S} {B} the best {W} of the year|{S} {B} better than ever|it gets better and better
|{S} works like a dream|go and see it|{S} {B} second to none|i have no complaints|you cannot go wrong with {O}
|it never gets old|i was not disappointed|i was impressed by {O}|{S} {B} worth the money|{S} {B} well worth the wait""",
    -1: """no good|not good enough|it could have been better|could not have been worse|a waste of money
|not worth the money|not worth it|i cannot recommend {O}|i would not recommend {O} to anyone|do not bother|never again
|{S} failed to impress|{S} fell flat|i want my money back|stay away|avoid {O}|{S} let me down|i could not wait to leave
|{S} left me cold|i walked out after ten minutes|i fell asleep|{S} did not work|nothing worked
|{S} {B} not what i had hoped for|there was a lot to complain about|i would not go back|{S} {B} worse than expected
|{S} {B} as bad as it gets
|the worst {W} i have ever seen|the worst {W} i have ever had|{S} {B} the worst {W} of the year
|{S} {B} worse than ever|it gets worse and worse
|one star|two thumbs down|{S} {B} not up to standard|{S} could not hold my attention|it gets old very quickly
|i was disappointed|i was not impressed by {O}|i have better things to do|{S} {B} a far cry from what was promised
|{S} stopped being fun after ten minutes|{S} {B} not worth the wait|i expected better|who would want this
|if you like good things , stay away""",
    0: """we arrived on {D}|i bought {O} on {D}|{O} opened in {Y}|{S} {B} about {Z}|{S} {B} neither {+a} nor {-a}
|{S} {B} {C}|{S} {B} {C} and {C}|there {B1} two of them|i saw {O} on {D}|we ordered {O}|the price was {Z} euros
|{S} has {Z} parts|my brother gave it to me|it comes in a {C} box|{S} {B} the same as last year|we left at {Z}
|the author was born in {Y}|it takes {Z} minutes|{O} is near the station|{S} starts at {Z}|i have not seen {O} yet
|i am reading {O}|we went there with my sister|we are going there on {D}|{S} {B} made in {Y}|this is {O}
|{S} lasts {Z} hours|nobody told us about {O}|the second one is {C}|it does what it says|{S} {B} average|{S} {B} okay
|{S} {B} okay , nothing more|i have no opinion about {O}|some say it is {+a} , some say it is {-a}""",
}
ONLY = {sign: [t.strip() for t in text.split("|")] for sign, text in ONLY.items()}
NEUTRAL = {
    "D": "monday tuesday wednesday thursday friday saturday sunday".split(),
    "Y": "january february march april may june july august september october november december".split(),
    "Z": "two three four five six seven eight nine ten eleven twelve twenty thirty fifty".split(),
    "C": "blue red green black white large small wooden square round long short old new".split(),
}

# Sentences of several clauses: p has the sentence's sign, q the opposite one, z is neutral.
FRAMES = """{p}
{p}
{p}
{p}
{p} , and {p}
{p} and {p}
{p} . {p}
{q} , but {p}
{q} , but {p}
{q} but {p}
{q} . still , {p}
{q} . however , {p}
{q} , yet {p}
although {q} , {p}
even though {q} , {p}
though {q} , {p}
{p} , although {q}
{p} , even though {q}
{p} even though {q}
{p} despite the {qa} {W}
despite the {qa} {W} , {p}
in spite of the {qa} {W} , {p}
{z} , and {p}
{z} and {p}
{p} . {z}
{z} . {p}
i expected {qn} , but {p}
i had expected {qn} , and yet {p}
everyone told me {S} {B} {qa} , but {p}
people say {S} {B} {qa} . {p}
the critics called it {qn} , but {p}
i wanted to {qb} it , but {p}
it would have been {qa} if {S} had not been {pa}
if {S} had not been {pa} , it would have been {qa}
{S} could have been {qa} , but {p}
on paper {S} {B} {qa} . in truth {p}
at first i thought it was {qa} , but {p}
it looks {qa} , but {p}
{f} , {p}
{f} {p}
{p} , {f}
{q} , but {f} {p}""".split("\n")
NEUTRAL_FRAMES = """{z}
{z}
{z} , and {z}
{z} . {z}
{f} , {z}
{z} , but {z}""".split("\n")
FILLERS = """honestly|to my surprise|in the end|overall|all in all|as always|to be fair|if you ask me|in my opinion
|i must say|i have to admit|for once|this time|without a doubt|believe me|i think|my wife says|of course|sadly
|luckily"""
FILLERS = [f.strip() for f in FILLERS.split("|")]
HELD_OUT = 8  # one pair in so many

SHORT = {"cannot": "can't", "can not": "can't", "did not": "didn't", "could not": "couldn't", "would not": "wouldn't",
         "do not": "don't", "have not": "haven't", "had not": "hadn't", "will not": "won't"}
NOT = {"was": ["was not", "wasn't"], "is": ["is not", "isn't"], "were": ["were not", "weren't"],
       "are": ["are not", "aren't"]}


class Writer:
    """Writes one sentence at a time; remembers which pairs met in it."""

    def __init__(self, random):
        self.random, self.pairs = random, []

    def word(self, sign, kind):
        if kind in "vb":
            return self.random.choice(WORDS[sign]["v"]).split("/")["vb".index(kind)]
        return self.random.choice(WORDS[sign][kind])

    def clause(self, sign):
        """A template and its slots, filled from left to right."""
        either = sign and self.random.random() < 0.75
        template = self.random.choice(TEMPLATES if either else ONLY[sign])
        subject, verbs = self.random.choice(SUBJECTS)
        verb = self.random.choice(verbs)
        fixed = {"S": subject, "B": verb, "B1": self.random.choice(["was", "is"]),
                 "N": self.random.choice(NOT[verb]), "M": self.random.choice(MILD)}
        return self.fill(template, sign, fixed)

    def fill(self, template, sign, fixed):
        out, words, context = [], [], [template]
        for slot in template.split():
            if not slot.startswith("{"):
                out.append(slot)
                continue
            name = slot.strip("{}")
            if name[:2] in ("s:", "o:"):
                out.append(self.word(sign if name[0] == "s" else -sign, name[2]))
                words.append(out[-1])
            elif name in ("+a", "-a"):
                out.append(self.word(int(name[0] + "1"), "a"))
            else:
                choice = {"I": INTENSE, "O": OBJECTS, "W": WHATS, **NEUTRAL}.get(name)
                out.append(self.random.choice(choice) if choice else fixed[name])
                if name in "SIO":
                    (context if sign else words).append(out[-1])
        self.pairs += [(c, w) for c in context for w in words]
        return " ".join(out)

    def sentence(self, sign):
        """Words separated by blanks, and whether a pair that is held out occurs."""
        self.pairs = []
        frame = self.random.choice(FRAMES if sign else NEUTRAL_FRAMES)
        subject, verbs = self.random.choice(SUBJECTS)
        out = []
        for slot in frame.split():
            name = slot.strip("{}")
            if name in ("p", "q", "z"):
                out.append(self.clause({"p": sign, "q": -sign, "z": 0}[name]))
            elif name in ("pa", "qa", "qn", "qb"):
                out.append(self.word(sign if name[0] == "p" else -sign, name[1]))
                self.pairs.append((frame, out[-1]))
            elif slot.startswith("{"):
                out.append({"f": self.random.choice(FILLERS), "S": subject, "B": verbs[0],
                            "W": self.random.choice(WHATS)}[name])
            else:
                out.append(slot)
        held = any(zlib.crc32("|".join(p).encode()) % HELD_OUT == 0 for p in self.pairs)
        text = re.sub(r"\ba (?=[aeiou])", "an ", " ".join(out))
        if self.random.random() < 0.4:
            text = re.sub("|".join(SHORT), lambda found: SHORT[found[0]], text)
        return text, held


def sentences(random, count, held_out):
    """(words, label) of sentences with a held-out pair, or of those without one; no sentence twice."""
    writer, seen = Writer(random), set()
    while len(seen) < count:
        label = random.randrange(3)
        text, held = writer.sentence(label - 1)
        if held == held_out and text not in seen:
            seen.add(text)
            yield text, label
