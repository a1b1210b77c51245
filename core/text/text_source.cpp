#include "core/text/text_source.h"

#include <algorithm>
#include <filesystem>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/json_row.h"
#include "core/text/line_splitter.h"
#include "core/text/text_file.h"
#include "core/text/text_folder.h"
#include "core/text/text_format.h"
#include "core/text/utf8_gate.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHead = size_t{1} << 20;
constexpr size_t kLongestFirstRow = size_t{256} << 20;

// A share of invalid bytes is judged from this much text on where its whole length is not known.
constexpr int64_t kJudged = int64_t{64} << 20;

bool reads_rows(const TextOptions& options) {
  return options.format == TextFormat::automatic || options.format == TextFormat::json_lines;
}

}  // namespace

void TextReport::add(const TextReport& other) {
  invalid_bytes += other.invalid_bytes;
  half_pairs += other.half_pairs;
  if (invalid_in.empty()) invalid_in = other.invalid_in;
  skipped_rows += other.skipped_rows;
  constexpr size_t kListed = 10;
  for (const std::string& row : other.skipped)
    if (skipped.size() < kListed) skipped.push_back(row);
}

TextSource::TextSource(std::string path, TextOptions options)
    : path_(std::move(path)), options_(std::move(options)) {
  if (options_.format == TextFormat::by_name) options_.keep_anything = true;
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  if (!fs::exists(status))
    fail(ExitCode::data,
         "{}: {} (a text file, a .jsonl file, a folder or the prefix of a .bin/.idx pair is "
         "needed)",
         path_, why_absent(path_));
  folder_ = fs::is_directory(status);
  if (folder_) {
    TextFolder found = list_text_folder(path_, options_);
    files_ = std::move(found.files);
    left_out_ = std::move(found.left_out);
    if (files_.empty())
      fail(ExitCode::data, "{}: the folder holds no files of text{}{}", path_,
           left_out_.empty() ? "" : "; left out: ", left_out_);
  } else {
    files_ = {path_};
  }
  for (const std::string& file : files_) {
    formats_.push_back(look_at(file));
    has_rows_ = has_rows_ || formats_.back().rows;
    const uintmax_t size = fs::file_size(file, error);
    if (!error) bytes_ += static_cast<int64_t>(size);  // visit() reports what cannot be read
  }
}

TextSource::Format TextSource::look_at(const std::string& path) const {
  Format format;
  if (options_.format == TextFormat::by_name) {
    const std::string extension = fs::path(path).extension().string();
    format.rows = extension == ".jsonl" || extension == ".ndjson";
    return format;
  }
  TextFile file(path, options_);
  if (file.compression() != Compression::none) format.compression = name(file.compression());
  std::string head;
  bool whole = false;
  size_t wanted = kHead;
  while (!whole && head.size() < wanted) {
    const std::string_view piece = file.next();
    whole = piece.empty();
    head += piece;
    const bool more = head.size() >= wanted && reads_rows(options_) && needs_more(head);
    if (more && wanted < kLongestFirstRow) wanted *= 2;
  }
  const FileHead seen{head, whole};
  if (!options_.keep_anything) {
    if (const std::optional<OtherKind> kind = other_kind(seen))
      fail(ExitCode::data,
           "{}: is no text; it seems to be {}{}. {}. {}, written out, takes its bytes as they are",
           path, kind->what, format.compression != nullptr ? " inside the compressed file" : "",
           kind->advice, setting_name(options_.names, "invalid_utf8", "keep"));
  }
  format.rows = holds_rows(seen, path, options_);
  format.row_end = row_end(head);
  if (format.rows) return format;
  Utf8Gate gate(options_, path);
  const std::string_view passed = gate.pass(head);
  if (whole) {
    gate.check_share(gate.bytes());
    format.text_bytes = static_cast<int64_t>(passed.size());
  } else if (options_.invalid_utf8 != InvalidUtf8::replace &&
             file.compression() == Compression::none) {
    format.text_bytes = file.text_size();
    gate.check_share(format.text_bytes);
  }
  return format;
}

bool TextSource::mixed() const {
  return has_rows_ && std::any_of(formats_.begin(), formats_.end(),
                                  [](const Format& format) { return !format.rows; });
}

std::string TextSource::description() const {
  const auto with = [&](const char* what) {
    return formats_.front().compression == nullptr
               ? std::string(what)
               : fmt::format("{} ({})", what, formats_.front().compression);
  };
  if (!folder_) return with(formats_.front().rows ? "JSON lines" : "text");
  const auto rows = std::count_if(formats_.begin(), formats_.end(),
                                  [](const Format& format) { return format.rows; });
  const auto packed = std::count_if(formats_.begin(), formats_.end(), [](const Format& format) {
    return format.compression != nullptr;
  });
  const auto texts = static_cast<int64_t>(formats_.size()) - rows;
  std::string text = fmt::format("{} files of text, {} of JSON lines", texts, rows);
  if (packed > 0) text += fmt::format(", {} of them compressed", packed);
  return text;
}

// One walk over the files of a source.
class TextSource::Visit {
 public:
  Visit(const TextSource& source, const std::function<void(const TextPiece&)>& visit)
      : source_(source), visit_(visit) {}

  TextReport run() {
    for (size_t i = 0; i < source_.files_.size(); ++i) {
      const std::string& path = source_.files_[i];
      TextFile file(path, source_.options_);
      Utf8Gate gate(source_.options_, path);
      if (source_.formats_[i].rows) {
        visit_rows(file, gate, path, source_.formats_[i].row_end);
      } else {
        visit_text(file, gate, source_.formats_[i].text_bytes);
      }
      gate.check_share(gate.bytes());
      note(gate.invalid(), path);
      before_ += file.size();
    }
    return std::move(report_);
  }

 private:
  void note(int64_t invalid, const std::string& path) {
    report_.invalid_bytes += invalid;
    if (invalid > 0 && report_.invalid_in.empty()) report_.invalid_in = path;
  }

  void visit_text(TextFile& file, Utf8Gate& gate, int64_t length) {
    TextPiece piece;
    piece.first = true;
    piece.marked = source_.folder_;
    piece.position = position_;
    for (std::string_view raw = file.next(); !raw.empty(); raw = file.next()) {
      piece.text = gate.pass(raw);
      gate.check_share(length >= 0 ? length : std::max(gate.bytes(), kJudged));
      piece.done = before_ + file.position();
      visit_(piece);
      position_ += static_cast<int64_t>(piece.text.size());
      piece.position = position_;
      piece.first = false;
    }
    if (piece.first) return;  // no text at all
    piece.text = {};
    piece.last = true;
    visit_(piece);
  }

  void visit_rows(TextFile& file, Utf8Gate& gate, const std::string& path, char end) {
    LineSplitter lines(end);
    for (std::string_view raw = file.next(); !raw.empty(); raw = file.next()) {
      lines.push(raw,
                 [&](std::string_view line) { visit_row(line, lines.number(), file, gate, path); });
    }
    lines.finish([&](std::string_view line) { visit_row(line, lines.number(), file, gate, path); });
  }

  void visit_row(std::string_view line, int64_t number, const TextFile& file, Utf8Gate& gate,
                 const std::string& path) {
    if (line.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
    const JsonRow row = read_json_row(line, source_.options_);
    if (row.kind != RowKind::text) return bad_row(row, line, number, path);
    if (row.half_pair) {
      ++report_.half_pairs;
      if (report_.invalid_in.empty()) report_.invalid_in = path;
    }
    TextPiece piece;
    piece.text = gate.pass(row.text);
    gate.check_share(std::max(gate.bytes(), kJudged));
    piece.done = before_ + file.position();
    piece.first = true;
    piece.last = true;
    piece.marked = true;
    visit_(piece);
  }

  // number: of the file's line in which the row begins.
  void bad_row(const JsonRow& row, std::string_view text, int64_t number, const std::string& path) {
    std::string column;
    if (row.column > 0) {
      const std::string_view before = text.substr(0, static_cast<size_t>(row.column - 1));
      number += std::count(before.begin(), before.end(), '\n');
      column = fmt::format(":{}", before.size() - (before.rfind('\n') + 1) + 1);
    }
    const std::string what = fmt::format("{}:{}{}: the row {}", path, number, column, row.fault);
    if (!source_.options_.skip_bad_rows)
      fail(ExitCode::data, "{}. `troupe data build` can leave such rows out", what);
    TextReport one;
    one.skipped_rows = 1;
    one.skipped = {what};
    report_.add(one);
  }

  const TextSource& source_;
  const std::function<void(const TextPiece&)>& visit_;
  TextReport report_;
  int64_t before_ = 0;    // bytes on disk of the files that are done
  int64_t position_ = 0;  // in the text of all files
};

TextReport TextSource::visit(const std::function<void(const TextPiece&)>& visit) const {
  return Visit(*this, visit).run();
}

int64_t TextSource::text_bytes() const {
  int64_t bytes = 0;
  for (size_t i = 0; i < files_.size(); ++i) {
    if (formats_[i].text_bytes >= 0) {
      bytes += formats_[i].text_bytes;
      continue;
    }
    TextFile file(files_[i], options_);
    Utf8Gate gate(options_, files_[i]);
    for (std::string_view raw = file.next(); !raw.empty(); raw = file.next())
      bytes += static_cast<int64_t>(gate.pass(raw).size());
    gate.check_share(gate.bytes());
  }
  return bytes;
}

void say_what_was_met(const TextSource& source, const TextReport& report) {
  if (!source.left_out().empty())
    log::info("{}: {} files are read; left out: {}", source.path(), source.files().size(),
              source.left_out());
  if (source.mixed())
    log::info("{}: holds {}; {} reads all in one way", source.path(), source.description(),
              setting_name(source.options().names, "format"));
  const bool replaced = source.options().invalid_utf8 == InvalidUtf8::replace;
  if (report.invalid_bytes > 0)
    log::info("{}: {} bytes are no UTF-8 (the first in {}); {}", source.path(),
              report.invalid_bytes, report.invalid_in,
              replaced ? std::string("U+FFFD stands for them")
                       : fmt::format("they are kept as they are ({})",
                                     setting_name(source.options().names, "invalid_utf8")));
  if (report.half_pairs > 0)
    log::info("{}: {} rows hold half a surrogate pair, for which U+FFFD stands", source.path(),
              report.half_pairs);
}

}  // namespace troupe
