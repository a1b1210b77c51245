// Reads a config.json of Hugging Face's library and notes what is asked for: what stays unread must
// be known to change nothing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe {

class HfConfigReader {
 public:
  // place: the path, for messages.
  HfConfigReader(nlohmann::json root, std::string place);

  // The value under one of the names, which are the same key at different times; `otherwise` where
  // there is none or it is null. Without `otherwise` the key is needed. Values of another kind or
  // out of range, and two names with different values, are faults.
  using Names = std::initializer_list<const char*>;
  int64_t integer(Names names, std::optional<int64_t> otherwise = std::nullopt);
  // 1 to `most`.
  int64_t size(Names names, int64_t most, std::optional<int64_t> otherwise = std::nullopt);
  double real(Names names, std::optional<double> otherwise = std::nullopt);
  // Above 0, at most `most`.
  double positive(Names names, double most, double otherwise);
  bool boolean(Names names, bool otherwise);
  std::string text(Names names, const std::string& otherwise);
  std::optional<int64_t> integer_if_any(Names names);
  std::vector<int64_t> integers(Names names);
  std::vector<std::string> texts(Names names);
  // An object inside; empty where there is none.
  nlohmann::json object(const char* name);
  bool has(const char* name) const;          // and is not null
  bool states_null(const char* name) const;  // is there, and null
  // Read, and of no matter whatever it says.
  void pass_over(Names names);

  // The file is wrong, or says what cannot be said here.
  void fault(const std::string& message) { faults_.push_back(message); }
  void unsupported(const std::string& message) { unsupported_.push_back(message); }
  // What is left out and changes nothing that the model computes after training.
  void note(const std::string& message) { notes_.push_back(message); }
  const std::vector<std::string>& notes() const { return notes_; }
  // "\"hidden_act\": \"gelu\""
  std::string shown(const char* name) const;

  // Throws when there is anything to say, everything at once: Error(checkpoint) if the file is
  // wrong, Error(usage) if it cannot be expressed. Keys that nobody read and that are not known to
  // change nothing are among it.
  void finish();

 private:
  // Null when absent or null.
  const nlohmann::json* find(Names names);
  void wrong_kind(const char* name, const char* kind);
  template <typename T>
  std::vector<T> list(Names names, bool (nlohmann::json::*is_kind)() const, const char* kind);

  nlohmann::json root_;
  std::string place_;
  std::set<std::string> read_;
  std::vector<std::string> faults_;
  std::vector<std::string> unsupported_;
  std::vector<std::string> notes_;
};

// Sizes that a configuration here can have: their products fit 63 bits.
constexpr int64_t kMostVocab = 1 << 28;
constexpr int64_t kMostColumns = 1 << 20;
constexpr int64_t kMostWidth = 1 << 22;
constexpr int64_t kMostHeads = 1 << 16;
constexpr int64_t kMostLayers = 4096;
constexpr int64_t kMostExperts = 65536;
constexpr int64_t kMostPositions = 1 << 24;

// A key of config.json that changes neither what the model computes nor how it trains here.
bool is_idle_hf_key(const std::string& key);

}  // namespace troupe
