"""linnet from Python through ctypes, on numpy arrays. Needs numpy and the shared library.

    import linnet
    session = linnet.Model("mnist.lnt").session(threads=2)
    outputs = session.run({"image": array})            # a list of arrays, in the model's order

A sequence is a list of arrays, an optional without a value None. Types that numpy lacks (bf16, f8,
f4, 4- and 2-bit integers) are those of the package ml_dtypes, where it is installed.
"""

import ctypes
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path

import numpy as np

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
         9: np.bool_, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64, 14: np.complex64,
         15: np.complex128}
BITS = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}  # types with several elements in a byte, low bits first
try:
    import ml_dtypes
    for _number, _name in {16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2",
                           20: "float8_e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4_e2m1fn",
                           24: "float8_e8m0fnu", 25: "uint2", 26: "int2"}.items():
        if hasattr(ml_dtypes, _name):
            TYPES[_number] = getattr(ml_dtypes, _name)
except ImportError:
    pass
NUMBERS = {np.dtype(t): n for n, t in TYPES.items()}
STRING = 8
MAX_RANK = 8


class Error(Exception):
    """What linnet says is wrong; code is its status, UNSUPPORTED among others."""

    UNSUPPORTED, EXTERNAL = -4, -9

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


class _Message(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", c_char * 508)]


class _Options(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("isa_mask", c_uint32), ("allocator", c_void_p), ("limits", c_void_p),
                ("pool", c_void_p), ("external", c_void_p), ("external_user", c_void_p), ("passes", c_uint32),
                ("precision", c_int32), ("copy", c_uint32), ("profile", c_uint32), ("ties", c_void_p),
                ("tie_count", c_size_t)]


class _Value(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("dtype", c_int32), ("rank", c_int32), ("dims", c_int64 * MAX_RANK),
                ("symbol", c_char_p * MAX_RANK), ("kind", c_int32)]


def _load():
    here = Path(__file__).resolve().parents[2] / "build/liblinnet.so"
    lib = ctypes.CDLL(os.environ.get("LINNET_LIBRARY") or (str(here) if here.exists() else "liblinnet.so.0"))
    for name, result in [("input_count", c_size_t), ("output_count", c_size_t)]:
        function = getattr(lib, "linnet_model_" + name)
        function.restype, function.argtypes = result, [c_void_p]
    for name in ("linnet_model_input", "linnet_model_output"):
        getattr(lib, name).argtypes = [c_void_p, c_size_t, POINTER(_Value)]
    lib.linnet_model_meta.restype, lib.linnet_model_meta.argtypes = c_char_p, [c_void_p, c_char_p]
    lib.linnet_session_set_input.argtypes = [c_void_p, c_size_t, c_int32, c_int32, c_void_p, c_void_p, c_size_t,
                                             c_void_p]
    lib.linnet_session_set_input_tensor.argtypes = [c_void_p, c_size_t, c_void_p, c_void_p]
    lib.linnet_session_set_sequence.argtypes = [c_void_p, c_size_t, c_void_p, c_size_t, c_void_p]
    lib.linnet_session_set_absent.argtypes = [c_void_p, c_size_t, c_void_p]
    lib.linnet_session_output.restype, lib.linnet_session_output.argtypes = c_void_p, [c_void_p, c_size_t]
    lib.linnet_session_output_length.restype = c_int64
    lib.linnet_session_output_length.argtypes = [c_void_p, c_size_t]
    lib.linnet_session_output_item.restype = c_void_p
    lib.linnet_session_output_item.argtypes = [c_void_p, c_size_t, c_size_t]
    lib.linnet_tensor_view.argtypes = [c_int32, c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p]
    lib.linnet_tensor_load_pb.argtypes = [c_char_p, c_size_t, c_void_p, c_void_p, c_size_t, c_void_p]
    lib.linnet_tensor_string.restype, lib.linnet_tensor_string.argtypes = c_char_p, [c_void_p, c_size_t]
    lib.linnet_tensor_data.restype, lib.linnet_tensor_data.argtypes = c_void_p, [c_void_p]
    lib.linnet_tensor_size.restype, lib.linnet_tensor_size.argtypes = c_size_t, [c_void_p]
    lib.linnet_tensor_dim.restype, lib.linnet_tensor_dim.argtypes = c_int64, [c_void_p, c_int32]
    for name in ("linnet_tensor_dtype", "linnet_tensor_rank"):
        getattr(lib, name).argtypes = [c_void_p]
    lib.linnet_session_tie.argtypes = [c_void_p, c_size_t, c_size_t, c_void_p]
    for name in ("linnet_session_save_state", "linnet_session_load_state"):
        getattr(lib, name).argtypes = [c_void_p, c_char_p, c_size_t, c_void_p]
    for name in ("linnet_session_free", "linnet_model_free", "linnet_pool_free", "linnet_tensor_free"):
        getattr(lib, name).argtypes, getattr(lib, name).restype = [c_void_p], None
    lib.linnet_version.restype = c_char_p
    return lib


_lib = _load()
version = _lib.linnet_version().decode()


def _call(function, *arguments):
    error = _Message()
    code = function(*arguments, byref(error))
    if code != 0:
        raise Error(error.message.decode(), code)


def _packed(array, number):
    """The bytes of an array as linnet keeps them."""
    bits = BITS.get(number)
    if not bits:
        return array
    flat, per = array.reshape(-1).view(np.uint8) & (2**bits - 1), 8 // bits
    flat = np.concatenate([flat, np.zeros(-len(flat) % per, np.uint8)]).reshape(-1, per)
    return np.bitwise_or.reduce(flat << (np.arange(per, dtype=np.uint8) * bits), axis=1, dtype=np.uint8)


def _array(tensor):
    """A copy of a linnet_tensor as an array; of objects (str) for strings."""
    shape = [_lib.linnet_tensor_dim(tensor, d) for d in range(_lib.linnet_tensor_rank(tensor))]
    number = _lib.linnet_tensor_dtype(tensor)
    if number == STRING:
        texts = [_lib.linnet_tensor_string(tensor, i).decode() for i in range(int(np.prod(shape)))]
        return np.array(texts, object).reshape(shape)
    if number not in TYPES:
        raise Error(f"no array type for element type {number}: the package ml_dtypes is missing or too old")
    data = np.empty(_lib.linnet_tensor_size(tensor), np.uint8)
    if data.nbytes:
        ctypes.memmove(data.ctypes.data, _lib.linnet_tensor_data(tensor), data.nbytes)
    bits = BITS.get(number)
    if not bits:
        return data.view(TYPES[number]).reshape(shape)
    wide = (data[:, None] >> (np.arange(8 // bits, dtype=np.uint8) * bits)) & (2**bits - 1)
    wide = wide.reshape(-1)[:int(np.prod(shape))]
    if number in (22, 26):  # signed
        wide = wide.astype(np.int8) - ((wide >> (bits - 1)) << bits).astype(np.int8)
        return wide.astype(TYPES[number]).reshape(shape)
    return (wide.view(TYPES[number]) if number == 23 else wide.astype(TYPES[number])).reshape(shape)


class Tensor:
    """An array, or the bytes of a TensorProto (which may hold strings), as linnet's own object."""

    def __init__(self, array=None, proto=None):
        self._handle = c_void_p()
        if proto is not None:
            _call(_lib.linnet_tensor_load_pb, proto, len(proto), byref(self._handle), None, 0)
            return
        array = np.asarray(array, order="C")
        if array.dtype not in NUMBERS:
            raise Error(f"no element type for arrays of {array.dtype}")
        number = NUMBERS[array.dtype]
        self._data = _packed(array, number)  # the tensor is a view of it
        _call(_lib.linnet_tensor_view, number, array.ndim, (c_int64 * MAX_RANK)(*array.shape),
              self._data.ctypes.data, self._data.nbytes, byref(self._handle))

    def numpy(self):
        return _array(self._handle)

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.linnet_tensor_free(self._handle)


class Session:
    """One running copy of a model. Not for two threads at a time."""

    def __init__(self, model, threads=1, exact=False):
        options = _Options()
        _lib.linnet_options_defaults(byref(options), c_size_t(ctypes.sizeof(options)))
        self._pool, self._handle, self._model, self._tied = c_void_p(), c_void_p(), model, set()
        if threads > 1:
            _call(_lib.linnet_pool_create, c_int32(threads), None, byref(self._pool))
            options.pool = self._pool.value
        options.precision = int(exact)
        _call(_lib.linnet_session_create, model._handle, byref(options), byref(self._handle))

    def run(self, inputs):
        """inputs: a dict by name, or a sequence in the model's order. Returns new arrays.

        A tied input may be left out, or be None; given, it sets the state.
        """
        if isinstance(inputs, dict):
            unknown = set(inputs) - {v["name"] for v in self._model.inputs}
            if unknown:
                raise Error(f"the model has no input {sorted(unknown)}")
            inputs = [inputs.get(v["name"]) if i in self._tied else inputs[v["name"]]
                      for i, v in enumerate(self._model.inputs)]
        # run() reads the arrays: they must stay alive until it is done.
        held = [self._set(i, value, info["dtype"]) for i, (value, info) in enumerate(zip(inputs, self._model.inputs))
                if value is not None or i not in self._tied]
        _call(_lib.linnet_session_run, self._handle)
        del held
        return [self._output(i) for i in range(len(self._model.outputs))]

    def _set(self, i, value, dtype):
        if value is None:
            _call(_lib.linnet_session_set_absent, self._handle, i)
            return None
        if isinstance(value, list) and self._model.inputs[i]["kind"] != 0:
            items = [v if isinstance(v, Tensor) else Tensor(v) for v in value]
            pointers = (c_void_p * max(len(items), 1))(*[t._handle for t in items])
            _call(_lib.linnet_session_set_sequence, self._handle, i, pointers, len(items))
            return items
        if not isinstance(value, Tensor):
            value = Tensor(np.asarray(value, TYPES.get(dtype)))
        _call(_lib.linnet_session_set_input_tensor, self._handle, i, value._handle)
        return value

    def _output(self, i):
        length = _lib.linnet_session_output_length(self._handle, i)
        if length < 0:
            return _array(_lib.linnet_session_output(self._handle, i))
        if length == 0 and self._model.outputs[i]["kind"] == 2:
            return None
        return [_array(_lib.linnet_session_output_item(self._handle, i, k)) for k in range(length)]

    def tie(self, output, input):
        """What a run leaves in `output` is `input` of the next. Both by name or by index."""
        output = self._index(output, self._model.outputs)
        input = self._index(input, self._model.inputs)
        _call(_lib.linnet_session_tie, self._handle, output, input)
        self._tied.add(input)

    @staticmethod
    def _index(which, values):
        names = [v["name"] for v in values]
        if isinstance(which, str) and which not in names:
            raise Error(f"there is no \"{which}\" among {names}")
        return names.index(which) if isinstance(which, str) else which

    def reset(self):
        """All tied inputs back to zeros."""
        _call(_lib.linnet_session_reset, self._handle)

    def save_state(self):
        """The state as bytes."""
        size = c_size_t()
        _call(_lib.linnet_session_state_size, self._handle, byref(size))
        data = ctypes.create_string_buffer(size.value)
        _call(_lib.linnet_session_save_state, self._handle, data, size)
        return data.raw

    def load_state(self, data):
        _call(_lib.linnet_session_load_state, self._handle, data, len(data))

    def copy_state(self, other):
        """The state of `other`, a session of the same model with the same ties, into this one."""
        _call(_lib.linnet_session_copy_state, other._handle, self._handle)

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.linnet_session_free(self._handle)
        if getattr(self, "_pool", None):
            _lib.linnet_pool_free(self._pool)


class Model:
    """A model file (.lnt or ONNX), shared by its sessions."""

    def __init__(self, path):
        self._handle = c_void_p()
        _call(_lib.linnet_model_open, os.fsencode(path), None, byref(self._handle))
        self.inputs = self._values(_lib.linnet_model_input_count, _lib.linnet_model_input)
        self.outputs = self._values(_lib.linnet_model_output_count, _lib.linnet_model_output)

    def _values(self, count, get):
        values = []
        for i in range(count(self._handle)):
            v = _Value()
            get(self._handle, i, byref(v))
            values.append({"name": v.name.decode(), "dtype": v.dtype, "shape": list(v.dims[:max(v.rank, 0)]),
                           "kind": v.kind})
        return values

    def meta(self, key):
        text = _lib.linnet_model_meta(self._handle, key.encode())
        return text.decode() if text is not None else None

    def session(self, threads=1, exact=False):
        return Session(self, threads, exact)

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.linnet_model_free(self._handle)
