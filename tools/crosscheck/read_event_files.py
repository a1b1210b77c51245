#!/usr/bin/env python3
"""Opens the event files of a run with TensorBoard itself and compares every scalar with metrics.jsonl.

    python3 -m venv /tmp/tb && /tmp/tb/bin/pip install tensorboard
    /tmp/tb/bin/python tools/crosscheck/read_event_files.py RUN_DIR

TensorBoard's own accumulator reads all files of the directory, as its web page does: it checks the record checksums and drops
the points that a START record purges. Each metric must then be there once a logged step, equal to the row of metrics.jsonl as
a 32-bit float. Needs the network once for pip, so it is not part of the automatic tests.

Last run: TensorBoard 2.21.0, protobuf 7.36.2, a run of 150 logged steps that was stopped and resumed twice, each time going
back behind its last logged step: "3 event file(s), 150 rows, 3158 points: all equal".
"""
import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing import event_accumulator

TAGS = {
    "loss/train": "loss", "loss/val": "val_loss", "loss/balance": "balance_loss", "loss/z": "z_loss",
    "optimizer/lr": "lr", "optimizer/grad_norm": "grad_norm", "speed/tokens_per_s": "tokens_per_s",
    "speed/step_ms": "step_ms", "speed/gemm_fraction": "gemm_fraction", "speed/tokens": "tokens",
    "moe/load_max_over_mean": "load_max_over_mean", "moe/rank_load_max_over_mean": "rank_load_max_over_mean",
    "moe/dropped_fraction": "dropped_fraction", "moe/dead_experts": "dead_experts",
    "moe/router_entropy": "router_entropy", "memory/peak_bytes": "mem_peak_bytes",
    "time/forward_ms": "forward", "time/backward_ms": "backward", "time/dispatch_ms": "dispatch",
    "time/comm_ms": "comm", "time/optimizer_ms": "optimizer", "time/data_ms": "data",
}


def single(value):
    """The nearest 32-bit float; null in metrics.jsonl stands for a value that is not finite."""
    return math.nan if value is None else struct.unpack("f", struct.pack("f", value))[0]


def main():
    run = pathlib.Path(sys.argv[1])
    rows = {}
    for text in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(text)
        rows[row["step"]] = {**row, **row.pop("phase_ms")}
    accumulator = event_accumulator.EventAccumulator(str(run), size_guidance={event_accumulator.SCALARS: 0})
    accumulator.Reload()
    found = set(accumulator.Tags()["scalars"])
    bad = [f"unknown tag {tag}" for tag in sorted(found - set(TAGS))]
    points = 0
    for tag, field in TAGS.items():
        expected = {step: single(row[field]) for step, row in rows.items() if field in row}
        events = accumulator.Scalars(tag) if tag in found else []
        points += len(events)
        if [event.step for event in events] != sorted(expected):
            bad.append(f"{tag}: steps {[event.step for event in events][:5]}... instead of {sorted(expected)[:5]}...")
            continue
        for event in events:
            value = expected[event.step]
            if event.value != value and not (math.isnan(value) and not math.isfinite(event.value)):
                bad.append(f"{tag} at step {event.step}: {event.value} instead of {value}")
    files = sorted(path.name for path in run.glob("events.out.tfevents.*"))
    for line in bad[:20]:
        print("DIFFERENT", line)
    print(f"{len(files)} event file(s), {len(rows)} rows, {points} points: " + ("DIFFERENT" if bad else "all equal"))
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
