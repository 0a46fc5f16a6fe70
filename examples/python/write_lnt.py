#!/usr/bin/env python3
"""Writes a .lnt file with numpy alone, then runs it: the format of src/format/FORMAT.md in a page.

    write_lnt.py [out.lnt]
"""

import struct
import sys

import numpy as np

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
         "float64": 11}


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Writer:
    """A model of one graph. Values: inputs and weights by name; every layer's outputs by name."""

    def __init__(self):
        self.values, self.nodes, self.inputs, self.outputs, self.meta = {}, [], [], [], {}

    def input(self, name, dtype, dims):
        self.values[name] = (TYPES[dtype], dims)
        self.inputs.append(name)

    def weight(self, name, array):
        self.values[name] = np.ascontiguousarray(array)

    def layer(self, op, name, inputs, outputs, **attributes):
        for value in [*inputs, *outputs]:
            self.values.setdefault(value, None)
        self.nodes.append((op, name, inputs, outputs, dict(sorted(attributes.items()))))

    def save(self, path):
        names = {"", *self.values, *self.meta, *self.meta.values()}
        for op, name, _, _, attributes in self.nodes:
            names |= {op, name, *attributes, *(v for v in attributes.values() if isinstance(v, str))}
        at, strings = {}, b""
        for text in sorted(names, key=str.encode):
            at[text] = len(strings)
            strings += text.encode() + b"\0"

        index, number = [], {name: i for i, name in enumerate(self.values)}
        index += [number[v] for v in self.inputs + self.outputs]
        nodes, attrs, numbers = b"", b"", b""
        for op, name, inputs, outputs, attributes in self.nodes:
            index += [number[v] for v in [*inputs, *outputs]]
            nodes += struct.pack("<5I", at[op], at[name], len(inputs), len(outputs), len(attributes))
            for key, v in attributes.items():
                if isinstance(v, str):
                    attrs += struct.pack("<IIQ", at[key], 3, at[v])
                elif isinstance(v, int):
                    attrs += struct.pack("<IIq", at[key], 1, v)
                elif isinstance(v, float):
                    attrs += struct.pack("<IIfI", at[key], 2, v, 0)
                else:
                    attrs += struct.pack("<IIQ", at[key], 4, len(v))
                    numbers += struct.pack(f"<{len(v)}q", *v)

        values, tensors, data = b"", b"", b""
        for name, value in self.values.items():
            constant = isinstance(value, np.ndarray)
            dtype, dims = (0, None) if value is None or constant else value
            rank = -1 if dims is None else len(dims)
            values += struct.pack("<IIii8q8I", at[name], int(constant), dtype, rank,
                                  *(list(dims or []) + [0] * 8)[:8], *[0] * 8)
            if constant:
                tensors += struct.pack("<ii8q", TYPES[value.dtype.name], value.ndim, *(list(value.shape) + [0] * 8)[:8])
                data += b"\0" * (-len(data) % 64) + value.tobytes()

        graphs = struct.pack("<5I", at[""], len(self.values), len(self.nodes), len(self.inputs), len(self.outputs))
        meta = b"".join(struct.pack("<II", at[k], at[self.meta[k]]) for k in sorted(self.meta, key=str.encode))
        packed = struct.pack(f"<{len(index)}I", *index)
        self._frame(path, {1: strings, 2: meta, 3: graphs, 4: values, 5: nodes, 6: packed, 7: attrs, 8: numbers,
                           9: tensors, 11: data})

    @staticmethod
    def _frame(path, sections):
        sections = {kind: body for kind, body in sections.items() if body}
        end, table, parts = 32 + 32 * len(sections), b"", b""
        for kind, body in sections.items():
            gap = -end % 64
            table += struct.pack("<IIQQII", kind, int(kind != 2), end + gap, len(body), crc32c(body), 0)
            parts += b"\0" * gap + body
            end += gap + len(body)
        head = struct.pack("<8sIIQ", b"\x89LNT\r\n\x1a\n", 1, len(sections), end)
        crc = crc32c(head + bytes(8) + table)
        with open(path, "wb") as file:
            file.write(head + struct.pack("<II", crc, 0) + table + parts)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "written.lnt"
    random = np.random.default_rng(1)
    w1, b1 = random.standard_normal((4, 16), "float32"), random.standard_normal(16, "float32")
    w2 = random.standard_normal((16, 3), "float32")
    model = Writer()
    model.input("x", "float32", [2, 4])
    for name, array in [("w1", w1), ("b1", b1), ("w2", w2)]:
        model.weight(name, array)
    model.layer("Gemm", "dense1", ["x", "w1", "b1"], ["h"], alpha=1.0)
    model.layer("Relu", "relu", ["h"], ["a"])
    model.layer("MatMul", "dense2", ["a", "w2"], ["y"])
    model.layer("Softmax", "softmax", ["y"], ["p"], axis=-1)
    model.outputs.append("p")
    model.meta["author"] = "write_lnt.py"
    model.save(path)

    import linnet
    x = random.standard_normal((2, 4), "float32")
    got = linnet.Model(path).session().run([x])[0]
    y = np.maximum(x @ w1 + b1, 0) @ w2
    want = np.exp(y - y.max(1, keepdims=True))
    want /= want.sum(1, keepdims=True)
    print(path, "differs from numpy by at most", np.abs(got - want).max())
    return int(not np.allclose(got, want, atol=1e-6))


if __name__ == "__main__":
    sys.exit(main())
