"""What a training step costs where the cores are not Troupe's alone: beside one busy process, and with more ranks than cores.

    python3 tools/bench/shared_cores.py build/release/troupe configs/bench/moe_8x2.yaml

On a machine that is quiet otherwise. Quiet and busy runs follow each other in pairs. A step beside one busy process on two
cores should take at most 2.2 times as long: the process takes one of the two cores, and waiting for it must cost no more.
Four ranks on two cores should take about as long as two ranks.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys


def step_ms(options, ranks, threads):
    words = [options.troupe, "bench", "step", options.config, f"parallel.ep={ranks}", f"runtime.threads={threads}",
             "--steps", str(options.steps), "--warmup", "1", "--json"]
    if ranks > 1:
        words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *words]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    out = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=environment, text=True).stdout
    return json.loads(out)["step_ms"]


@contextlib.contextmanager
def busy_process():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compare(name, plain, other, options):
    ratios = []
    for pair in range(options.pairs):
        order = (plain, other) if pair % 2 == 0 else (other, plain)
        times = {measure: measure() for measure in order}
        ratios.append(times[other] / times[plain])
        print(f"{name}, pair {pair + 1}: {times[plain]:.0f} and {times[other]:.0f} ms, {ratios[-1]:.2f} times", flush=True)
    print(f"{name}: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("troupe")
    parser.add_argument("config")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))

    def beside_busy():
        with busy_process():
            return step_ms(options, 1, cores)

    compare("one busy process beside one rank", lambda: step_ms(options, 1, cores), beside_busy, options)
    compare(f"{2 * cores} ranks on {cores} cores against {cores} ranks", lambda: step_ms(options, cores, 1),
            lambda: step_ms(options, 2 * cores, 1), options)


if __name__ == "__main__":
    main()
