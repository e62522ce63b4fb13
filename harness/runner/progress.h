// SPDX-License-Identifier: GPL-2.0-or-later
// The watchdog: progress is marks and requests, never the wall clock of the guest. Pure; the
// caller brings the time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace snapbed::runner {

using Moment = std::chrono::steady_clock::time_point;

// What the recording server last told about itself.
struct ServerHealth {
  std::uint64_t requests = 0;           // ended so far, on all disks
  std::chrono::milliseconds oldest{0};  // age of the oldest request that no rule holds
};

enum class Stall : std::uint8_t { boot, guest, server };

class Progress {
 public:
  // `boot` and `stall` bound the time without any sign of life before the first mark and after it;
  // a request that the server alone owes for `server` makes a stall the server's.
  Progress(Moment start, std::chrono::milliseconds boot, std::chrono::milliseconds stall,
           std::chrono::milliseconds server = std::chrono::seconds(5));

  void mark(Moment now);
  // The kernel has written to its console: a sign of life before the first mark, where a debug
  // kernel takes its time, but not for more than five times `boot` in all.
  void console(Moment now);
  void health(Moment now, const ServerHealth& health);
  // It was asked for its health. One that does not answer has failed the guest, whatever it said
  // before.
  void asked(Moment now);
  // The harness itself kept the guest waiting (judging): that time is nobody's fault.
  void forgive(Moment now);
  // The host let nobody run for `gap` before `now`, as the harness saw by itself: it counts against
  // nobody.
  void lag(Moment now, Moment::duration gap);

  std::optional<Stall> look(Moment now) const;
  // "no mark and no request for 61 s", "no mark of the agent within 90 s of power-on, and nothing
  // on the console for 60 s"
  std::string describe(Moment now) const;
  bool booted() const { return booted_; }

 private:
  Moment start_;
  Moment last_;
  std::chrono::milliseconds boot_;
  std::chrono::milliseconds stall_;
  std::chrono::milliseconds server_;
  bool booted_ = false;
  std::uint64_t requests_ = 0;
  std::chrono::milliseconds oldest_{0};
  std::optional<Moment> asked_;  // without an answer since then
};

}  // namespace snapbed::runner
