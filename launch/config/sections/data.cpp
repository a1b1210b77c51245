// Keys of data.
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"

namespace troupe {

std::vector<Key> data_keys() {
  return {
      KeyMaker("data.tokenizer", FieldType::path,
               "byte, a folder with a tokenizer.json or with vocab.json and merges.txt (and what "
               "lies beside them), or a tokenizer.json.")
          .into([](RunConfig & c) -> auto& { return c.data.tokenizer; })
          .words({"byte"})
          .required(),
      KeyMaker("data.train", FieldType::path,
               "What is trained on: a text file, the prefix of a .bin/.idx pair, a folder, or a "
               "list of {path, weight}.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            c.data.train = {{std::get<std::string>(value), 1.0}};
          })
          .also("a list of {path, weight}")
          .required(),
      KeyMaker("data.train[].path", FieldType::path, "One source of the mixture.")
          .into(
              [](RunConfig & c) -> auto& { return c.data.train; }, &DataSource::path)
          .required(),
      real_key("data.train[].weight", "Its share of the samples, relative to the others.")
          .into(
              [](RunConfig & c) -> auto& { return c.data.train; }, &DataSource::weight)
          .value(1.0)
          .above(0)
          .to(1e9),
      KeyMaker("data.val", FieldType::path,
               "Held-out text; none = the last val_fraction of data.train.")
          .into([](RunConfig & c) -> auto& { return c.data.val; })
          .keeps("none")
          .words({"none"})
          .word("none"),
      real_key("data.val_fraction",
               "The last part of the training data, held out: never trained on; 0 = none.")
          .into([](RunConfig & c) -> auto& { return c.data.val_fraction; })
          .value(0.1)
          .from(0)
          .to(0.9),
      KeyMaker("data.field", FieldType::text, "Field of a JSON line that holds the text.")
          .into([](RunConfig & c) -> auto& { return c.data.text.field; })
          .value(std::string("text")),
      choice_key(
          "data.format", {"auto", "text", "jsonl", "by_name"}, "auto",
          "What files hold, compressed (gzip, zstd, xz, bzip2) or not. auto: JSON lines where "
          "every complete line of the first MiB is an object with the field (or every row of a "
          "JSON text sequence), else text; other JSON with the field is refused. "
          "by_name: as runs that began before this key, *.jsonl and *.ndjson are JSON lines, "
          "all else is text as it stands.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            c.data.text.format = text_format(std::get<std::string>(value));
          }),
      choice_key("data.invalid_utf8", {"keep", "error", "replace"}, "keep",
                 "Bytes of a text that are no UTF-8 are counted and kept, an error, or replaced by "
                 "U+FFFD. Files that are no text or have more than 1 % of such bytes are refused "
                 "unless keep is written.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            c.data.text.invalid_utf8 = invalid_utf8(std::get<std::string>(value));
          }),
      KeyMaker("data.end_of_text", FieldType::text,
               "The token behind each row of JSON lines and each file of a folder, at which "
               "`generate` stops. auto = what the tokenizer's files say (tokenizer_config.json, "
               "special_tokens_map.json, generation_config.json, config.json), else a special "
               "token of a known name.")
          .into([](RunConfig & c) -> auto& { return c.data.end_of_text; })
          .words({"auto", "none"})
          .word("auto"),
      KeyMaker("data.separator", FieldType::text,
               "A text behind each row and file instead, for tokenizers without an end-of-text "
               "token; such as \"\\n\". It is trained on, but is no byte of text in bits per byte.")
          .into([](RunConfig & c) -> auto& { return c.data.separator; })
          .keeps("none")
          .with_line_breaks()
          .words({"none"})
          .word("none"),
      flag_key("data.mask_documents", false,
               "Attention does not cross the ends of documents, and the first token of a document "
               "is not predicted.")
          .into([](RunConfig & c) -> auto& { return c.model.mask_documents; }),
  };
}

}  // namespace troupe
