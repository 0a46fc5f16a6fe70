#!/bin/sh
# convert.sh FOLDER - mnist.lnt from what train.py and draw_digits.py left in FOLDER.
set -e
from=${1:?usage: convert.sh FOLDER}
here=$(dirname "$0")
linnet=${LINNET:-$here/../../build/linnet}
printf '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n' > "$from/labels.txt"
"$linnet" convert "$from/mnist.onnx" "$here/mnist.lnt" --test "$from/vectors" --rtol 1e-4 --atol 1e-6 \
    --meta "name=Keras MNIST network" --meta "labels=@$from/labels.txt" --meta "input.scale=0.003921568859368563" \
    --meta "input.mean=0" --meta "input.layout=NHWC, grey, 0 to 255, white on black"
cp "$from/mnist.safetensors" "$here/mnist.safetensors"
"$linnet" check "$here/mnist.lnt"
