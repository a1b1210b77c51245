"""Makes tests/models/families/data/gpt2_parity.h5: logits, loss and every gradient of transformers' GPT2LMHeadModel.

A tiny model of the class with every parameter overwritten: what is zero or one at first would hide an error. Weights are
float32 numbers; the class computes in float64. Needs torch, transformers and h5py:

    python3 -m venv venv && venv/bin/pip install torch transformers h5py numpy
    venv/bin/python tools/crosscheck/gpt2_parity.py tests/models/families/data/gpt2_parity.h5
"""
import sys

import h5py
import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

VOCAB, POSITIONS, DIM, LAYERS, HEADS = 37, 13, 12, 2, 3
BATCH = 3


def make_model():
    config = GPT2Config(vocab_size=VOCAB, n_positions=POSITIONS, n_embd=DIM, n_layer=LAYERS, n_head=HEADS,
                        attn_implementation="eager")
    assert config.activation_function == "gelu_new" and config.layer_norm_epsilon == 1e-5 and config.tie_word_embeddings
    model = GPT2LMHeadModel(config).double().eval()
    random = np.random.default_rng(20250219)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.tensor(random.normal(size=parameter.shape).astype("float32")).double()
            if parameter.dim() == 1:
                norm = name.split(".")[-2].startswith("ln_") and name.endswith("weight")
                noise = (1 + 0.2 * noise) if norm else 0.1 * noise
            else:
                noise = 0.2 * noise
            parameter.copy_(noise.float().double())
    return model, random


def names(tensors):
    """{Troupe's name: a tensor}, out of those of the class; its matrices are [in, out]."""
    found = {"embedding.weight": tensors["transformer.wte.weight"], "positions.weight": tensors["transformer.wpe.weight"],
             "norm.weight": tensors["transformer.ln_f.weight"], "norm.bias": tensors["transformer.ln_f.bias"]}
    for layer in range(LAYERS):
        theirs, ours = f"transformer.h.{layer}", f"layers.{layer}"
        for part in ("weight", "bias"):
            found[f"{ours}.attention_norm.{part}"] = tensors[f"{theirs}.ln_1.{part}"]
            found[f"{ours}.feed_forward_norm.{part}"] = tensors[f"{theirs}.ln_2.{part}"]
            for name, tensor in zip("qkv", tensors[f"{theirs}.attn.c_attn.{part}"].chunk(3, -1)):
                found[f"{ours}.attention.{name}.{part}"] = tensor.T if part == "weight" else tensor
            for name, their in (("attention.o", "attn.c_proj"), ("feed_forward.up", "mlp.c_fc"),
                                ("feed_forward.down", "mlp.c_proj")):
                tensor = tensors[f"{theirs}.{their}.{part}"]
                found[f"{ours}.{name}.{part}"] = tensor.T if part == "weight" else tensor
    return found


def main(path):
    model, random = make_model()
    tokens = torch.tensor(random.integers(0, VOCAB, size=(BATCH, POSITIONS + 1)))
    ids, targets = tokens[:, :-1], tokens[:, 1:]
    logits = model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1))
    loss.backward()
    parameters = dict(model.named_parameters())
    with h5py.File(path, "w") as file:
        def put(name, tensor, kind):
            file.create_dataset(name, data=np.ascontiguousarray(tensor.detach().numpy()).astype(kind))

        for name, tensor in names(parameters).items():
            put(f"parameters/{name}", tensor, "float64")
        for name, tensor in names({name: p.grad for name, p in parameters.items()}).items():
            put(f"gradients/{name}", tensor, "float64")
        put("logits", logits, "float64")
        put("loss", loss.reshape(1), "float64")
        put("ids", ids, "int64")
        put("targets", targets, "int64")
    print(f"loss {loss.item():.15f}")


if __name__ == "__main__":
    main(sys.argv[1])
