"""Operators of com.microsoft, and a few of ONNX that the backend cases hardly touch, against ONNX Runtime.

    python3 tests/onnx/against_ort.py [--seeds 3] [--only NAME] [--list]

Each case makes a model of one layer and random inputs from its seed, runs both engines and compares. Needs numpy,
onnx and onnxruntime; without them it says so in one line and passes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as e:
    print(f"against_ort: skipped, {e}")
    sys.exit(0)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/python"))
import linnet  # noqa: E402

MS = "com.microsoft"
ort.set_default_logger_severity(4)
CASES = {}


class Layer:
    """One layer: inputs as arrays (None: absent), those in `const` become weights."""

    def __init__(self, op, inputs, outputs=1, domain=MS, const=(), rtol=1e-4, atol=1e-5, steps=0, standard=22, **attrs):
        self.op, self.inputs, self.outputs, self.domain, self.const = op, inputs, outputs, domain, const
        self.rtol, self.atol, self.steps, self.standard, self.attrs = rtol, atol, steps, standard, attrs

    def model(self):
        names = [f"i{k}" if x is not None else "" for k, x in enumerate(self.inputs)]
        out = [f"o{k}" for k in range(self.outputs)] if isinstance(self.outputs, int) else list(self.outputs)
        node = helper.make_node(self.op, names, out, domain=self.domain, **self.attrs)
        given = [(n, x) for k, (n, x) in enumerate(zip(names, self.inputs)) if n and k not in self.const]
        weights = [numpy_helper.from_array(self.inputs[k], names[k]) for k in self.const if self.inputs[k] is not None]
        infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given]
        graph = helper.make_graph([node], "g", infos, [helper.make_empty_tensor_value_info(o) for o in out if o], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.standard), helper.make_opsetid(MS, 1)])
        model.ir_version = 10
        return model, dict(given)


def case(function):
    CASES[function.__name__] = function
    return function


def f(r, *shape):
    return r.standard_normal(shape).astype(np.float32)


def q(r, kind, *shape):
    i = np.iinfo(kind)
    return r.integers(i.min, i.max + 1, shape).astype(kind)


def s(x):
    return np.array(x, np.float32)


def pick(r, *choices):
    return choices[r.integers(len(choices))]


def zero(r, kind):
    return np.array(r.integers(100, 150) if kind == np.uint8 else r.integers(-20, 20), kind)


# ---- activations and norms ---------------------------------------------------------------------------------


@case
def gelu(r):
    return Layer("Gelu", [f(r, 3, 17)])


@case
def fast_gelu(r):
    return Layer("FastGelu", [f(r, 2, 3, 16)] + ([f(r, 16)] if r.integers(2) else []))


@case
def bias_gelu(r):
    return Layer("BiasGelu", [f(r, 2, 3, 16), f(r, 16)])


@case
def quick_gelu(r):
    return Layer("QuickGelu", [f(r, 5, 19)], alpha=float(r.uniform(0.5, 2)))


@case
def skip_layer_norm(r):
    ins = [f(r, 2, 5, 24), f(r, 2, 5, 24), f(r, 24), f(r, 24), f(r, 24)]
    return Layer("SkipLayerNormalization", ins[: pick(r, 3, 4, 5)], ("o0", "", "", "o3"), epsilon=1e-5)


@case
def skip_simplified_layer_norm(r):
    ins = [f(r, 2, 5, 24), f(r, 2, 5, 24), f(r, 24), f(r, 24)]
    return Layer("SkipSimplifiedLayerNormalization", ins[: pick(r, 3, 4)], ("o0", "", "", "o3"), epsilon=1e-6)


@case
def simplified_layer_norm(r):
    return Layer("SimplifiedLayerNormalization", [f(r, 4, 24), f(r, 24)], domain="", epsilon=1e-6, standard=17)


@case
def embed_layer_norm(r):
    ids, seg = r.integers(0, 30, (2, 7)).astype(np.int32), r.integers(0, 2, (2, 7)).astype(np.int32)
    mask = (np.arange(7) < r.integers(1, 8, (2, 1))).astype(np.int32)
    return Layer("EmbedLayerNormalization", [ids, seg, f(r, 30, 16), f(r, 9, 16), f(r, 2, 16), f(r, 16), f(r, 16), mask],
                 2, const=(2, 3, 4, 5, 6), epsilon=1e-5)


# ---- matrix products ----------------------------------------------------------------------------------------


@case
def fused_conv(r):
    act = pick(r, ("Relu", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.5]), ("Sigmoid", None), ("Tanh", None),
               ("HardSigmoid", [0.3, 0.4]))
    extra = {"activation_params": act[1]} if act[1] else {}
    return Layer("FusedConv", [f(r, 1, 4, 9, 8), f(r, 6, 4, 3, 3), f(r, 6)], const=(1, 2), activation=act[0],
                 pads=[1, 1, 1, 1], kernel_shape=[3, 3], **extra)


@case
def fused_mat_mul(r):
    a, b = int(r.integers(2)), int(r.integers(2))
    x, w = f(r, 2, 5, 7), f(r, 2, 7, 6)
    return Layer("FusedMatMul", [x.swapaxes(1, 2).copy() if a else x, w.swapaxes(1, 2).copy() if b else w], transA=a,
                 transB=b, alpha=float(r.uniform(0.1, 3)))


@case
def fused_gemm(r):
    return Layer("FusedGemm", [f(r, 5, 7), f(r, 7, 6), f(r, 6)], activation=pick(r, "Relu", "Tanh", "Sigmoid"),
                 alpha=0.5, beta=2.0)


@case
def dynamic_quantize_mat_mul(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("DynamicQuantizeMatMul", [f(r, 5, 32), q(r, kind, 32, 6), s(0.02), zero(r, kind), f(r, 6)],
                 const=(1, 2, 3, 4), atol=1e-3)


@case
def mat_mul_integer_to_float(r):
    a, b = np.uint8, pick(r, np.uint8, np.int8)
    return Layer("MatMulIntegerToFloat", [q(r, a, 5, 32), q(r, b, 32, 6), s(0.01), np.abs(f(r, 6)), zero(r, a), zero(r, b),
                                          f(r, 6)], const=(1, 3, 5, 6), atol=1e-3)


@case
def mat_mul_nbits(r):
    n, k, block = int(r.integers(1, 20)), int(pick(r, 32, 64, 96, 100)), int(pick(r, 16, 32))
    blocks = -(-k // block)
    b = q(r, np.uint8, n, blocks, block // 2)
    zeros = q(r, np.uint8, n, (blocks + 1) // 2).reshape(-1) if r.integers(2) else None
    bits = int(pick(r, 4, 4, 8))
    if bits == 8:
        b, zeros = q(r, np.uint8, n, blocks, block), q(r, np.uint8, n, blocks).reshape(-1) if zeros is not None else None
    return Layer("MatMulNBits", [f(r, 3, k), b, np.abs(f(r, n, blocks)).reshape(-1)] + ([zeros] if zeros is not None else []),
                 const=(1, 2, 3) if zeros is not None else (1, 2), K=k, N=n, bits=bits, block_size=block, atol=1e-2)


# ---- quantised elementwise and pooling -------------------------------------------------------------------------


def q_binary(r, op):
    kind = pick(r, np.uint8, np.int8)
    shape = pick(r, (3, 17), (17,), (3, 1))
    return Layer(op, [q(r, kind, 3, 17), s(0.03), zero(r, kind), q(r, kind, *shape), s(0.05), zero(r, kind), s(0.07),
                      zero(r, kind)], const=(1, 2, 4, 5, 6, 7), steps=1)


@case
def qlinear_add(r):
    return q_binary(r, "QLinearAdd")


@case
def qlinear_mul(r):
    return q_binary(r, "QLinearMul")


@case
def qlinear_sigmoid(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("QLinearSigmoid", [q(r, kind, 3, 40), s(0.05), zero(r, kind), s(1 / 256), zero(r, kind)],
                 const=(1, 2, 3, 4), steps=1)


@case
def qlinear_leaky_relu(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("QLinearLeakyRelu", [q(r, kind, 3, 40), s(0.05), zero(r, kind), s(0.04), zero(r, kind)],
                 const=(1, 2, 3, 4), steps=1, alpha=0.1)


@case
def qlinear_softmax(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("QLinearSoftmax", [q(r, kind, 3, 40), s(0.05), zero(r, kind), s(1 / 256),
                                    np.array(0 if kind == np.uint8 else -128, kind)], const=(1, 2, 3, 4), steps=1, axis=-1,
                 opset=13, standard=13)


@case
def qlinear_concat(r):
    kind = pick(r, np.uint8, np.int8)
    ins = [s(0.05), zero(r, kind)]
    for _ in range(r.integers(1, 4)):
        ins += [q(r, kind, 2, r.integers(1, 6), 3), s(r.uniform(0.01, 0.1)), zero(r, kind)]
    const = [0, 1] + [k for k in range(2, len(ins)) if (k - 2) % 3]
    return Layer("QLinearConcat", ins, const=tuple(const), steps=1, axis=1)


@case
def qlinear_global_average_pool(r):
    kind, last = np.uint8, int(r.integers(2))
    shape = (2, 7, 5, 6) if last else (2, 6, 7, 5)
    return Layer("QLinearGlobalAveragePool", [q(r, kind, *shape), s(0.05), zero(r, kind), s(0.03), zero(r, kind)],
                 const=(1, 2, 3, 4), steps=1, channels_last=last)


@case
def qlinear_average_pool(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("QLinearAveragePool", [q(r, kind, 1, 6, 9, 8), s(0.05), zero(r, kind), s(0.03), zero(r, kind)],
                 const=(1, 2, 3, 4), steps=1, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2],
                 count_include_pad=int(r.integers(2)))


@case
def qlinear_where(r):
    kind = pick(r, np.uint8, np.int8)
    return Layer("QLinearWhere", [r.integers(0, 2, (3, 1)).astype(bool), q(r, kind, 3, 17), s(0.03), zero(r, kind),
                                  q(r, kind, 17), s(0.05), zero(r, kind), s(0.07), zero(r, kind)],
                 const=(2, 3, 5, 6, 7, 8), steps=1)


@case
def qgemm(r):
    a, b = np.uint8, pick(r, np.uint8, np.int8)
    return Layer("QGemm", [q(r, a, 5, 32), s(0.02), zero(r, a), q(r, b, 32, 6), s(0.01), zero(r, b),
                           r.integers(-1000, 1000, 6).astype(np.int32), s(0.5), zero(r, a)],
                 const=(1, 2, 3, 4, 5, 6, 7, 8), steps=1)


# ---- attention -----------------------------------------------------------------------------------------------------


@case
def attention(r):
    h, d, t = int(pick(r, 1, 2, 4)), 8, int(r.integers(1, 9))
    mask = (np.arange(t) < r.integers(1, t + 1, (2, 1))).astype(np.int32) if r.integers(2) else None
    return Layer("Attention", [f(r, 2, t, 16), f(r, 16, 3 * h * d), f(r, 3 * h * d), mask], const=(1, 2), num_heads=h,
                 unidirectional=int(r.integers(2)))


@case
def attention_past(r):
    past = f(r, 2, 2, 2, 5, 8)
    return Layer("Attention", [f(r, 2, 3, 16), f(r, 16, 48), f(r, 48), None, past], 2, const=(1, 2), num_heads=2,
                 unidirectional=1)


@case
def multi_head_attention(r):
    t, k = int(r.integers(1, 9)), int(r.integers(1, 9))
    bias = f(r, 48) if r.integers(2) else None
    mask = pick(r, None, (np.arange(k) < r.integers(1, k + 1, (2, 1))).astype(np.int32))
    extra = pick(r, None, f(r, 1, 2, t, k), f(r, 2, 2, t, k))
    return Layer("MultiHeadAttention", [f(r, 2, t, 16), f(r, 2, k, 16), f(r, 2, k, 16), bias, mask, extra], num_heads=2)


@case
def multi_head_attention_past(r):
    t, p = int(r.integers(1, 4)), int(r.integers(1, 6))
    return Layer("MultiHeadAttention", [f(r, 2, t, 16), f(r, 2, t, 16), f(r, 2, t, 16), None, None, None,
                                        f(r, 2, 2, p, 8), f(r, 2, 2, p, 8)], 3, num_heads=2,
                 unidirectional=int(r.integers(2)))


@case
def multi_head_attention_cross(r):
    t, k = int(r.integers(1, 5)), int(r.integers(1, 6))
    return Layer("MultiHeadAttention", [f(r, 2, t, 16), f(r, 2, 2, k, 8), f(r, 2, 2, k, 8)], num_heads=2)


def gqa(r, rotary, t, past, room):
    heads, kv, d = 4, 2, 16
    total = past + t
    lengths = np.full((2,), total - 1, np.int32)
    ins = [f(r, 2, t, heads * d), f(r, 2, t, kv * d), f(r, 2, t, kv * d), f(r, 2, kv, room, d), f(r, 2, kv, room, d), lengths,
           np.array([total], np.int32)]
    if rotary:
        angle = np.outer(np.arange(32), 10000.0 ** (-np.arange(d // 2) / (d // 2)))
        ins += [np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)]
    if r.integers(2):  # packed
        ins = [np.concatenate(ins[:3], 2), None, None] + ins[3:]
    window = int(pick(r, -1, 3))
    return Layer("GroupQueryAttention", ins, 3, num_heads=heads, kv_num_heads=kv, do_rotary=rotary,
                 rotary_interleaved=int(r.integers(2)) if rotary else 0, local_window_size=window, softcap=float(pick(r, 0, 5)))


@case
def group_query_attention_prompt(r):
    return gqa(r, int(r.integers(2)), int(r.integers(2, 7)), 0, 0)


@case
def group_query_attention_token(r):
    past = int(r.integers(1, 8))
    return gqa(r, int(r.integers(2)), 1, past, past)


@case
def quantised_attention(r):
    h, t, kind = int(pick(r, 1, 2)), int(r.integers(1, 8)), pick(r, np.uint8, np.int8)
    mask = (np.arange(t) < r.integers(1, t + 1, (2, 1))).astype(np.int32) if r.integers(2) else None
    return Layer("QAttention", [q(r, np.uint8, 2, t, 16), q(r, kind, 16, 48), f(r, 48), s(0.01), s(0.01), mask, zero(r, np.uint8),
                                zero(r, kind)], const=(1, 2, 3, 4, 6, 7), num_heads=h, unidirectional=int(r.integers(2)), atol=1e-4)


@case
def gather_block_quantized(r):
    bits, block = int(pick(r, 2, 4, 8)), int(pick(r, 16, 32))
    blocks = -(-64 // block)
    zeros = q(r, np.uint8, 20, -(-blocks * bits // 8)) if r.integers(2) else None
    return Layer("GatherBlockQuantized", [q(r, np.uint8, 20, 64 * bits // 8), r.integers(-20, 20, (2, 3)), f(r, 20, blocks)] +
                 ([zeros] if zeros is not None else []), const=(0, 2, 3) if zeros is not None else (0, 2), bits=bits, block_size=block,
                 quantize_axis=1, gather_axis=0)


@case
def rotary_embedding(r):
    angle = np.outer(np.arange(20), 10000.0 ** (-np.arange(4) / 4))
    ids = r.integers(0, 20, (2, 5)).astype(np.int64) if r.integers(2) else np.array([3], np.int64)
    return Layer("RotaryEmbedding", [f(r, 2, 5, 16), ids, np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)],
                 interleaved=int(r.integers(2)))


# ---- of ONNX itself --------------------------------------------------------------------------------------------------


@case
def dft(r):
    n, inverse = int(r.integers(1, 70)), int(r.integers(2))
    onesided = 0 if inverse else int(r.integers(2))
    return Layer("DFT", [f(r, 2, n, 3, 1 if onesided else int(pick(r, 1, 2))), None, np.array(1, np.int64)], domain="",
                 const=(2,), standard=20, inverse=inverse, onesided=onesided, atol=2e-3)


@case
def stft(r):
    n = int(r.integers(2, 65))
    return Layer("STFT", [f(r, 2, n + 100, 1), np.array(int(r.integers(1, 30)), np.int64), f(r, n), np.array(n, np.int64)],
                 domain="", const=(1, 3), standard=17, onesided=int(r.integers(2)), atol=2e-3)


@case
def non_max_suppression(r):
    n = int(r.integers(1, 400))
    box = np.concatenate([r.uniform(0, 10, (2, n, 2)), r.uniform(0, 3, (2, n, 2))], 2)
    box[..., 2:] += box[..., :2]
    score = np.round(r.uniform(0, 1, (2, 3, n)), int(pick(r, 1, 6)))
    return Layer("NonMaxSuppression", [box.astype(np.float32), score.astype(np.float32), np.array([int(pick(r, 5, 1000))]),
                                       s([0.4]), s([0.2])], domain="", standard=11)


@case
def unique(r):
    axis = pick(r, {}, {"axis": 0}, {"axis": 1})
    x = r.integers(0, 4, (int(r.integers(1, 300)), 3)).astype(pick(r, np.float32, np.int64))
    return Layer("Unique", [x], 4, domain="", standard=11, sorted=int(r.integers(2)), **axis)


@case
def top_k(r):
    x = r.integers(0, 50, (4, int(r.integers(1, 500)))).astype(np.float32)
    k = int(r.integers(1, x.shape[1] + 1))
    return Layer("TopK", [x, np.array([k])], 2, domain="", standard=11, largest=int(r.integers(2)), const=(1,))


@case
def softmax(r):
    return Layer(pick(r, "Softmax", "LogSoftmax"), [3 * f(r, 2, int(r.integers(1, 40)), int(pick(r, 3, 16, r.integers(1, 1200))))], domain="",
                 standard=13, axis=int(r.integers(3)))


@case
def arg_reduce(r):
    x = r.integers(0, 6, (2, int(r.integers(1, 40)), int(r.integers(1, 700)))).astype(np.float32)
    return Layer(pick(r, "ArgMax", "ArgMin"), [x], domain="", standard=13, axis=int(r.integers(3)), keepdims=int(r.integers(2)),
                 select_last_index=int(r.integers(2)))


@case
def reduce(r):
    x = f(r, *[int(r.integers(1, 20)) for _ in range(4)])
    axes = np.flatnonzero(r.integers(0, 2, 4)).astype(np.int64)
    op = pick(r, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare")
    return Layer(op, [x, axes if len(axes) else np.array([3])], domain="", standard=18, const=(1,), keepdims=int(r.integers(2)))


@case
def cum_sum(r):
    return Layer("CumSum", [f(r, 3, int(r.integers(1, 50)), int(r.integers(1, 300))), np.array(int(r.integers(-3, 3)))], domain="",
                 standard=14, const=(1,), exclusive=int(r.integers(2)), reverse=int(r.integers(2)), atol=1e-4)


@case
def lp_normalization(r):
    return Layer("LpNormalization", [f(r, 5, int(r.integers(1, 50)))], domain="", standard=13, axis=int(r.integers(2)),
                 p=int(r.integers(1, 3)))


@case
def col2im(r):
    k, s_, d = r.integers(1, 4, 2), r.integers(1, 4, 2), r.integers(1, 3, 2)
    pads, image = r.integers(0, 3, 4), r.integers(8, 14, 2)
    blocks = [(image[i] + pads[i] + pads[i + 2] - d[i] * (k[i] - 1) - 1) // s_[i] + 1 for i in range(2)]
    return Layer("Col2Im", [f(r, 2, 3 * int(k.prod()), int(np.prod(blocks))), image.astype(np.int64), k.astype(np.int64)], domain="",
                 standard=18, const=(1, 2), strides=s_.tolist(), dilations=d.tolist(), pads=pads.tolist())


@case
def roi_align(r):
    box = np.sort(r.uniform(-5, 60, (7, 2, 2)), 1).reshape(7, 4).astype(np.float32)
    return Layer("RoiAlign", [f(r, 2, 5, 12, 15), box, r.integers(0, 2, 7)], domain="", standard=16, output_height=3, output_width=4,
                 spatial_scale=0.25, sampling_ratio=int(r.integers(0, 3)), mode=pick(r, "avg", "avg", "max"),
                 coordinate_transformation_mode=pick(r, "half_pixel", "output_half_pixel"))


@case
def max_unpool(r):
    at = np.stack([r.permutation(6 * 8 * 10)[:6 * 4 * 5] for _ in range(1)]).reshape(1, 6, 4, 5)
    return Layer("MaxUnpool", [f(r, 1, 6, 4, 5), at], domain="", standard=11, kernel_shape=[2, 2], strides=[2, 2])


@case
def deform_conv(r):
    off = f(r, 2, 2 * 2 * 9, 7, 6)
    return Layer("DeformConv", [f(r, 2, 4, 7, 6), f(r, 6, 4, 3, 3), off, f(r, 6), np.abs(f(r, 2, 2 * 9, 7, 6))], domain="",
                 standard=19, offset_group=2, pads=[1, 1, 1, 1], kernel_shape=[3, 3], atol=1e-4)


@case
def cross_entropy(r):
    return Layer("SoftmaxCrossEntropyLoss", [f(r, 9, int(r.integers(1, 700))), np.zeros(9, np.int64)], domain="", standard=13,
                 reduction=pick(r, "none", "sum", "mean"), atol=1e-4)


@case
def resize_nearest(r):
    return Layer("Resize", [f(r, 1, 3, 7, 6), None, s([1, 1, r.uniform(0.5, 3), r.uniform(0.5, 3)])], domain="", standard=13, const=(2,),
                 mode="nearest", nearest_mode=pick(r, "floor", "ceil", "round_prefer_floor"),
                 coordinate_transformation_mode=pick(r, "asymmetric", "half_pixel"))


@case
def cast(r):
    x = pick(r, 300 * f(r, 3, 70), r.integers(-300, 300, (3, 70)), q(r, np.uint8, 3, 70), q(r, np.int8, 3, 70),
             r.integers(0, 2, (3, 70)).astype(bool), r.integers(-300, 300, (3, 70)).astype(np.int32))
    to = pick(r, TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
    return Layer("Cast", [x], domain="", standard=13, to=int(to))


@case
def compare(r):
    a, b = r.integers(0, 4, (3, 1, 70)).astype(np.float32), r.integers(0, 4, pick(r, (5, 70), (5, 1), (1,))).astype(np.float32)
    return Layer(pick(r, "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"), [a, b], domain="", standard=16)


@case
def where(r):
    return Layer("Where", [r.integers(0, 2, pick(r, (3, 70), (3, 1), (70,))).astype(bool), f(r, *pick(r, (3, 70), (1,))), f(r, 3, 70)],
                 domain="", standard=16)


@case
def quantize_linear(r):
    kind = pick(r, np.uint8, np.int8)
    n = int(pick(r, 1, 5))
    return Layer("QuantizeLinear", [10 * f(r, 3, 5, int(r.integers(1, 40))), np.abs(f(r, n)) + s(0.05), q(r, kind, n)], domain="",
                 standard=13, axis=1)


@case
def dequantize_linear(r):
    kind = pick(r, np.uint8, np.int8)
    n = int(pick(r, 1, 5))
    return Layer("DequantizeLinear", [q(r, kind, 3, 5, int(r.integers(1, 40))), np.abs(f(r, n)), q(r, kind, n)], domain="",
                 standard=13, axis=1)


# ---- the comparison ------------------------------------------------------------------------------------------------------


def worst(layer, got, want):
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"got {got.dtype}{got.shape}, want {want.dtype}{want.shape}"
    if got.dtype.kind in "iub":
        off = np.abs(got.astype(np.int64) - want.astype(np.int64))
        return f"off by {off.max()}" if off.size and off.max() > layer.steps else ""
    bad = ~np.isclose(got, want, layer.rtol, layer.atol, equal_nan=True)
    if not bad.any():
        return ""
    i = np.unravel_index(np.argmax(np.where(bad, np.abs(got - want), 0)), got.shape)
    return f"{bad.sum()} of {bad.size} differ, at {i}: got {got[i]!r}, want {want[i]!r}"


def run(name, seed, folder):
    r = np.random.default_rng([seed, len(name)])
    layer = CASES[name](r)
    model, inputs = layer.model()
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        want = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)
    except Exception as e:  # it has no such kernel, or no such combination
        return "skipped", f"ONNX Runtime: {str(e).splitlines()[0][:150]}"
    try:
        got = linnet.Model(str(path)).session().run(inputs)
    except linnet.Error as e:
        return "FAILED", str(e)
    for k, (g, w) in enumerate(zip(got, want)):
        wrong = worst(layer, g, np.asarray(w))
        if wrong:
            return "FAILED", f"output {k}: {wrong}"
    return "passed", ""


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--seeds", type=int, default=3)
    a.add_argument("--only", default="")
    a.add_argument("--list", action="store_true")
    a = a.parse_args()
    count = {"passed": 0, "FAILED": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            if a.list:
                print(name)
                continue
            if a.only not in name:
                continue
            for seed in range(a.seeds):
                result, why = run(name, seed, Path(folder))
                count[result] += 1
                if why:
                    print(f"{result} {name} (seed {seed}): {why}")
    print(f"{count['passed']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    return count["FAILED"] != 0


if __name__ == "__main__":
    sys.exit(main())
