#!/usr/bin/env python3
"""tests/skipped on a log as ctest writes it: a gtest test, an entry of several with one skipped, a script, and one that passed."""
import pathlib
import subprocess
import sys
import tempfile


def entry(number, name, output, end):
    line = "-" * 58
    return (f"{number}/4 Testing: {name}\n{number}/4 Test: {name}\nCommand: \"x\"\nOutput:\n{line}\n{output}\n<end of output>\n"
            f"Test time =   0.01 sec\n{line}\n{end}\n\n")


LOG = (entry(1, "core/kernels/A.Skips", "[ RUN      ] A.Skips\n/a/b_test.cpp:2: Skipped\nno such\nprocessor\n[  SKIPPED ] A.Skips (0 ms)",
             "Test Skipped.")
       + entry(2, "mpi/memory/ranks_2", "[ RUN      ] Mounted.One\n/a/c_test.cpp:7: Skipped\nno mount namespaces here\n"
               "[  SKIPPED ] Mounted.One (0 ms)\n[ RUN      ] Mounted.Two\n[       OK ] Mounted.Two (1 ms)", "Test Passed.")
       + entry(3, "cluster/slurm_1", "SKIPPED: slurmctld is not installed", "Test Skipped.")
       + entry(4, "core/base/Error.Codes", "[       OK ] Error.Codes (0 ms)", "Test Passed."))
EXPECTED = """core/kernels/A.Skips: no such processor
mpi/memory/ranks_2, Mounted.One: no mount namespaces here
cluster/slurm_1: slurmctld is not installed
"""


def main():
    with tempfile.TemporaryDirectory(prefix="troupe-skipped-") as folder:
        log = pathlib.Path(folder) / "Testing/Temporary/LastTest.log"
        log.parent.mkdir(parents=True)
        log.write_text(LOG)
        said = subprocess.run([pathlib.Path(__file__).parent / "skipped", folder], stdout=subprocess.PIPE, text=True).stdout
    if said != EXPECTED:
        print(f"expected:\n{EXPECTED}\nsaid:\n{said}")
    return 0 if said == EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
