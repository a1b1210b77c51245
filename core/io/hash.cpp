#include "core/io/hash.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <charconv>
#include <new>

namespace troupe {

std::string Digest::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

std::optional<Digest> Digest::parse(std::string_view hex) {
  if (hex.size() != 32) return std::nullopt;
  const auto half = [](std::string_view text) -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (const char c : text) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    }
    std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return value;
  };
  const auto high = half(hex.substr(0, 16));
  const auto low = half(hex.substr(16));
  if (!high || !low) return std::nullopt;
  return Digest{*high, *low};
}

struct Hasher::State {
  XXH3_state_t* stream = XXH3_createState();
  State() {
    if (stream == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(stream);
  }
  ~State() { XXH3_freeState(stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(const void* data, int64_t bytes) {
  if (bytes > 0) XXH3_128bits_update(state_->stream, data, static_cast<size_t>(bytes));
}

Digest Hasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->stream);
  return {hash.high64, hash.low64};
}

Digest digest_of(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace troupe
