#!/usr/bin/env python3
"""Train a small GRU on the sentiment of generated sentences and export it for linnet.

    pip install torch numpy onnx onnxruntime
    make && python examples/sentiment/train.py

grammar.py writes the sentences. Written beside this file:
    sentiment.lnt   "words" i64 [words, 1] -> "probabilities" f32 [3], with labels, vocabulary, test vectors
    heldout.tsv     sentences with combinations that never occurred in training: label, tab, words
One core needs about five minutes.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import grammar
from torch_export import Graph, array

UNKNOWN = 0
BATCH = 128


class Net(nn.Module):
    """Embedding, GRU, the last state to three classes."""

    def __init__(self, words, width=32, hidden=64):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.gru = nn.GRU(width, hidden)
        self.dense = nn.Linear(hidden, len(grammar.LABELS))

    def forward(self, ids, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths, enforce_sorted=False)
        return self.dense(self.gru(packed)[1][0])


def batch(texts, number):
    """ids [longest, B] padded with unknown words, and the lengths."""
    rows = [[number.get(w, UNKNOWN) for w in t.split()] for t in texts]
    lengths = torch.tensor([len(r) for r in rows])
    ids = torch.full((int(lengths.max()), len(rows)), UNKNOWN)
    for i, row in enumerate(rows):
        ids[:len(row), i] = torch.tensor(row)
    return ids, lengths


def predict(net, texts, number):
    net.eval()
    with torch.no_grad():
        return torch.cat([net(*batch(texts[i:i + 500], number)).argmax(1) for i in range(0, len(texts), 500)]).numpy()


def train(net, pairs, number, steps, rng):
    """Now and then a word that carries no sentiment is unknown, as one of a reader may be."""
    neutral = {number[w] for name in (grammar.OBJECTS, grammar.WHATS, *grammar.NEUTRAL.values())
               for phrase in name for w in phrase.split() if w in number}
    may_drop = torch.tensor([i in neutral for i in range(len(number) + 1)])
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    net.train()
    for step in range(steps):
        texts, labels = zip(*rng.sample(pairs, BATCH))
        ids, lengths = batch(texts, number)
        drop = may_drop[ids] & (torch.rand(ids.shape) < 0.15)
        loss = nn.functional.cross_entropy(net(ids.masked_fill(drop, UNKNOWN), lengths), torch.tensor(labels),
                                           label_smoothing=0.02)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            print(f"step {step + 1}: loss {loss.item():.4f}", flush=True)


def export(net, vocabulary, tests, path):
    g = Graph("sentiment")
    words = g.input("words", "i64", ["count", 1])
    x = g.node("Gather", [g.weight("embed", array(net.embed.weight)), words], "x")
    g.gru(net.gru, [x], ["", "last"], "gru")
    state = g.node("Reshape", ["last", g.weight("flat", np.array([-1], np.int64))], "state")
    g.node("Softmax", [g.linear(net.dense, state, "scores")], "probabilities")
    g.output("probabilities", "f32", [len(grammar.LABELS)])
    meta = {"labels": "\n".join(grammar.LABELS), "vocabulary": "\n".join(vocabulary)}
    return g.save(path, meta, [[t] for t in tests])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--steps", type=int, default=3000)
    ap.add_argument("--sentences", type=int, default=60000)
    ap.add_argument("--held-out", type=int, default=1000)
    args = ap.parse_args()

    torch.manual_seed(1)
    torch.set_num_threads(1)
    pairs = list(grammar.sentences(random.Random(1), args.sentences, held_out=False))
    held = list(grammar.sentences(random.Random(2), args.held_out, held_out=True))
    vocabulary = ["<unknown>", *sorted({w for t, _ in pairs for w in t.split()})]
    number = {w: i for i, w in enumerate(vocabulary)}

    net = Net(len(vocabulary))
    train(net, pairs, number, args.steps, random.Random(3))
    texts, labels = zip(*held)
    found = predict(net, texts, number)
    for text, label, answer in zip(texts, labels, found):
        if label != answer:
            print(f"{grammar.LABELS[answer]} for {grammar.LABELS[label]}: {text}")
    print(f"held out: {np.mean(found == labels):.2%} right of {len(held)}")

    tests = [batch([t], number)[0].numpy() for t in texts[:3]]
    session = export(net, vocabulary, tests, HERE / "sentiment.lnt")
    same = [session.run(None, {"words": batch([t], number)[0].numpy()})[0].argmax() for t in texts]
    print(f"ONNX Runtime agrees with PyTorch on {np.sum(same == found)} of {len(held)}")
    with open(HERE / "heldout.tsv", "w") as file:
        file.writelines(f"{grammar.LABELS[label]}\t{text}\n" for text, label in held)


if __name__ == "__main__":
    main()
