// SPDX-License-Identifier: GPL-2.0-or-later
// Copies an image to the evidence disk by several workers, so that one reads while another writes.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"
#include "plan/plan.h"

namespace snapbed::agent {

inline constexpr std::size_t kCopyWorkers = 8;            // at most
inline constexpr std::size_t kCopyBlockBytes = 1u << 20;  // at most

struct CopyCounts {
  std::uint64_t sectors = 0;  // copied
  std::uint64_t bad = 0;      // could not be read
};
// A run of sectors that could not be read; called from any worker, one at a time.
using BadRun = std::function<void(plan::Range run, int error)>;

// Every piece is read and written once; image sector s goes to evidence sector base + s. A piece
// that does not read is read again by logical blocks. `buffers` gives a worker each; pieces fit
// into them. Throws Fatal when the evidence disk fails.
CopyCounts copy_image(const BlockDevice& image, const BlockDevice& evidence, std::uint64_t base,
                      const std::vector<plan::Range>& pieces, std::vector<AlignedMemory>& buffers,
                      std::size_t workers, const BadRun& bad_run);

}  // namespace snapbed::agent
