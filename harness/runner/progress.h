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
  // `boot` and `stall` bound the time without the first mark and without any sign of life after it;
  // a request that the server alone owes for `server` makes a stall the server's.
  Progress(Moment start, std::chrono::milliseconds boot, std::chrono::milliseconds stall,
           std::chrono::milliseconds server = std::chrono::seconds(5));

  void mark(Moment now);
  void health(Moment now, const ServerHealth& health);
  // The harness itself kept the guest waiting (judging): that time is nobody's fault.
  void forgive(Moment now);
  // The host let nobody run for `gap` before `now`, as the harness saw by itself: it counts against
  // nobody.
  void lag(Moment now, Moment::duration gap);

  std::optional<Stall> look(Moment now) const;
  // "no mark and no request for 61 s"
  std::string describe(Moment now) const;
  bool booted() const { return booted_; }

 private:
  Moment last_;
  std::chrono::milliseconds boot_;
  std::chrono::milliseconds stall_;
  std::chrono::milliseconds server_;
  bool booted_ = false;
  std::uint64_t requests_ = 0;
  std::chrono::milliseconds oldest_{0};
};

}  // namespace snapbed::runner
