#!/usr/bin/env python3
"""Train Keras' MNIST network and export it for linnet.

    pip install keras tensorflow-cpu onnx onnxruntime numpy
    python train.py --out OUT [--data FOLDER] [--epochs 15]

OUT receives
    mnist.keras            the model as Keras saves it
    mnist.onnx             the same network as ONNX: "image" [N,28,28,1] -> "probabilities" [N,10]
    mnist.safetensors      its weights as Keras holds them (kernels HWIO and [in,out])
    keras_predictions.npy  what Keras answers for the 10,000 test images, float32 [10000,10]

FOLDER holds the four idx files of MNIST (train-images-idx3-ubyte.gz and so on); images are
white on black and scaled to 0..1. Two cores need about three minutes.
"""

import argparse
import gzip
import json
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCH = 128
SHIFT = 2  # pixels by which a training image may move in each direction
DATA = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "mnist"


def read_idx(path):
    """An idx file: two zero bytes, type (8 = uint8), rank, big-endian sizes, then the data."""
    with gzip.open(path, "rb") as f:
        data = f.read()
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an idx file of bytes")
    shape = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_mnist(folder, part):
    """part is "train" or "t10k". Images are float32 [n,28,28,1] in 0..1."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return images[..., None].astype(np.float32) / 255, labels.astype(np.int64)


class Shifted(keras.utils.PyDataset):
    """Shuffled batches in which every image is moved by up to SHIFT pixels, anew each epoch."""

    def __init__(self, images, labels, seed):
        super().__init__()
        room = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
        self.windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(images, room), images.shape[1:3], axis=(1, 2))
        self.labels = labels
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.labels) / BATCH)

    def __getitem__(self, i):
        pick = self.order[i * BATCH:(i + 1) * BATCH]
        dy, dx = self.shift[:, pick]
        return np.moveaxis(self.windows[pick, dy, dx], 1, -1), self.labels[pick]

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.labels))
        self.shift = self.rng.integers(0, 2 * SHIFT + 1, (2, len(self.labels)))


def network():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((28, 28, 1), name="image"),
        layers.Conv2D(32, 3, activation="relu", name="conv2d"),
        layers.MaxPooling2D(name="max_pooling2d"),
        layers.Conv2D(64, 3, activation="relu", name="conv2d_1"),
        layers.MaxPooling2D(name="max_pooling2d_1"),
        layers.Flatten(name="flatten"),
        layers.Dense(64, activation="relu", name="dense"),
        layers.Dense(10, activation="softmax", name="dense_1"),
    ])


def train(model, images, labels, epochs):
    """Adam; the learning rate falls a little with every batch, to a hundredth at the end."""
    batches = Shifted(images, labels, seed=1)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(1.5e-3, steps, alpha=0.01)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    model.fit(batches, epochs=epochs, shuffle=False, verbose=2)


def weights(model):
    """Name, for instance "conv2d_1.kernel", to array; in the order of the layers."""
    return {f"{layer.name}.{w.name}": np.ascontiguousarray(w.numpy(), np.float32)
            for layer in model.layers for w in layer.weights}


def write_onnx(w, path):
    """The graph a converter writes: ONNX convolves NCHW, so Transposes stand around that part."""
    arrays = {"shape": np.array([-1, w["dense.kernel"].shape[0]], np.int64)}
    for name, a in w.items():
        arrays[name] = a.transpose(3, 2, 0, 1) if a.ndim == 4 else a  # HWIO -> OIHW

    node = helper.make_node
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "conv2d.kernel", "conv2d.bias"], ["conv2d"], kernel_shape=[3, 3]),
        node("Relu", ["conv2d"], ["conv2d.relu"]),
        node("MaxPool", ["conv2d.relu"], ["max_pooling2d"], **pool),
        node("Conv", ["max_pooling2d", "conv2d_1.kernel", "conv2d_1.bias"], ["conv2d_1"],
             kernel_shape=[3, 3]),
        node("Relu", ["conv2d_1"], ["conv2d_1.relu"]),
        node("MaxPool", ["conv2d_1.relu"], ["max_pooling2d_1"], **pool),
        node("Transpose", ["max_pooling2d_1"], ["nhwc"], perm=[0, 2, 3, 1]),
        node("Reshape", ["nhwc", "shape"], ["flatten"]),
        node("MatMul", ["flatten", "dense.kernel"], ["dense.product"]),
        node("Add", ["dense.product", "dense.bias"], ["dense"]),
        node("Relu", ["dense"], ["dense.relu"]),
        node("MatMul", ["dense.relu", "dense_1.kernel"], ["dense_1.product"]),
        node("Add", ["dense_1.product", "dense_1.bias"], ["dense_1"]),
        node("Softmax", ["dense_1"], ["probabilities"], axis=-1),
    ]
    for n in nodes:
        n.name = n.output[0]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "mnist",
        [value("image", TensorProto.FLOAT, ["N", 28, 28, 1])],
        [value("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in arrays.items()])
    model = helper.make_model(graph, producer_name="train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_safetensors(w, path):
    """Length of the header, a JSON header padded to 8 bytes, then the arrays back to back."""
    header, at = {"__metadata__": {"format": "keras"}}, 0
    for name, a in w.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for a in w.values():
            f.write(a.astype("<f4").tobytes())


def compare(path, images, keras_answer):
    """Run the ONNX file in ONNX Runtime; classes must be those of Keras, ties apart."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answer = session.run(["probabilities"], {"image": images})[0]
    differ = np.flatnonzero(answer.argmax(1) != keras_answer.argmax(1))
    ties = np.flatnonzero(np.diff(np.sort(keras_answer)[:, -2:]).ravel() < 1e-5)
    print(f"ONNX Runtime against Keras: {len(differ)} classes differ, largest difference of a "
          f"probability {np.abs(answer - keras_answer).max():.2e}, two best within 1e-5: "
          f"{ties.tolist()}")
    if not set(differ) <= set(ties):
        raise SystemExit(f"{path} does not compute what Keras does: images {differ.tolist()}")


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", type=Path, default=DATA, help=f"folder of MNIST (default: {DATA})")
    ap.add_argument("--out", type=Path, required=True, help="folder to write to")
    ap.add_argument("--epochs", type=int, default=15)
    args = ap.parse_args()

    keras.utils.set_random_seed(1)
    model = network()
    train(model, *read_mnist(args.data, "train"), args.epochs)

    images, labels = read_mnist(args.data, "t10k")
    answer = model.predict(images, batch_size=500, verbose=0).astype(np.float32)
    right = int((answer.argmax(1) == labels).sum())
    print(f"test accuracy {100 * right / len(labels):.2f} % ({right} of {len(labels)})")

    args.out.mkdir(parents=True, exist_ok=True)
    w = weights(model)
    model.save(args.out / "mnist.keras")
    write_safetensors(w, args.out / "mnist.safetensors")
    write_onnx(w, args.out / "mnist.onnx")
    np.save(args.out / "keras_predictions.npy", answer)
    compare(args.out / "mnist.onnx", images, answer)


if __name__ == "__main__":
    main()
