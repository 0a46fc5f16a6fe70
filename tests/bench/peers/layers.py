"""Single layers as ONNX models: chains of one and of nine equal layers.

What a model pays at its edges (the call, another layout inside) and what its caches keep from run to
run is no part of a layer: the time of one is that of nine less that of one, over eight.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHORT, LONG = 1, 9

# name: channels, height and width, kernel, groups
LAYERS = {
    "3x3_64_56": (64, 56, 3, 1), "3x3_128_28": (128, 28, 3, 1),
    "3x3_256_14": (256, 14, 3, 1), "3x3_512_7": (512, 7, 3, 1),
    "1x1_64_56": (64, 56, 1, 1), "1x1_256_28": (256, 28, 1, 1),
    "1x1_512_14": (512, 14, 1, 1), "1x1_1024_7": (1024, 7, 1, 1),
    "dw3x3_64_112": (64, 112, 3, 64), "dw3x3_128_56": (128, 56, 3, 128),
    "dw3x3_512_14": (512, 14, 3, 512), "dw5x5_512_14": (512, 14, 5, 512),
}


def gflop(name):
    c, side, kernel, groups = LAYERS[name]
    return 2e-9 * c * (c // groups) * kernel * kernel * side * side


def chain(name, length):
    """Conv and Relu, `length` times, with weights that keep the numbers of the size they have."""
    c, side, kernel, groups = LAYERS[name]
    rng = np.random.default_rng(1)
    taps = c // groups * kernel * kernel
    nodes, weights, x = [], [], "x"
    for i in range(length):
        w = rng.standard_normal((c, c // groups, kernel, kernel)) * np.sqrt(2 / taps)
        weights += [numpy_helper.from_array(w.astype(np.float32), f"w{i}"),
                    numpy_helper.from_array(np.full(c, 0.01, np.float32), f"b{i}")]
        nodes += [helper.make_node("Conv", [x, f"w{i}", f"b{i}"], [f"c{i}"], group=groups,
                                   kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4),
                  helper.make_node("Relu", [f"c{i}"], [f"y{i}"])]
        x = f"y{i}"
    shape = [1, c, side, side]
    graph = helper.make_graph(nodes, name,
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(folder):
    """The files, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in LAYERS:
        for length in (SHORT, LONG):
            path = folder / f"{name}-{length}.onnx"
            if not path.is_file():
                onnx.save(chain(name, length), path)
            files.append(path)
    return files


def rows(results):
    """Of the results of these models: layer, then engine -> microseconds of one layer (by minima)."""
    times = {}
    for model in results:
        for engine in model["engines"]:
            times[model["model"], engine["engine"]] = engine["min_ms"]
    for name in LAYERS:
        row = {}
        for (model, engine), long in times.items():
            short = times.get((f"{name}-{SHORT}", engine))
            if model == f"{name}-{LONG}" and short is not None:
                row[engine] = max(long - short, 0.0) / (LONG - SHORT) * 1e3
        if row:
            yield name, row
