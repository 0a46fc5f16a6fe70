#!/usr/bin/env python3
"""llama2c_onnx.py MODEL.bin OUT.onnx: a checkpoint of llama2.c as an ONNX model that decodes token by token.

Inputs are one token, its position, and for every layer a cache of keys and one of values of the
checkpoint's whole length; outputs are the logits and the caches with one more row each. Tie every
cache output to its input (linnet_session_tie) and each run writes its row where the caches lie:
nothing is copied, allocated or planned again. Needs numpy and onnx (opset 24: TensorScatter,
RMSNormalization, RotaryEmbedding, and Attention with the number of valid keys).
"""
import sys

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh
from onnx import save


class Checkpoint:
    """Version 0 of the format: seven int32, then f32 weights."""

    def __init__(self, path):
        data = open(path, "rb").read()
        self.dim, self.hidden, self.layers, self.heads, self.kv_heads, vocab, self.length = np.frombuffer(data, "<i4", 7)
        self.shared, self.vocab = vocab > 0, abs(int(vocab))
        self.size = self.dim // self.heads
        self.rest = np.frombuffer(data, "<f4", offset=28)
        kv = self.kv_heads * self.size
        n = self.layers
        self.embed = self.take(self.vocab, self.dim)
        self.norm1 = self.take(n, self.dim)
        self.q = self.take(n, self.dim, self.dim)
        self.k = self.take(n, kv, self.dim)
        self.v = self.take(n, kv, self.dim)
        self.o = self.take(n, self.dim, self.dim)
        self.norm2 = self.take(n, self.dim)
        self.w1 = self.take(n, self.hidden, self.dim)
        self.w2 = self.take(n, self.dim, self.hidden)
        self.w3 = self.take(n, self.hidden, self.dim)
        self.norm = self.take(self.dim)
        self.take(self.length * self.size)  # tables of angles that nobody reads
        self.logits = self.embed if self.shared else self.take(self.vocab, self.dim)

    def take(self, *shape):
        n = int(np.prod(shape))
        part, self.rest = self.rest[:n], self.rest[n:]
        return part.reshape(shape)


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, array, dtype=np.float32):
        self.count += 1
        self.weights.append(nh.from_array(np.ascontiguousarray(array, dtype), f"w{self.count}"))
        return f"w{self.count}"

    def op(self, kind, *inputs, out=None, **attr):
        self.count += 1
        out = out or f"v{self.count}"
        self.nodes.append(h.make_node(kind, list(inputs), [out], **attr))
        return out


def build(c):
    g = Graph()
    cache = [1, int(c.kv_heads), int(c.length), int(c.size)]
    inputs = [h.make_tensor_value_info("token", T.INT64, [1, 1]), h.make_tensor_value_info("position", T.INT64, [1])]
    outputs = [h.make_tensor_value_info("logits", T.FLOAT, [1, 1, c.vocab])]
    angle = np.outer(np.arange(c.length), 10000.0 ** (-np.arange(0, c.size, 2) / c.size))
    cos, sin = g.weight(np.cos(angle)), g.weight(np.sin(angle))
    as_ids = g.op("Unsqueeze", "position", g.weight([0], np.int64))
    valid = g.op("Add", "position", g.weight([1], np.int64))
    q_shape = g.weight([1, c.heads, 1, c.size], np.int64)
    kv_shape = g.weight([1, c.kv_heads, 1, c.size], np.int64)
    flat = g.weight([1, 1, c.dim], np.int64)

    def heads(x, w, count, shape, turn):
        x = g.op("MatMul", x, g.weight(w.T))
        if turn:
            x = g.op("RotaryEmbedding", x, cos, sin, as_ids, num_heads=int(count), interleaved=1)
        return g.op("Reshape", x, shape)  # one token: the order of the axes does not matter

    x = g.op("Gather", g.weight(c.embed), "token")
    for i in range(c.layers):
        y = g.op("RMSNormalization", x, g.weight(c.norm1[i]), epsilon=1e-5)
        q = heads(y, c.q[i], c.heads, q_shape, True)
        kv = []
        for name, new in (("key", heads(y, c.k[i], c.kv_heads, kv_shape, True)),
                          ("value", heads(y, c.v[i], c.kv_heads, kv_shape, False))):
            inputs.append(h.make_tensor_value_info(f"{name}_{i}", T.FLOAT, cache))
            outputs.append(h.make_tensor_value_info(f"new_{name}_{i}", T.FLOAT, cache))
            kv.append(g.op("TensorScatter", f"{name}_{i}", new, "position", out=f"new_{name}_{i}"))
        y = g.op("Attention", q, kv[0], kv[1], "", "", "", valid)
        x = g.op("Add", x, g.op("MatMul", g.op("Reshape", y, flat), g.weight(c.o[i].T)))
        y = g.op("RMSNormalization", x, g.weight(c.norm2[i]), epsilon=1e-5)
        y = g.op("Mul", g.op("Swish", g.op("MatMul", y, g.weight(c.w1[i].T))), g.op("MatMul", y, g.weight(c.w3[i].T)))
        x = g.op("Add", x, g.op("MatMul", y, g.weight(c.w2[i].T)))
    x = g.op("RMSNormalization", x, g.weight(c.norm), epsilon=1e-5)
    g.op("MatMul", x, g.weight(c.logits.T), out="logits")
    graph = h.make_graph(g.nodes, "llama2c", inputs, outputs, g.weights)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 24)], ir_version=11, producer_name="llama2c_onnx.py")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    save(build(Checkpoint(sys.argv[1])), sys.argv[2])
