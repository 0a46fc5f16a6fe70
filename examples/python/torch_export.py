"""From PyTorch to .lnt: a graph written with onnx.helper, converted with metadata and test vectors."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LINNET = Path(__file__).resolve().parents[2] / "build" / "linnet"
TYPES = {"f32": TensorProto.FLOAT, "i64": TensorProto.INT64}


def array(tensor):
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


def gru_weights(gru):
    """W, R and B of an ONNX GRU from a torch.nn.GRU of one layer; ONNX puts the update gate first."""
    def gates(kind):
        parts = []
        for suffix in ("_l0", "_l0_reverse")[:1 + gru.bidirectional]:
            reset, update, new = np.split(array(getattr(gru, kind + suffix)), 3)
            parts.append(np.concatenate([update, reset, new]))
        return np.stack(parts)

    return (gates("weight_ih"), gates("weight_hh"),
            np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1))


class Graph:
    """An ONNX graph that grows node by node; arrays given as inputs become initialisers."""

    def __init__(self, name):
        self.name, self.nodes, self.weights, self.inputs, self.outputs = name, [], {}, [], []

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))
        return name

    def output(self, name, kind, shape):
        self.outputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))

    def weight(self, name, value):
        self.weights[name] = value
        return name

    def node(self, op, inputs, outputs, **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def gru(self, gru, inputs, outputs, name):
        """inputs: x [T, B, in] and the first state [dirs, B, hidden], or x alone."""
        named = [self.weight(f"{name}.{k}", w) for k, w in zip("WRB", gru_weights(gru))]
        self.node("GRU", [inputs[0], *named, *(["", inputs[1]] if len(inputs) > 1 else [])], outputs,
                  hidden_size=gru.hidden_size, linear_before_reset=1,
                  direction="bidirectional" if gru.bidirectional else "forward")

    def linear(self, layer, x, name):
        """x [..., in] times the weights of a torch.nn.Linear, and its bias if it has one."""
        y = self.node("MatMul", [x, self.weight(f"{name}.weight", array(layer.weight).T.copy())],
                      f"{name}.product" if layer.bias is not None else name)
        if layer.bias is None:
            return y
        return self.node("Add", [y, self.weight(f"{name}.bias", array(layer.bias))], name)

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs,
                                  [numpy_helper.from_array(a, n) for n, a in self.weights.items()])
        model = helper.make_model(graph, producer_name="train.py", ir_version=8,
                                  opset_imports=[helper.make_opsetid("", 17)])
        onnx.checker.check_model(model, full_check=True)
        return model

    def save(self, path, meta, tests, linnet=LINNET):
        """As .lnt at path. tests: lists of inputs; the outputs expected are those of ONNX Runtime."""
        import onnxruntime

        model = self.model().SerializeToString()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "model.onnx").write_bytes(model)
            command = [linnet, "convert", folder / "model.onnx", path, "--rtol", "1e-4", "--atol", "1e-5"]
            for key, text in meta.items():
                (folder / key).write_text(text)
                command += ["--meta", f"{key}=@{folder / key}"]
            for i, inputs in enumerate(tests):
                (folder / f"test{i}").mkdir()
                outputs = session.run(None, {v.name: x for v, x in zip(self.inputs, inputs)})
                for kind, tensors in (("input", inputs), ("output", outputs)):
                    for k, a in enumerate(tensors):
                        np.save(folder / f"test{i}" / f"{kind}_{k}.npy", a)
                command += ["--test", folder / f"test{i}"]
            subprocess.run(list(map(str, command)), check=True)
        subprocess.run([str(linnet), "check", str(path)], check=True)
        return session
