// SPDX-License-Identifier: GPL-2.0-or-later
// Locks on sector ranges of one disk. First come, first served: a request waits for every earlier
// one that overlaps it, held or waiting, so that neither readers nor small writers can starve a
// large writer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

namespace snapbed::recorder {

class RangeLock {
 public:
  enum class Mode : std::uint8_t { shared, exclusive };

  // Held until it goes. Must not outlive its RangeLock; released by the thread that has it or any
  // other.
  class Hold {
   public:
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold();

   private:
    friend class RangeLock;
    struct Entry {
      std::uint64_t first;
      std::uint64_t count;
      Mode mode;
    };
    Hold(RangeLock* lock, std::list<Entry>::iterator entry) : lock_(lock), entry_(entry) {}
    RangeLock* lock_;
    std::list<Entry>::iterator entry_;
  };

  // Blocks until [first, first + count) is free for `mode`. Throws base::TimedOut after `patience`:
  // holders only copy memory, so whoever waits that long has found a bug or a host that stands
  // still.
  Hold acquire(std::uint64_t first, std::uint64_t count, Mode mode,
               std::chrono::milliseconds patience = std::chrono::seconds(60));

 private:
  bool blocked(std::list<Hold::Entry>::iterator entry) const;
  void release(std::list<Hold::Entry>::iterator entry);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Hold::Entry> entries_;  // in the order of arrival
  std::uint32_t waiting_ = 0;
};

}  // namespace snapbed::recorder
