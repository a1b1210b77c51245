#!/usr/bin/env python3
"""tools/check/host_memory finds an address taken or elements read outside the table, and rows that are of no use. Usage:
host_memory_test.py SOURCE_DIR"""
import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(sys.argv[1]).resolve() / "tools/check/host_memory"
TABLE = "## Host memory\n\n| file | why |\n|---|---|\n| `moe/listed.cpp` | counts |\n\n## Next\n"


def expect(files, *said, table=TABLE):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, content in {"ARCHITECTURE.md": table, "moe/listed.cpp": "x.data<float>();\n", **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        result = subprocess.run([CHECK, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    code, output = result.returncode, result.stdout
    if code != (1 if said else 0) or not all(one in output for one in said) or output.count("\n") != len(said):
        sys.exit(f"{files!r}: exit {code}, {output!r}")


expect({})
expect({"core/kernels/a.cpp": "x.data<float>();\n", "core/ops/a.cpp": "kernels::add(x.view()); // x.data<float>()\n"})
expect({"core/ops/a.cpp": "\nauto p = x.data<float>()[1];\n"}, "core/ops/a.cpp:2: data<float>()")
expect({"parallel/a.cpp": "memcpy(to, x.view().data, 8);\n"}, "parallel/a.cpp:1: view().data")
expect({"launch/a.cpp": "auto copy = host_copy<double>(x);\n"}, "launch/a.cpp:1: host_copy<")
expect({"moe/balance/a.cpp": "double g = gradient.item();\n"}, "moe/balance/a.cpp:1: .item()")
expect({"core/ops/a.cpp": "for (double v : x\n  .values()) sum += v;\n"}, "core/ops/a.cpp:2: .values()")
expect({"models/a.cpp": "use(ids->integers());\n"}, "models/a.cpp:1: ->integers()")
expect({"models/a.cpp": "check(options.values());\n", "launch/a.cpp": "print(x.item()); // x.values()\n"})
expect({"moe/listed.cpp": "use(x.values());\n"})
expect({"moe/listed.cpp": "int x = 0;\n"}, "moe/listed.cpp touches no tensor memory")
expect({}, "moe/listed.cpp has no reason", table=TABLE.replace("counts", ""))
