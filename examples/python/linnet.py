"""linnet from Python through ctypes, on numpy arrays. Needs numpy and the shared library.

    import linnet
    session = linnet.Model("mnist.lnt").session(threads=2)
    outputs = session.run({"image": array})            # a list of arrays, in the model's order
"""

import ctypes
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path

import numpy as np

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
         9: np.bool_, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}
NUMBERS = {np.dtype(t): n for n, t in TYPES.items()}
MAX_RANK = 8


class Error(Exception):
    """What linnet says is wrong."""


class _Message(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", c_char * 508)]


class _Options(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("isa_mask", c_uint32), ("allocator", c_void_p), ("limits", c_void_p),
                ("pool", c_void_p), ("external", c_void_p), ("external_user", c_void_p), ("passes", c_uint32),
                ("precision", c_int32), ("copy", c_uint32), ("profile", c_uint32)]


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
    lib.linnet_session_output.restype, lib.linnet_session_output.argtypes = c_void_p, [c_void_p, c_size_t]
    lib.linnet_tensor_data.restype, lib.linnet_tensor_data.argtypes = c_void_p, [c_void_p]
    lib.linnet_tensor_size.restype, lib.linnet_tensor_size.argtypes = c_size_t, [c_void_p]
    lib.linnet_tensor_dim.restype, lib.linnet_tensor_dim.argtypes = c_int64, [c_void_p, c_int32]
    for name in ("linnet_tensor_dtype", "linnet_tensor_rank"):
        getattr(lib, name).argtypes = [c_void_p]
    for name in ("linnet_session_free", "linnet_model_free", "linnet_pool_free"):
        getattr(lib, name).argtypes, getattr(lib, name).restype = [c_void_p], None
    lib.linnet_version.restype = c_char_p
    return lib


_lib = _load()
version = _lib.linnet_version().decode()


def _call(function, *arguments):
    error = _Message()
    if function(*arguments, byref(error)) != 0:
        raise Error(error.message.decode())


class Session:
    """One running copy of a model. Not for two threads at a time."""

    def __init__(self, model, threads=1, exact=False):
        options = _Options()
        _lib.linnet_options_init(byref(options))
        self._pool, self._handle, self._model = c_void_p(), c_void_p(), model
        if threads > 1:
            _call(_lib.linnet_pool_create, c_int32(threads), None, byref(self._pool))
            options.pool = self._pool.value
        options.precision = int(exact)
        _call(_lib.linnet_session_create, model._handle, byref(options), byref(self._handle))

    def run(self, inputs):
        """inputs: a dict by name, or a sequence in the model's order. Returns new arrays."""
        if isinstance(inputs, dict):
            unknown = set(inputs) - {v["name"] for v in self._model.inputs}
            if unknown:
                raise Error(f"the model has no input {sorted(unknown)}")
            inputs = [inputs[v["name"]] for v in self._model.inputs]
        held = []  # run() reads the arrays: they must stay alive until it is done
        for i, (value, info) in enumerate(zip(inputs, self._model.inputs)):
            array = np.asarray(value, TYPES.get(info["dtype"]), order="C")
            held.append(array)
            dims = (c_int64 * MAX_RANK)(*array.shape)
            _call(_lib.linnet_session_set_input, self._handle, i, NUMBERS[array.dtype], array.ndim, dims,
                  array.ctypes.data, array.nbytes)
        _call(_lib.linnet_session_run, self._handle)
        return [self._output(i) for i in range(len(self._model.outputs))]

    def _output(self, i):
        tensor = _lib.linnet_session_output(self._handle, i)
        shape = [_lib.linnet_tensor_dim(tensor, d) for d in range(_lib.linnet_tensor_rank(tensor))]
        array = np.empty(shape, TYPES[_lib.linnet_tensor_dtype(tensor)])
        if array.nbytes:
            ctypes.memmove(array.ctypes.data, _lib.linnet_tensor_data(tensor), array.nbytes)
        return array

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
            values.append({"name": v.name.decode(), "dtype": v.dtype, "shape": list(v.dims[:max(v.rank, 0)])})
        return values

    def meta(self, key):
        text = _lib.linnet_model_meta(self._handle, key.encode())
        return text.decode() if text is not None else None

    def session(self, threads=1, exact=False):
        return Session(self, threads, exact)

    def __del__(self):
        if getattr(self, "_handle", None):
            _lib.linnet_model_free(self._handle)
