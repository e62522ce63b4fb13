// SPDX-License-Identifier: GPL-2.0-or-later
// While a rule holds a request, QEMU's client of NBD (7.2) can sit on requests of the guest that
// were answered: one that has read its answer waits for the mutex of whoever reads the connection,
// and that reader waits for the next answer, which may be the held one. To the guest its disk
// stands still, and to us the module. Any other answer on the connection frees them, such as that
// to a read by QEMU itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runner/progress.h"
#include "scenario/scenario.h"

namespace snapbed::runner {

// Disks with requests that rules keep back, and without a rule that takes their connection.
std::vector<std::string> nudged_disks(const scenario::Scenario& scenario);

inline constexpr std::chrono::milliseconds kQuiet{400};  // less than two looks at the server

// Pure; the caller brings the time.
class Quiet {
 public:
  // What the server last told: requests of the guest that ended so far, on all disks, and how many
  // are held.
  // True when something is held and nothing has ended for kQuiet: once, until something ends. The
  // answer to one read frees all; a guest that stands still after it does so by itself.
  bool sample(Moment now, std::uint64_t ended, std::uint64_t held);

 private:
  Moment since_;
  bool told_ = false;
  std::uint64_t ended_ = 0;
};

}  // namespace snapbed::runner
