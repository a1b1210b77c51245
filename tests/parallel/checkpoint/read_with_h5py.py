"""Prints what h5py sees in a checkpoint: one line a dataset, and what the page says of it."""
import sys

import h5py
import numpy as np

with h5py.File(sys.argv[1], "r") as f:
    print("format", f.attrs["format"].decode() if isinstance(f.attrs["format"], bytes)
          else f.attrs["format"], int(f.attrs["format_version"]))

    def visit(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        if item.dtype.kind == "S":
            print("text", name, item[()].decode())
        elif name.startswith("scalars/"):
            print("scalar", name, repr(item[()].item()))
        else:
            assert item.chunks is None and item.compression is None
            values = item[()]
            kind = item.attrs.get("dtype", item.dtype.name)
            kind = kind.decode() if isinstance(kind, bytes) else kind
            digest = item.attrs["xxh3_128"]
            digest = digest.decode() if isinstance(digest, bytes) else digest
            shape = "x".join(str(n) for n in item.shape) or "-"
            print("tensor", name, kind, shape, digest, np.ascontiguousarray(values).tobytes().hex() or "-")

    f.visititems(visit)
    # Paths that a user would type.
    assert f["parameters/layers.0.moe.experts.w1"].shape == (8, 5, 7)
    assert f["parameters/layers.0.moe.experts.w1"].dtype == np.float32
    assert f["parameters"]["layers.0.norm"].dtype == np.float64
