"""Makes tests/models/families/data/decoder_parity.h5: the loss and every gradient of an independent PyTorch decoder.

The model is written from the formulas (Llama/Mixtral blocks, top-2 routing, switch and z losses by sequence), not from
Troupe's code. Everything is float64. Needs torch and h5py:

    python3 -m venv venv && venv/bin/pip install torch h5py numpy
    venv/bin/python tools/crosscheck/decoder_parity.py tests/models/families/data/decoder_parity.h5
"""
import sys

import h5py
import numpy as np
import torch

torch.set_default_dtype(torch.float64)

LAYERS, DIM, HEADS, KV_HEADS, FFN, SEQ, VOCAB = 3, 12, 4, 2, 20, 11, 29
HEAD_DIM = 4  # not dim / heads: the two are independent
EXPERTS, EXPERT_FFN, TOP_K, SHARED_FFN = 4, 10, 2, 6
BATCH, EPS, THETA = 3, 1e-5, 10000.0
SWITCH, Z = 0.01, 0.001
MOE_LAYERS = (1, 2)  # layer 0 is dense


def make_parameters():
    random = np.random.default_rng(20240613)
    out = {}

    def normal(name, *shape, scale=0.25):
        out[name] = random.normal(size=shape) * scale

    def near_one(name, size):
        out[name] = 1.0 + 0.1 * random.normal(size=size)

    normal("embedding.weight", VOCAB, DIM, scale=0.7)
    for layer in range(LAYERS):
        base = f"layers.{layer}"
        near_one(f"{base}.attention_norm.weight", DIM)
        for part, rows, columns in (("q", HEADS * HEAD_DIM, DIM), ("k", KV_HEADS * HEAD_DIM, DIM),
                                    ("v", KV_HEADS * HEAD_DIM, DIM), ("o", DIM, HEADS * HEAD_DIM)):
            normal(f"{base}.attention.{part}.weight", rows, columns)
            normal(f"{base}.attention.{part}.bias", rows)
        near_one(f"{base}.attention.q_norm.weight", HEAD_DIM)
        near_one(f"{base}.attention.k_norm.weight", HEAD_DIM)
        near_one(f"{base}.feed_forward_norm.weight", DIM)
        if layer in MOE_LAYERS:
            normal(f"{base}.moe.router.weight", EXPERTS, DIM, scale=0.6)
            normal(f"{base}.moe.experts.gate_up", EXPERTS, 2 * EXPERT_FFN, DIM)
            normal(f"{base}.moe.experts.down", EXPERTS, DIM, EXPERT_FFN)
            normal(f"{base}.moe.shared.gate_up", 2 * SHARED_FFN, DIM)
            normal(f"{base}.moe.shared.down", DIM, SHARED_FFN)
        else:
            normal(f"{base}.feed_forward.gate_up.weight", 2 * FFN, DIM)
            normal(f"{base}.feed_forward.down.weight", DIM, FFN)
    near_one("norm.weight", DIM)
    normal("head.weight", VOCAB, DIM)
    return {name: torch.tensor(value, requires_grad=True) for name, value in out.items()}, random


def rms_norm(x, weight):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * weight


def rotate(x):  # x: [B, H, S, hd]
    half = HEAD_DIM // 2
    frequency = THETA ** (-torch.arange(half) * 2.0 / HEAD_DIM)
    angle = torch.outer(torch.arange(x.shape[2], dtype=torch.float64), frequency)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def attention(x, p, base):
    batch, length, _ = x.shape

    def project(part, heads):
        y = x @ p[f"{base}.{part}.weight"].T + p[f"{base}.{part}.bias"]
        return y.view(batch, length, heads, HEAD_DIM)

    q = rms_norm(project("q", HEADS), p[f"{base}.q_norm.weight"]).transpose(1, 2)
    k = rms_norm(project("k", KV_HEADS), p[f"{base}.k_norm.weight"]).transpose(1, 2)
    v = project("v", KV_HEADS).transpose(1, 2)
    q, k = rotate(q), rotate(k)
    k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
    scores = q @ k.transpose(2, 3) / HEAD_DIM**0.5
    scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), float("-inf"))
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, HEADS * HEAD_DIM)
    return mixed @ p[f"{base}.o.weight"].T + p[f"{base}.o.bias"]


def swiglu(x, gate_up, down):
    gate, up = (x @ gate_up.T).chunk(2, -1)
    return (torch.nn.functional.silu(gate) * up) @ down.T


def moe(x, p, base):
    logits = x @ p[f"{base}.router.weight"].T
    probabilities = logits.softmax(-1)
    top, chosen = probabilities.topk(TOP_K, dim=-1)
    weights = top / top.sum(-1, keepdim=True)
    y = swiglu(x, p[f"{base}.shared.gate_up"], p[f"{base}.shared.down"])
    for expert in range(EXPERTS):
        weight = (weights * (chosen == expert)).sum(-1, keepdim=True)
        y = y + weight * swiglu(x, p[f"{base}.experts.gate_up"][expert], p[f"{base}.experts.down"][expert])
    counts = torch.nn.functional.one_hot(chosen, EXPERTS).sum(2).to(torch.float64)  # [B, S, E]
    fraction = counts.sum(1) / (TOP_K * x.shape[1])
    switch = (EXPERTS * (fraction * probabilities.mean(1)).sum(-1)).mean()
    z = (torch.logsumexp(logits, -1) ** 2).mean()
    return y, SWITCH * switch + Z * z, counts.sum((0, 1))


def main(path):
    p, random = make_parameters()
    tokens = torch.tensor(random.integers(0, VOCAB, size=(BATCH, SEQ + 1)))
    ids, targets = tokens[:, :-1], tokens[:, 1:]
    x = p["embedding.weight"][ids]
    extra, counts = 0.0, []
    for layer in range(LAYERS):
        base = f"layers.{layer}"
        x = x + attention(rms_norm(x, p[f"{base}.attention_norm.weight"]), p, f"{base}.attention")
        normed = rms_norm(x, p[f"{base}.feed_forward_norm.weight"])
        if layer in MOE_LAYERS:
            y, loss, count = moe(normed, p, f"{base}.moe")
            extra = extra + loss
            counts.append(count)
        else:
            y = swiglu(normed, p[f"{base}.feed_forward.gate_up.weight"], p[f"{base}.feed_forward.down.weight"])
        x = x + y
    logits = rms_norm(x, p["norm.weight"]) @ p["head.weight"].T
    loss = torch.nn.functional.cross_entropy(logits.view(-1, VOCAB), targets.reshape(-1))
    (loss + extra).backward()
    with h5py.File(path, "w") as file:
        for name, tensor in p.items():
            file.create_dataset(f"parameters/{name}", data=tensor.detach().numpy())
            file.create_dataset(f"gradients/{name}", data=tensor.grad.numpy())
        file.create_dataset("ids", data=ids.numpy().astype("int64"))
        file.create_dataset("targets", data=targets.numpy().astype("int64"))
        file.create_dataset("loss", data=np.array([loss.item()]))
        file.create_dataset("balance", data=np.array([extra.item()]))
        file.create_dataset("counts", data=torch.stack(counts).numpy().astype("int64"))
    print(f"loss {loss.item():.15f} balance {extra.item():.15f}")


if __name__ == "__main__":
    main(sys.argv[1])
