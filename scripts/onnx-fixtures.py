#!/usr/bin/env python3
"""Writes the networks of tests/data/onnx, as PyTorch, scikit-learn and Keras export them.

    scripts/onnx-fixtures.py [FOLDER]        default: tests/data/onnx beside this script

What cannot be imported is skipped and said so; no environment need hold all of it:

    pip install torch onnxscript             PyTorch, both its exporters
    pip install scikit-learn skl2onnx        scikit-learn
    pip install tensorflow-cpu tf2onnx       Keras

NAME.onnx is the export, NAME.json some rows of inputs with the outputs that the framework itself
computes for them in float64, with the parameters that the file holds. Files without rows are such
that a reader must refuse. The traces of the code that PyTorch adds to each node hold paths of this
machine, and are taken out. `parameters` says whether the file holds the parameters exactly, or an
exporter folded some of them in float32.
"""

import contextlib
import copy
import io
import itertools
import json
import os
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "onnx")
SIX = np.random.RandomState(7).randn(6, 5) * 2.0


def single(x):
    """The float32 number nearest to x: attributes of ONNX are float32."""
    return float(np.float32(x))


def write(folder, name, model, rows=None, outputs=None, parameters="exact"):
    with open(os.path.join(folder, name + ".onnx"), "wb") as file:
        file.write(model)
    if rows is None:
        print(f"{name}.onnx: {len(model)} bytes, to be refused")
        return
    rows, outputs = np.asarray(rows, np.float64), np.asarray(outputs, np.float64)
    with open(os.path.join(folder, name + ".json"), "w") as file:
        json.dump(
            {
                "parameters": parameters,
                "inputs": rows.reshape(len(rows), -1).tolist(),
                "outputs": outputs.reshape(len(rows), -1).tolist(),
            },
            file,
        )
        file.write("\n")
    print(f"{name}.onnx: {len(model)} bytes")


def from_torch(folder):
    import onnx
    import torch
    from torch import nn

    print("PyTorch", torch.__version__)

    class Views(nn.Module):
        """Scaled inputs, shapes computed from shapes, a slope for each neuron."""

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 1)
            self.slopes = nn.PReLU(5)

        def forward(self, x):
            x = (x - 0.5) / 0.25
            x = x.view(x.size(0), -1)
            x = torch.sin(self.first(x))
            return torch.abs(self.second(self.slopes(x))).squeeze(-1)

    class Square(nn.Module):
        def forward(self, x):
            return x * x

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 5)

        def forward(self, x):
            return x + torch.relu(self.linear(x))

    def network(*layers):
        torch.manual_seed(5)
        model = nn.Sequential(*layers).eval()
        # What a fresh network has at 0 and 1 would hide mistakes.
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eps = single(1e-5)
                for values in (module.weight, module.running_var):
                    values.data.uniform_(0.5, 2.0)
                for values in (module.bias, module.running_mean):
                    values.data.normal_()
            if isinstance(module, nn.PReLU):
                module.weight.data.uniform_(-0.5, 0.5)
        return model

    activations = [
        nn.SiLU(), nn.ELU(), nn.LeakyReLU(single(0.01)), nn.Softplus(), nn.Hardtanh(), nn.Tanh(),
        nn.Sigmoid(), nn.CELU(),
    ]
    layers = [layer for a in activations for layer in (nn.Linear(4, 4), a)]
    models = {
        "relu": network(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3)),
        "gelu": network(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2)),
        "activations": network(nn.Linear(5, 4), *layers, nn.Linear(4, 2)),
        "batch-norm": network(
            nn.BatchNorm1d(5), nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(),
            nn.Dropout(0.3), nn.BatchNorm1d(6), nn.Linear(6, 3), nn.Softmax(-1),
        ),
        "classes": network(
            nn.Identity(), nn.Linear(5, 6), nn.Tanh(), nn.Dropout(), nn.Linear(6, 3),
            nn.Softmax(dim=1),
        ),
        "yes-or-no": network(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()),
        "selu": network(nn.Linear(5, 4), nn.SELU(), nn.Linear(4, 2)),
        "square": network(nn.Linear(5, 4), Square(), nn.Linear(4, 2)),
        "image": network(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
        "views": network(Views()),
        "no-bias": network(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)),
    }
    images = {"image", "views"}
    refused = {
        "gelu-tanh": network(nn.Linear(5, 4), nn.GELU(approximate="tanh"), nn.Linear(4, 2)),
        "hard-swish": network(nn.Linear(5, 4), nn.Hardswish(), nn.Linear(4, 2)),
        "log-softmax": network(nn.Linear(5, 3), nn.LogSoftmax(-1)),
        "relu6": network(nn.Linear(5, 3), nn.ReLU6()),
        "residual": network(Sum(), nn.Linear(5, 2)),
        "layer-norm": network(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    }

    def export(model, x, **options):
        """The bytes of the export."""
        path = os.path.join(folder, "export.tmp.onnx")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            torch.onnx.export(model, (x,), path, input_names=["input"], output_names=["output"],
                              **options)
        with open(path, "rb") as file:
            data = file.read()
        for made in (path, path + ".data"):
            if os.path.exists(made):
                os.remove(made)
        proto = onnx.load_from_string(data)
        parts = (proto.graph.node, proto.graph.initializer, proto.graph.value_info,
                 proto.graph.input, proto.graph.output)
        for item in itertools.chain(*parts):
            del item.metadata_props[:]
        return proto.SerializeToString(deterministic=True)

    def save(name, model, rows, type=torch.float32, parameters="exact", **options):
        model = copy.deepcopy(model).to(type)
        # The rows are such that every type holds them.
        rows = torch.tensor(rows).to(torch.float16)
        data = export(model, rows[:2].to(type), **options)
        with torch.no_grad():
            outputs = copy.deepcopy(model).double()(rows.double())
        write(folder, name, data, rows.double().numpy(), outputs.numpy(), parameters)

    script = {"dynamo": False, "opset_version": 17}
    dynamo = {"dynamo": True, "external_data": False, "verbose": False}
    open_rows = {"dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}
    symbolic = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    for name, model in models.items():
        rows = np.random.RandomState(3).randn(6, 2, 3) if name in images else SIX
        # The constants of SELU are float32 numbers in ONNX.
        parameters = "float32" if name == "selu" else "exact"
        save("torch-script-" + name, model, rows, parameters=parameters, **script, **open_rows)
        if name in ("gelu", "activations", "batch-norm", "views"):
            # This exporter folds a batch normalisation into the layer before it.
            parameters = "float32" if name == "batch-norm" else "exact"
            save("torch-dynamo-" + name, model, rows, parameters=parameters, **dynamo, **symbolic)
    # Exported with the number of rows fixed, in other operator sets, in other types.
    save("torch-dynamo-fixed-views", models["views"], np.random.RandomState(3).randn(6, 2, 3),
         **dynamo)
    save("torch-dynamo-gelu-18", models["gelu"], SIX, opset_version=18, **dynamo, **symbolic)
    save("torch-script-batch-norm-9", models["batch-norm"], SIX, dynamo=False, opset_version=9)
    save("torch-script-transposed", models["no-bias"], SIX, dynamo=False, opset_version=17,
         do_constant_folding=False, **open_rows)
    save("torch-script-float64", models["activations"], SIX, torch.float64, **script, **open_rows)
    for type, name in ((torch.float16, "float16"), (torch.bfloat16, "bfloat16")):
        save("torch-script-" + name, models["relu"], SIX, type, **script, **open_rows)
    x = torch.tensor(SIX[:2]).float()
    for name, model in refused.items():
        write(folder, "refused-" + name, export(model, x, **script, **open_rows))
    write(folder, "refused-gelu-tanh-dynamo", export(refused["gelu-tanh"], x, **dynamo, **symbolic))
    path = os.path.join(folder, "refused-external-data.onnx")
    proto = onnx.load_from_string(export(models["relu"], x, **script, **open_rows))
    onnx.save_model(proto, path, save_as_external_data=True, location="external.tmp",
                    size_threshold=0)
    os.remove(os.path.join(folder, "external.tmp"))
    print("refused-external-data.onnx:", os.path.getsize(path), "bytes, to be refused")


def from_sklearn(folder):
    import skl2onnx
    import sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    print("scikit-learn", sklearn.__version__, "skl2onnx", skl2onnx.__version__)
    x = np.random.RandomState(0).randn(60, 5)
    y = x[:, 0] * x[:, 1] - np.sin(x[:, 2])
    three = np.floor(np.abs(x[:, 0]) * 2).astype(int) % 3
    two = (x[:, 0] > 0).astype(int)

    def regressor(activation):
        return MLPRegressor(hidden_layer_sizes=(6, 4), activation=activation, max_iter=50,
                            random_state=0)

    def classifier(activation):
        return MLPClassifier(hidden_layer_sizes=(6,), activation=activation, max_iter=50,
                             random_state=0)

    models = {
        "regressor": regressor("tanh").fit(x, y),
        "two-outputs": regressor("relu").fit(x, np.c_[y, -y + 1]),
        "three-classes": classifier("logistic").fit(x, three),
        "two-classes": classifier("relu").fit(x, two),
        "text-classes": classifier("identity").fit(x, np.array(["a", "b", "c"])[three]),
        "labels": classifier("relu").fit(x, np.c_[two, three > 0]),
        "pipeline": make_pipeline(StandardScaler(), regressor("relu")).fit(x * 3 + 1, y),
        "linear": LinearRegression().fit(x, y),
    }
    for name, model in models.items():
        if name == "labels":
            # The file lays the two tables of probabilities side by side.
            p = model.predict_proba(SIX)
            outputs = np.c_[1 - p, p]
        elif hasattr(model, "predict_proba"):
            outputs = model.predict_proba(SIX)
        else:
            outputs = model.predict(SIX)
        for kind, type in (("float64", DoubleTensorType), ("float32", FloatTensorType)):
            data = skl2onnx.to_onnx(model, initial_types=[("X", type([None, 5]))])
            write(folder, f"sklearn-{kind}-{name}", data.SerializeToString(), SIX, outputs,
                  "exact" if kind == "float64" else "float32")
    data = skl2onnx.to_onnx(models["two-classes"], initial_types=[("X", DoubleTensorType([None, 5]))],
                            options={"zipmap": False})
    write(folder, "sklearn-float64-two-classes-array", data.SerializeToString(), SIX,
          models["two-classes"].predict_proba(SIX))


def from_keras(folder):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras
    import tensorflow as tf
    import tf2onnx
    from keras import layers as L

    print("Keras", keras.__version__, "TensorFlow", tf.__version__, "tf2onnx", tf2onnx.__version__)

    def dense(*activations):
        return [L.Dense(4, activation=a) for a in activations]

    bias = {"bias_initializer": "random_normal"}
    models = {
        "activations": ((5,), "float32", lambda: [
            *dense("silu", "elu", "softplus", "selu", "tanh", "relu"), L.Dense(4, **bias),
            L.LeakyReLU(negative_slope=0.125), L.Dropout(0.2), L.Dense(2, "sigmoid", **bias)]),
        # TensorFlow takes sqrt 2 in float32 even in float64.
        "gelu": ((5,), "float32", lambda: [L.Dense(4, "gelu", **bias), L.Dense(2, **bias)]),
        "image": ((2, 3, 1), "float32", lambda: [
            L.Rescaling(1 / 255.0), L.Flatten(), L.Dense(5, "relu", **bias),
            L.BatchNormalization(beta_initializer="random_normal",
                                 moving_mean_initializer="random_normal"),
            L.Dense(3, "softmax", **bias)]),
    }
    for name, (shape, parameters, make) in models.items():
        def build(type):
            keras.config.set_dtype_policy(type)
            keras.utils.set_random_seed(1)
            return keras.Sequential([keras.Input(shape), *make()])

        model, exact = build("float32"), build("float64")
        exact.set_weights([w.astype(np.float64) for w in model.get_weights()])
        rows = np.random.RandomState(3).randn(6, *shape).astype(np.float16).astype(np.float64)
        rows = rows * 255 if name == "image" else rows
        outputs = exact(rows, training=False).numpy()
        spec = (tf.TensorSpec((None,) + shape, tf.float32, name="input"),)
        function = tf.function(lambda x: model(x, training=False), input_signature=spec)
        data, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=17)
        write(folder, "keras-tf2onnx-" + name, data.SerializeToString(), rows, outputs, parameters)
        path = os.path.join(folder, "export.tmp.onnx")
        model.export(path, format="onnx", verbose=False)
        with open(path, "rb") as file:
            write(folder, "keras-export-" + name, file.read(), rows, outputs, parameters)
        os.remove(path)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    os.makedirs(folder, exist_ok=True)
    for framework in (from_torch, from_sklearn, from_keras):
        try:
            framework(folder)
        except ImportError as error:
            print(f"skipped {framework.__name__[5:]}: {error}")


if __name__ == "__main__":
    main()
