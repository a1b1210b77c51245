#!/usr/bin/env python3
"""The examples are a CMake project of their own against an installed Troupe, and train as `troupe train` does.

Usage: examples_test.py SOURCE_DIR BINARY_DIR TROUPE CASE. `build` installs BINARY_DIR and builds tools/examples against
that, in BINARY_DIR/examples. `train_moe` and `own_router` run there on two ranks; their losses and every tensor of the
checkpoint after step 10 are those of `troupe train` with the same settings. `ranks_as_threads` runs and learns.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE, BINARY, TROUPE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
MPIRUN = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none"]

CONFIG = """version: 1
run: {{name: same, dir: {folder}/run, seed: 4321}}
model: {{family: decoder, layers: 2, dim: 64, heads: 4, kv_heads: 2, ffn_dim: 128, seq_len: 64}}
moe:
  layers: [1]
  experts: 4
  ffn_dim: 96
  router: {{type: topk}}
  capacity_factor: none
  balance: []
data: {{tokenizer: byte, train: {text}, val_fraction: 0}}
optimizer: {{type: adamw, lr: 3.0e-3, clip: 1.0}}
schedule: {{type: constant}}
train: {{steps: 20, global_batch: 8, micro_batch: 2}}
parallel: {{dp: 2, ep: 2}}
precision: {{compute: f32}}
checkpoint: {{every: 10}}
eval: {{every: 0}}
logging: {{every: 1, tensorboard: false}}
runtime: {{threads: 1, timeout: 60s}}
"""


def run(words, code=0, **options):
    result = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=ENVIRONMENT, timeout=240, **options)
    if result.returncode != code:
        sys.exit(f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stdout[-4000:]}")
    return result.stdout


def losses_of(text):
    """{step: loss} of lines "step N: LOSS"."""
    rows = (line.removeprefix("step ").split(": ") for line in text.splitlines() if line.startswith("step "))
    return {int(step): float(loss) for step, loss in rows}


def compare(example, folder):
    text = SOURCE / "configs/text/tinyshakespeare.txt"
    own = folder / example
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    said = run(MPIRUN + [folder / "build" / example, text, own])
    config = own / "same.yaml"
    config.write_text(CONFIG.format(folder=own, text=text))
    run(MPIRUN + [TROUPE, "train", config])
    rows = [json.loads(line) for line in (own / "run/metrics.jsonl").read_text().splitlines()]
    expected = {row["step"]: row["loss"] for row in rows if "loss" in row}
    found = losses_of(said)
    if len(found) < 10 or any(expected[step] != loss for step, loss in found.items()):
        sys.exit(f"{example}: losses {found}, of troupe train {expected}")
    stored = sorted((own / "run/checkpoints").glob("step-*10.h5"))
    # Only the configuration and the numbers of steps and tokens, which the example does not store, may differ.
    difference = run([TROUPE, "ckpt", "diff", own / "step-10.h5", stored[0]], code=8)
    if "tensors are equal in every bit" not in difference:
        sys.exit(f"{example}: {difference}")
    return said


def build(folder):
    shutil.rmtree(folder, ignore_errors=True)
    run(["cmake", "--install", BINARY, "--prefix", folder / "installed"])
    run(["cmake", "-S", SOURCE / "tools/examples", "-B", folder / "build", "-G", "Ninja",
         f"-DCMAKE_PREFIX_PATH={folder}/installed", "-DCMAKE_BUILD_TYPE=Debug"])
    run(["cmake", "--build", folder / "build", "-j2"])


def train_moe(folder):
    written = compare("train_moe", folder).split("step 20: ")[1].partition("\n")[2]
    if len(written) < 30:  # 60 bytes were asked for, of which some are no text yet
        sys.exit(f"train_moe wrote '{written}'")


def own_router(folder):
    compare("own_router", folder)


def ranks_as_threads(folder):
    losses = losses_of(run([folder / "build/ranks_as_threads"]))
    if len(losses) != 10 or not losses[10] < losses[1]:
        sys.exit(f"ranks_as_threads: losses {losses}")


{"build": build, "train_moe": train_moe, "own_router": own_router, "ranks_as_threads": ranks_as_threads}[sys.argv[4]](
    BINARY / "examples")
