// The Communicator of every backend: collectives made of messages of a Transport.
#pragma once

#include "parallel/comm/operation.h"

namespace troupe {

class GroupCommunicator final : public Communicator {
 public:
  explicit GroupCommunicator(std::shared_ptr<GroupState> group) : group_(std::move(group)) {}
  // The group of all ranks of the transport.
  static std::shared_ptr<Communicator> of_all(std::unique_ptr<Transport> transport,
                                              const CommOptions& options);

  int rank() const override { return group_->rank; }
  int size() const override { return group_->size(); }
  std::string name() const override { return group_->name; }
  int node() const override { return group_->shared->options.node; }
  Work barrier(const std::string& site) override;
  Work broadcast(View data, int root, const std::string& site) override;
  Work all_reduce_sum(View data, const std::string& site) override;
  Work all_gather(View in, View out, const std::string& site) override;
  Work reduce_scatter_sum(View in, View out, const std::string& site) override;
  Work all_to_all(View in, std::span<const int64_t> send_rows, View out,
                  std::span<const int64_t> recv_rows, const std::string& site) override;
  void set_partners(std::vector<char> partners) override;
  Work send(View data, int to, const std::string& site) override;
  Work receive(View data, int from, const std::string& site) override;
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override;
  World& world() override { return *group_->shared; }
  const TrafficTable& traffic() const override { return traffic_; }

 private:
  void count(CollectiveKind kind, const std::string& site, int64_t bytes);
  void check_peer(int peer, const char* what) const;
  std::shared_ptr<GroupState> group_;
  TrafficTable traffic_;
};

}  // namespace troupe
