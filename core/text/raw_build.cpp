// Pairs from ids that another program made.
#include <algorithm>

#include "core/base/error.h"
#include "core/text/token_build.h"

namespace troupe {
namespace {

constexpr int64_t kChunk = 1 << 16;
constexpr int64_t kAnyId = int64_t{1} << 28;  // as many as model.vocab may be

// Gives the ids of one file to a writer, cut into documents.
class RawDocuments {
 public:
  RawDocuments(std::optional<int32_t> end_of_text, TokenFileWriter& writer)
      : end_of_text_(end_of_text), writer_(writer) {}

  void add(std::span<const int32_t> ids) {
    while (!ids.empty()) {
      const size_t count = end_of_text_ ? piece(ids) : ids.size();
      writer_.add(ids.first(count));
      open_ = true;
      ids = ids.subspan(count);
      if (complete_) end();
    }
  }
  void end() {
    if (!open_) return;
    writer_.end_document();
    ++documents_;
    open_ = has_text_ = complete_ = false;
  }
  int64_t documents() const { return documents_; }

 private:
  // How many of the ids belong to the document that is open. It is complete behind the first end of
  // text that follows a text.
  size_t piece(std::span<const int32_t> ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] != *end_of_text_) {
        has_text_ = true;
      } else if (has_text_) {
        complete_ = true;
        return i + 1;
      }
    }
    return ids.size();
  }

  std::optional<int32_t> end_of_text_;
  TokenFileWriter& writer_;
  bool open_ = false;
  bool has_text_ = false;
  bool complete_ = false;
  int64_t documents_ = 0;
};

}  // namespace

BuildResult build_from_raw(const BuildRequest& request, std::optional<RawType> raw,
                           const Tokenizer* tokenizer,
                           const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<TokenStream> files;
  BuildResult result;
  result.type = TokenType::u16;
  for (const std::string& input : request.inputs) {
    files.push_back(open_raw_tokens(input, raw));
    if (files.back().type() != TokenType::u16) result.type = TokenType::i32;
    result.bytes += files.back().size() * size_of(files.back().type());
  }
  prepare_target(request.prefix);
  const int64_t vocab = tokenizer != nullptr ? tokenizer->vocab_size() : kAnyId;
  TokenFileWriter writer(request.prefix, result.type);
  RawDocuments documents(tokenizer != nullptr ? tokenizer->end_of_text() : std::nullopt, writer);
  std::vector<int32_t> ids;
  int64_t done = 0;
  for (const TokenStream& file : files) {
    for (int64_t first = 0; first < file.size(); first += kChunk) {
      ids.resize(static_cast<size_t>(std::min(kChunk, file.size() - first)));
      file.read(first, ids, vocab);
      documents.add(ids);
      done += static_cast<int64_t>(ids.size()) * size_of(file.type());
      progress(done, result.bytes);
    }
    documents.end();
  }
  result.documents = documents.documents();
  result.tokens = writer.tokens();
  if (result.tokens == 0)
    fail(ExitCode::data, "the inputs hold no tokens; {} was not written", request.prefix);
  if (tokenizer == nullptr) {
    writer.finish();
    return result;
  }
  TokenFileOrigin origin;
  origin.tokenizer = request.tokenizer_name;
  origin.fingerprint = tokenizer->fingerprint();
  origin.vocab = tokenizer->vocab_size();
  writer.finish(origin);
  return result;
}

}  // namespace troupe
