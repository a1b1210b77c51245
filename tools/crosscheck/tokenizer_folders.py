"""Makes tests/core/text/data/folders/ and variants.jsonl: folders as Hugging Face's libraries write them, spellings of
tokenizer.json, and texts with the ids that these libraries give. Needs the PyPI packages transformers 4.46 (its classes
without tokenizer.json are the reference) and tokenizers:

    python3 tools/crosscheck/tokenizer_folders.py
"""
import copy
import json
import pathlib
import random
import shutil
import tempfile

from tokenizers import ByteLevelBPETokenizer, Tokenizer
from transformers import CodeGenTokenizer, GPT2Tokenizer, GPT2TokenizerFast, Qwen2Tokenizer, RobertaTokenizer

DATA = pathlib.Path(__file__).parents[2] / "tests/core/text/data"
FOLDERS = DATA / "folders"
SOUP = [*" \t\n'stlre019.,!-<>_[]", "\u00e9", "e\u0301", "\u1100\u1161", "\u4e2d", "\u00a0", "\u2003", "\u212b", "\u037e",
        "\u0345", "\u0301", "\u3000", "\U0001f44d", "the", " of", "  ", "\n\n"]


def texts(tokens, seed):
    rng = random.Random(seed)
    rows = ["", "It's 12345 of the <b>best</b>\r\n\r\n  He'LL", "Cafe\u0301 A\u030angstro\u0308m \u212b\u1112\u1161\u11ab",
            "a <s> b</s> <mask>  c <|im_end|>\n", " leading and trailing \n "]
    rows += [rng.choice(["x", " ", "x ", "\n", "\u00e9", "_", "e\u0301"]) + token + rng.choice(["y", " ", " y", "\t\n", "\u0301"])
             for token in tokens for _ in range(3)]
    rows += ["".join(rng.choices(SOUP + tokens, k=rng.randint(1, 40))) for _ in range(60)]
    return list(dict.fromkeys(rows))


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def write_pairs(path, pairs):
    with open(path, "w", encoding="utf-8") as file:
        for text, ids in pairs:
            file.write(json.dumps({"text": text, "ids": ids}) + "\n")


def small(count):
    """The first merges of GPT-2 with the vocabulary that they need."""
    model = json.loads((DATA / "small_json/gpt2.json").read_text(encoding="utf-8"))["model"]
    merges = model["merges"][:count]
    by_id = sorted(model["vocab"], key=model["vocab"].get)[:256 + count]
    return by_id, merges


def write_bpe(folder, tokens, merges, **files):
    folder.mkdir(parents=True)
    write_json(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(merge + "\n" for merge in merges), encoding="utf-8")
    for name, value in files.items():
        write_json(folder / f"{name}.json", value)


def write_reference(folder, kind, tokens, seed):
    """ids of a class that reads these files, with nothing added in front or behind."""
    reference = kind.from_pretrained(folder)
    write_pairs(folder / "pairs.jsonl", [(text, reference(text, add_special_tokens=False)["input_ids"])
                                         for text in texts(tokens, seed) if text])


def entry(content, special=True, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": special, **flags}


def folders():
    shutil.rmtree(FOLDERS, ignore_errors=True)
    tokens, merges = small(300)
    end = len(tokens)

    write_bpe(FOLDERS / "qwen2", tokens, merges,
              tokenizer_config={"add_prefix_space": False, "added_tokens_decoder": {
                  str(end): entry("<|endoftext|>"), str(end + 1): entry("<|im_start|>"), str(end + 2): entry("<|im_end|>")},
                  "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "bos_token": None,
                  "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
                  "model_max_length": 32768, "pad_token": "<|endoftext|>", "split_special_tokens": False,
                  "tokenizer_class": "Qwen2Tokenizer", "unk_token": None},
              generation_config={"eos_token_id": [end + 2, end], "do_sample": True})
    write_reference(FOLDERS / "qwen2", Qwen2Tokenizer, ["<|endoftext|>", "<|im_end|>", "<|im_start|>"], 1)

    write_bpe(FOLDERS / "added", [*tokens, "<|endoftext|>"], merges,
              added_tokens={"<tool>": end + 1, "   ": end + 2, "\t\t": end + 3},
              special_tokens_map={"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "[PAD]"},
              config={"model_type": "codegen", "eos_token_id": end})
    write_reference(FOLDERS / "added", CodeGenTokenizer, ["<tool>", "   ", "\t\t", "[PAD]", "<|endoftext|>"], 2)

    # "<s>" stands in the vocabulary, but no file of this class lists it: it is split, as all text is.
    write_bpe(FOLDERS / "opt", ["<s>", "<pad>", "</s>", "<unk>", *tokens], merges,
              tokenizer_config={"tokenizer_class": "GPT2Tokenizer", "bos_token": "</s>", "eos_token": "</s>",
                                "unk_token": "</s>", "pad_token": "<pad>", "errors": "replace"})
    write_reference(FOLDERS / "opt", GPT2Tokenizer, ["<s>", "</s>", "<pad>"], 6)

    write_bpe(FOLDERS / "roberta", ["<s>", "<pad>", "</s>", "<unk>", *tokens, "<mask>"], merges,
              tokenizer_config={"tokenizer_class": "RobertaTokenizer", "model_max_length": 512})
    write_reference(FOLDERS / "roberta", RobertaTokenizer, ["<mask>", "</s>", "<s>", "<pad>"], 3)

    flags = {"<l>": {"lstrip": True}, "<r>": {"rstrip": True}, "word": {"single_word": True}, "<lr>": {
        "lstrip": True, "rstrip": True}}
    write_bpe(FOLDERS / "flags", [*tokens, "<|endoftext|>"], merges,
              tokenizer_config={"tokenizer_class": "GPT2Tokenizer", "eos_token": {"__type": "AddedToken", **entry("<|endoftext|>")},
                                "added_tokens_decoder": {str(end): entry("<|endoftext|>"), **{
                                    str(end + 1 + i): entry(name, False, **set_) for i, (name, set_) in enumerate(flags.items())}}})
    # The class written in Python sees word boundaries only at spaces; the other is what tokenizer.json means.
    write_reference(FOLDERS / "flags", GPT2TokenizerFast, list(flags), 4)

    # As ByteLevelBPETokenizer.save_model leaves it: special tokens stand only in the vocabulary.
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train([str(DATA.parents[3] / "configs/text/tinyshakespeare.txt")], vocab_size=400, special_tokens=special)
    (FOLDERS / "save_model").mkdir()
    trained.save_model(str(FOLDERS / "save_model"))
    write_pairs(FOLDERS / "save_model/pairs.jsonl",
                [(text, trained.encode(text).ids) for text in texts(special, 5) if text])


def variants():
    """Each row: a change (RFC 7386) of small_json/BASE.json, and what the library makes of texts with it."""
    gpt2 = json.loads((DATA / "small_json/gpt2.json").read_text(encoding="utf-8"))
    cl100k = json.loads((DATA / "small_json/cl100k.json").read_text(encoding="utf-8"))
    split, byte_level = cl100k["pre_tokenizer"]["pretokenizers"]
    plain = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    qwen2 = split["pattern"]["Regex"].replace(r"\p{N}{1,3}", r"\p{N}")
    short = (r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"""
             r"""\s+(?!\S)|\s+""")

    def sequence(pattern, **change):
        first = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False, **change}
        return {"type": "Sequence", "pretokenizers": [first, byte_level]}

    def tokens(*lists):
        return [{**entry(content, special, **flags), "id": 1256 + i} for i, (content, special, flags) in enumerate(lists)]

    stripped = tokens(("<l>", True, {"lstrip": True}), ("<r>", False, {"rstrip": True, "normalized": True}),
                      ("word", False, {"single_word": True}), ("\u00e9t\u00e9", False, {"normalized": True}),
                      ("e\u0301e", False, {"normalized": True}), ("<lr> x", False, {"lstrip": True, "rstrip": True}))
    rows = [
        ("removed", "cl100k", {"pre_tokenizer": sequence(split["pattern"]["Regex"], behavior="Removed", invert=True)}),
        ("isolated_inverted", "cl100k", {"pre_tokenizer": sequence(split["pattern"]["Regex"], invert=True)}),
        ("short_cl100k", "cl100k", {"pre_tokenizer": sequence(short, behavior="Removed", invert=True)}),
        ("gpt2_as_split", "gpt2", {"pre_tokenizer": sequence(plain)}),
        ("gpt2_in_a_sequence", "gpt2", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [gpt2["pre_tokenizer"]]}}),
        ("qwen2", "cl100k", {"pre_tokenizer": sequence(qwen2), "normalizer": {"type": "NFC"}}),
        ("nfc_in_a_sequence", "gpt2", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}}),
        ("flags", "gpt2", {"added_tokens": stripped}),
        ("flags_nfc", "gpt2", {"added_tokens": stripped, "normalizer": {"type": "NFC"}}),
    ]
    with open(DATA / "variants.jsonl", "w", encoding="utf-8") as file:
        for seed, (name, base, patch) in enumerate(rows):
            if base == "gpt2":  # ids without a gap: the library would close it
                patch = {"added_tokens": tokens(("<|endoftext|>", True, {}), ("<user>", False, {"normalized": True})), **patch}
            whole = {**copy.deepcopy({"gpt2": gpt2, "cl100k": cl100k}[base]), **patch}
            names = [token["content"] for token in whole["added_tokens"]]
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "tokenizer.json"
                path.write_text(json.dumps(whole), encoding="utf-8")
                reference = Tokenizer.from_file(str(path))
            pairs = [[text, reference.encode(text, add_special_tokens=False).ids] for text in texts(names, seed)]
            file.write(json.dumps({"name": name, "base": base, "patch": patch, "pairs": pairs}) + "\n")


folders()
variants()
