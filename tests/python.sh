#!/bin/sh
# python.sh - the Python examples: the binding on digits, and a .lnt file written with numpy alone.
set -e
python=${PYTHON:-python3}
"$python" examples/python/classify.py examples/mnist/mnist.lnt examples/mnist/digits/*.pgm
"$python" examples/python/write_lnt.py build/written.lnt
build/linnet info build/written.lnt > /dev/null
echo "3 passed, 0 failed"
