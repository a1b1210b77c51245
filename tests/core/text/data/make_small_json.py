"""Makes small_json/: two cut-down tokenizer.json files and texts with the ids that an independent,
naive encoder gives. Needs the Python package `regex` and the GPT-2 and cl100k files in FOLDER:

    python3 make_small_json.py FOLDER      (FOLDER/gpt2_bpe, FOLDER/cl100k_tiktoken)
"""
import base64
import json
import pathlib
import random
import sys

import regex

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CL100K = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"""
          r""" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")


def alphabet():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, spare = {}, 0x100
    for byte in range(256):
        table[byte] = chr(byte) if byte in keep else chr(spare)
        spare += byte not in keep
    return table


CHAR = alphabet()


def shown(token):
    return "".join(CHAR[b] for b in token)


def merge(piece, ranks, limit=None):
    parts = [bytes([b]) for b in piece]
    while len(parts) > 1:
        best = min(range(len(parts) - 1),
                   key=lambda i: (ranks.get((parts[i], parts[i + 1]), 1 << 40), i))
        rank = ranks.get((parts[best], parts[best + 1]))
        if rank is None or (limit is not None and rank >= limit):
            break
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return parts


def encode(text, pattern, vocab, ranks, added, ignore_merges):
    ids = []
    names = sorted(added, key=len, reverse=True)
    splitter = regex.compile("(" + "|".join(map(regex.escape, names)) + ")")
    for gap in splitter.split(text):
        if gap in added:
            ids.append(added[gap])
            continue
        for piece in regex.findall(pattern, gap):
            data = piece.encode()
            if ignore_merges and data in vocab:
                ids.append(vocab[data])
            else:
                ids += [vocab[p] for p in merge(data, ranks)]
    return ids


def texts(folder):
    rows = [json.loads(line)["text"] for name in ("gpt2_bpe", "cl100k_tiktoken")
            for line in open(folder / name / "pairs.jsonl", encoding="utf-8")]
    rows += ["a\u180eb c\u1680d\u0085\u0085e\u2028f\u3000\u3000g\u00a0\u00a0 h\u200bi\u001c\u001dj",
             "a<|endoftext|>b", "<|endoftext|><|endoftext|>", "x <user>\n<user>> y", "<<user>",
             "I'\u017f He'S WE'LL you'Re don't 'tis", "1234567 12 1 \u00bd\u0661\u0662\u0663\u0664",
             "end.\r\n\r\n  \n next\n\n\n!?\n\n", "   leading and trailing   ", "e\u0301 \U0001d400\U0001f600"]
    rng = random.Random(1)
    soup = [*" \t\n\r'stdlvemrSTDLVEMR019.,!-<|>", "\u00e9", "\u4e2d", "\u0e01", "\u00a0", "\u2003",
            "\u0085", "\u017f", "\u212a", "\u00b2", "\u0301", "\U0001f44d", "\u200d", "  ", "the", " of"]
    rows += ["".join(rng.choices(soup, k=rng.randint(1, 60))) for _ in range(300)]
    return list(dict.fromkeys(rows))


def write(out, name, pattern, tokens, ranks, added, ignore_merges, pre_tokenizer, as_pairs):
    vocab = {token: index for index, token in enumerate(tokens)}
    order = sorted(ranks, key=ranks.get)
    entry = dict(single_word=False, lstrip=False, rstrip=False)
    data = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": c, **entry, "normalized": c == "<user>",
                          "special": c != "<user>"} for c, i in added.items()],
        "normalizer": None, "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                           "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": ignore_merges, "vocab": {shown(t): i for t, i in vocab.items()},
                  "merges": [[shown(a), shown(b)] if as_pairs else shown(a) + " " + shown(b)
                             for a, b in order]},
    }
    with open(out / f"{name}.json", "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, indent=0)
    with open(out / f"{name}.pairs.jsonl", "w", encoding="utf-8") as file:
        for text in texts(folder):
            ids = encode(text, pattern, vocab, ranks, added, ignore_merges)
            file.write(json.dumps({"text": text, "ids": ids}) + "\n")


folder = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).parent / "small_json"
BYTE = {c: b for b, c in CHAR.items()}

lines = open(folder / "gpt2_bpe/merges.txt", encoding="utf-8").read().split("\n")[:1000]
pairs = [tuple(bytes(BYTE[c] for c in side) for side in line.split(" ")) for line in lines]
tokens = [bytes([BYTE[chr(c)]]) for c in [*range(33, 127), *range(161, 173), *range(174, 324)]]
tokens += [a + b for a, b in pairs]
write(out, "gpt2", GPT2, tokens, {pair: rank for rank, pair in enumerate(pairs)},
      {"<|endoftext|>": 1256, "<user>": 1300}, False,
      {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, False)

tokens = [base64.b64decode(line.split()[0]) for line in open(folder / "cl100k_tiktoken/cl100k_base.tiktoken")]
tokens = tokens[:2000]
ranks = {}
for rank, token in enumerate(tokens):
    if len(token) > 1:
        ranks[tuple(merge(token, ranks, rank))] = rank
assert all(len(pair) == 2 for pair in ranks)
write(out, "cl100k", CL100K, tokens, ranks, {"<|endoftext|>": 2000, "<user>": 2001}, True,
      {"type": "Sequence", "pretokenizers": [
          {"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Isolated", "invert": False},
          {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}, True)
