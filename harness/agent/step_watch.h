// SPDX-License-Identifier: GPL-2.0-or-later
// Watches that steps end. A step may hang inside the kernel, where no deadline of ours reaches:
// then this thread says so and powers the guest off.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/marks.h"

namespace snapbed::agent {

class StepWatch {
 public:
  using Clock = std::chrono::steady_clock;

  explicit StepWatch(Marks& marks);
  ~StepWatch();
  StepWatch(const StepWatch&) = delete;
  StepWatch& operator=(const StepWatch&) = delete;

  // begin() of a step replaces the one before. After `limit` without end(): kernel's list of
  // blocked tasks to the console, `fatal` mark with "late":true and `module`, power off.
  void begin(Place place, const std::string& op, std::chrono::milliseconds limit, bool module);
  void end();

 private:
  struct Watched {
    Place place;
    std::string op;
    std::chrono::milliseconds limit;
    Clock::time_point due;
    bool module = false;
  };
  void run();
  [[noreturn]] void give_up(const Watched& watched);

  Marks& marks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Watched> watched_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace snapbed::agent
