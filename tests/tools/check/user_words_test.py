#!/usr/bin/env python3
"""tools/check/user_words finds a key and a flag in a message below launch, and nothing else. Usage: user_words_test.py
SOURCE_DIR"""
import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(sys.argv[1]).resolve() / "tools/check/user_words"
KEYS = 'auto key = integer_key("train.steps", "Optimizer steps."); auto type = text_key("moe.router[].type", "");\n'


def found(text, file="core/ops/message.cpp"):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, content in {"launch/config/keys.cpp": KEYS, file: text}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        result = subprocess.run([CHECK, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        return result.returncode, result.stdout


def expect(text, *said, **options):
    code, output = found(text, **options)
    if code != (1 if said else 0) or not all(one in output for one in said) or output.count("\n") != len(said):
        sys.exit(f"{text!r}: exit {code}, {output!r}")


expect('fail("train.steps = {}");\n', 'core/ops/message.cpp:1: train.steps in "train.steps = {}"')
expect('\nfail("raise train."\n     "steps");\n', "message.cpp:2: train.steps")
expect('fail("see moe.type");\n', "moe.type")
expect('fail("leave --raw out");\n', "--raw")
expect('auto list = make_field("k", 1); fail("moe.k");\n', "moe.k", file="moe/routers/one.cpp")
expect('// train.steps, --raw\nfail("{} steps are too few -- give more; train.bin"); /* "train.steps" */\n')
expect('fail("train.steps --raw");\n', file="launch/app/one.cpp")
