#!/usr/bin/env python3
"""The shell function `step` of launch/scripts/environment, on a terminal and without one.

Usage: step_test.py SOURCE_DIR   Exit 1 when something is not shown as it should be.
"""
import os
import pathlib
import pty
import re
import sys
import tempfile

# A build that ends when what should be shown was seen (a minute at most), however slowly anything runs.
BUILD = 'echo configuring; echo "[1/4] Building a.o"; echo "[2/4] Building b.o"; ' \
        'for i in $(seq 600); do if [ -e SEEN ]; then exit 0; fi; sleep 0.1; done'
BROKEN = "echo [1/2] Building; echo the-first-error; sleep 1.5; exit 3"
LINE = r"configure and build: \[2/4\], \d+s left"
DONE = r"configure and build: done in (\d+m)?\d+s"


def run(source, command, every, terminal, seen_when):
    """Exit status and output; the build is told once `seen_when` was printed."""
    with tempfile.TemporaryDirectory(prefix="troupe-step-") as folder:
        seen = pathlib.Path(folder) / "SEEN"
        script = f"set -euo pipefail; source launch/scripts/environment; step_line_every={every}; " \
                 f"step 'configure and build' {folder}/log bash -c '{command.replace('SEEN', str(seen))}'"
        if terminal:
            pid, reading = pty.fork()
        else:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.dup2(writing, 1)
                os.dup2(writing, 2)
            else:
                os.close(writing)
        if pid == 0:
            os.chdir(source)
            os.environ["TERM"] = "xterm"
            os.execvp("bash", ["bash", "-c", script])
        text = ""
        while True:
            try:
                part = os.read(reading, 4096)
            except OSError:  # the other end of the terminal is closed
                break
            if not part:
                break
            text += part.decode()
            if re.search(seen_when, text):
                seen.touch()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    wrong = []

    def expect(holds, what, text):
        if not holds:
            wrong.append(f"{what}: {text!r}")

    code, text = run(source, BUILD, 1, False, LINE + "\n")
    lines = text.splitlines()
    expect(code == 0 and lines[0] == "configure and build ...", "the first line says what is done", text)
    expect(any(re.fullmatch(LINE, line) for line in lines), "a line says [n/m] and the time left", text)
    expect(re.fullmatch(DONE, lines[-1]), "the end says how long it took", text)
    expect("\r" not in text and "\033" not in text, "no terminal codes in a file", text)

    code, text = run(source, "sleep 3", 1000, False, "never")
    expect(code == 0 and len(text.splitlines()) == 2, "no line before its time", text)

    code, text = run(source, BUILD, 1000, True, "(\r" + LINE + "\033.*){2}")
    expect(code == 0 and len(re.findall("\r" + LINE + r"\033\[K", text)) >= 2, "a terminal has a line that is redrawn", text)
    expect(not any("left" in line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")),
           "nothing of the redrawn line stays", text)

    for terminal in (False, True):
        code, text = run(source, BROKEN, 1, terminal, "never")
        expect(code == 3 and "the-first-error" in text and "failed (3): configure and build" in text,
               "a failure shows the end of the log and keeps the code", text)
    for text in wrong:
        print(f"not so: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
