#!/usr/bin/env python3
"""tools/check/same_bits sees a difference where there is one, and only there.

Usage: same_bits_test.py SOURCE_DIR TROUPE CASE, one of the names below. The program is compared with itself, with one
whose optimizer is planted to be another by a little, and with one that fails.
"""
import pathlib
import subprocess
import sys
import tempfile

SOURCE, TROUPE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def planted(folder, name, command):
    """A program that trains otherwise and does all else as troupe."""
    path = pathlib.Path(folder) / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = train ]; then {command}; fi\nexec {TROUPE} "$@"\n')
    path.chmod(0o755)
    return path


def expect(earlier, later, only, code, said):
    result = subprocess.run([SOURCE / "tools/check/same_bits", "--programs", earlier, later, "--only", only],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    if result.returncode != code or said not in result.stdout:
        sys.exit(f"{earlier} and {later}: exit {result.returncode}, not {code} with '{said}':\n{result.stdout}")


with tempfile.TemporaryDirectory(prefix="troupe-same-bits-test-") as folder:
    other = planted(folder, "other", f'exec {TROUPE} "$@" optimizer.eps=1.000001e-8')
    failing = planted(folder, "failing", "exit 3")
    cases = {
        "equal": (TROUPE, TROUPE, "cp 2", 0, "All are equal in every bit."),
        "earlier_differs": (other, TROUPE, "cp 2", 1, "tensors differ"),
        "later_differs": (TROUPE, other, "recompute", 1, "tensors differ"),  # more than one: every row is compared
        "one_fails": (failing, TROUPE, "cp 2", 2, "training failed (3)"),
        "unknown": (TROUPE, TROUPE, "no such", 2, "no such configuration"),
    }
    expect(*cases[sys.argv[3]])
