#include <fcntl.h>

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/file_reader.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/own_shares.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

constexpr int64_t kPieceBytes = 16LL << 20;

void copy_tensor(const Stored& from, const TensorInfo& tensor, PosixFile& to, int64_t offset) {
  Hasher hasher;
  std::vector<std::byte> data;
  for_each_piece(tensor.shape, size_of(tensor.dtype), kPieceBytes, [&](const Box& piece) {
    data.resize(static_cast<size_t>(volume(piece)) * size_of(tensor.dtype));
    from.read(tensor, piece, data.data());
    hasher.add(data.data(), static_cast<int64_t>(data.size()));
    write_box(to, offset, whole(tensor.shape), piece, size_of(tensor.dtype), data.data());
  });
  if (const Digest found = hasher.digest(); found != tensor.digest) from.blame(tensor, found);
}

}  // namespace

int64_t merge(const std::string& path, const std::string& into) {
  const Stored from(path);
  from.check_rest();
  const Info info = read_info(path);
  FileContents contents;
  contents.texts = {{kConfigPath, info.config}};
  contents.scalars = in_order(info.scalars);
  std::vector<Digest> digests;
  for (const TensorInfo& tensor : from.tensors()) {
    contents.tensors.push_back({tensor_path(tensor.name), tensor.dtype, tensor.shape});
    digests.push_back(tensor.digest);
  }
  FileWriter writer(into, std::move(contents));
  writer.create();
  PosixFile file = PosixFile::open(writer.temporary_path(), O_WRONLY, "write");
  for (size_t i = 0; i < from.tensors().size(); ++i) {
    copy_tensor(from, from.tensors()[i], file, writer.offset(i));
  }
  file.sync();
  file.close();
  const int64_t bytes = writer.commit(digests).bytes;
  verify(into);
  return bytes;
}

}  // namespace troupe::checkpoint
