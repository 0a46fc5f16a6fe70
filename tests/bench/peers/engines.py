"""The engines that peers.py compares, and the process that each of them runs in.

An engine is a class: convert() makes the file it loads from an ONNX file (in the coordinator,
not timed), the constructor loads, run() computes once with inputs that were handed over
before, outputs() returns what the last run computed. Each uses the settings that its
documentation gives for the lowest latency in float32.

As a program: engines.py ENGINE FILE INPUTS.npz THREADS CORES. It talks in lines of JSON:
it says {"ready": ms}; to "first FILE.npz" it runs once and saves the outputs; to "runs N MS" it
runs once unmeasured, then at least N times and MS milliseconds, and lists the times, and in how
many of these runs the system took a core away from it; to "end" it tells its peak memory.
"""

import ctypes
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CONVERT_SECONDS = 600


def call(command, folder, made):
    """Run a converter in `folder`, once: it leaves `made` there, or a log that says why not."""
    log = folder / f"{Path(command[0]).name}.log"
    if not made.is_file() and not log.is_file():
        with open(log, "wb") as f:
            try:
                subprocess.run(command, cwd=folder, stdout=f, stderr=f, timeout=CONVERT_SECONDS)
            except subprocess.TimeoutExpired:
                pass  # onnx2tf writes the float32 file first and may spend long on others
    if not made.is_file():
        raise RuntimeError(f"not converted, see {log} (delete it to try again)")


def pnnx(onnx_file, folder):
    """pnnx writes both an ncnn model and a PyTorch module."""
    spec = importlib.util.find_spec("pnnx")
    if not spec:
        raise RuntimeError("pnnx is not installed")
    program = Path(spec.origin).with_name("pnnx")
    files = {"pnnxparam": "m.pnnx.param", "pnnxbin": "m.pnnx.bin", "pnnxpy": "m_pnnx.py",
             "pnnxonnx": "m.pnnx.onnx", "ncnnparam": "m.ncnn.param", "ncnnbin": "m.ncnn.bin",
             "ncnnpy": "m_ncnn.py"}
    call([program, onnx_file, "fp16=0", *(f"{key}={folder / f}" for key, f in files.items())],
         folder, folder / "m.ncnn.param")


class Engine:
    packages = ()

    @staticmethod
    def convert(onnx_file, static_file, folder):
        """static_file is the same model with every input size fixed."""
        return onnx_file


class Linnet(Engine):
    """Through the Python binding, which loads build/liblinnet.so or what LINNET_LIBRARY names.

    The session borrows the arrays of its first run, so later runs are the one C call: as with
    the other engines, neither inputs nor outputs are handed over again.
    """
    module = "linnet"

    @staticmethod
    def convert(onnx_file, static_file, folder):
        library = Path(os.environ.get("LINNET_LIBRARY") or ROOT / "build/liblinnet.so")
        for need in (ROOT / "examples/python/linnet.py", library):
            if not need.exists():
                raise RuntimeError(f"{need} is not there")
        return onnx_file

    def __init__(self, path, inputs, threads):
        import linnet
        self.again = linnet._lib.linnet_session_run
        self.session = linnet.Model(path).session(threads=threads)
        self.inputs, self.result = inputs, None

    def run(self):
        if self.result is None:
            self.result = self.session.run(self.inputs)
        elif self.again(self.session._handle, None):
            raise RuntimeError("linnet_session_run failed")

    def outputs(self):
        return [self.session._output(i) for i in range(len(self.result))]


class Ort(Engine):
    packages = ("onnxruntime",)
    module = "onnxruntime"

    def __init__(self, path, inputs, threads):
        import onnxruntime as ort
        o = ort.SessionOptions()
        o.intra_op_num_threads = threads
        o.inter_op_num_threads = 1
        o.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        o.add_session_config_entry("session.intra_op.allow_spinning", "1")
        o.add_session_config_entry("session.set_denormal_as_zero", "0")
        self.session = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for name, a in inputs.items():
            self.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(a))
        for out in self.session.get_outputs():
            self.binding.bind_output(out.name)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def outputs(self):
        return self.binding.copy_outputs_to_cpu()


class OpenVino(Engine):
    packages = ("openvino",)
    module = "openvino"

    def __init__(self, path, inputs, threads):
        import openvino as ov
        core = ov.Core()
        model = core.read_model(path)
        model.reshape({name: list(a.shape) for name, a in inputs.items()})
        compiled = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False})
        self.request = compiled.create_infer_request()
        self.held = [ov.Tensor(a, shared_memory=True) for a in inputs.values()]
        for name, tensor in zip(inputs, self.held):
            self.request.set_tensor(name, tensor)
        self.count = len(compiled.outputs)

    def run(self):
        self.request.infer()

    def outputs(self):
        return [self.request.get_output_tensor(i).data for i in range(self.count)]


class Ncnn(Engine):
    packages = ("ncnn", "pnnx")
    module = "ncnn"

    @staticmethod
    def convert(onnx_file, static_file, folder):
        pnnx(static_file, folder)
        return folder / "m.ncnn.param"

    def __init__(self, path, inputs, threads):
        import ncnn
        self.net = ncnn.Net()
        o = self.net.opt
        o.num_threads = threads
        o.use_vulkan_compute = o.use_bf16_storage = False
        o.use_fp16_packed = o.use_fp16_storage = o.use_fp16_arithmetic = False
        o.lightmode = o.use_packing_layout = True
        o.use_winograd_convolution = o.use_sgemm_convolution = True
        if self.net.load_param(path) or self.net.load_model(path[:-5] + "bin"):
            raise RuntimeError("ncnn does not load what pnnx wrote")
        self.inputs = []
        for a in inputs.values():
            a = a.astype(np.int32) if a.dtype == np.int64 else a
            self.inputs.append(ncnn.Mat(np.ascontiguousarray(a[0] if a.ndim > 1 else a)).clone())
        self.names = self.net.output_names()

    def run(self):
        with self.net.create_extractor() as ex:
            for i, mat in enumerate(self.inputs):
                ex.input(f"in{i}", mat)
            got = [ex.extract(name) for name in self.names]
        if any(code for code, _ in got):
            raise RuntimeError("ncnn did not compute an output")
        self.result = [mat for _, mat in got]

    def outputs(self):
        return [np.array(mat) for mat in self.result]


class LiteRt(Engine):
    """XNNPACK, LiteRT's default on a CPU. onnx2tf turns the graph into channels-last."""
    packages = ("ai-edge-litert",)
    module = "ai_edge_litert"

    @staticmethod
    def convert(onnx_file, static_file, folder):
        made = folder / "model_float32.tflite"
        program = Path(sys.prefix) / "onnx2tf" / "bin" / "onnx2tf"
        if not program.is_file():
            raise RuntimeError("onnx2tf is not installed")
        # onnx2tf wants sample pictures; without this file it would download some.
        np.save(folder / "calibration_image_sample_data_20x128x128x3_float32.npy",
                np.random.default_rng(1).random((20, 128, 128, 3), np.float32))
        call([program, "-i", static_file, "-o", folder, "-n"], folder, made)
        return made

    def __init__(self, path, inputs, threads):
        from ai_edge_litert.interpreter import Interpreter
        self.interpreter = Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        details = self.interpreter.get_input_details()
        for detail, a in zip(details, inputs.values()):
            if tuple(detail["shape"]) != a.shape:
                a = np.moveaxis(a, 1, -1)
            self.interpreter.set_tensor(detail["index"], a.astype(detail["dtype"]))

    def run(self):
        self.interpreter.invoke()

    def outputs(self):
        return [self.interpreter.get_tensor(d["index"])
                for d in self.interpreter.get_output_details()]


class Torch(Engine):
    """TorchScript, frozen and optimised; only when asked for: its wheel brings gigabytes."""
    packages = ("torch", "pnnx")
    module = "torch"

    @staticmethod
    def convert(onnx_file, static_file, folder):
        pnnx(static_file, folder)
        return folder / "m_pnnx.py"

    def __init__(self, path, inputs, threads):
        import torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.torch = torch
        spec = importlib.util.spec_from_file_location("m_pnnx", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        net = module.Model().float().eval()
        self.inputs = [torch.from_numpy(a) for a in inputs.values()]
        with torch.inference_mode():
            self.net = torch.jit.optimize_for_inference(torch.jit.trace(net, self.inputs))

    def run(self):
        with self.torch.inference_mode():
            self.result = self.net(*self.inputs)

    def outputs(self):
        r = self.result if isinstance(self.result, (tuple, list)) else [self.result]
        return [t.numpy() for t in r]


ENGINES = {"linnet": Linnet, "ort": Ort, "openvino": OpenVino, "ncnn": Ncnn, "litert": LiteRt,
           "torch": Torch}


def memory(key):
    """VmHWM (peak) or VmRSS (now) of this process, MB."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith(key + ":"):
            return int(row.split()[1]) / 1024
    return 0.0


def preempted():
    """How often a thread of this process lost its core while it wanted to go on."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def timed(work):
    start = time.perf_counter_ns()
    result = work()
    return (time.perf_counter_ns() - start) / 1e6, result


def worker(name, path, inputs, threads, cores):
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: a stopped worker must not be left
    say = os.fdopen(os.dup(1), "w", buffering=1)  # what an engine prints must not reach the pipe
    os.dup2(2, 1)
    os.sched_setaffinity(0, {int(c) for c in cores.split(",")})
    sys.path.insert(0, str(ROOT / "examples/python"))
    with np.load(inputs) as file:
        inputs = {key: np.ascontiguousarray(file[key]) for key in file.files}
    before = memory("VmRSS")
    try:
        importlib.import_module(ENGINES[name].module)
        load, engine = timed(lambda: ENGINES[name](path, inputs, int(threads)))
        print(json.dumps({"ready": load}), file=say)
        for row in sys.stdin:
            verb, *args = row.split()
            if verb == "first":
                first, _ = timed(engine.run)
                np.savez(args[0], *[np.asarray(a) for a in engine.outputs()])
                print(json.dumps({"first": first}), file=say)
            elif verb == "runs":
                engine.run()
                times, disturbed, before_run = [], 0, preempted()
                while len(times) < int(args[0]) or sum(times) < float(args[1]):
                    times.append(timed(engine.run)[0])
                    now = preempted()
                    disturbed += now > before_run
                    before_run = now
                print(json.dumps({"times": times, "disturbed": disturbed}), file=say)
            else:
                print(json.dumps({"peak": memory("VmHWM"), "before": before}), file=say)
                say.flush()
                os._exit(0)  # some engines crash or hang while Python takes them down
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=say)
        say.flush()
        os._exit(1)


if __name__ == "__main__":
    worker(*sys.argv[1:])
