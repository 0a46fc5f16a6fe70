#!/bin/sh
# python.sh - the Python examples: the bindings on digits and on text, and a .lnt file written with numpy alone.
set -e
python=${PYTHON:-python3}
"$python" examples/python/classify.py examples/mnist/mnist.lnt examples/mnist/digits/*.pgm
"$python" examples/python/write_lnt.py build/written.lnt
build/linnet info build/written.lnt > /dev/null
PYTHONPATH=examples/python "$python" - << 'END'
import numpy as np, text

gpt2 = text.Tokenizer("tests/text/gpt2.json")
said = "A small quick bird's song: d\u00e9j\u00e0 vu \U0001f600\n"
ids = gpt2.encode(said)
assert gpt2.decode(ids) == said and "".join(gpt2.stream(iter(ids))) == said
assert gpt2.find(gpt2.text(ids[0])) == ids[0] and gpt2.decode(gpt2.encode(b"a\xffb")) == "a\ufffdb"
logits = np.array([0, 2, 1], np.float32)
assert text.Sampler(3).next(logits) == 1
draws = [[s.next(logits) for _ in range(50)] for s in (text.Sampler(3, 1.0, seed=4), text.Sampler(3, 1.0, seed=4))]
assert draws[0] == draws[1] and set(draws[0]) == {0, 1, 2}
scores = np.log(np.array([[0.1, 0.6, 0.3]], np.float32))
beam = text.Beam(3, end=0, width=2, length=2)
while beam.live:
    beam.push(np.repeat(scores, beam.live, 0))
assert beam.results()[0][0] == [1, 1] and abs(beam.results()[0][1] - 2 * np.log(0.6)) < 1e-6
ctc = text.Ctc(3, width=8)
ctc.push(np.log(np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], np.float32)))
assert ctc.results()[0][0] == [1, 1]
try:
    text.Tokenizer(b"{}")
    raise SystemExit("a tokeniser without a model")
except text.Error:
    pass
END
echo "4 passed, 0 failed"
