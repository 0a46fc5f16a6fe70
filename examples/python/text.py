"""Tokenisers, samplers, beam search and CTC of linnet from Python; beside linnet.py.

    import text
    tokenizer = text.Tokenizer("tokenizer.json")
    ids = tokenizer.encode("a small quick bird")
    sampler = text.Sampler(len(tokenizer), temperature=0.8, top_p=0.95, seed=1)
    token = sampler.next(logits)                       # a float32 array with one number per token
"""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from itertools import chain

import numpy as np

from linnet import Error, _call, _lib  # the same library, the same errors

SPECIAL, PLAIN, REPAIR = 1, 2, 4


class _Decoder(ctypes.Structure):
    _fields_ = [("begun", c_uint32), ("held_count", c_uint32), ("space", c_uint32), ("text_begun", c_uint32),
                ("held", c_uint8 * 4)]


class _SamplerOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("top_k", c_uint32), ("temperature", c_float), ("top_p", c_float),
                ("seed", c_uint64)]


class _BeamOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("width", c_uint32), ("length", c_uint32), ("length_penalty", c_float),
                ("early", c_uint32)]


class _CtcOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("width", c_uint32), ("steps", c_uint32)]


def _declare():
    text, ids, size = c_char_p, POINTER(c_int32), POINTER(c_size_t)
    calls = {
        "tokenizer_open": [c_char_p, c_void_p, POINTER(c_void_p), c_void_p],
        "tokenizer_load": [c_char_p, c_size_t, c_void_p, POINTER(c_void_p), c_void_p],
        "tokenizer_encode": [c_void_p, text, c_size_t, c_uint32, ids, c_size_t, size, c_void_p],
        "tokenizer_decode": [c_void_p, ids, c_size_t, c_uint32, c_void_p, c_size_t, size, c_void_p],
        "tokenizer_next": [c_void_p, POINTER(_Decoder), c_int32, c_uint32, c_void_p, c_size_t, size, c_void_p],
        "tokenizer_find": [c_void_p, text, c_size_t],
        "sampler_create": [c_size_t, POINTER(_SamplerOptions), c_void_p, POINTER(c_void_p), c_void_p],
        "sampler_next": [c_void_p, c_void_p, c_size_t, ids, c_void_p],
        "beam_create": [c_size_t, c_int32, POINTER(_BeamOptions), c_void_p, POINTER(c_void_p), c_void_p],
        "beam_push": [c_void_p, c_void_p, c_size_t, c_size_t, c_void_p],
        "beam_parent": [c_void_p, c_size_t], "beam_token": [c_void_p, c_size_t],
        "beam_get": [c_void_p, c_size_t, ids, c_size_t, size, POINTER(c_double), c_void_p],
        "ctc_create": [c_size_t, c_int32, POINTER(_CtcOptions), c_void_p, POINTER(c_void_p), c_void_p],
        "ctc_push": [c_void_p, c_void_p, c_size_t, c_size_t, c_void_p],
        "ctc_get": [c_void_p, c_size_t, ids, c_size_t, size, POINTER(c_double), c_void_p],
    }
    for name, arguments in calls.items():
        getattr(_lib, "linnet_" + name).argtypes = arguments
    for name in ("tokenizer_count", "beam_live", "beam_count", "ctc_count"):
        function = getattr(_lib, "linnet_" + name)
        function.argtypes, function.restype = [c_void_p], c_size_t
    for name in ("tokenizer_free", "sampler_free", "beam_free", "beam_reset", "ctc_free", "ctc_reset"):
        function = getattr(_lib, "linnet_" + name)
        function.argtypes, function.restype = [c_void_p], None
    _lib.linnet_sampler_reset.argtypes, _lib.linnet_sampler_reset.restype = [c_void_p, c_uint64], None
    _lib.linnet_tokenizer_text.argtypes, _lib.linnet_tokenizer_text.restype = [c_void_p, c_int32, size], c_void_p


_declare()


def _scores(array, rank):
    array = np.ascontiguousarray(array, np.float32)
    if array.ndim != rank:
        raise Error(f"scores of rank {array.ndim}, expected {rank}")
    return array


class _Object:
    """Frees its handle."""

    _free = None

    def __init__(self):
        self._handle = c_void_p()

    def __del__(self):
        if getattr(self, "_handle", None):
            getattr(_lib, self._free)(self._handle)


class Tokenizer(_Object):
    """A tokenizer.json, vocab.txt or tokenizer.bin: a path, or its bytes."""

    _free = "linnet_tokenizer_free"

    def __init__(self, source):
        super().__init__()
        if isinstance(source, bytes):
            _call(_lib.linnet_tokenizer_load, source, len(source), None, byref(self._handle))
        else:
            _call(_lib.linnet_tokenizer_open, os.fsencode(source), None, byref(self._handle))

    def __len__(self):
        return _lib.linnet_tokenizer_count(self._handle)

    def encode(self, text, special=True, plain=False):
        """The tokens of a str or of UTF-8 bytes; in bytes, what is no UTF-8 becomes U+FFFD."""
        data = text.encode() if isinstance(text, str) else bytes(text)
        flags = SPECIAL * special | PLAIN * plain | REPAIR * (not isinstance(text, str))
        count = c_size_t()
        room = len(data) + 64
        while True:
            ids = (c_int32 * room)()
            try:
                _call(_lib.linnet_tokenizer_encode, self._handle, data, len(data), flags, ids, room, byref(count))
                return ids[:count.value]
            except Error:
                if count.value <= room:
                    raise
                room = count.value

    def decode(self, ids, special=False):
        array = (c_int32 * len(ids))(*ids)
        size = c_size_t()
        _call(_lib.linnet_tokenizer_decode, self._handle, array, len(ids), SPECIAL * special, None, 0, byref(size))
        text = ctypes.create_string_buffer(size.value + 1)
        _call(_lib.linnet_tokenizer_decode, self._handle, array, len(ids), SPECIAL * special, text, len(text),
              byref(size))
        return text.raw[:size.value].decode()

    def stream(self, ids, special=False):
        """Text piece by piece while tokens come from an iterable."""
        state, size, text = _Decoder(), c_size_t(), ctypes.create_string_buffer(1 << 14)
        for token in chain(ids, [-1]):
            _call(_lib.linnet_tokenizer_next, self._handle, byref(state), token, SPECIAL * special, text, len(text),
                  byref(size))
            if size.value:
                yield text.raw[:size.value].decode()

    def text(self, token):
        """The token as its file writes it, or None."""
        size = c_size_t()
        at = _lib.linnet_tokenizer_text(self._handle, token, byref(size))
        return ctypes.string_at(at, size.value).decode() if at else None

    def find(self, text):
        """The token of exactly that text, or -1."""
        data = text.encode()
        return _lib.linnet_tokenizer_find(self._handle, data, len(data))


class Sampler(_Object):
    _free = "linnet_sampler_free"

    def __init__(self, tokens, temperature=0.0, top_k=0, top_p=0.0, seed=0):
        super().__init__()
        how = _SamplerOptions(ctypes.sizeof(_SamplerOptions), top_k, temperature, top_p, seed)
        _call(_lib.linnet_sampler_create, tokens, byref(how), None, byref(self._handle))

    def next(self, logits):
        logits, token = _scores(logits, 1), c_int32()
        _call(_lib.linnet_sampler_next, self._handle, logits.ctypes.data, logits.size, byref(token))
        return token.value

    def reset(self, seed):
        _lib.linnet_sampler_reset(self._handle, seed)


class _Results(_Object):
    """Lists of tokens with scores, best first."""

    def _results(self, count, get):
        out = []
        for i in range(count(self._handle)):
            n, score = c_size_t(), c_double()
            _call(get, self._handle, i, None, 0, byref(n), byref(score))
            ids = (c_int32 * n.value)()
            _call(get, self._handle, i, ids, n.value, byref(n), byref(score))
            out.append((list(ids), score.value))
        return out


class Beam(_Results):
    """while beam.live: beam.push(log_probabilities) with one row per live beam; then follow beam.parents."""

    _free = "linnet_beam_free"

    def __init__(self, tokens, end=-1, width=4, length=256, length_penalty=0.0, early=False):
        super().__init__()
        how = _BeamOptions(ctypes.sizeof(_BeamOptions), width, length, length_penalty, early)
        _call(_lib.linnet_beam_create, tokens, end, byref(how), None, byref(self._handle))

    @property
    def live(self):
        return _lib.linnet_beam_live(self._handle)

    @property
    def parents(self):
        return [_lib.linnet_beam_parent(self._handle, i) for i in range(self.live)]

    @property
    def tokens(self):
        return [_lib.linnet_beam_token(self._handle, i) for i in range(self.live)]

    def push(self, scores):
        scores = _scores(scores, 2)
        _call(_lib.linnet_beam_push, self._handle, scores.ctypes.data, *scores.shape)

    def reset(self):
        _lib.linnet_beam_reset(self._handle)

    def results(self):
        return self._results(_lib.linnet_beam_count, _lib.linnet_beam_get)


class Ctc(_Results):
    """Prefix beam search over log-probabilities [steps, labels], pushed in any portions."""

    _free = "linnet_ctc_free"

    def __init__(self, labels, blank=0, width=16, steps=4096):
        super().__init__()
        how = _CtcOptions(ctypes.sizeof(_CtcOptions), width, steps)
        _call(_lib.linnet_ctc_create, labels, blank, byref(how), None, byref(self._handle))

    def push(self, scores):
        scores = _scores(scores, 2)
        _call(_lib.linnet_ctc_push, self._handle, scores.ctypes.data, *scores.shape)

    def reset(self):
        _lib.linnet_ctc_reset(self._handle)

    def results(self):
        return self._results(_lib.linnet_ctc_count, _lib.linnet_ctc_get)
