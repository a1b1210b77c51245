#include "parallel/comm/agreement.h"

#include <algorithm>
#include <exception>
#include <new>
#include <vector>

namespace troupe {

View bytes_view(void* data, int64_t bytes) {
  View view;
  view.data = data;
  view.dtype = DType::u8;
  view.shape = Shape{bytes};
  view.strides = Shape{1};
  return view;
}

std::optional<Failure> attempt(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return Failure{error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{ExitCode::resource, "out of memory"};
  } catch (const std::exception& error) {
    return Failure{ExitCode::internal, error.what()};
  }
  return std::nullopt;
}

std::string broadcast_text(const std::string& text, int root, Communicator& world,
                           const std::string& site) {
  auto bytes = static_cast<int64_t>(text.size());
  world.broadcast(bytes_view(&bytes, sizeof(bytes)), root, site + " length").finish();
  std::string out = world.rank() == root ? text : std::string(static_cast<size_t>(bytes), 0);
  if (bytes > 0) world.broadcast(bytes_view(out.data(), bytes), root, site).finish();
  return out;
}

// Every rank's text, in rank order.
std::vector<std::string> gather_texts(const std::string& mine, Communicator& world,
                                      const std::string& site) {
  const auto ranks = static_cast<size_t>(world.size());
  auto length = static_cast<int64_t>(mine.size());
  std::vector<int64_t> lengths(ranks);
  world
      .all_gather(bytes_view(&length, sizeof(length)),
                  bytes_view(lengths.data(), static_cast<int64_t>(ranks * sizeof(length))),
                  site + " lengths")
      .finish();
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (longest == 0) return std::vector<std::string>(ranks);
  std::string padded = mine;
  padded.resize(static_cast<size_t>(longest), 0);
  std::string all(static_cast<size_t>(longest) * ranks, 0);
  world
      .all_gather(bytes_view(padded.data(), longest),
                  bytes_view(all.data(), static_cast<int64_t>(all.size())), site)
      .finish();
  std::vector<std::string> out;
  for (size_t rank = 0; rank < ranks; ++rank) {
    out.push_back(
        all.substr(rank * static_cast<size_t>(longest), static_cast<size_t>(lengths[rank])));
  }
  return out;
}

void agree(const std::optional<Failure>& mine, Communicator& world, const std::string& site) {
  uint8_t failed = mine.has_value() ? 1 : 0;
  std::vector<uint8_t> all(static_cast<size_t>(world.size()));
  world.all_gather(bytes_view(&failed, 1), bytes_view(all.data(), world.size()), site).finish();
  for (int rank = 0; rank < world.size(); ++rank) {
    if (all[static_cast<size_t>(rank)] == 0) continue;
    const std::string text =
        mine ? std::to_string(static_cast<int>(mine->code)) + " " + mine->message : "";
    const std::string told = broadcast_text(text, rank, world, site);
    const size_t space = told.find(' ');
    const std::string message = told.substr(space + 1);
    throw AgreedError(static_cast<ExitCode>(std::stoi(told)),
                      rank == 0 ? message : "rank " + std::to_string(rank) + ": " + message,
                      world.rank() == 0);
  }
}

}  // namespace troupe
