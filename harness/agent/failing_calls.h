// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a snapshot with every allocation failing in turn, in the caller and in the workers.
#pragma once

#include <cstdint>

#include "agent/abi.h"

namespace snapbed::agent {

struct FailureCounts {
  std::uint64_t sites = 0;         // allocations of callers that were made to fail
  std::uint64_t worker_sites = 0;  // of kernel workers
};

// `which`: one call (create, append, take, write, destroy, workers) or all. Every failure gives
// cases: what the call answered, that it can be repeated, and that image and origin still tell the
// truth. Throws CannotGoOn, std::system_error.
FailureCounts failing_calls(AbiBench& bench, const std::string& which);

}  // namespace snapbed::agent
