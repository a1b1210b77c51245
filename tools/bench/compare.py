"""The same training step in PyTorch, beside `troupe bench step`: which is faster on this machine, and by how much.

The PyTorch model is written by hand, as a user who wants speed without a framework would: rows sorted by expert, one pair
of linear layers per expert, scaled_dot_product_attention, AdamW and clipping in the step, and glibc's malloc told to keep
its memory (and to ask for huge pages). It needs torch, which Troupe and its tests do without:

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python tools/bench/compare.py build/release/troupe configs/bench/moe_8x2.yaml
    venv/bin/python tools/bench/compare.py build/release/troupe configs/bench/moe_8x2.yaml --precision bf16

Runs of the two follow each other in pairs, each pair in the other order than the one before, so that a machine that becomes
slower slows both. Printed: the tokens/s of both, the ratio of each pair, and a row for the README's table of speeds.

TROUPE_MAX_ISA=avx2 (or avx512, avx512_bf16) caps both: for PyTorch it is handed on as ATEN_CPU_CAPABILITY (its own kernels),
ONEDNN_MAX_CPU_ISA and MKL_ENABLE_INSTRUCTIONS (its products). Whether that cap holds is measured: products of PyTorch that are
faster than the multiply-add peak of the capped kind end the comparison.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

# By TROUPE_MAX_ISA. Of MKL's names AVX512_E3 has AVX512_BF16, and no AMX.
CAPS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "avx512_bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16", "MKL_ENABLE_INSTRUCTIONS": "AVX512_E3"},
}
MALLOC = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=137438953472:glibc.malloc.hugetlb=1"


class Shape:
    """What the model of a configuration is, from `troupe check --json`."""

    def __init__(self, values):
        def value(key, default=None):
            return values[key]["value"] if key in values else default

        self.layers = value("model.layers")
        self.dim = value("model.dim")
        self.heads = value("model.heads")
        self.kv_heads = value("model.kv_heads")
        self.head_dim = value("model.head_dim")
        self.vocab = value("model.vocab")
        self.seq_len = value("model.seq_len")
        self.sequences = value("train.global_batch")
        self.lr = value("optimizer.lr")
        self.clip = value("optimizer.clip")
        self.theta = value("model.rope_theta")
        self.eps = value("model.norm_eps")
        self.experts = value("moe.experts", 0)
        self.ffn_dim = value("moe.ffn_dim") if self.experts else value("model.ffn_dim")
        self.top_k = value("moe.router.top_k", 0)
        # The comparison is of the plain step: what only one of the two did would be no comparison.
        plain = {"model.tie_embeddings": False, "model.qk_norm": False, "model.attention_bias": False,
                 "model.dropout": 0, "model.window": 0, "model.recompute": "none", "optimizer.type": "adamw"}
        if self.experts:
            plain.update({"moe.router.type": "topk", "moe.router.score": "softmax", "moe.router.renormalize": True,
                          "moe.capacity_factor": "none", "moe.shared_experts": 0, "moe.layers.first_dense": 0,
                          "moe.layers.every": 1})
        for key, wanted in plain.items():
            if value(key, wanted) != wanted:
                sys.exit(f"{key} = {value(key)}: this comparison knows {wanted} only")

    def tokens(self):
        return self.sequences * self.seq_len


def build_model(shape):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def rope_table():
        half = shape.head_dim // 2
        frequency = shape.theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.arange(shape.seq_len, dtype=torch.float32)[:, None] * frequency
        return angle.cos(), angle.sin()

    def rotate(x, cos, sin):  # [B, H, S, hd]
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(shape.dim, shape.heads * shape.head_dim, bias=False)
            self.kv = nn.Linear(shape.dim, 2 * shape.kv_heads * shape.head_dim, bias=False)
            self.o = nn.Linear(shape.heads * shape.head_dim, shape.dim, bias=False)

        def forward(self, x, cos, sin):
            def heads(rows, count):
                return rows.view(shape.sequences, shape.seq_len, count, shape.head_dim).transpose(1, 2)

            k, v = self.kv(x).chunk(2, dim=-1)
            q = rotate(heads(self.q(x), shape.heads), cos, sin)
            k = rotate(heads(k, shape.kv_heads), cos, sin)
            repeats = shape.heads // shape.kv_heads
            k = k.repeat_interleave(repeats, dim=1)
            v = heads(v, shape.kv_heads).repeat_interleave(repeats, dim=1)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.o(y.transpose(1, 2).reshape(shape.tokens(), shape.heads * shape.head_dim))

    class FeedForward(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate_up = nn.Linear(shape.dim, 2 * shape.ffn_dim, bias=False)
            self.down = nn.Linear(shape.ffn_dim, shape.dim, bias=False)

        def forward(self, x):
            gate, up = self.gate_up(x).chunk(2, dim=-1)
            return self.down(F.silu(gate) * up)

    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.router = nn.Linear(shape.dim, shape.experts, bias=False)
            self.experts = nn.ModuleList(FeedForward() for _ in range(shape.experts))

        def forward(self, x):
            with torch.autocast("cpu", enabled=False):
                scores = F.softmax(F.linear(x.float(), self.router.weight), dim=-1)
                weight, choice = scores.topk(shape.top_k, dim=-1)
                weight = weight / weight.sum(dim=-1, keepdim=True)
            order = choice.flatten().argsort(stable=True)
            counts = choice.flatten().bincount(minlength=shape.experts).tolist()
            token = order // shape.top_k
            rows = x[token]
            done = [expert(part) for expert, part in zip(self.experts, rows.split(counts)) if part.shape[0] > 0]
            y = torch.cat(done) * weight.flatten()[order, None]
            return torch.zeros_like(x, dtype=y.dtype).index_add_(0, token, y).to(x.dtype)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention_norm = nn.RMSNorm(shape.dim, eps=shape.eps)
            self.attention = Attention()
            self.feed_forward_norm = nn.RMSNorm(shape.dim, eps=shape.eps)
            self.feed_forward = Experts() if shape.experts else FeedForward()

        def forward(self, x, cos, sin):
            x = x + self.attention(self.attention_norm(x), cos, sin)
            return x + self.feed_forward(self.feed_forward_norm(x))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(shape.vocab, shape.dim)
            self.blocks = nn.ModuleList(Block() for _ in range(shape.layers))
            self.norm = nn.RMSNorm(shape.dim, eps=shape.eps)
            self.head = nn.Linear(shape.dim, shape.vocab, bias=False)
            self.cos, self.sin = rope_table()
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, ids, targets):
            x = self.embedding(ids.flatten())
            for block in self.blocks:
                x = block(x, self.cos, self.sin)
            return F.cross_entropy(self.head(self.norm(x)).float(), targets.flatten())

    return Decoder()


def product_rate():
    """FLOPs per second of PyTorch's products in f32: the best of some."""
    import torch

    size, best = 1024, float("inf")
    a, b = torch.rand(size, size), torch.rand(size, size)
    for _ in range(8):
        begin = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def run_torch(shape, precision, threads, warmup, steps):
    """Milliseconds of each timed step."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    products = product_rate()
    model = build_model(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=shape.lr, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    times = []
    for step in range(warmup + steps):
        ids = torch.randint(shape.vocab, (shape.sequences, shape.seq_len + 1))
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(ids[:, :-1], ids[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if shape.clip > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), shape.clip)
        optimizer.step()
        loss.item()
        if step >= warmup:
            times.append((time.perf_counter() - begin) * 1e3)
    return {"times": times, "products": max(products, product_rate()), "parameters": sum(p.numel() for p in model.parameters()),
            "version": torch.__version__}


def measure_torch(options):
    environment = dict(os.environ, GLIBC_TUNABLES=MALLOC, OMP_NUM_THREADS=str(options.threads))
    environment.update(CAPS.get(os.environ.get("TROUPE_MAX_ISA", ""), {}))
    out = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--worker"], env=environment, check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def measure_troupe(options):
    words = [options.troupe, "bench", "step", options.config, f"precision.compute={options.precision}",
             f"runtime.threads={options.threads}", "--steps", str(options.steps), "--warmup", str(options.warmup), "--json"]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)


def read_shape(options):
    words = [options.troupe, "check", options.config, "--json"]
    out = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return Shape(json.loads(out)["config"])


def f32_peak(options):
    """Multiply-adds in f32 on registers, with the instructions in use: no product is faster."""
    out = subprocess.run([options.troupe, "bench", "gemm", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)["f32"]["fma_peak"]


def processor(kind):
    """The model's name, and the kind of instructions in use."""
    name = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
                break
    capped = ", capped" if os.environ.get("TROUPE_MAX_ISA") else ""
    return f"{name} ({kind}{capped})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("troupe", help="the program: build/release/troupe")
    parser.add_argument("config", help="configs/bench/moe_8x2.yaml, moe_64x8.yaml or dense.yaml")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=7, help="timed steps of a run, of which the median counts")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = read_shape(options)
    if options.worker:
        print(json.dumps(run_torch(shape, options.precision, options.threads, options.warmup, options.steps)))
        return
    peak = f32_peak(options)
    torch_rates, troupe_rates, ratios, fractions, busy = [], [], [], [], 0
    for pair in range(options.pairs):
        measures = [measure_torch, measure_troupe]
        results = {}
        for measure in measures if pair % 2 == 0 else measures[::-1]:
            results[measure] = measure(options)
        peer, own = results[measure_torch], results[measure_troupe]
        torch_rates.append(shape.tokens() / statistics.median(peer["times"]) * 1e3)
        troupe_rates.append(own["tokens_per_s"])
        ratios.append(troupe_rates[-1] / torch_rates[-1])
        fractions.append(own["peak_fraction"])
        busy += own["machine"]["busy"]
        if peer["products"] > 1.05 * peak:
            sys.exit(f"PyTorch multiplies at {peer['products'] / 1e9:.0f} GFLOP/s, above the {peak / 1e9:.0f} of "
                     f"{own['instructions']}: its instructions are not those of TROUPE_MAX_ISA")
        print(f"pair {pair + 1}: PyTorch {torch_rates[-1]:.0f} tokens/s, Troupe {troupe_rates[-1]:.0f} tokens/s, "
              f"ratio {ratios[-1]:.2f}; PyTorch's products {peer['products'] / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s in f32",
              flush=True)
    name = os.path.splitext(os.path.basename(options.config))[0]
    print(f"PyTorch {peer['version']}, malloc tuned, {peer['parameters'] / 1e6:.0f} M parameters, {options.threads} threads; "
          f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) over {options.pairs} pairs")
    if busy:
        print(f"the machine was busy in {busy} of {options.pairs} runs of Troupe: repeat it on a quiet one")
    print("\n| processor | model | precision | Troupe tokens/s | of the peak | PyTorch tokens/s | ratio | date |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| {processor(own['instructions'])}, {options.threads} threads | {name} | {options.precision} | "
          f"{statistics.median(troupe_rates):,.0f} | "
          f"{statistics.median(fractions):.2f} | {statistics.median(torch_rates):,.0f} | {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}) | {datetime.date.today().isoformat()} |")


if __name__ == "__main__":
    main()
