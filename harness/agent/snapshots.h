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

// One snapshot of the plan.
struct Snapshot {
  abi::Uuid id{};
  std::vector<std::string> devices;           // the plan's names
  std::map<std::string, std::string> images;  // device name -> /dev/blksnap-imageN
  std::unique_ptr<EventThread> events;        // while it lives
  bool dying = false;                         // DESTROY has been called
};

// The snapshots by the plan's names. A name that no create gave an id stands for an id that no
// snapshot has. Any thread.
class SnapshotBook {
 public:
  abi::Uuid id(const std::string& name) const;
  std::vector<std::string> devices(const std::string& name) const;
  // nullopt when no image of the device was collected, or the snapshot is gone.
  std::optional<std::string> image(const std::string& name, const std::string& device) const;
  // nullopt when no such snapshot lives. Throws Fatal as EventThread::seen().
  std::optional<EventCounts> seen(const std::string& name) const;

  // Whether any snapshot has a thread that fetches its events.
  bool any_events() const;

  void created(const std::string& name, Snapshot snapshot);
  void imaged(const std::string& name, std::map<std::string, std::string> images);
  // From now on nobody finds its images, nor those that another thread still collects; hands them
  // out, for when it is spared after all.
  std::map<std::string, std::string> dying(const std::string& name);
  void spared(const std::string& name, std::map<std::string, std::string> images);
  // Hands out its events thread, if it had one.
  std::unique_ptr<EventThread> destroyed(const std::string& name);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Snapshot> snapshots_;
};

}  // namespace snapbed::agent
