#include "core/text/text_source.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/core/compression/compressed.h"
#include "tests/core/text/fixtures.h"
#include "tests/core/text/setting_names.h"

namespace troupe {
namespace {

using namespace std::string_literals;
using test::compressed;
using test::expect_error;
using test::kCompressions;
using test::TemporaryDirectory;
using test::write_text;

const std::string kRows = "{\"text\": \"first\"}\n\n{\"n\": 1, \"text\": \"second\"}\n";

class TextSourceTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    write_text(folder_ / name, bytes);
    return folder_ / name;
  }
  // The documents of a file or folder, each with "|" behind it.
  std::string documents(const std::string& path) {
    const TextSource source(path, options_);
    std::string all;
    int64_t done = 0;
    int64_t position = 0;
    bool open = false;
    report_ = source.visit([&](const TextPiece& piece) {
      EXPECT_EQ(piece.first, !open);
      EXPECT_GE(piece.done, done);
      done = piece.done;
      if (piece.position >= 0) {
        EXPECT_EQ(piece.position, position);
        position += static_cast<int64_t>(piece.text.size());
      }
      all += piece.text;
      if (piece.last) all += "|";
      open = !piece.last;
    });
    EXPECT_FALSE(open);
    EXPECT_LE(done, source.bytes());
    if (!source.has_rows()) {
      EXPECT_EQ(source.text_bytes(), position);
    }
    return all;
  }
  std::string read(const std::string& bytes, const std::string& name = "f") {
    return documents(write(name, bytes));
  }
  void refuses(const std::string& words, const std::string& bytes, const std::string& name = "f") {
    SCOPED_TRACE(name);
    expect_error(ExitCode::data, words, [&] { read(bytes, name); });
  }

  const TemporaryDirectory folder_;
  TextOptions options_;
  TextReport report_;
};

TEST_F(TextSourceTest, ReadsCompressedFilesAsWhatTheyHold) {
  for (const Compression kind : kCompressions) {
    EXPECT_EQ(read(compressed(kind, "some text")), "some text|");
    EXPECT_EQ(read(compressed(kind, kRows)), "first|second|");
    EXPECT_EQ(read(compressed(kind, "")), "");
    EXPECT_EQ(read(compressed(kind, "a") + compressed(kind, "b"), "no_hint.txt"), "ab|");
    refuses("is cut off before its end", compressed(kind, kRows).substr(0, 20));
  }
  const std::string text = test::noise(5'000'000);
  EXPECT_TRUE(read(test::gzip(text)) == text + "|");
}

TEST_F(TextSourceTest, RowsAreToldByTheBytes) {
  for (const char* name : {"a.json", "a.txt", "a", "a.jsonl", "a.ndjson"})
    EXPECT_EQ(read(kRows, name), "first|second|") << name;
  EXPECT_EQ(read("{\"text\": \"one\"}"), "one|");  // no end of line
  EXPECT_EQ(read("\xEF\xBB\xBF{\"text\": \"a\"}\r\n\r\n{\"text\": \"b\"}\r\n"), "a|b|");
  EXPECT_EQ(read("\xEF\xBB\xBFtext"), "text|");
  for (const char* text : {"no JSON", "{name} is a word", "a { b", "{\n  \"a\": 1\n}\n",
                           "[1] A footnote\n[2] Another\n", "[1, 2]", "1\n2\n",
                           "\"Hello,\" he said.\n", "a\n{\"text\": \"b\"}\nc\nd\n"})
    EXPECT_EQ(read(text), std::string(text) + "|");
  // A row that is longer than the part that is looked at.
  const std::string row = "{\"text\": \"" + std::string(3 << 20, 'x') + "\"}";
  EXPECT_TRUE(read(row + "\n" + row) ==
              std::string(3 << 20, 'x') + "|" + std::string(3 << 20, 'x') + "|");
  // What is no row behind the first MiB is found when it comes.
  std::string many;
  while (many.size() < (2U << 20)) many += "{\"text\": \"" + std::string(1000, 'y') + "\"}\n";
  refuses(": the row is not valid JSON", many + "no row\n");
}

TEST_F(TextSourceTest, WhatLooksLikeRowsIsNotTrainedOnAsText) {
  refuses("f:1: looks like JSON lines, but the row has no field \"text\"; its fields are: \"body\"",
          "{\"body\": \"a\"}\n{\"body\": \"b\"}\n");
  refuses("f:2: most of the file looks like JSON lines, but this row has no field",
          "{\"text\": \"a\"}\n{\"body\": \"b\"}\n");
  refuses("f:2: most of the file looks like JSON lines, but this row is not valid JSON",
          "{\"text\": \"a\"}\n{\"text\": \"b\"\n{\"text\": \"c\"}\n");
  refuses("f:1: most of the file looks like JSON lines, but this row is not a JSON object",
          "# a title\n{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  refuses("f:1: every line is JSON, but the row is not a JSON object but a text", "\"a\"\n\"b\"\n");
  refuses("is one JSON list, not JSON lines", "[{\"text\": \"a\"}, {\"text\": \"b\"}]");
  refuses("is one JSON list, not JSON lines", "[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]\n");
  refuses("is one JSON list, not JSON lines", "[\n  \"a\",\n  \"b\"\n]\n", "f.jsonl");
  refuses("JSON objects over several lines", "{\n \"text\": \"a\"\n}\n{\n \"text\": \"b\"\n}\n");
  refuses("f.jsonl:1:1: the row is not valid JSON", "some text\n", "f.jsonl");
  refuses("f.jsonl.gz:1:1: the row is not valid JSON", test::gzip("some text\n"), "f.jsonl.gz");
  const std::string list = "[{\"text\": \"a\"}, {\"text\": \"b\"}]";
  options_.format = TextFormat::text;
  EXPECT_EQ(read(list), list + "|");
  EXPECT_EQ(read(kRows, "a.jsonl"), kRows + "|");
  options_.format = TextFormat::json_lines;
  refuses("f:1:1: the row is not valid JSON", "some text\n");
  refuses("f:1: the row is not a JSON object but a list", list);
}

// RFC 7464: a mark before each row, which may go on over several lines.
TEST_F(TextSourceTest, SequencesOfJsonAreRows) {
  const std::string rows =
      "\x1E{\"text\": \"first\"}\n\x1E{\n  \"n\": 1,\n  \"text\": \"second\"\n}\n";
  for (const char* name : {"a.json", "a.jsonl", "a.txt", "a.json-seq"})
    EXPECT_EQ(read(rows, name), "first|second|") << name;
  EXPECT_EQ(read("\xEF\xBB\xBF\r\n" + rows + "\x1E"), "first|second|");
  EXPECT_EQ(read("\x1E{\"text\": \"a\"}\x1E{\"text\": \"b\"}"), "a|b|");
  EXPECT_EQ(read(test::gzip(rows)), "first|second|");
  const std::string row = "\x1E{\"text\":\n\"" + std::string(3 << 20, 'x') + "\"}\n";
  EXPECT_TRUE(read(row + row) == std::string(3 << 20, 'x') + "|" + std::string(3 << 20, 'x') + "|");
  const std::string bad = rows + "\x1E{\n  \"text\": oh}\n" + rows;
  refuses("f.jsonl:7:11: the row is not valid JSON", bad, "f.jsonl");
  refuses("f:6: most of the file looks like JSON lines", bad);
  refuses("f:1: looks like JSON lines, but the row has no field \"text\"",
          "\x1E{\"body\": \"a\"}\n\x1E{\"body\": \"b\"}\n");
  options_.skip_bad_rows = true;
  EXPECT_EQ(read(bad), "first|second|first|second|");
  options_.format = TextFormat::text;
  EXPECT_EQ(read(rows), rows + "|");
  options_.format = TextFormat::automatic;
  EXPECT_EQ(read("\x1E is a character"), "\x1E is a character|");
}

// One JSON value over several lines is refused by what it is, whatever stands around the texts.
TEST_F(TextSourceTest, DocumentsOfJsonAreNotTrainedOnAsText) {
  const std::string a = "{\n  \"text\": \"a\"\n}";
  const std::string b = "{\n  \"text\": \"b\"\n}";
  const std::string list = "is one JSON list, not JSON lines";
  refuses(list, "[\n" + a + ",\n" + b + "\n]\n");
  refuses(list, "[\n" + a + ",\n" + b + ",\n]\n");                      // a comma too many
  refuses(list, "[\n" + a + ",\n" + b + "\n");                          // cut off
  refuses(list, "[null, {\n\"text\": \"a\"}]");                         // not the first
  refuses(list, "[\n{\n\"x\": NaN, \"text\": \"a\\udead\xFF\"\n}\n]");  // as Python writes it
  refuses(list, "[\n" + a + ",\n" + std::string(3 << 20, ' ') + b + "]");
  const std::string objects = "holds JSON objects over several lines";
  refuses(objects, a + "\n" + b + "\n");
  refuses(objects, a + ",\n" + b + "\n");
  refuses(objects, "{\n\"n\": 1\n}\n" + a);  // the first has none
  refuses(objects, "{\n\"n\": Infinity,\n\"text\": \"a\"\n}\n");
  refuses(objects, "{\n\"body\": \"a\"\n}\n{\n\"body\": \"b\"\n}\n");  // all in another field
  refuses("'.. | objects | select(has(\"text\"))'", "{\n\"data\": [\n" + a + ",\n" + b + "]\n}");
  refuses("is one JSON document with a text in field \"text\"",
          "{\n\"0\": " + a + ",\n\"1\": " + b + "\n}");
  refuses("is one JSON object with many texts in field \"text\"",
          "{\n\"text\": [\n\"a\",\n\"b\"\n]\n}");
  refuses("is one JSON object with many texts", "{\n\"text\": {\n\"0\": \"a\"\n}\n}");
  // Settings, and what only begins like JSON.
  for (const char* text :
       {"{\n  \"name\": \"troupe\",\n  \"list\": [\"text\"],\n  \"n\": {\"t\": \"text\"}\n}\n",
        "{\n\"text\": 3,\n\"a\": {\"text\": null}\n}\n", "{\n\"text\": \"a\" + b\n}\n",
        "{\n}\nis a block", "[\n1,\n2\n]\n", "[\"a\n"})
    EXPECT_EQ(read(text), std::string(text) + "|");
  options_.field = "body";
  EXPECT_EQ(read(a), a + "|");
}

TEST_F(TextSourceTest, MessagesNameTheFlagsWhereFlagsWereGiven) {
  const std::vector<std::array<std::string, 3>> cases = {
      {"data.format: text takes it as it stands", "--format text takes it as it stands",
       "{\"body\": \"a\"}\n"},
      {"(data.field)", "(--field)", "{\"body\": \"a\"}\n"},
      {"data.format: jsonl reads it", "--format jsonl reads it",
       "{\"text\": \"a\"}\n{\"body\": \"b\"}\n"},
      {"data.invalid_utf8: keep, written out", "--invalid-utf8 keep, written out", "%PDF-1.7\n"},
      {"data.invalid_utf8: keep, written out", "--invalid-utf8 keep, written out", "\xE4\xE4"}};
  for (const auto& [key, flag, bytes] : cases) {
    options_.names = named_as_keys;
    refuses(key, bytes);
    options_.names = named_as_flags;
    refuses(flag, bytes);
    try {
      read(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("data."), std::string::npos) << error.what();
    }
  }
  options_.invalid_utf8 = InvalidUtf8::error;
  refuses("--invalid-utf8 replace puts U+FFFD there", "a\xFF");
}

TEST_F(TextSourceTest, AFileOfAnotherKindIsRefusedByWhatItSeemsToBe) {
  const std::string more(200, '\x01');
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"a zip archive", "PK\3\4" + more},
      {"an Office document", "PK\3\4....[Content_Types].xml" + more},
      {"NumPy arrays (.npz)", "PK\3\4....arr_0.npy" + more},
      {"a tar archive", "text.txt" + std::string(249, '\0') + "ustar" + more},
      {"a Parquet file", "PAR1" + more},
      {"an Arrow file", "ARROW1\0\0"s + more},
      {"an Arrow stream", "\xFF\xFF\xFF\xFF" + more},
      {"an HDF5 file", "\x89HDF\r\n\x1A\n" + more},
      {"a NumPy array", "\x93NUMPY\1" + more},
      {"a Python pickle", "\x80\x04\x95" + more},
      {"an SQLite database", "SQLite format 3\0"s + more},
      {"a PDF document", "%PDF-1.7\n" + more},
      {"a PNG image", "\x89PNG\r\n\x1A\n" + more},
      {"a JPEG image", "\xFF\xD8\xFF\xE0" + more},
      {"a program (ELF)",
       "\x7F"
       "ELF\2" +
           more},
      {"the index of a .bin/.idx pair", "MMIDIDX\0\0"s + more},
      {"token ids as llm.c writes them",
       "\x88\xD8\x34\x01\1\0\0\0\3\0\0\0"s + std::string(1012, '\0') + "\1\0\2\0\3\0"s},
      {"an RTF document", "{\\rtf1 text}"},
      {"compressed with lz4", "\x04\x22\x4D\x18" + more},
      {"text in UTF-16",
       "\xFF\xFE"
       "a\0b\0"s},
      {"text in UTF-16LE", "a\0b\0c\0d\0"s},
      {"text in UTF-16BE", "\0a\0b\0c\0d"s},
      {"text in UTF-32LE", "a\0\0\0b\0\0\0"s},
      {"binary data", "ab" + std::string(3, '\0') + "text"},
  };
  for (const auto& [what, bytes] : kinds) {
    refuses("is no text; it seems to be " + what, bytes);
    refuses("is no text; it seems to be " + what + " inside the compressed file",
            test::zstd(bytes));
    options_.keep_anything = true;
    EXPECT_EQ(read(bytes), bytes + "|") << what;
    options_.keep_anything = false;
  }
  refuses("compressed twice (gzip inside)", test::xz(test::gzip("text")));
  write("t/a.txt", "text");
  write("t/b.png", "\x89PNG\r\n\x1A\n" + more);
  expect_error(ExitCode::data, "b.png: is no text; it seems to be a PNG image",
               [&] { documents(folder_ / "t"); });
  write("l/a.bin", "\x88\xD8\x34\x01\1\0\0\0"s + std::string(1016, '\0'));
  expect_error(
      ExitCode::data,
      "a.bin: is no text; it seems to be token ids as llm.c writes them. troupe data build, "
      "with each of its files named, makes a .bin/.idx",
      [&] { documents(folder_ / "l"); });
  // Texts that begin like other kinds.
  for (const char* text : {"GIF87 was a format", "PAR1 is a word", "RIFF RAFF WAVE", "ID3 tags",
                           "Rar! it is", "ORC\nan army", "0123ftyp"})
    EXPECT_EQ(read(text), std::string(text) + "|");
}

TEST_F(TextSourceTest, InvalidUtf8IsKeptReplacedOrAnError) {
  const std::string good(300, 'a');
  const std::string text = good + "\n\xFF" + good + "\xE2\x82" + good;
  EXPECT_EQ(read(text), text + "|");
  EXPECT_EQ(report_.invalid_bytes, 3);
  EXPECT_EQ(report_.invalid_in, folder_ / "f");
  options_.invalid_utf8 = InvalidUtf8::replace;
  EXPECT_EQ(read(text), good + "\n\xEF\xBF\xBD" + good + "\xEF\xBF\xBD" + good + "|");
  EXPECT_EQ(report_.invalid_bytes, 3);
  options_.invalid_utf8 = InvalidUtf8::error;
  refuses("f:2: byte 301 of the text (0xff) is no UTF-8", text);
  refuses("f:2: byte 301 of the text (0xff) is no UTF-8", test::bzip2(text));
  EXPECT_EQ(read(good), good + "|");
}

TEST_F(TextSourceTest, MoreThanOnePercentInvalidIsRefused) {
  const auto text = [](size_t bad, size_t all) {
    return std::string(all - bad, 'a') + std::string(bad, '\xE4');
  };
  for (const size_t all : {1000, 3'000'000}) {
    for (const bool packed : {false, true}) {
      const auto file = [&](const std::string& bytes) {
        return packed ? test::gzip(bytes) : bytes;
      };
      EXPECT_TRUE(read(file(text(all / 100, all))) == text(all / 100, all) + "|");
      refuses("are no UTF-8; it seems to be text in another encoding",
              file(text(all / 100 + 1, all)));
    }
  }
  options_.invalid_utf8 = InvalidUtf8::replace;
  refuses("are no UTF-8", text(11, 1000));
  options_.invalid_utf8 = InvalidUtf8::keep;
  options_.keep_anything = true;
  EXPECT_EQ(read(text(500, 1000)), text(500, 1000) + "|");
}

TEST_F(TextSourceTest, RowsMayHoldInvalidUtf8Too) {
  const std::string rows = "{\"text\": \"a\xFF" + std::string(200, 'a') +
                           "\"}\n{\"text\": \"b\\udead" + std::string(200, 'b') + "\"}\n";
  options_.invalid_utf8 = InvalidUtf8::replace;
  EXPECT_EQ(read(rows, "f.jsonl"), "a\xEF\xBF\xBD" + std::string(200, 'a') + "|b\xEF\xBF\xBD" +
                                       std::string(200, 'b') + "|");
  EXPECT_EQ(report_.invalid_bytes, 1);
  EXPECT_EQ(report_.half_pairs, 1);
  options_.invalid_utf8 = InvalidUtf8::keep;
  refuses("f.jsonl:2:17: the row has half a surrogate pair in its text", rows, "f.jsonl");
  refuses("200 bytes are no UTF-8", "{\"text\": \"" + std::string(200, '\xFF') + "\"}\n");
}

TEST_F(TextSourceTest, BadRowsAreSkippedAndCountedWhereThatIsAsked) {
  std::string rows = "{\"text\": \"a\"}\n{\"text\": \"b\\ud800\"}\n{\"txt\": \"c\"}\n[]\nno\n";
  for (int i = 0; i < 10; ++i)
    rows += "{\"text\": null}\n{\"text\": \"" + std::to_string(i) + "\"}\n";
  refuses("f.jsonl:2:18: the row has half a surrogate pair in its text", rows, "f.jsonl");
  options_.skip_bad_rows = true;
  EXPECT_EQ(read(rows, "f.jsonl"), "a|0|1|2|3|4|5|6|7|8|9|");
  EXPECT_EQ(report_.skipped_rows, 14);
  ASSERT_EQ(report_.skipped.size(), 10U);
  EXPECT_EQ(report_.skipped[1], (folder_ / "f.jsonl") + ":3: the row has no field \"text\"; its " +
                                    "fields are: \"txt\"");
  EXPECT_EQ(report_.skipped[3].substr(0, report_.skipped[3].find(" the row")),
            (folder_ / "f.jsonl") + ":5:2:");
  // By the bytes too, where most lines are rows.
  EXPECT_EQ(read("{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\"\n"), "a|b|");
}

TEST_F(TextSourceTest, ByNameNothingIsLookedAt) {
  options_.format = TextFormat::by_name;
  const std::string packed = test::gzip("text");
  EXPECT_EQ(read(packed, "a.txt.gz"), packed + "|");
  EXPECT_EQ(read(packed, "a.jsonl.gz"), packed + "|");
  EXPECT_EQ(read(kRows, "a.json"), kRows + "|");
  EXPECT_EQ(read(kRows, "a.jsonl"), "first|second|");
  EXPECT_EQ(read("\xEF\xBB\xBFtext\xFF"), "\xEF\xBB\xBFtext\xFF|");
}

// Pieces begin and end between characters, wherever they fall.
TEST_F(TextSourceTest, CutsNoCharacterBetweenPieces) {
  std::string text = "x";
  while (text.size() < (3U << 20)) text += "\xE2\x82\xAC";
  for (const bool packed : {false, true}) {
    const TextSource source(write("f", packed ? test::gzip(text) : text), options_);
    int pieces = 0;
    std::string all;
    source.visit([&](const TextPiece& piece) {
      ++pieces;
      if (!piece.text.empty()) {
        EXPECT_NE(static_cast<uint8_t>(piece.text[0]) & 0xC0, 0x80);
      }
      all += piece.text;
    });
    EXPECT_GE(pieces, 4);
    EXPECT_TRUE(all == text);
  }
}

}  // namespace
}  // namespace troupe
