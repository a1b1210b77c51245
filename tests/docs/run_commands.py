#!/usr/bin/env python3
"""Runs every command of a documentation page's plain code blocks, on a shrunken model, in a directory of its own.

Usage: run_commands.py SOURCE_DIR TROUPE PAGE...   Exit 1 when a command fails. Left out, and counted, are the scripts that
install and build, which .ci/run runs whole, and commands that leave with 77: they need namespaces, which not every machine
allows.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

SHRINK = ["train.steps=4", "eval.every=2", "eval.tokens=2048", "train.global_batch=8", "train.micro_batch=2",
          "model.layers=2", "model.dim=48", "model.seq_len=64", "schedule.warmup=1"]
RUN_BY_CI = ("launch/scripts/quickstart", "tests/run")
NOT_ALLOWED_HERE = 77


def commands(page):
    if page.name == "quickstart":  # the commands that it prints at its end
        for line in page.read_text().split("Next:\n", 1)[1].splitlines():
            if line.startswith("  $troupe"):
                line = line.replace("$troupe", "build/release/troupe").replace("$config", "configs/tiny/shakespeare.yaml")
                yield line.replace("$run", "runs/shakespeare").replace("train.steps=3000", "train.steps=6").strip()
        return
    for block in re.findall(r"^```\n(.*?)^```$", page.read_text(), re.S | re.M):
        for line in block.splitlines():
            if line.strip():
                yield line.strip()


def main():
    source, troupe = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    ran = left = failed = 0
    with tempfile.TemporaryDirectory(prefix="troupe-docs-") as folder:
        root = pathlib.Path(folder)
        (root / "configs").symlink_to(source / "configs")
        (root / "launch").symlink_to(source / "launch")
        (root / "hf").symlink_to(source / "tests/models/convert/data")
        for preset in ("release", "tests"):
            (root / "build" / preset).mkdir(parents=True)
            (root / "build" / preset / "troupe").symlink_to(troupe)
        (root / "hosts").write_text("localhost slots=4\n")
        (root / "YOUR.txt").write_text((source / "configs/text/tinyshakespeare.txt").read_text()[:60000])
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                           OMP_NUM_THREADS="1", OMPI_MCA_rmaps_base_oversubscribe="1")
        for page in sys.argv[3:]:
            for command in commands(source / page):
                if command in RUN_BY_CI:
                    left += 1
                    continue
                words = shlex.split(command)
                if "train" in words:
                    given = {word.split("=")[0] for word in words}
                    words += [word for word in SHRINK if word.split("=")[0] not in given]
                result = subprocess.run(words, cwd=root, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
                if result.returncode == NOT_ALLOWED_HERE:
                    left += 1
                    continue
                ran += 1
                if result.returncode != 0:
                    failed += 1
                    print(f"{page}: exit {result.returncode}: {command}\n{result.stdout.decode(errors='replace')}")
    print(f"{ran} commands run, {left} left out, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
