// SPDX-License-Identifier: GPL-2.0-or-later
// The ledger's workload: writers that keep several direct writes in flight, overlap each other on
// purpose, and now and then discard, zero or flush. All that they are told goes into the book.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/block_device.h"
#include "agent/ledger_book.h"
#include "base/deadline.h"
#include "base/random.h"

namespace snapbed::agent {

struct LedgerSetup {
  std::uint64_t key = 0;
  std::uint64_t seed = 0;
  unsigned writers = 2;
  unsigned depth = 4;             // writes in flight of each
  std::uint64_t max_sectors = 1;  // of an operation
  std::uint64_t first = 0;        // of each device: operations stay in [first, first + count)
  std::uint64_t count = 0;        // 0: to its end
  // Percent of the operations. An overlapping write begins inside the newest one of the device.
  unsigned overlap = 0;
  unsigned discards = 0;
  unsigned zeroes = 0;
  unsigned flushes = 0;
  unsigned durables = 0;  // writes that are told to be done when they are safe
  unsigned rate = 0;      // operations per second of all writers, 0: as fast as it goes
};

class LedgerStorm {
 public:
  // Begins to write. `devices` are paths; throws std::system_error when one cannot be opened.
  LedgerStorm(const LedgerSetup& setup, const std::vector<std::string>& devices,
              std::unique_ptr<LedgerBook> book);
  ~LedgerStorm();
  LedgerStorm(const LedgerStorm&) = delete;
  LedgerStorm& operator=(const LedgerStorm&) = delete;

  // Returns when every writer has seen an operation end.
  void wait_running(const base::Deadline& deadline);
  // Ends the writers when what they have in flight has ended, and closes the book; returns the
  // number of its blocks. Throws Fatal when the book could not be shipped.
  std::uint64_t stop();
  LedgerBook& book() { return *book_; }

 private:
  class Writer;
  struct Target {
    BlockDevice device;
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    std::atomic<std::uint64_t> newest = 0;  // first sector of the newest operation
  };

  const LedgerSetup setup_;
  std::unique_ptr<LedgerBook> book_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::atomic<bool> stop_ = false;
  std::vector<std::unique_ptr<Writer>> writers_;
};

}  // namespace snapbed::agent
