// SPDX-License-Identifier: GPL-2.0-or-later
// Each sample closes the window that began the last time at least kShareWindow before it.
#include "runner/starvation.h"

#include <fmt/format.h>

namespace snapbed::runner {

void Starvation::sample(Moment now, const base::ProcessorUse& use) {
  if (!samples_.empty() &&
      (use.ran < samples_.back().use.ran || use.waited < samples_.back().use.waited))
    samples_.clear();
  samples_.push_back({now, use});
  while (samples_.size() > 2 && samples_[1].when <= now - kShareWindow) samples_.pop_front();
  const Sample& from = samples_.front();
  if (now - from.when < kShareWindow) return;
  const auto ran = use.ran - from.use.ran;
  const auto waited = use.waited - from.use.waited;
  if (waited < (now - from.when) / 2) return;
  const double share =
      static_cast<double>(ran.count()) / static_cast<double>((ran + waited).count());
  if (share >= least_) return;
  least_ = share;
  worst_ = fmt::format("for {} s the host gave QEMU {:.0f} % of the processor time it asked for",
                       std::chrono::duration_cast<std::chrono::seconds>(now - from.when).count(),
                       share * 100);
}

}  // namespace snapbed::runner
