#!/usr/bin/env python3
"""Random RNN, LSTM and GRU layers in PyTorch and in linnet: the largest difference must stay below 1e-5.

    torch_compare.py [--count 200] [--steps 500] [--seed 1]     compares, prints one line and the worst
    torch_compare.py --write tests/recurrent                     makes the small .lnt files that `make test` checks

Needs torch, onnx and numpy. Directions, initial states, sequence lengths (packed sequences), both layouts,
both RNN activations, sizes from 1 on, 1 and 2 threads. PyTorch's gates are brought into ONNX's order.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/python"))
import linnet  # noqa: E402

GATES = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}  # where ONNX's gates are in PyTorch's
LIMIT = 1e-5


def configuration(rng, small):
    most = 6 if small else 80
    return {"op": str(rng.choice(list(GATES))), "dirs": int(rng.integers(1, 3)), "layout": int(rng.integers(0, 2)),
            "act": str(rng.choice(["tanh", "relu"])), "batch": int(rng.choice([1, 1, 2, 3, 17])) if not small else int(rng.integers(1, 3)),
            "in": int(rng.integers(1, most)), "hidden": int(rng.integers(1, most)), "lengths": bool(rng.integers(0, 2)),
            "states": bool(rng.integers(0, 2)), "bias": bool(rng.integers(0, 2))}


def layer(c):
    kind = getattr(torch.nn, c["op"])
    more = {"nonlinearity": c["act"]} if c["op"] == "RNN" else {}
    net = kind(c["in"], c["hidden"], bidirectional=c["dirs"] == 2, bias=c["bias"], **more)
    if c["op"] == "RNN" and c["act"] == "relu":  # or 500 steps may grow without bound
        with torch.no_grad():
            for name, p in net.named_parameters():
                if "hh" in name and p.ndim == 2:
                    p *= 0.5
    return net


def weights(net, c):
    def rows(name):
        parts = [getattr(net, f"{name}_l0{end}").detach().numpy() for end in ["", "_reverse"][:c["dirs"]]]
        gates = [np.concatenate([np.split(p, len(GATES[c["op"]]))[g] for g in GATES[c["op"]]]) for p in parts]
        return np.stack(gates)
    found = {"W": rows("weight_ih"), "R": rows("weight_hh")}
    if c["bias"]:
        found["B"] = np.concatenate([rows("bias_ih"), rows("bias_hh")], axis=1)
    return found


def expected(net, c, x, lengths, states):
    """In ONNX's shapes: Y [time, dirs, batch, hidden], states [dirs, batch, hidden]."""
    given = tuple(torch.tensor(s) for s in states)
    given = (given if c["op"] == "LSTM" else given[0]) if c["states"] else None
    with torch.no_grad():
        if lengths is not None:
            packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths), enforce_sorted=False)
            y, last = net(packed, given)
            y = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(x))[0]
        else:
            y, last = net(torch.tensor(x), given)
    y = y.numpy().reshape(len(x), c["batch"], c["dirs"], c["hidden"]).transpose(0, 2, 1, 3)
    return [y, *[s.numpy() for s in (last if c["op"] == "LSTM" else (last,))]]


def turn(c, arrays):
    """Layout 1 has the batch first."""
    if not c["layout"]:
        return arrays
    return [a.transpose(2, 0, 1, 3) if a.ndim == 4 else a.swapaxes(0, 1) for a in arrays]


def model(c, net, steps):
    w = weights(net, c)
    dirs, batch, n = c["dirs"], c["batch"], c["hidden"]
    state = [batch, dirs, n] if c["layout"] else [dirs, batch, n]
    shapes = {"x": [batch, steps, c["in"]] if c["layout"] else [steps, batch, c["in"]]}
    names = ["x", "W", "R", "B" if c["bias"] else "", "lengths" if c["lengths"] else ""]
    names += ["h", "c"][:2 if c["op"] == "LSTM" else 1] if c["states"] else []
    inputs = [(k, TensorProto.FLOAT, shapes.get(k, state)) for k in ["x", "h", "c"] if k in names]
    if c["lengths"]:
        inputs.append(("lengths", TensorProto.INT32, [batch]))
    outputs = ["y", "hn", "cn"][:3 if c["op"] == "LSTM" else 2]
    attributes = {"hidden_size": n, "layout": c["layout"], "direction": ["forward", "bidirectional"][dirs - 1]}
    if c["op"] == "GRU":
        attributes["linear_before_reset"] = 1
    if c["op"] == "RNN":
        attributes["activations"] = [c["act"].capitalize()] * dirs
    node = helper.make_node(c["op"], names, outputs, **attributes)
    graph = helper.make_graph([node], "layer", [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
                              [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in w.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), [i[0] for i in inputs]


def case(rng, steps, small=False):
    c = configuration(rng, small)
    torch.manual_seed(int(rng.integers(1 << 31)))
    net = layer(c)
    x = rng.uniform(-1, 1, (steps, c["batch"], c["in"])).astype(np.float32)
    states = [rng.uniform(-1, 1, (c["dirs"], c["batch"], c["hidden"])).astype(np.float32) for _ in range(2)]
    lengths = rng.integers(1, steps + 1, c["batch"]).astype(np.int32) if c["lengths"] else None
    want = turn(c, expected(net, c, x, lengths, states))
    onnx_model, inputs = model(c, net, steps)
    arrays = {"x": x, "h": states[0], "c": states[1]}
    arrays = dict(zip(arrays, turn(c, [x, *states])))
    if c["layout"]:
        arrays["x"] = x.swapaxes(0, 1)
    if lengths is not None:
        arrays["lengths"] = lengths
    return c, onnx_model, {k: np.ascontiguousarray(arrays[k]) for k in inputs}, want


def compare(a):
    rng = np.random.default_rng(a.seed)
    worst, failed = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "layer.onnx"
        for i in range(a.count):
            c, onnx_model, inputs, want = case(rng, a.steps)
            onnx.save(onnx_model, file)
            got = linnet.Model(file).session(threads=1 + i % 2).run(inputs)
            error = max(float(np.max(np.abs(g - w))) for g, w in zip(got, want))
            worst = max(worst, error)
            if not error <= LIMIT or any(g.shape != w.shape for g, w in zip(got, want)):
                failed += 1
                print(f"FAILED {i}: {error:g} {c}")
    print(f"worst difference {worst:.2g} over {a.steps} steps")
    print(f"{a.count - failed} passed, {failed} failed")
    return failed != 0


def write(folder):
    """One file for each operator, with the outputs of PyTorch as its test."""
    rng = np.random.default_rng(7)
    seen = set()
    while len(seen) < 12:
        c, onnx_model, inputs, want = case(rng, 9, small=True)
        name = f"{c['op'].lower()}_{'bi' if c['dirs'] == 2 else 'one'}{'_batch_first' if c['layout'] else ''}"
        if name in seen:
            continue
        seen.add(name)
        with tempfile.TemporaryDirectory() as made:
            onnx.save(onnx_model, Path(made) / "layer.onnx")
            for side, arrays in ("input", list(inputs.values())), ("output", want):
                for i, array in enumerate(arrays):
                    tensor = numpy_helper.from_array(np.ascontiguousarray(array))
                    (Path(made) / f"{side}_{i}.pb").write_bytes(tensor.SerializeToString())
            subprocess.run([ROOT / "build/linnet", "convert", Path(made) / "layer.onnx", Path(folder) / f"{name}.lnt",
                            "--test", made, "--rtol", "1e-5", "--atol", "1e-6"], check=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--steps", type=int, default=500)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--write", metavar="FOLDER")
    a = p.parse_args()
    return write(a.write) if a.write else compare(a)


if __name__ == "__main__":
    sys.exit(main())
