// SPDX-License-Identifier: GPL-2.0-or-later
// Reordering: requests of one disk that are in flight together are gathered and let go in an order
// of the seed's, one after the other has moved its data.
//
// A batch is closed when `window` requests have come or `patience` after its first has passed. Any
// thread; no wait is longer than twice the patience.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <vector>

namespace snapbed::recorder {

class Batches {
 public:
  struct Batch {
    std::uint32_t rule = 0;
    std::uint16_t disk = 0;
    std::uint32_t window = 0;
    std::chrono::milliseconds patience{0};
    std::chrono::steady_clock::time_point closes;
    std::uint32_t members = 0;
    bool closed = false;
    bool broken = false;               // everybody goes at once
    std::vector<std::uint32_t> ranks;  // of the members in the order of arrival, once closed
    std::uint32_t next = 0;            // rank whose turn it is
    std::uint32_t gone = 0;            // members that have passed
  };
  struct Ticket {
    std::list<Batch>::iterator batch;
    std::uint32_t member = 0;
  };

  explicit Batches(std::uint64_t seed) : seed_(seed) {}

  Ticket join(std::uint32_t rule, std::uint16_t disk, std::uint32_t window,
              std::chrono::milliseconds patience);
  // Waits for the member's turn. "moved" or "kept" (its place in the batch is another than it came
  // in, or the same), "alone" (nobody else came), "time" (its turn did not come), "disconnect".
  const char* wait(const Ticket& ticket);
  // The member's data have moved, or never will. Exactly once after wait(); ends the ticket.
  void passed(const Ticket& ticket);
  // Lets everybody of the disk go at once, and whoever comes to their batches.
  void release(std::uint16_t disk);
  void release_all();
  // Requests that are in a batch of the disk.
  std::uint32_t waiting(std::uint16_t disk) const;

 private:
  void close(Batch& batch);

  const std::uint64_t seed_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Batch> batches_;
  std::map<std::uint32_t, std::uint64_t> drawn_;  // batches closed, by rule
};

}  // namespace snapbed::recorder
