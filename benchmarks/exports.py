"""One searched binary network in every form it can be shipped in: do all of them give the same classes?

    pronas search --space binary --data fashion-mnist --out RUN
    python benchmarks/exports.py RUN --data-dir DIR

Exports the run's winner as ONNX, packed bits and C, and classifies every test image with PyTorch (evaluation mode),
the packed runtime, the C file compiled here (gcc) and ONNX Runtime, and the first 200 with the C file compiled for a
Cortex-M4 under QEMU (arm-none-eabi-gcc, qemu-system-arm). Prints how many classes are PyTorch's, and sizes. A form
whose tools are missing is named and left out. Exits with 1 if any class differs.
"""

import argparse
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pronas.data import load_dataset
from pronas.deploy import export, find_model, load_packed, pack, unpack
from pronas.errors import PronasError
from pronas.runs import Experiment
from pronas.training import load_model

MCU = Path(__file__).parent.parent / "tests/deploy/mcu"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[:2000]}")
    return done.stdout


def missing(*programs):
    return ", ".join(p for p in programs if shutil.which(p) is None)


def batches(images):
    return np.array_split(images, len(images) // 250 + 1)


def torch_classes(network, images):
    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(part)).argmax(1).numpy() for part in batches(images)])


def onnx_classes(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: part})[0].argmax(1) for part in batches(images)])


def c_classes(source, images, folder):
    library = folder / "network.so"
    run("gcc", *STRICT, "-O2", "-shared", "-fPIC", source, "-o", library)
    classify = getattr(ctypes.CDLL(str(library)), f"{source.stem}_classify")
    images = np.ascontiguousarray(images)
    step = images[0].nbytes
    return np.array([classify(ctypes.c_void_p(images.ctypes.data + i * step)) for i in range(len(images))])


def cortex_classes(source, images, folder):
    """Classes, and (flash, RAM) in bytes of the network alone."""
    rows = ",\n".join("{" + ",".join(map(str, image.reshape(-1))) + "}" for image in images)
    (folder / "images.h").write_text(
        f"#include <stdint.h>\n#define IMAGES {len(images)}\n"
        f"static const uint8_t images[IMAGES][{images[0].size}] = {{\n{rows}}};\n"
    )
    target = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections"]
    made, program = folder / "network.o", folder / "network.elf"
    run("arm-none-eabi-gcc", *STRICT, *target, "-c", source, "-o", made)
    text, data, bss = map(int, run("arm-none-eabi-size", made).splitlines()[1].split()[:3])
    link = ["-nostartfiles", "--specs=nosys.specs", "-T", MCU / "memory.ld", "-I", folder, "-I", source.parent]
    run("arm-none-eabi-gcc", *target, *link, MCU / "startup.c", MCU / "main.c", made, "-o", program)
    machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native,chardev=out", "-chardev", "stdio,id=out"]
    digits = run("qemu-system-arm", *machine, *semihosting, "-kernel", program).strip()
    return np.array([ord(digit) - ord("0") for digit in digits]), (text + data, data + bss)


def report(label, found, expected, labels, note=""):
    same = int((found == expected).sum()) if len(found) == len(expected) else 0
    accuracy = float((found == labels).mean()) if len(found) == len(labels) else 0.0
    print(f"{label:32} {same:6,} of {len(expected):,} as PyTorch   accuracy {accuracy:.2%}   {note}", flush=True)
    return same == len(expected)


def compare(experiment, options, folder):
    path = find_model(options.run)
    model = load_model(path)
    data = experiment.config.data
    named = options.data or data.name
    images_of = load_dataset(named, data_dir=options.data_dir or data.directory, image_size=data.image_size)
    images, labels = np.ascontiguousarray(images_of.test.images), images_of.test.labels
    network, parameters = model.network.eval(), sum(p.numel() for p in model.network.parameters())
    print(f"{model.spec.cell}\n{parameters:,} parameters, {4 * parameters:,} bytes as float32")
    print(f"{len(images):,} images of {named}")
    files = {form: export(path, form, folder / f"net{suffix}") for form, suffix in FORMS.items()}
    assert pack(unpack(files["packed"].read_bytes(), "net")) == files["packed"].read_bytes()
    expected, first = torch_classes(network, images), min(200, len(images))
    good = [report("PyTorch", expected, expected, labels)]
    for kernel in (None, "portable"):
        packed = load_packed(files["packed"], kernel=kernel)
        start = time.process_time()
        found = packed(images)
        took = (time.process_time() - start) / len(images) * 1e6
        size = files["packed"].stat().st_size
        note = f"{size:,} bytes, {4 * parameters / size:.1f}x smaller; {took:.0f} us an image"
        good.append(report(f"packed ({packed.kernel})", found, expected, labels, note))
    good.append(report("ONNX Runtime", onnx_classes(files["onnx"], images), expected, labels, size_of(files["onnx"])))
    lacking = missing("gcc")
    if lacking:
        print(f"C here: left out, {lacking} is not installed")
    else:
        found = c_classes(files["c"], images, folder)
        good.append(report("C, gcc -O2", found, expected, labels, size_of(files["c"]) + " of source"))
    lacking = missing("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    if lacking or len(images_of.classes) > 10:
        print(f"C on a Cortex-M4: left out, {lacking or 'more than ten classes'}{' not installed' if lacking else ''}")
        return good
    found, (flash, ram) = cortex_classes(files["c"], images[:first], folder)
    note = f"{flash:,} bytes of flash, {ram:,} of static RAM (gcc -Os)"
    good.append(report("C, Cortex-M4 in QEMU", found, expected[:first], labels[:first], note))
    return good


FORMS = {"onnx": ".onnx", "packed": ".packed", "c": ".c"}


def size_of(path):
    return f"{path.stat().st_size:,} bytes"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished binary search")
    parser.add_argument("--data-dir", type=Path, help="where named sets are looked for first")
    parser.add_argument("--data", help="another set than the one the run was searched on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            good = compare(Experiment(options.run), options, Path(name))
    except PronasError as error:
        raise SystemExit(str(error)) from None
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
