// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's asynchronous direct writes (io_submit), as far as the ledger needs them.
#pragma once

#include <linux/aio_abi.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace snapbed::agent {

struct AioDone {
  std::size_t slot = 0;
  int error = 0;  // positive errno; a short write is EIO
};

// One thread.
class Aio {
 public:
  // At most `depth` writes in flight. Throws std::system_error.
  explicit Aio(unsigned depth);
  ~Aio();  // waits for what is in flight
  Aio(const Aio&) = delete;
  Aio& operator=(const Aio&) = delete;

  // Submits a write; `slot` < depth is free and `bytes` stay untouched until it comes back from
  // wait(). 0 or a positive errno, and then it is not in flight.
  // A durable one is done when it is safe.
  int write(std::size_t slot, int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset,
            bool durable = false);
  // What has ended, at least one when something is in flight, unless `patience` is over before.
  std::vector<AioDone> wait(std::chrono::nanoseconds patience);
  std::size_t in_flight() const { return in_flight_; }

 private:
  aio_context_t context_ = 0;
  std::vector<iocb> blocks_;
  std::vector<io_event> events_;
  std::size_t in_flight_ = 0;
};

}  // namespace snapbed::agent
