"""Makes tests/models/convert/data: small models of Hugging Face's classes, and what the classes compute with them.

For each family a folder as `save_pretrained` writes it, and NAME.safetensors with ids, logits, the mean loss of the next
token, the gradient of every parameter, and 32 tokens of greedy generation. Every parameter is overwritten: what is zero or
one at first would hide an error. Weights are bfloat16 numbers, computed with in float32. Seeds with a choice of experts or
of a token that rounding could turn are passed over. Needs torch, transformers and safetensors:

    python3 -m venv venv && venv/bin/pip install torch transformers==5.24.0 safetensors numpy
    venv/bin/python tools/crosscheck/hf_families.py tests/models/convert/data
"""
import pathlib
import sys

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file

VOCAB, POSITIONS, BATCH, LENGTH, GREEDY = 64, 64, 2, 12, 32
MARGIN = 1e-4
SHAPE = dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=48, max_position_embeddings=POSITIONS, attn_implementation="eager")
EXPERTS = dict(num_experts_per_tok=2, experts_implementation="eager")

FAMILIES = {
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(SHAPE, head_dim=8, attention_bias=True, rms_norm_eps=1e-5)),
    "llama_tied": (hf.LlamaForCausalLM, hf.LlamaConfig,
                   dict(SHAPE, tie_word_embeddings=True, rope_parameters=dict(rope_theta=5e5, rope_type="default"))),
    "mistral": (hf.MistralForCausalLM, hf.MistralConfig, dict(SHAPE, head_dim=16, sliding_window=5)),
    "mixtral": (hf.MixtralForCausalLM, hf.MixtralConfig,
                {**SHAPE, **EXPERTS, "intermediate_size": 24, "num_local_experts": 4}),
    "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config, SHAPE),
    "qwen3": (hf.Qwen3ForCausalLM, hf.Qwen3Config, dict(SHAPE, head_dim=16)),
    "qwen3_moe": (hf.Qwen3MoeForCausalLM, hf.Qwen3MoeConfig,
                  {**SHAPE, **EXPERTS, "head_dim": 16, "moe_intermediate_size": 24, "num_experts": 4,
                   "norm_topk_prob": True}),
    "qwen3_moe_dense_first": (hf.Qwen3MoeForCausalLM, hf.Qwen3MoeConfig,
                              {**SHAPE, **EXPERTS, "head_dim": 16, "moe_intermediate_size": 24, "num_experts": 4,
                               "norm_topk_prob": False, "mlp_only_layers": [0]}),
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config,
             dict(vocab_size=VOCAB, n_positions=POSITIONS, n_embd=32, n_layer=2, n_head=4, attn_implementation="eager")),
}


def overwrite(model, random):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.tensor(random.normal(size=parameter.shape).astype("float32"))
            if ("norm" in name or ".ln_" in name) and name.endswith("weight"):
                noise = 1 + 0.2 * noise
            else:
                noise = (0.1 if parameter.dim() == 1 else 0.2) * noise
            parameter.copy_(noise.bfloat16().float())


def router_margin(model, run):
    """The smallest distance of a chosen expert's logit to the next one, over the largest logit."""
    margins = [1.0]

    def look(module, inputs, output):
        logits = torch.nn.functional.linear(inputs[0].reshape(-1, inputs[0].shape[-1]), module.weight)
        ordered = logits.sort(-1, descending=True).values
        margins.append(((ordered[:, 1] - ordered[:, 2]).min() / ordered.abs().max()).item())

    gates = [module for name, module in model.named_modules() if name.endswith("mlp.gate")]
    hooks = [gate.register_forward_hook(look) for gate in gates]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return min(margins)


def greedy(model, ids):
    margin = 1.0
    with torch.no_grad():
        for _ in range(GREEDY):
            logits = model(ids).logits[0, -1]
            best = logits.sort(descending=True).values
            margin = min(margin, ((best[0] - best[1]) / best.abs().max()).item())
            ids = torch.cat([ids, logits.argmax().reshape(1, 1)], 1)
    return ids, margin


def attempt(kind, config, seed):
    model = kind(config).float().eval()
    random = np.random.default_rng(seed)
    overwrite(model, random)
    tokens = torch.tensor(random.integers(0, VOCAB, size=(BATCH, LENGTH + 1)))
    ids, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    text, margin = greedy(model, ids[:1, :4])
    margin = min(margin, router_margin(model, lambda: (model(ids), model(text))))
    if margin < MARGIN:
        return None
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1))
    loss.backward()
    found = {"ids": ids.int(), "targets": targets.int(), "logits": logits.detach(), "loss": loss.detach().reshape(1),
             "greedy": text.int()}
    for name, parameter in model.named_parameters():
        found["gradient." + name] = parameter.grad.contiguous()
    return model, found, margin


def main(folder):
    for name, (kind, config_kind, values) in FAMILIES.items():
        for seed in range(100):
            result = attempt(kind, config_kind(**values), seed)
            if result is not None:
                break
        model, found, margin = result
        save_file(found, pathlib.Path(folder) / f"{name}.safetensors")
        # In memory experts lie in one tensor: both forms are written.
        model.bfloat16().save_pretrained(pathlib.Path(folder) / name)
        if "moe" in name or name == "mixtral":
            model.save_pretrained(pathlib.Path(folder) / f"{name}_fused", save_original_format=False)
        for beside in pathlib.Path(folder).glob(f"{name}*/generation_config.json"):
            beside.unlink()
        print(f"{name}: seed {seed}, loss {found['loss'].item():.9f}, margin {margin:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
