#!/usr/bin/env python3
"""The build leaves out what it is told to, and what remains works and loads none of it.

Usage: optional_libraries_test.py SOURCE_DIR BINARY_DIR CASE. `onednn`: the tests of kernels and of operators without
oneDNN. `all`: the libraries without MPI, HDF5 and oneDNN, installed, and the example that needs none.
Both are built in BINARY_DIR/optional, mostly from ccache where it is there.
"""
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE, BINARY = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])


def run(words, **environment):
    result = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, **environment), timeout=1500)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stdout[-4000:]}")
    return result.stdout


def configure(source, folder, *options):
    # With the flags of the build around it: what that compiled comes from ccache.
    cache = (BINARY / "CMakeCache.txt").read_text().splitlines()
    same = [f"-D{line}" for line in cache if line.startswith(("CMAKE_BUILD_TYPE:", "CMAKE_CXX_FLAGS:"))]
    run(["cmake", "-S", source, "-B", folder, "-G", "Ninja", *same, *options])


def loads_none_of(program, *libraries):
    loaded = run(["ldd", program])
    for library in libraries:
        if library in loaded:
            sys.exit(f"{program} loads {library}:\n{loaded}")


def onednn(folder):
    configure(SOURCE, folder, "-DTROUPE_TESTS=ON", "-DTROUPE_ONEDNN=OFF")
    run(["cmake", "--build", folder, "-j2", "--target", "test_core_kernels", "test_core_ops"])
    loads_none_of(folder / "tests/test_core_ops", "libdnnl")
    for limit in ("amx", "avx2"):
        for tests in ("kernels", "ops"):
            run([folder / f"tests/test_core_{tests}", "--gtest_brief=1"], TROUPE_MAX_ISA=limit)


def everything(folder):
    configure(SOURCE, folder / "library", "-DTROUPE_MPI=OFF", "-DTROUPE_HDF5=OFF", "-DTROUPE_ONEDNN=OFF")
    run(["cmake", "--build", folder / "library", "-j2"])
    if (folder / "library/troupe").exists():
        sys.exit("the program was built, which cannot do without MPI and HDF5")
    run(["cmake", "--install", folder / "library", "--prefix", folder / "installed"])
    configure(SOURCE / "tools/examples", folder / "examples", f"-DCMAKE_PREFIX_PATH={folder}/installed")
    run(["cmake", "--build", folder / "examples", "-j2"])
    example = folder / "examples/ranks_as_threads"
    loads_none_of(example, "libmpi", "libhdf5", "libdnnl")
    losses = [float(line.split(": ")[1]) for line in run([example]).splitlines() if line.startswith("step ")]
    if len(losses) != 10 or not losses[-1] < losses[0]:
        sys.exit(f"{example}: losses {losses}")


case = sys.argv[3]
place = BINARY / "optional" / case
shutil.rmtree(place, ignore_errors=True)
{"onednn": onednn, "all": everything}[case](place)
shutil.rmtree(place)
