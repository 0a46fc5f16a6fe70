#!/usr/bin/env python3
"""Digits from PGM files through numpy and linnet: classify.py MODEL PICTURE.pgm..."""

import sys

import numpy as np

import linnet


def read_pgm(path):
    with open(path, "rb") as file:
        kind, width, height, most, pixels = file.read().split(maxsplit=4)
    assert kind == b"P5" and most == b"255", f"{path}: not an 8-bit PGM file"
    return np.frombuffer(pixels, np.uint8, int(width) * int(height)).reshape(1, int(height), int(width), 1)


def main():
    session = linnet.Model(sys.argv[1]).session()
    for path in sys.argv[2:]:
        p = session.run([read_pgm(path).astype(np.float32) / 255])[0][0]
        print(path, p.argmax(), f"{100 * p.max():.1f} %")


if __name__ == "__main__":
    main()
