#include "core/text/tokenizer_class.h"

#include <algorithm>
#include <string_view>

#include "core/base/error.h"

namespace troupe {
namespace {

PartToken part(const char* name, const char* content, bool left_strip = false) {
  PartToken token;
  token.part = name;
  token.token.content = content;
  token.token.special = true;
  token.token.left_strip = left_strip;
  return token;
}

const char* kEndOfText = "<|endoftext|>";

TokenizerClass gpt2() {
  return {
      SplitKind::gpt2,
      false,
      {part("bos_token", kEndOfText), part("eos_token", kEndOfText), part("unk_token", kEndOfText)},
      true};
}

TokenizerClass qwen2() {
  return {
      SplitKind::qwen2,
      true,
      {part("eos_token", kEndOfText), part("unk_token", kEndOfText), part("pad_token", kEndOfText)},
      true};
}

TokenizerClass roberta() {
  return {SplitKind::gpt2,
          false,
          {part("bos_token", "<s>"), part("eos_token", "</s>"), part("unk_token", "<unk>"),
           part("sep_token", "</s>"), part("pad_token", "<pad>"), part("cls_token", "<s>"),
           part("mask_token", "<mask>", true)},
          true};
}

TokenizerClass deberta() {
  return {SplitKind::gpt2,
          false,
          {part("bos_token", "[CLS]"), part("eos_token", "[SEP]"), part("unk_token", "[UNK]"),
           part("sep_token", "[SEP]"), part("pad_token", "[PAD]"), part("cls_token", "[CLS]"),
           part("mask_token", "[MASK]", true)},
          true};
}

struct Known {
  std::string_view class_name;
  std::vector<std::string_view> model_types;  // of config.json
  TokenizerClass (*make)();
};

const std::vector<Known>& known_classes() {
  static const std::vector<Known> list = {
      {"GPT2Tokenizer", {"gpt2", "gpt_neo", "gptj", "opt", "gpt_bigcode"}, gpt2},
      {"CodeGenTokenizer", {"codegen", "phi"}, gpt2},
      {"Qwen2Tokenizer", {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}, qwen2},
      {"RobertaTokenizer", {"roberta"}, roberta},
      {"BartTokenizer", {"bart"}, roberta},
      {"LongformerTokenizer", {"longformer"}, roberta},
      {"LEDTokenizer", {"led"}, roberta},
      {"DebertaTokenizer", {"deberta"}, deberta},
  };
  return list;
}

[[noreturn]] void refuse(const TokenizerSettings& settings) {
  std::string names;
  for (const Known& known : known_classes())
    names += (names.empty() ? "" : ", ") + std::string(known.class_name);
  fail(ExitCode::data,
       "{}: {} \"{}\" does not say how texts are split here; with vocab.json and merges.txt the "
       "classes {} are known: give the tokenizer.json of this tokenizer (transformers: "
       "AutoTokenizer.from_pretrained(...).save_pretrained(...)), or name the class that splits as "
       "it does in tokenizer_config.json's tokenizer_class",
       settings.class_place, settings.class_name.empty() ? "model_type" : "tokenizer_class",
       settings.class_name.empty() ? settings.model_type : settings.class_name, names);
}

}  // namespace

TokenizerClass tokenizer_class_of(const TokenizerSettings& settings) {
  // Bytes that are no UTF-8 come out as they are, and as U+FFFD where text is shown.
  if (!settings.errors.empty() && settings.errors != "replace")
    fail(ExitCode::data,
         "{}: \"errors\" is \"{}\"; only \"replace\" is supported: set it so, it changes no id",
         settings.config_place, settings.errors);
  for (const Known& known : known_classes()) {
    const bool by_type =
        settings.class_name.empty() && std::find(known.model_types.begin(), known.model_types.end(),
                                                 settings.model_type) != known.model_types.end();
    if (known.class_name == settings.class_name || by_type) return known.make();
  }
  if (!settings.class_name.empty() || !settings.model_type.empty()) refuse(settings);
  TokenizerClass guess = gpt2();
  guess.named = false;
  return guess;
}

}  // namespace troupe
