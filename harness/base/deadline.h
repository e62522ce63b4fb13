// SPDX-License-Identifier: GPL-2.0-or-later
// Deadlines: a point on the monotonic clock, and the error that says what was waited for when it
// passes. Every wait of the harness takes one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace snapbed::base {

// Thrown by waits whose deadline passed; the text names what was waited for and for how long.
class TimedOut : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static Deadline after(std::chrono::milliseconds budget) { return Deadline(budget); }

  bool passed() const { return Clock::now() >= end_; }
  std::chrono::milliseconds budget() const { return budget_; }
  // Rounded up, so that a caller who sleeps this long finds the deadline passed; 0 once it has.
  std::chrono::milliseconds remaining() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }
  // For poll(2): milliseconds, at most an hour, so that it always fits.
  int poll_ms() const {
    return static_cast<int>(
        std::min<std::chrono::milliseconds::rep>(remaining().count(), 3'600'000));
  }
  // The error for a wait for `what` ("nbdkit (pid 7) to end").
  TimedOut error(std::string_view what) const {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f s", static_cast<double>(budget_.count()) / 1000.0);
    return TimedOut("waited " + std::string(seconds) + " in vain for " + std::string(what));
  }

 private:
  explicit Deadline(std::chrono::milliseconds budget)
      : budget_(budget), end_(Clock::now() + budget) {}

  std::chrono::milliseconds budget_;
  Clock::time_point end_;
};

// Looks at `condition` until it holds, first at once and then every `interval`; for conditions that
// no file descriptor announces. Throws TimedOut naming `what` when the deadline passes first.
template <typename Condition>
void wait_until(std::string_view what, const Deadline& deadline, Condition condition,
                std::chrono::milliseconds interval = std::chrono::milliseconds(5)) {
  while (!condition()) {
    if (deadline.passed()) throw deadline.error(what);
    std::this_thread::sleep_for(std::min(interval, deadline.remaining()));
  }
}

}  // namespace snapbed::base
