#include "core/text/text_format.h"

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/text/json_document.h"
#include "core/text/json_row.h"
#include "core/text/line_splitter.h"

namespace troupe {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr char kSequenceMark = '\x1E';

// What the complete lines of a head are.
struct LineCount {
  int64_t all = 0;   // that are not blank
  int64_t rows = 0;  // objects with the text
  int64_t objects = 0;
  int64_t json = 0;           // objects, lists and texts in quotes
  bool object_first = false;  // the first one is an object
  int64_t odd_line = 0;       // the first that is no row, from 1
  std::string odd;            // what is wrong with it
};

void count_line(std::string_view line, int64_t number, const TextOptions& options,
                LineCount& count) {
  const size_t begin = line.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return;
  ++count.all;
  JsonRow row;
  row.fault = "is not a JSON object";
  if (std::string_view("{[\"").find(line[begin]) != std::string_view::npos)
    row = read_json_row(line, options);
  const bool object = row.kind == RowKind::text || row.kind == RowKind::no_text;
  if (object && count.all == 1) count.object_first = true;
  count.rows += row.kind == RowKind::text ? 1 : 0;
  count.objects += object ? 1 : 0;
  count.json += row.kind != RowKind::no_json ? 1 : 0;
  if (row.kind != RowKind::text && count.odd_line == 0) {
    count.odd_line = number;
    count.odd = row.fault;
  }
}

LineCount count_lines(const FileHead& head, const TextOptions& options) {
  LineCount count;
  LineSplitter lines(row_end(head.bytes));
  const auto take = [&](std::string_view line) {
    count_line(line, lines.number(), options, count);
  };
  lines.push(head.bytes, take);
  if (head.whole) lines.finish(take);
  return count;
}

// The way out of every refusal.
std::string as_it_stands(const TextOptions& options) {
  return setting_name(options.names, "format", "text") + " takes it as it stands";
}

[[noreturn]] void refuse_lines(const std::string& file, const LineCount& count,
                               const TextOptions& options) {
  if (count.rows == 0 && count.objects == count.all)
    fail(ExitCode::data,
         "{}:{}: looks like JSON lines, but the row {}. Name the field with the text ({}); {}",
         file, count.odd_line, count.odd, setting_name(options.names, "field"),
         as_it_stands(options));
  if (count.objects == 0)
    fail(ExitCode::data,
         "{}:{}: every line is JSON, but the row {}. JSON lines have their text in field \"{}\" of "
         "an object; {}",
         file, count.odd_line, count.odd, options.field, as_it_stands(options));
  fail(ExitCode::data,
       "{}:{}: most of the file looks like JSON lines, but this row {}. {} reads it as JSON lines "
       "(`troupe data build` can leave such rows out); {}",
       file, count.odd_line, count.odd, setting_name(options.names, "format", "jsonl"),
       as_it_stands(options));
}

void refuse_document(const FileHead& head, const std::string& file, const TextOptions& options) {
  switch (json_document(head, options.field)) {
    case JsonDocument::none:
      return;
    case JsonDocument::list:
      fail(ExitCode::data,
           "{}: is one JSON list, not JSON lines. Make a line of each of its elements: jq -c '.[]' "
           "IN > OUT.jsonl; {}",
           file, as_it_stands(options));
    case JsonDocument::objects:
      fail(
          ExitCode::data,
          "{}: holds JSON objects over several lines each, not JSON lines. Make a line of each: jq "
          "-c . IN > OUT.jsonl; {}",
          file, as_it_stands(options));
    case JsonDocument::nested:
      fail(ExitCode::data,
           "{}: is one JSON document with a text in field \"{}\" of the objects inside, not JSON "
           "lines. Make a line of each: jq -c '.. | objects | select(has(\"{}\"))' IN > OUT.jsonl; "
           "{}",
           file, options.field, options.field, as_it_stands(options));
    case JsonDocument::columns:
      fail(ExitCode::data,
           "{}: is one JSON object with many texts in field \"{}\", not JSON lines. Make a line of "
           "each: jq -c '.[\"{}\"][] | {{\"{}\": .}}' IN > OUT.jsonl; {}",
           file, options.field, options.field, options.field, as_it_stands(options));
  }
}

}  // namespace

bool is_called_jsonl(const std::string& file) {
  std::filesystem::path path(file);
  for (const char* packed : {".gz", ".zst", ".xz", ".bz2"})
    if (path.extension() == packed) path = path.stem();
  return path.extension() == ".jsonl" || path.extension() == ".ndjson";
}

char row_end(std::string_view head) {
  const size_t begin = head.find_first_not_of(kBlank);
  return begin != std::string_view::npos && head[begin] == kSequenceMark ? kSequenceMark : '\n';
}

bool needs_more(std::string_view head) {
  const char end = row_end(head);
  if (end == kSequenceMark) head.remove_prefix(head.find(end) + 1);
  const size_t begin = head.find_first_not_of(kBlank);
  if (begin == std::string_view::npos || head[begin] != '{') return false;
  if (head.find(end, begin) != std::string_view::npos) return false;
  return begins_like_json(head);
}

bool holds_rows(const FileHead& head, const std::string& file, const TextOptions& options) {
  if (options.format == TextFormat::text) return false;
  if (options.format == TextFormat::json_lines) return true;
  const LineCount count = count_lines(head, options);
  if (count.all > 0 && count.rows == count.all) return true;
  if (!count.object_first) refuse_document(head, file, options);
  if (is_called_jsonl(file)) return true;  // a bad row is named when it is read
  if (!head.whole && needs_more(head.bytes))
    fail(ExitCode::data,
         "{}: begins like a JSON row of more than {} MB. {} reads it as JSON lines; {}", file,
         head.bytes.size() >> 20, setting_name(options.names, "format", "jsonl"),
         as_it_stands(options));
  if (count.all == 0 || count.json == 0) return false;
  if (options.skip_bad_rows && count.rows * 2 > count.all) return true;
  const bool lines_of_json = count.json == count.all && (count.all > 1 || count.objects > 0);
  if (lines_of_json || count.object_first || count.objects * 2 >= count.all)
    refuse_lines(file, count, options);
  return false;
}

}  // namespace troupe
