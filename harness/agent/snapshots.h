// SPDX-License-Identifier: GPL-2.0-or-later
// The client of the module: its calls, the live snapshots by the plan's names, and one thread per
// snapshot that fetches events and answers the wish for storage.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/blksnap_abi.h"
#include "agent/marks.h"
#include "base/deadline.h"
#include "base/fd.h"

namespace snapbed::agent {

abi::DeviceId to_abi(dev_t id);

// How LOW events are answered: `pieces` ranges of `piece` sectors, from `first` on, not past
// `limit`.
struct LowAnswer {
  std::string device;  // the plan's name
  abi::DeviceId id{};
  std::uint64_t first = 0;
  std::uint64_t piece = 0;
  std::uint64_t pieces = 0;
  std::uint64_t limit = 0;
};
// The next answer's ranges; moves `answer.first` behind them. Fewer, or none, at the limit. Pure.
std::vector<abi::BlockRange> next_answer(LowAnswer& answer);

// The control node. Calls give 0 or a positive errno; any thread.
class Control {
 public:
  Control();  // throws std::system_error when /dev/blksnap cannot be opened
  // The ioctl's return value (>= 0) or the negative errno.
  int call(unsigned long command, void* argument) const;

 private:
  base::UniqueFd node_;
};

struct Image {
  abi::DeviceId origin;
  abi::DeviceId image;
};

struct EventCounts {
  std::uint64_t low = 0;
  std::uint64_t corrupted = 0;
};

// Fetches one snapshot's events until the snapshot is gone. Each gives an `event` mark.
class EventThread {
 public:
  struct Setup {
    std::string snapshot;
    abi::Uuid id{};
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> names;  // of devices
    std::optional<LowAnswer> low;
    std::uint32_t cycle = 0;
    std::uint32_t step = 0;
  };
  EventThread(Setup setup, const Control& control, Marks& marks);
  ~EventThread();
  EventThread(const EventThread&) = delete;
  EventThread& operator=(const EventThread&) = delete;

  // What has been seen so far. Throws Fatal when the thread found the module out of its interface.
  EventCounts seen();
  // Waits for the thread's end, which the module's ESRCH brings after DESTROY. Throws
  // base::TimedOut.
  void join(const base::Deadline& deadline);

 private:
  void run();
  bool fetch_one();  // false when the snapshot is gone
  void handle(const abi::Event& event);
  void handle_low(const abi::Event& event);
  void handle_corrupted(const abi::Event& event);
  void append(const std::vector<abi::BlockRange>& ranges);
  void fail(const std::string& what);

  Setup setup_;
  const Control& control_;
  Marks& marks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  EventCounts counts_;
  std::string failure_;
  bool ended_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// One live snapshot of the plan.
struct Snapshot {
  abi::Uuid id{};
  std::vector<std::string> devices;           // the plan's names
  std::map<std::string, std::string> images;  // device name -> /dev/blksnap-imageN
  std::unique_ptr<EventThread> events;
};

}  // namespace snapbed::agent
