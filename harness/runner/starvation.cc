// SPDX-License-Identifier: GPL-2.0-or-later
// Each sample closes the window that began the last time at least kShareWindow before it.
#include "runner/starvation.h"

#include <fmt/format.h>

namespace snapbed::runner {

void Starvation::sample(Moment now, const base::ProcessorUse& use) {
  const Sample latest{now, use};
  if (!samples_.empty() &&
      (use.ran < samples_.back().use.ran || use.waited < samples_.back().use.waited)) {
    samples_.clear();
    step_ = latest;
  }
  samples_.push_back(latest);
  while (samples_.size() > 2 && samples_[1].when <= now - kShareWindow) samples_.pop_front();
  const double window = share(samples_.front(), latest);
  if (window >= least_) return;
  least_ = window;
  worst_ = words(samples_.front(), latest);
}

void Starvation::begin_step() {
  if (!samples_.empty()) step_ = samples_.back();
}

std::string Starvation::of_step() const {
  if (!step_ || samples_.back().when - step_->when < kShareWindow) return worst_;
  return share(*step_, samples_.back()) < kLeastShare ? words(*step_, samples_.back()) : "";
}

// Of the time asked for; 1 where the window is too short to tell, or where little was asked for.
double Starvation::share(const Sample& from, const Sample& to) {
  const auto ran = to.use.ran - from.use.ran;
  const auto waited = to.use.waited - from.use.waited;
  if (to.when - from.when < kShareWindow || waited < (to.when - from.when) / 2) return 1;
  return static_cast<double>(ran.count()) / static_cast<double>((ran + waited).count());
}

std::string Starvation::words(const Sample& from, const Sample& to) {
  return fmt::format("for {} s the host gave QEMU {:.0f} % of the processor time it asked for",
                     std::chrono::duration_cast<std::chrono::seconds>(to.when - from.when).count(),
                     share(from, to) * 100);
}

}  // namespace snapbed::runner
