#!/usr/bin/env python3
"""Draw the digits of this example: 20 images, made from strokes, no data set involved.

    python draw_digits.py                 writes digits/0a.pgm ... digits/9b.pgm beside this file
    python draw_digits.py --check OUT     also reads them with OUT/mnist.keras (see train.py) and
                                          writes OUT/vectors.npz, OUT/vectors/{input_0,output_0}.npy

Each digit is written in two forms by four hands. As in MNIST the ink fits a box of 20 pixels
inside 28, its centre of mass lies in the middle, and it is white on black. Nothing is random.
"""

import argparse
from collections import namedtuple
from pathlib import Path

import numpy as np

SIZE, BOX = 28, 20

# slant: sideways move per height; turn: degrees; width: of the letter box;
# pen: radius in pixels; sway: how far, in pixels, a stroke strays from its ideal line.
Hand = namedtuple("Hand", "slant turn width pen sway")
UPRIGHT = Hand(slant=0.00, turn=0, width=1.00, pen=1.35, sway=0.3)
LEANING = Hand(slant=0.28, turn=2, width=0.95, pen=1.10, sway=0.4)
MARKER = Hand(slant=0.10, turn=-3, width=1.08, pen=1.75, sway=0.3)
FINELINE = Hand(slant=0.16, turn=5, width=0.88, pen=0.95, sway=0.5)


def line(*points):
    """Straight from point to point."""
    p = np.array(points, float)
    return np.concatenate([np.linspace(a, b, 12) for a, b in zip(p, p[1:])])


def curve(*points):
    """A smooth stroke through the points (Catmull-Rom)."""
    p = np.array(points, float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, 12)[:, None]
    return np.concatenate([
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:])])


def oval(x, y, rx, ry, start, sweep):
    """Part of an ellipse; degrees clockwise from the right, as y grows downwards."""
    a = np.radians(np.linspace(start, start + sweep, 60))
    return np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], 1)


# The form of each digit in a box of height 1; x to the right, y downwards.
DIGITS = {
    "0a": (UPRIGHT, [oval(.5, .5, .34, .5, -70, 360)]),
    "0b": (LEANING, [oval(.5, .5, .25, .5, -110, -375)]),
    "1a": (MARKER, [line((.5, 0), (.5, 1))]),
    "1b": (FINELINE, [line((.28, .24), (.5, 0), (.5, 1))]),
    "2a": (UPRIGHT, [curve((.15, .24), (.26, .06), (.5, 0), (.74, .12), (.74, .34), (.48, .68),
                           (.12, 1)), line((.12, 1), (.86, 1))]),
    "2b": (LEANING, [curve((.18, .2), (.42, 0), (.7, .12), (.68, .42), (.42, .8), (.2, .98),
                           (.08, .86), (.24, .78), (.52, .94), (.88, .92))]),
    "3a": (MARKER, [curve((.16, .12), (.44, 0), (.72, .12), (.7, .36), (.38, .47)),
                    curve((.38, .47), (.74, .56), (.8, .82), (.48, 1), (.12, .88))]),
    "3b": (FINELINE, [line((.14, .02), (.78, 0), (.42, .4)),
                      curve((.42, .4), (.72, .48), (.8, .74), (.52, .99), (.12, .92))]),
    "4a": (UPRIGHT, [line((.24, .02), (.14, .52), (.82, .5)), line((.72, .06), (.66, 1))]),
    "4b": (LEANING, [line((.58, 1), (.64, 0), (.08, .66), (.9, .66))]),
    "5a": (MARKER, [line((.78, .02), (.26, .02), (.22, .42)),
                    curve((.22, .42), (.52, .36), (.8, .54), (.76, .84), (.46, 1), (.14, .9))]),
    "5b": (FINELINE, [line((.3, .06), (.24, .44)), line((.3, .06), (.84, 0)),
                      curve((.24, .44), (.5, .38), (.72, .54), (.72, .8), (.46, .99), (.12, .94))]),
    "6a": (UPRIGHT, [curve((.66, .02), (.36, .3), (.2, .68), (.36, .96), (.62, .95), (.76, .74),
                           (.6, .55), (.36, .6), (.22, .78))]),
    "6b": (LEANING, [curve((.52, 0), (.28, .34), (.22, .72), (.4, .99), (.64, .86), (.62, .6),
                           (.42, .54), (.24, .7))]),
    "7a": (UPRIGHT, [line((.12, .04), (.82, .02), (.42, 1))]),
    "7b": (MARKER, [line((.12, .06), (.84, 0)), curve((.84, 0), (.6, .4), (.44, 1)),
                    line((.36, .53), (.74, .5))]),
    "8a": (LEANING, [curve((.74, .14), (.5, 0), (.26, .16), (.4, .4), (.66, .6), (.7, .86),
                           (.44, 1), (.22, .84), (.36, .58), (.62, .4), (.74, .14))]),
    "8b": (UPRIGHT, [oval(.5, .24, .24, .24, 80, 365), oval(.5, .74, .3, .26, -95, 365)]),
    "9a": (UPRIGHT, [oval(.46, .27, .27, .27, -20, -340), line((.74, .08), (.68, 1))]),
    "9b": (FINELINE, [curve((.72, .16), (.46, 0), (.22, .22), (.36, .5), (.62, .42), (.74, .16),
                            (.74, .6), (.56, .94), (.24, .96))]),
}


def written(hand, strokes):
    """The strokes as this hand writes them, in pixels, the ink filling the box of 20 pixels."""
    turn = np.radians(hand.turn)
    shape = np.array([[hand.width, 0], [-hand.slant, 1]])  # row vectors: (x, y) @ shape
    shape = shape @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    strokes = [s @ shape for s in strokes]
    low, high = (f(np.concatenate(strokes), axis=0) for f in (np.min, np.max))
    scale = (BOX - 2 * hand.pen) / (high - low).max()
    strokes = [(s - low) * scale for s in strokes]
    return [s + hand.sway * np.sin(s[:, ::-1] / 3.1 + (0.7, 1.9)) for s in strokes]


def distance(points):
    """Of every pixel's centre from a polyline."""
    centre = np.moveaxis(np.mgrid[:SIZE, :SIZE][::-1], 0, -1)[:, :, None] + 0.5
    a, b = points[:-1], points[1:]
    along = ((centre - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-12)
    foot = a + np.clip(along, 0, 1)[..., None] * (b - a)
    return np.sqrt(((centre - foot) ** 2).sum(-1)).min(-1)


def draw(hand, strokes):
    """Bytes [28,28]. A pixel's ink falls from full to none over a little more than its width."""
    def ink(move):
        d = np.min([distance(s + move) for s in strokes], axis=0)
        return np.clip((hand.pen + 0.6 - d) / 1.2, 0, 1)

    strokes, move = written(hand, strokes), np.full(2, 4.0)
    for _ in range(2):
        image = ink(move)
        y, x = np.tensordot(image, np.mgrid[:SIZE, :SIZE] + 0.5, ([0, 1], [1, 2])) / image.sum()
        move = move + SIZE / 2 - (x, y)
    return np.round(255 * ink(move)).astype(np.uint8)


def check(out, images):
    """What Keras makes of them; four go into the test vectors."""
    import keras

    model = keras.saving.load_model(out / "mnist.keras")
    inputs = np.stack(list(images.values()))[..., None].astype(np.float32) / 255
    outputs = model.predict(inputs, verbose=0).astype(np.float32)
    wrong = 0
    for name, p in zip(images, outputs):
        wrong += p.argmax() != int(name[0])
        print(f"{name}.pgm  {p.argmax()}  {100 * p.max():5.1f} %"
              f"{'' if p.argmax() == int(name[0]) else '  WRONG'}")
    print(f"{len(images) - wrong} of {len(images)} right")

    names = list(images)
    four = [names.index(n) for n in ("2a", "4b", "7b", "9a")]
    np.savez(out / "vectors.npz", inputs=inputs[four], outputs=outputs[four])
    (out / "vectors").mkdir(exist_ok=True)
    np.save(out / "vectors" / "input_0.npy", inputs[four])
    np.save(out / "vectors" / "output_0.npy", outputs[four])


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--check", type=Path, metavar="OUT", help="folder that train.py wrote")
    ap.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "digits")
    args = ap.parse_args()

    images = {name: draw(hand, strokes) for name, (hand, strokes) in DIGITS.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        (args.out / f"{name}.pgm").write_bytes(b"P5\n28 28\n255\n" + image.tobytes())
    if args.check:
        check(args.check, images)


if __name__ == "__main__":
    main()
