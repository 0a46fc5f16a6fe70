#!/usr/bin/env python3
"""Train a small encoder-decoder with attention that turns written dates into ISO 8601, and export it for linnet.

    pip install torch numpy onnx onnxruntime
    make && python examples/translate/train.py

dates.py writes the pairs: English, German and French, times of the day, holidays. Written beside this file:
    encoder.lnt   "pieces" i64 [T, 1] -> "memory" f32 [T, 88], "keys" f32 [88, T], "state" f32 [1, 1, 88]
    decoder.lnt   one step for B hypotheses: "symbol" i64 [1, B], "state" f32 [1, B, 88], "memory", "keys"
                  -> "scores" f32 [B, symbols], logarithms of probabilities, "next" f32 [1, B, 88]
    heldout.tsv   pairs of days that occur in no training pair: text, tab, ISO form
One core needs about seven minutes.
"""

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import dates
from torch_export import Graph, array

SYMBOLS = ["<start>", "<end>", *"0123456789-T:"]
START, END = 0, 1
NOTHING = -100  # a target that does not count
MOST = 20       # symbols of an answer
BATCH = 128


class Net(nn.Module):
    """A bidirectional GRU reads; a GRU writes, and looks at what was read by attention before each symbol."""

    def __init__(self, pieces, width=32, hidden=44, symbol_width=16):
        super().__init__()
        state = 2 * hidden
        self.embed = nn.Embedding(pieces, width)
        self.encoder = nn.GRU(width, hidden, bidirectional=True)
        self.first = nn.Linear(state, state)
        self.key = nn.Linear(state, state, bias=False)
        self.symbol = nn.Embedding(len(SYMBOLS), symbol_width)
        self.decoder = nn.GRU(symbol_width, state)
        self.mix = nn.Linear(2 * state, state)
        self.score = nn.Linear(state, len(SYMBOLS))

    def read(self, ids, lengths):
        """memory [B, T, state], where it is padding [B, 1, T], the first state [1, B, state]."""
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths, enforce_sorted=False)
        out, last = self.encoder(packed)
        memory = nn.utils.rnn.pad_packed_sequence(out, total_length=len(ids))[0].transpose(0, 1)
        padding = torch.arange(len(ids)) >= lengths[:, None]
        return memory, padding[:, None], torch.tanh(self.first(torch.cat([last[0], last[1]], 1)))[None]

    def write(self, symbols, memory, padding, state):
        """Scores [B, L, symbols] of what follows each of symbols [L, B], and the state after the last."""
        h, state = self.decoder(self.symbol(symbols), state)
        h = h.transpose(0, 1)
        weight = (h @ self.key(memory).transpose(1, 2)).masked_fill(padding, -1e9).softmax(-1)
        return self.score(torch.tanh(self.mix(torch.cat([h, weight @ memory], -1)))), state


def batch(texts, number, longest):
    """ids [longest, B] and the lengths."""
    rows = [dates.split(t, number, longest) for t in texts]
    lengths = torch.tensor([len(r) for r in rows])
    ids = torch.zeros(int(lengths.max()), len(rows), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[:len(row), i] = torch.tensor(row)
    return ids, lengths


def targets(answers):
    """Symbols to feed [L, B] and those to be found [B, L]."""
    rows = [[SYMBOLS.index(c) for c in a] for a in answers]
    size = max(map(len, rows)) + 1
    feed = torch.tensor([([START] + r + [END] * size)[:size] for r in rows])
    want = torch.tensor([(r + [END] + [NOTHING] * size)[:size] for r in rows])
    return feed.T, want


def batches(rng, number, longest):
    """Without end. Texts of about the same length share a batch."""
    while True:
        pairs = [dates.pair(rng, False) for _ in range(16 * BATCH)]
        pairs.sort(key=lambda p: len(dates.split(p[0], number, longest)))
        for i in rng.sample(range(16), 16):
            yield zip(*pairs[i * BATCH:(i + 1) * BATCH])


def train(net, number, longest, steps, rng):
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps, pct_start=0.2)
    net.train()
    for step, (texts, answers) in zip(range(steps), batches(rng, number, longest)):
        feed, want = targets(answers)
        scores, _ = net.write(feed, *net.read(*batch(texts, number, longest)))
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), want.flatten(), ignore_index=NOTHING)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 249:
            print(f"step {step + 1}, {time.process_time():.0f} s of processor: loss {loss.item():.5f}", flush=True)


def translate(net, texts, number, longest):
    """Greedy, all at once."""
    net.eval()
    with torch.no_grad():
        memory, padding, state = net.read(*batch(texts, number, longest))
        symbols, out = torch.full((1, len(texts)), START), []
        for _ in range(MOST):
            scores, state = net.write(symbols, memory, padding, state)
            symbols = scores[:, -1].argmax(-1)[None]
            out.append(symbols[0])
    rows = torch.stack(out, 1).tolist()
    return ["".join(SYMBOLS[s] for s in r[:r.index(END)]) if END in r else "" for r in rows]


def export_encoder(net, pieces, tests):
    state = net.key.in_features
    g = Graph("encoder")
    ids = g.input("pieces", "i64", ["T", 1])
    x = g.node("Gather", [g.weight("embed", array(net.embed.weight)), ids], "x")
    g.gru(net.encoder, [x], ["read", "last"], "encoder")
    shape = g.weight("rows", np.array([-1, state], np.int64))
    memory = g.node("Reshape", ["read", shape], "memory")
    g.node("Transpose", [g.linear(net.key, memory, "key")], "keys", perm=[1, 0])
    joined = g.node("Reshape", ["last", g.weight("one", np.array([1, 1, state], np.int64))], "joined")
    g.node("Tanh", [g.linear(net.first, joined, "first")], "state")
    g.output("memory", "f32", ["T", state])
    g.output("keys", "f32", [state, "T"])
    g.output("state", "f32", [1, 1, state])
    return g.save(HERE / "encoder.lnt", {"pieces": "\n".join(pieces)}, [[t] for t in tests])


def export_decoder(net, tests):
    state = net.key.in_features
    g = Graph("decoder")
    symbol = g.input("symbol", "i64", [1, "B"])
    before = g.input("state", "f32", [1, "B", state])
    memory = g.input("memory", "f32", ["T", state])
    keys = g.input("keys", "f32", [state, "T"])
    x = g.node("Gather", [g.weight("embed", array(net.symbol.weight)), symbol], "x")
    g.gru(net.decoder, [x, before], ["", "next"], "decoder")
    h = g.node("Squeeze", ["next", g.weight("axis", np.array([0], np.int64))], "h")
    weight = g.node("Softmax", [g.node("MatMul", [h, keys], "match")], "weight")
    seen = g.node("MatMul", [weight, memory], "seen")
    mixed = g.node("Tanh", [g.linear(net.mix, g.node("Concat", [h, seen], "both", axis=1), "mix")], "mixed")
    g.node("LogSoftmax", [g.linear(net.score, mixed, "score")], "scores")
    g.output("scores", "f32", ["B", len(SYMBOLS)])
    g.output("next", "f32", [1, "B", state])
    return g.save(HERE / "decoder.lnt", {"symbols": "\n".join(SYMBOLS)}, tests)


def export(net, texts, number, longest):
    """Both models, with test vectors; returns greedy translation by ONNX Runtime."""
    def ids(text):
        return np.array(dates.split(text, number, longest), np.int64)[:, None]

    short = sorted(texts, key=len)[:300:100]
    encoder = export_encoder(net, list(number), [ids(t) for t in short])
    steps = []
    for beams, text in enumerate(short, 1):
        memory, keys, state = encoder.run(None, {"pieces": ids(text)})
        symbols = np.arange(beams, dtype=np.int64)[None] + 2
        steps.append([symbols, np.repeat(state, beams, 1), memory, keys])
    decoder = export_decoder(net, steps)

    def run(text):
        memory, keys, state = encoder.run(None, {"pieces": ids(text)})
        symbol, out = START, ""
        for _ in range(MOST):
            feeds = {"symbol": np.array([[symbol]]), "state": state, "memory": memory, "keys": keys}
            scores, state = decoder.run(None, feeds)
            symbol = int(scores[0].argmax())
            if symbol == END:
                break
            out += SYMBOLS[symbol]
        return out
    return run


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--steps", type=int, default=8000)
    ap.add_argument("--held-out", type=int, default=1000)
    args = ap.parse_args()

    torch.manual_seed(1)
    torch.set_num_threads(1)
    number = {piece: i for i, piece in enumerate(dates.pieces())}
    longest = max(map(len, number))
    net = Net(len(number))
    print(f"{sum(p.numel() for p in net.parameters())} weights, {len(number)} pieces")
    train(net, number, longest, args.steps, random.Random(1))

    rng = random.Random(2)
    held = {}
    while len(held) < args.held_out:
        held.update([dates.pair(rng, True)])
    held = list(held.items())
    texts, answers = zip(*held)
    found = translate(net, texts, number, longest)
    for text, answer, got in zip(texts, answers, found):
        if answer != got:
            print(f"{text}: {got}, not {answer}")
    print(f"held out: {np.mean(np.array(found) == answers):.2%} exact of {len(held)}")

    run = export(net, texts, number, longest)
    print(f"ONNX Runtime agrees with PyTorch on {sum(run(t) == f for t, f in zip(texts, found))} of {len(held)}")
    with open(HERE / "heldout.tsv", "w") as file:
        file.writelines(f"{text}\t{answer}\n" for text, answer in held)


if __name__ == "__main__":
    main()
