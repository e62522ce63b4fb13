// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/batches.h"

#include <algorithm>
#include <numeric>

#include "journal/pattern.h"

namespace snapbed::recorder {

Batches::Ticket Batches::join(std::uint32_t rule, std::uint16_t disk, std::uint32_t window,
                              std::chrono::milliseconds patience) {
  const std::lock_guard lock(mutex_);
  auto batch = std::find_if(batches_.begin(), batches_.end(), [&](const Batch& other) {
    return other.rule == rule && !other.closed;
  });
  if (batch == batches_.end()) {
    batch = batches_.emplace(batches_.end());
    batch->rule = rule;
    batch->disk = disk;
    batch->window = window;
    batch->patience = patience;
    batch->closes = std::chrono::steady_clock::now() + patience;
  }
  const Ticket ticket{batch, batch->members++};
  if (batch->members == batch->window) {
    close(*batch);
    changed_.notify_all();
  }
  return ticket;
}

// The order depends on seed, rule and number of the batch only. It is never the order of arrival:
// a batch that changes nothing would be wasted.
void Batches::close(Batch& batch) {
  batch.closed = true;
  batch.ranks.resize(batch.members);
  std::iota(batch.ranks.begin(), batch.ranks.end(), 0U);
  std::uint64_t draw =
      journal::mix(seed_ ^ 0x6f72646572 ^ (std::uint64_t{batch.rule} << 32) ^ drawn_[batch.rule]++);
  for (std::uint32_t i = batch.members; i > 1; --i) {
    draw = journal::mix(draw + i);
    std::swap(batch.ranks[i - 1], batch.ranks[draw % i]);
  }
  if (std::is_sorted(batch.ranks.begin(), batch.ranks.end())) {
    std::rotate(batch.ranks.begin(), batch.ranks.end() - 1, batch.ranks.end());
  }
}

const char* Batches::wait(const Ticket& ticket) {
  std::unique_lock lock(mutex_);
  Batch& batch = *ticket.batch;
  changed_.wait_until(lock, batch.closes, [&] { return batch.closed || batch.broken; });
  if (!batch.closed) {
    close(batch);
    changed_.notify_all();
  }
  const std::uint32_t rank = batch.ranks[ticket.member];
  const auto limit = std::chrono::steady_clock::now() + batch.patience;
  const bool due =
      changed_.wait_until(lock, limit, [&] { return batch.next >= rank || batch.broken; });
  if (batch.broken) return "disconnect";
  if (!due) return "time";
  if (batch.members == 1) return "alone";
  return rank == ticket.member ? "kept" : "moved";
}

void Batches::passed(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  Batch& batch = *ticket.batch;
  batch.next = std::max(batch.next, batch.ranks[ticket.member] + 1);
  if (++batch.gone == batch.members) batches_.erase(ticket.batch);
  changed_.notify_all();
}

void Batches::release(std::uint16_t disk) {
  const std::lock_guard lock(mutex_);
  for (Batch& batch : batches_) {
    if (batch.disk == disk) batch.broken = true;
  }
  changed_.notify_all();
}

void Batches::release_all() {
  const std::lock_guard lock(mutex_);
  for (Batch& batch : batches_) batch.broken = true;
  changed_.notify_all();
}

std::uint32_t Batches::waiting(std::uint16_t disk) const {
  const std::lock_guard lock(mutex_);
  std::uint32_t count = 0;
  for (const Batch& batch : batches_) {
    if (batch.disk == disk) count += batch.members - batch.gone;
  }
  return count;
}

}  // namespace snapbed::recorder
