"""Which to ship: a binary network or an int8 one? Flash, RAM, stack and instructions of both at the same accuracy.

    python benchmarks/binary_beside_int8.py --data-dir DIR --limit 12000 --epochs 8 --out FOLDER

Networks of both kinds and several widths learn from the same Fashion-MNIST images for as many epochs; each is exported
as C, classifies the test images, and runs on a Cortex-M4 under QEMU (-O2). Trained networks are kept in FOLDER: called
again, it goes on with what is missing. Prints a table, most accurate first, and how often ONNX Runtime (QDQ) and the
integer network agree.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from pronas.data import Split, load_dataset
from pronas.deploy._export import model_graph
from pronas.deploy._forms import integer_runner
from pronas.deploy._measure import measure_on
from pronas.deploy.integer import integer_c, integer_model
from pronas.deploy.onnx import export_onnx_int8, session
from pronas.deploy.packed import PackedNetwork, c_source, pack
from pronas.networks import Binary, Residual
from pronas.training import Model, load_model, recipe, save_model, train_network

RESNET = "0:3x3-3x3 conv + 0:identity"
NETWORKS = {
    "binary-16": ("0:3x3 bconv + 0:5x5 bconv", Binary(filters=(16, 24, 32))),
    "binary-32": ("0:3x3 bconv + 0:5x5 bconv", Binary(filters=(32, 48, 64))),
    "binary-48": ("0:3x3 bconv + 0:5x5 bconv", Binary(filters=(48, 72, 96))),
    "int8-2": (RESNET, Residual(filters=(2, 4, 8), stem=2)),
    "int8-3": (RESNET, Residual(filters=(3, 6, 12), stem=3)),
    "int8-4": (RESNET, Residual(filters=(4, 8, 16), stem=4)),
    "int8-8": (RESNET, Residual(filters=(8, 16, 32), stem=8)),
    "int8-4-half": (RESNET, Residual(filters=(4, 8, 16), stem=4, stem_stride=2)),
    "int8-8-half": (RESNET, Residual(filters=(8, 16, 32), stem=8, stem_stride=2)),
}


def trained(name, dataset, epochs, folder):
    path = folder / f"{name}.safetensors"
    if not path.exists():
        cell, skeleton = NETWORKS[name]
        chosen = recipe("full" if skeleton.binary else "timed", binary=skeleton.binary, epochs=epochs, batch=64)
        made = train_network(cell, dataset, skeleton, chosen, threads=1)
        save_model(made.network, path, made.spec)
    return load_model(path)


def measured(name, model: Model, dataset):
    images, labels = np.ascontiguousarray(dataset.test.images), dataset.test.labels
    with torch.inference_mode():
        floats = np.concatenate([model.network(torch.from_numpy(p)).argmax(1).numpy() for p in np.split(images, 40)])
    row, integers = {"name": name, "images": len(images)}, None
    if model.network.plan.factory.binary:
        graph = model_graph(model)
        classes, made = PackedNetwork(pack(graph), name).logits(images).argmax(1), c_source(graph, "net")
        row["weights"] = sum(op.weights.size for op in graph.ops if op.weights is not None)
    else:
        integers = integer_model(model, dataset)
        made = integer_c(integers, "net")
        row["weights"] = sum(node.weight.numel() for node in integers.graph.nodes if node.weight is not None)
        with tempfile.TemporaryDirectory() as folder:
            classes = integer_runner(integers, Path(folder))(images).argmax(1)
            run = session(export_onnx_int8(integers, Path(folder) / "net.onnx"))
            onnx = np.concatenate([run.run(None, {"images": p})[0].argmax(1) for p in np.split(images, 40)])
        row["onnx same"] = float((onnx == classes).mean())
    found = measure_on(model, images[0], "cortex-m4", integers)
    return row | {
        "accuracy": float((classes == labels).mean()), "as trained": float((floats == labels).mean()),
        "same": float((floats == classes).mean()), "flash": found.flash, "constants": made.constant_bytes,
        "RAM": found.ram, "stack": found.stack, "instructions": found.instructions,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, default=12_000, help="training images")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("binary-int8"))
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    whole = load_dataset("fashion-mnist", data_dir=args.data_dir)
    train = Split(whole.train.images[: args.limit], whole.train.labels[: args.limit])
    dataset = dataclasses.replace(whole, train=train)
    rows = []
    for name in args.only:
        rows.append(measured(name, trained(name, dataset, args.epochs, args.out), dataset))
        print(json.dumps(rows[-1]), flush=True)
    print("| network | accuracy | flash | RAM | stack | instructions |\n| --- | --- | --- | --- | --- | --- |")
    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        figures = f"{row['flash']:,} | {row['RAM']:,} | {row['stack']:,} | {row['instructions']:,}"
        print(f"| {row['name']} | {row['accuracy']:.2%} | {figures} |")


if __name__ == "__main__":
    main()
