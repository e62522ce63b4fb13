// SPDX-License-Identifier: GPL-2.0-or-later
// What a run shows while it runs: one line that is rewritten on a terminal, a plain line per cycle
// and per quarter of a minute otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace snapbed::runner {

struct LiveState {
  std::string phase;
  std::uint32_t cycle = 0;
  std::uint32_t cycles = 0;
  std::uint64_t writes = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t sectors_judged = 0;
};

std::string live_text(const LiveState& state, double elapsed_s);

// The text cut so that it stays in one line of a terminal of `columns`; 0: unknown, taken for 80. A
// line that wraps cannot be rewritten.
std::string fitted(const std::string& text, unsigned columns);

class LiveLine {
 public:
  explicit LiveLine(std::string title);
  ~LiveLine();  // ends the line
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;
  void show(const LiveState& state);
  // The same for a text of the caller's; `topic` is what makes a plain line due at once when it
  // changes.
  void show_text(const std::string& text, std::uint32_t topic = 0);
  // A line that stays, above the live one.
  void say(const std::string& text);

 private:
  std::string title_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
  std::uint32_t shown_topic_ = ~0U;
};

}  // namespace snapbed::runner
