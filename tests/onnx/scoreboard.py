#!/usr/bin/env python3
"""The ONNX backend cases on linnet and on ONNX Runtime, by one harness, in one run.

    scoreboard.py [--cases DIR] [--engines linnet,onnxruntime] [--out build/conformance.md] [PATTERN]

For each case: passed; refused (the engine says that it cannot, before it ran); or failed (another
error, a wrong number, a crash, no answer within a minute). A case passes when every output has the
type and shape that is stored, and each element is within 1e-5 + 1e-3 |want| of it; integers,
booleans and strings must be equal. "rtol 1e-5" counts those that hold 1e-6 + 1e-5 |want| as well. Where
a case draws random numbers, type and shape are compared, and the share of elements that
are not zero. Both engines get the same arrays and go through the same comparison, each in a process
of its own that is started again when it dies.

Needs numpy, onnx and ml_dtypes; without onnxruntime its column is left out.
"""

import argparse
import collections
import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 60
RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


class Refused(Exception):
    """The engine says that it cannot run a model."""


# ---- values ------------------------------------------------------------------------------------


def load_value(path, kind):
    """An array, a list of arrays, or None, from a stored protobuf."""
    import onnx
    from onnx import numpy_helper

    data = path.read_bytes()
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        value = onnx.OptionalProto.FromString(data)
        if value.HasField("sequence_value"):
            return numpy_helper.to_list(value.sequence_value)
        return numpy_helper.to_array(value.tensor_value) if value.HasField("tensor_value") else None
    array = numpy_helper.to_array(onnx.TensorProto.FromString(data))
    if array.dtype.kind in "OSU":
        text = [x.decode() if isinstance(x, bytes) else str(x) for x in array.reshape(-1)]
        array = __import__("numpy").array(text, object).reshape(array.shape)
    return array


def load_case(folder):
    import onnx

    model = onnx.load(folder / "model.onnx")
    constants = {t.name for t in model.graph.initializer}
    data = folder / "test_data_set_0"
    inputs = {}
    for i, v in enumerate(v for v in model.graph.input if v.name not in constants):
        path = data / f"input_{i}.pb"
        inputs[v.name] = load_value(path, v.type.WhichOneof("value")) if path.exists() else None
    outputs = [load_value(data / f"output_{i}.pb", v.type.WhichOneof("value")) for i, v in enumerate(model.graph.output)]
    return model, inputs, outputs


def compare(got, want, rtol, atol, random=False):
    """Empty, or what is wrong."""
    import numpy as np

    if isinstance(want, list) or isinstance(got, list) or want is None or got is None:
        if want is None or got is None:
            return "" if want is None and got is None else f"got {type(got).__name__}, want {type(want).__name__}"
        if not isinstance(want, list) or not isinstance(got, list) or len(got) != len(want):
            return "sequences of different lengths"
        return next((why for g, w in zip(got, want) if (why := compare(g, w, rtol, atol, random))), "")
    got = np.asarray(got)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"got {got.dtype}{list(got.shape)}, want {want.dtype}{list(want.shape)}"
    if random and want.size:
        share = abs(np.count_nonzero(got) - np.count_nonzero(want)) / want.size
        return "" if share <= 5 * (0.5 / want.size) ** 0.5 else f"share of zeros differs by {share:.2f}"
    if want.dtype == object or want.dtype.kind in "biu" or "int" in str(want.dtype):
        return "" if np.array_equal(got, want) else "elements differ"
    kind = complex if want.dtype.kind == "c" else float
    g, w = got.astype(kind), want.astype(kind)
    with np.errstate(invalid="ignore"):
        bad = ~((g == w) | (np.isnan(g) & np.isnan(w)) | (np.abs(g - w) <= atol + rtol * np.abs(w)))
    return f"{np.count_nonzero(bad)} of {want.size} elements differ" if bad.any() else ""


# ---- engines -----------------------------------------------------------------------------------


class Linnet:
    def __init__(self):
        sys.path.insert(0, str(ROOT / "examples/python"))
        import linnet
        self.linnet, self.version = linnet, linnet.version

    def run(self, folder, model, inputs):
        try:
            m = self.linnet.Model(folder / "model.onnx")
            data = folder / "test_data_set_0"
            values = []
            for i, (name, value) in enumerate(inputs.items()):
                is_text = getattr(value, "dtype", None) == object
                values.append(self.linnet.Tensor(proto=(data / f"input_{i}.pb").read_bytes()) if is_text else value)
            session = m.session()
        except self.linnet.Error as error:
            raise Refused(str(error)) from None
        try:
            return session.run(values)
        except self.linnet.Error as error:
            if error.code in (error.UNSUPPORTED, error.EXTERNAL):
                raise Refused(str(error)) from None
            raise


class OnnxRuntime:
    """Types that numpy lacks come as OrtValues over their bytes, packed ones as constants of the model."""

    def __init__(self):
        import onnxruntime
        onnxruntime.set_default_logger_severity(4)
        self.ort, self.version = onnxruntime, onnxruntime.__version__

    def run(self, folder, model, inputs):
        import numpy as np
        from onnx import numpy_helper

        foreign = {k for k, v in inputs.items() if isinstance(v, np.ndarray) and v.dtype.type.__module__ == "ml_dtypes"}
        packed = {k for k in foreign if re.search("int|float4", inputs[k].dtype.name)}
        for v in [v for v in model.graph.input if v.name in packed]:
            model.graph.initializer.append(numpy_helper.from_array(inputs[v.name], v.name))
            model.graph.input.remove(v)
        try:
            session = self.ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Refused(str(error).splitlines()[0]) from None
        kinds = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
        given = {k: v for k, v in inputs.items() if k not in packed}
        tensors = all(v.type.WhichOneof("value") == "tensor_type" for v in [*model.graph.input, *model.graph.output])
        if not tensors or not all(isinstance(v, np.ndarray) and v.dtype != object for v in given.values()):
            return [np.array([str(x) for x in o.reshape(-1)], object).reshape(o.shape)
                    if isinstance(o, np.ndarray) and o.dtype == object else o for o in session.run(None, given)]
        make = self.ort.OrtValue
        values = {k: make.ortvalue_from_numpy_with_onnx_type(v.view(f"u{v.dtype.itemsize}"), kinds[k]) if k in foreign
                  else make.ortvalue_from_numpy(v) for k, v in given.items()}
        return [self.array(o) for o in session.run_with_ort_values(None, values)]

    @staticmethod
    def array(o):
        """The bytes of an OrtValue as an array."""
        import ctypes
        import numpy as np
        import onnx

        if o.element_type() == onnx.TensorProto.STRING:
            return np.array([str(x) for x in o.numpy().reshape(-1)], object).reshape(o.shape())
        proto = onnx.TensorProto(data_type=o.element_type(), dims=o.shape())
        dtype = onnx.helper.tensor_dtype_to_np_dtype(o.element_type())
        bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(dtype.name, dtype.itemsize * 8)
        proto.raw_data = ctypes.string_at(o.data_ptr(), (int(np.prod(o.shape())) * bits + 7) // 8)
        return onnx.numpy_helper.to_array(proto)


ENGINES = {"linnet": Linnet, "onnxruntime": OnnxRuntime}


def work(name):
    """The process of one engine: folders on standard input, a line of JSON for each."""
    answer, engine = os.fdopen(os.dup(1), "w", buffering=1), ENGINES[name]()
    os.dup2(2, 1)
    print(json.dumps({"version": engine.version}), file=answer)
    for row in sys.stdin:
        folder = Path(row.strip())
        result = {"state": "passed", "tight": False}
        try:
            model, inputs, want = load_case(folder)
            got = engine.run(folder, model, inputs)
            random = any(n.op_type in RANDOM for n in model.graph.node) and "test_dropout" not in folder.name
            why = next((w for g, x in zip(got, want) if (w := compare(g, x, 1e-3, 1e-5, random))), "")
            result["tight"] = not why and all(not compare(g, x, 1e-5, 1e-6, random) for g, x in zip(got, want))
            if why or len(got) != len(want):
                result = {"state": "failed", "why": why or "number of outputs"}
        except Refused as error:
            result = {"state": "refused", "why": str(error)}
        except Exception as error:
            state = "refused" if "NOT_IMPLEMENTED" in str(error) else "failed"
            result = {"state": state, "why": (str(error).splitlines() or ["?"])[0]}
        print(json.dumps(result), file=answer)


class Worker:
    def __init__(self, name):
        self.name, self.crashes, self.hangs = name, 0, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, "--work", self.name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        row = self.process.stdout.readline()
        self.version = json.loads(row)["version"] if row else None

    def case(self, folder):
        try:
            print(folder, file=self.process.stdin)
        except BrokenPipeError:
            pass
        ready = select.select([self.process.stdout], [], [], SECONDS)[0]
        row = self.process.stdout.readline() if ready else ""
        if row:
            return json.loads(row)
        self.process.kill()
        self.process.wait()
        self.crashes += bool(ready)
        self.hangs += not ready
        self.start()
        return {"state": "failed", "why": "crashed" if ready else f"no answer in {SECONDS} s"}


# ---- the table ---------------------------------------------------------------------------------


def markdown(engines, workers, cases, results):
    counts = {e: collections.defaultdict(collections.Counter) for e in engines}
    for (case, op, kind), answers in zip(cases, results):
        for e in engines:
            for group in ("all", kind, f"op {op}"):
                counts[e][group][answers[e]["state"]] += 1
                counts[e][group]["tight"] += answers[e].get("tight", False)
                counts[e][group]["cases"] += 1

    def row(label, group, wide):
        cells = [label, str(counts[engines[0]][group]["cases"])]
        for e in engines:
            c = counts[e][group]
            cells += [f"{c['passed']}", f"{c['refused']}", f"{c['failed']}"] + ([f"{c['tight']}"] if wide else [])
        return "| " + " | ".join(cells) + " |"

    def head(first, wide):
        titles = [first, "cases"]
        for e in engines:
            titles += [f"{e}: passed", "refused", "failed"] + (["rtol 1e-5"] if wide else [])
        return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]

    kinds = sorted({k for _, _, k in cases}, key=lambda k: -counts[engines[0]][k]["cases"])
    ops = sorted({op for _, op, _ in cases})
    lines = ["# ONNX backend cases", "", "; ".join(f"{e} {workers[e].version}: {workers[e].crashes} crashes, "
                                                   f"{workers[e].hangs} hangs" for e in engines), ""]
    lines += head("class", True) + [row(k, k, True) for k in kinds] + [row("**all**", "all", True), ""]
    lines += head("operator", False) + [row(op, f"op {op}", False) for op in ops] + [""]
    for e in engines:
        lines += [f"## Not passed by {e}", ""]
        lines += [f"- {case}: {a[e]['state']}: {a[e].get('why', '')}" for (case, _, _), a in zip(cases, results)
                  if a[e]["state"] != "passed"] + [""]
    return "\n".join(lines), counts, kinds


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--cases", type=Path, default=Path(os.environ.get("LINNET_SHARED", ROOT / "../shared")) / "conformance/onnx")
    ap.add_argument("--engines", default="linnet,onnxruntime")
    ap.add_argument("--out", type=Path, default=ROOT / "build/conformance.md")
    ap.add_argument("--work", help=argparse.SUPPRESS)
    ap.add_argument("pattern", nargs="?", default="", help="only cases whose name contains it")
    args = ap.parse_args()
    if args.work:
        return work(args.work)
    if not (args.cases / "INDEX.tsv").exists():
        print(f"skipped: no cases at {args.cases}\n0 passed, 0 failed, 1 skipped")
        return 0

    rows = [line.split("\t") for line in (args.cases / "INDEX.tsv").read_text().splitlines()[1:]]
    cases = [(f"{r[0]}/{r[1]}", r[2], r[3]) for r in rows if args.pattern in r[1]]
    workers = {e: Worker(e) for e in args.engines.split(",")}
    engines = [e for e in workers if workers[e].version]
    for e in workers.keys() - set(engines):
        print(f"{e}: not installed, left out")
    results = []
    for case, _, _ in cases:
        results.append({e: workers[e].case(args.cases / case) for e in engines})
        for e in engines:
            if results[-1][e]["state"] == "failed" and e == "linnet":
                print(f"FAILED {case}: {results[-1][e]['why']}", flush=True)
    text, counts, kinds = markdown(engines, workers, cases, results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    for e in engines:
        for kind in [*kinds, "all"]:
            c = counts[e][kind]
            print(f"{e:<12} {kind:<32} {c['passed']:>5} passed {c['refused']:>4} refused {c['failed']:>4} failed of "
                  f"{c['cases']:>5};{c['tight']:>5} at rtol 1e-5")
    print(f"every operator and every case that did not pass: {args.out}")
    c = counts[engines[0]]["all"]
    bad = c["failed"] + sum(workers[e].crashes + workers[e].hangs for e in engines if e == "linnet")
    print(f"{c['passed']} passed, {bad} failed, {c['refused']} skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
