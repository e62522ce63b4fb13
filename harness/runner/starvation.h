// SPDX-License-Identifier: GPL-2.0-or-later
// Whether the host let the machine run at all: what QEMU's threads got of the processor time that
// they asked for. Pure; the caller brings the time and the counts.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "base/process.h"
#include "runner/progress.h"

namespace snapbed::runner {

// A guest that gets less than this part of what it asks for is slower than by any load that the
// testbed makes by itself: two machines of two processors side by side on two cores get half.
inline constexpr double kLeastShare = 0.2;
inline constexpr std::chrono::seconds kShareWindow{10};

class Starvation {
 public:
  // The counts of one process, which only grow; smaller ones are another process's.
  void sample(Moment now, const base::ProcessorUse& use);

  // "for 10 s the host gave QEMU 7 % of the processor time it asked for": the worst window so far.
  // Empty as long as none had less than kLeastShare. A QEMU that asks for little is not starved.
  const std::string& worst() const { return worst_; }

  // A step of the plan begins now.
  void begin_step();
  // The same for the whole time since: a step of minutes is not late for ten bad seconds in it. For
  // one that is shorter than kShareWindow it is worst().
  std::string of_step() const;

 private:
  struct Sample {
    Moment when;
    base::ProcessorUse use;
  };
  static double share(const Sample& from, const Sample& to);
  static std::string words(const Sample& from, const Sample& to);

  std::deque<Sample> samples_;
  std::optional<Sample> step_;  // the last one before the step
  double least_ = kLeastShare;
  std::string worst_;
};

}  // namespace snapbed::runner
