#!/usr/bin/env python3
"""Compare linnet with other inference engines, fairly, in one run.

    peers.py --install                                  once: an environment with the engines
    peers.py [--models a.onnx b.onnx] [--threads 2] [--seconds 5] [--json out.json]
    peers.py --layers                                   single layers instead of models

Without --models: the ten models of ../shared/bench/make_onnx_models.py, made under build/ where that
program is there, else examples/mnist/mnist.onnx. A table (and a picture, where matplotlib is installed) is
written to build/peers.

All engines load the same ONNX model (converted where an engine has its own format; that is not
timed), get the same input, and must agree: a difference above 1e-3 of the largest value prints
FAILED. Each lives in a process of its own, pinned to the same cores. The processes take turns
of some runs, in an order that changes from round to round; those not running are stopped,
so that no engine's spinning threads cost another one time. What others do to the machine then
hits all of them alike.

load: opening and preparing the model, the library already loaded. first: the first run.
min, median: of all later runs. "x best": own time over that of the best OTHER engine, below 1 is
faster. taken: share of the runs in which a core was taken away (by another program, or by too many
threads of the engine itself); where it is large the median says little, the minimum more.
peak: memory of the whole process, Python included. Times include one call from Python.
"""

import argparse
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DEFAULT = "linnet,ort,openvino,ncnn,litert"
TURN_RUNS, TURN_MS = 3, 60
ANSWER_SECONDS = 300


def default_models():
    generator, folder = ROOT.parent / "shared/bench/make_onnx_models.py", ROOT / "build/bench-models"
    if not generator.is_file():
        return [ROOT / "examples/mnist/mnist.onnx"]
    names = subprocess.run([sys.executable, generator, "--list"], capture_output=True, text=True,
                           check=True).stdout.split()
    missing = [name for name in names if not (folder / f"{name}.onnx").is_file()]
    if missing:
        print(f"making {', '.join(missing)} in {folder}", flush=True)
        subprocess.run([sys.executable, generator, folder, *missing], stdout=subprocess.DEVNULL, check=True)
    return [folder / f"{name}.onnx" for name in names]


def install(venv, engines):
    """Each engine apart, so that one without a wheel for this machine does not stop the rest."""
    pins = {row.split("==")[0]: row.strip()
            for row in (HERE / "requirements.txt").read_text().splitlines() if "==" in row}
    if not (venv / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)

    def pip(home, *args):
        return subprocess.run([home / "bin/python", "-m", "pip", "install", "-q",
                               "--disable-pip-version-check", *args]).returncode == 0

    if not pip(venv, pins["numpy"], pins["onnx"]):
        return 1
    if not pip(venv, pins["matplotlib"]):
        print("no pictures: matplotlib does not install here")
    if Path(sys.prefix) != venv:
        return subprocess.run([venv / "bin/python", HERE / "peers.py", *sys.argv[1:]]).returncode
    from engines import ENGINES
    for name in engines:
        for package in ENGINES[name].packages:
            # pnnx's wheel is a program that stands alone; torch is named as its dependency.
            alone = ["--no-deps"] if package == "pnnx" else []
            if not pip(venv, *alone, pins[package]):
                print(f"{name}: {pins[package]} does not install here")
        if name == "litert":
            home = venv / "onnx2tf"
            if not (home / "bin/python").exists():
                subprocess.run([sys.executable, "-m", "venv", home], check=True)
            if not pip(home, pins["onnx2tf"]):
                print(f"{name}: {pins['onnx2tf']} does not install here")
    return 0


class Peer:
    """One engine in its own process; stopped (SIGSTOP) whenever it is not its turn."""

    def __init__(self, name, path, inputs, threads, cores):
        self.name, self.times, self.disturbed, self.error = name, [], 0, None
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, HERE / "engines.py", name, path, inputs, str(threads), cores],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        self.load = self.hear().get("ready")
        self.stop()

    def hear(self):
        """One line of the worker; a worker that died or that is too slow has an error."""
        ready = select.select([self.process.stdout], [], [], ANSWER_SECONDS)[0]
        row = self.process.stdout.readline() if ready else ""
        answer = json.loads(row) if row else {}
        if not row:
            self.log.seek(0)
            last = self.log.read().strip().splitlines()[-1:] or ["no word from it"]
            answer["error"] = last[0] if ready else f"no answer in {ANSWER_SECONDS} s"
        self.error = answer.get("error")
        if self.error:
            self.process.kill()
        return answer

    def ask(self, text):
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(text + "\n")
            answer = self.hear()
        except BrokenPipeError:
            self.error, answer = "its process ended", {}
        self.stop()
        return answer

    def stop(self):
        if not self.error:
            self.process.send_signal(signal.SIGSTOP)

    def end(self):
        answer = {} if self.error else self.ask("end")
        self.peak, self.before = answer.get("peak"), answer.get("before")
        self.process.kill()
        self.process.wait()


def model_inputs(model, given):
    """Name to array: a .npy file that was given, else seeded numbers; an open size becomes 1."""
    import numpy as np
    from onnx import helper

    rng = np.random.default_rng(1)
    inputs, constants = {}, {t.name for t in model.graph.initializer}
    for value in model.graph.input:
        if value.name in constants:
            continue
        kind = value.type.tensor_type
        for d in kind.shape.dim:
            d.dim_value = d.dim_value or 1
        shape = [d.dim_value for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if value.name in given:
            inputs[value.name] = np.load(given[value.name])
        elif dtype.kind == "f":
            inputs[value.name] = rng.random(shape, np.float32).astype(dtype)
        else:
            inputs[value.name] = rng.integers(0, 1000, shape).astype(dtype)
        for d, size in zip(kind.shape.dim, inputs[value.name].shape):
            d.dim_value = size
    return inputs


def difference(got, reference):
    """Largest difference over the largest value; outputs are matched by their sizes, and may be
    channels-last or lack the batch."""
    import numpy as np

    got, worst = list(got), 0.0
    for want in reference:
        i = next((i for i, a in enumerate(got) if a.size == want.size), None)
        if i is None:
            return float("inf")
        a = got.pop(i)
        if a.shape != want.shape and want.ndim > 2 and a.shape == np.moveaxis(want, 1, -1).shape:
            a = np.moveaxis(a, -1, 1)
        gap = np.abs(a.reshape(want.shape).astype(np.float64) - want).max()
        worst = max(worst, gap / max(np.abs(want).max(), 1e-30)) if gap == gap else float("inf")
    return float(worst)


def start(names, path, given, folder, threads, cores):
    """The peers of one model, each after its first run, with its outputs."""
    import numpy as np
    import onnx
    from engines import ENGINES

    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load(path)
    inputs = model_inputs(model, given)
    static = folder / "model.onnx"
    data = model.SerializeToString()
    if not static.is_file() or static.read_bytes() != data:
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
        static.write_bytes(data)
    np.savez(folder / "inputs.npz", **inputs)

    peers = []
    for engine in names:
        try:
            file = ENGINES[engine].convert(path, static, folder)
        except RuntimeError as error:
            print(f"{engine}: skipped: {error}", flush=True)
            continue
        peer = Peer(engine, str(file), folder / "inputs.npz", threads, cores)
        if not peer.error:
            out = folder / f"{engine}.npz"
            peer.first = peer.ask(f"first {out}").get("first")
        if peer.error:
            print(f"{engine}: skipped: {peer.error}", flush=True)
            peer.end()
            continue
        with np.load(out) as file:
            peer.outputs = [file[key] for key in file.files]
        peers.append(peer)
    return peers


def measure(peers, seconds):
    """Rounds of turns until every peer had its seconds."""
    order, shuffle = list(peers), random.Random(1)
    spent = 0.0
    while spent < seconds and any(not p.error for p in order):
        shuffle.shuffle(order)
        start = time.perf_counter()
        for peer in order:
            if not peer.error:
                answer = peer.ask(f"runs {TURN_RUNS} {TURN_MS}")
                peer.times += answer.get("times", [])
                peer.disturbed += answer.get("disturbed", 0)
        spent += (time.perf_counter() - start) / len(order)


def table(peers, reference):
    """Rows of numbers for the JSON file, and the same printed."""
    rows = []
    for p in peers:
        p.end()
        if p.times:
            rows.append({
                "engine": p.name, "load_ms": p.load, "first_ms": p.first, "min_ms": min(p.times),
                "median_ms": statistics.median(p.times), "runs": len(p.times),
                "taken": p.disturbed / len(p.times), "peak_mb": p.peak,
                "python_mb": p.before, "difference": difference(p.outputs, reference.outputs)})
    for row in rows:
        for key in ("min", "median"):
            others = [r[f"{key}_ms"] for r in rows if r is not row]
            row[f"{key}_ratio"] = row[f"{key}_ms"] / min(others) if others else 1.0
        row["agrees"] = row["difference"] <= 1e-3
    print(f"{'engine':<10}{'load ms':>9}{'first ms':>10}{'min ms':>10}{'x best':>8}"
          f"{'median ms':>11}{'x best':>8}{'runs':>7}{'taken':>7}{'peak MB':>9}{'differs':>10}")
    for r in sorted(rows, key=lambda r: r["median_ms"]):
        print(f"{r['engine']:<10}{r['load_ms']:>9.1f}{r['first_ms']:>10.2f}{r['min_ms']:>10.3f}"
              f"{r['min_ratio']:>8.2f}{r['median_ms']:>11.3f}{r['median_ratio']:>8.2f}"
              f"{r['runs']:>7}{r['taken']:>7.0%}{r['peak_mb'] or 0:>9.0f}{r['difference']:>10.1e}"
              f"{'' if r['agrees'] else '  FAILED'}")
    for p in peers:
        if p.error:
            print(f"{p.name}: broke off: {p.error}")
    print(flush=True)
    return rows


def compare(args):
    from importlib.metadata import PackageNotFoundError, version
    import layers
    import report
    from engines import ENGINES

    cores = sorted(os.sched_getaffinity(0))[:args.threads]
    if len(cores) < args.threads:
        print(f"this process may use {len(cores)} cores, not {args.threads}", file=sys.stderr)
        return 2
    versions = {}
    for name in args.engines:
        for package in ENGINES[name].packages:
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                pass
    print(", ".join(f"{k} {v}" for k, v in versions.items()))
    print(f"{args.threads} thread{'s'[:args.threads > 1]} on cores {cores}, "
          f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
    models = [f for m in args.models for f in (sorted(m.glob("*.onnx")) if m.is_dir() else [m])]
    if args.layers:
        models = layers.write(ROOT / "build/bench-layers")
    models = models or default_models()
    given = dict(pair.split("=", 1) for pair in args.input)
    results = []
    for path in models:
        print(f"== {path.stem} ({path.stat().st_size / 1e6:.1f} MB)", flush=True)
        peers = start(args.engines, path.resolve(), given, args.cache / path.stem, args.threads,
                      ",".join(map(str, cores)))
        measure(peers, args.seconds)
        if peers:
            reference = next((p for p in peers if p.name == "ort"), peers[0])
            results.append({"model": path.stem, "threads": args.threads,
                            "reference": reference.name, "engines": table(peers, reference)})
    if results:
        head = f"Single layers, {args.threads} thread" if args.layers else f"Models, {args.threads} thread"
        report.write(results, args.report, f"{'layers' if args.layers else 'models'}-{args.threads}",
                     head + "s"[:args.threads > 1] + "\n\n" + ", ".join(f"{k} {v}" for k, v in versions.items()),
                     args.layers)
    if args.json:
        args.json.write_text(json.dumps({"versions": versions, "results": results}, indent=1))
    return 0 if all(r["agrees"] for m in results for r in m["engines"]) else 1


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--install", action="store_true", help="install the engines and end")
    ap.add_argument("--venv", type=Path, default=ROOT / "build/peers-venv")
    ap.add_argument("--cache", type=Path, default=ROOT / "build/peers-models",
                    help="folder for converted models")
    ap.add_argument("--engines", default=DEFAULT, help=f"default {DEFAULT}; torch on demand")
    ap.add_argument("--models", type=Path, nargs="+", default=[], help="ONNX files or folders")
    ap.add_argument("--layers", action="store_true", help="single layers, see layers.py")
    ap.add_argument("--report", type=Path, default=ROOT / "build/peers", help="folder for table and picture")
    ap.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seconds", type=float, default=5, help="for each engine and model")
    ap.add_argument("--json", type=Path)
    args = ap.parse_args()
    args.engines = args.engines.split(",")
    args.venv, args.cache = args.venv.absolute(), args.cache.absolute()

    python = args.venv / "bin/python"
    if Path(sys.prefix) != args.venv and python.exists() and not args.install:
        os.execv(python, [str(python), str(HERE / "peers.py"), *sys.argv[1:]])
    try:
        import numpy, onnx  # noqa: F401, E401
    except ImportError:
        if not args.install:
            print(f"no engines in {args.venv}: run peers.py --install first", file=sys.stderr)
            return 2
    if args.install:
        return install(args.venv, args.engines)
    return compare(args)


if __name__ == "__main__":
    sys.exit(main())
