// XXH3-128 of a stream of bytes. It finds accidents (flipped bits, torn writes); it is no
// protection against a forger.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const Digest& other) const = default;
  // 32 lower-case hexadecimal digits, as xxhsum -H2 prints it.
  std::string hex() const;
  static std::optional<Digest> parse(std::string_view hex);
};

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(const void* data, int64_t bytes);
  void add(std::string_view text) { add(text.data(), static_cast<int64_t>(text.size())); }
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The digest of one block of memory.
Digest digest_of(std::string_view bytes);

}  // namespace troupe
