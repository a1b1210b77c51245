#!/usr/bin/env python3
"""tools/check/router_names passes this tree, and finds a router's name or option where it is planted.

Usage: router_names_test.py SOURCE_DIR
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

PLANTED = {
    'bool f(const MoEConfig& moe) { return moe.router == "st_moe"; }\n': 'planted.cpp:1: "st_moe"',
    '// "st_moe"\nbool f(const MoEConfig& moe) { return moe.router_options.has(\n    "jitter"); }\n':
        'planted.cpp:2: "jitter"',
    'auto key = path + ".top_k";\n': 'planted.cpp:1: "top_k"',
    '// A router st_moe, "st_moe".\nint st_moe = arguments.integer("seed");\n': None,
}


def check(root):
    result = subprocess.run([SOURCE / "tools/check/router_names", root], stdout=subprocess.PIPE, text=True)
    return result.returncode, result.stdout


SOURCE = pathlib.Path(sys.argv[1])
code, found = check(SOURCE)
if code != 0:
    sys.exit(found)
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    shutil.copytree(SOURCE / "moe", root / "moe")
    planted = root / "models/parts/planted.cpp"
    planted.parent.mkdir(parents=True)
    for text, expected in PLANTED.items():
        planted.write_text(text)
        code, found = check(root)
        if (code, found.count("\n")) != ((1, 1) if expected else (0, 0)) or (expected or "") not in found:
            sys.exit(f"{text}\nexpected {expected}, exit {code}:\n{found}")
    planted.unlink()
    hash_file = root / "moe/routers/hash.cpp"
    hash_file.write_text(hash_file.read_text() + 'bool f(const std::string& name) { return name == "topk"; }\n')
    code, found = check(root)
    if code != 1 or 'hash.cpp' not in found:
        sys.exit(f"one router that knows another: exit {code}\n{found}")
