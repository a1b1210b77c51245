#!/usr/bin/env python3
"""The shell function `step` of launch/scripts/environment, on a terminal and without one.

Usage: step_test.py SOURCE_DIR   Exit 1 when something is not shown as it should be.
"""
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile

BUILD = 'echo configuring; for i in 1 2 3 4; do echo "[$i/4] Building $i.o"; sleep 1.2; done'


def script(command, folder):
    return f"set -euo pipefail; source launch/scripts/environment; step_line_every=2; " \
           f"step 'configure and build' {folder}/log bash -c '{command}'"


def piped(source, command, folder):
    return subprocess.run(["bash", "-c", script(command, folder)], cwd=source, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def on_terminal(source, command, folder):
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(source)
        os.environ["TERM"] = "xterm"
        os.execvp("bash", ["bash", "-c", script(command, folder)])
    text = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    wrong = []

    def expect(holds, what, text):
        if not holds:
            wrong.append(f"{what}:\n{text}")

    with tempfile.TemporaryDirectory(prefix="troupe-step-") as folder:
        result = piped(source, BUILD, folder)
        lines = result.stdout.splitlines()
        expect(result.returncode == 0, "a build that works leaves with 0", result.stdout)
        expect(lines[0] == "configure and build ...", "the first line says what is done", result.stdout)
        expect(any(re.fullmatch(r"configure and build: \[[1-4]/4\], \d+s left", line) for line in lines[1:-1]),
               "a line says [n/m] and the time left", result.stdout)
        expect(len(lines) <= 5, "a line each two seconds, not more", result.stdout)
        expect(re.fullmatch(r"configure and build: done in \d+s", lines[-1]), "the end says how long it took", result.stdout)
        expect("\r" not in result.stdout and "\033" not in result.stdout, "no terminal codes in a file", result.stdout)

        code, text = on_terminal(source, BUILD, folder)
        drawn = re.findall(r"\r(configure and build: \[[1-4]/4\], \d+s left)\033\[K", text)
        expect(code == 0 and len(drawn) >= 2, "a terminal has one line that is redrawn", repr(text))
        expect(not any("left" in line.rsplit("\r", 1)[-1] for line in text.split("\n")),
               "nothing of the redrawn line stays", repr(text))

        broken = "echo [1/2] Building; echo the-first-error; sleep 1.5; exit 3"
        result = piped(source, broken, folder)
        expect(result.returncode == 3 and "the-first-error" in result.stdout and "failed (3)" in result.stdout,
               "a failure shows the end of the log and keeps the code", result.stdout)
        code, text = on_terminal(source, broken, folder)
        expect(code == 3 and "the-first-error" in text, "the same on a terminal", repr(text))
    for text in wrong:
        print(f"not so: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
