#include "models/convert/tensor_link.h"

#include "core/formats/saved_tensor.h"

namespace troupe {

void LinkList::whole(const std::string& ours, const std::string& theirs,
                     std::vector<int64_t> shape) {
  part(ours, 0, theirs, std::move(shape));
}

void LinkList::part(const std::string& ours, int64_t first, const std::string& theirs,
                    std::vector<int64_t> shape) {
  TensorLink link;
  link.ours = ours;
  link.first = first;
  link.count = element_count(shape).value();
  link.theirs = theirs;
  link.their_shape = std::move(shape);
  links_.push_back(std::move(link));
}

void LinkList::turned(const std::string& ours, int64_t out, int64_t in, const std::string& theirs,
                      int64_t total, int64_t column) {
  TensorLink link;
  link.ours = ours;
  link.count = out * in;
  link.theirs = theirs;
  link.their_shape = {in, total};
  link.their_first = column;
  link.turned = true;
  link.columns = in;
  links_.push_back(std::move(link));
}

void LinkList::slice(const std::string& ours, int64_t count, const std::string& theirs,
                     int64_t total, int64_t first) {
  TensorLink link;
  link.ours = ours;
  link.count = count;
  link.theirs = theirs;
  link.their_shape = {total};
  link.their_first = first;
  links_.push_back(std::move(link));
}

}  // namespace troupe
