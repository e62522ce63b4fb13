// SPDX-License-Identifier: GPL-2.0-or-later
// Copies an image to the evidence disk by several workers, so that one reads while another writes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "agent/aligned_memory.h"
#include "plan/plan.h"

namespace snapbed::agent {

inline constexpr std::size_t kCopyWorkers = 8;                     // at most
inline constexpr std::size_t kCopyBlockBytes = plan::kWriteBytes;  // at most

struct CopyCounts {
  std::uint64_t sectors = 0;  // copied
  std::uint64_t bad = 0;      // could not be read
};
// A run of sectors that could not be read, or with `again` a piece that failed and whose blocks
// were all read right after; called from any worker, one at a time.
using BadRun = std::function<void(plan::Range run, int error, bool again)>;

// Where the sectors come from and go to; both give 0 or a positive errno and are called from any
// worker. `unit` is the image's logical block in sectors.
struct CopyPorts {
  std::function<int(plan::Range image, std::span<std::uint8_t> bytes)> read;
  std::function<int(plan::Range evidence, std::span<const std::uint8_t> bytes)> write;
  std::uint64_t unit = 1;
};

// Every piece is read and written once; image sector s goes to evidence sector base + s. A piece
// that does not read is read again by logical blocks. `buffers` gives a worker each; pieces fit
// into them and are whole logical blocks. Throws Fatal when the evidence disk fails.
CopyCounts copy_image(const CopyPorts& ports, std::uint64_t base,
                      const std::vector<plan::Range>& pieces, std::vector<AlignedMemory>& buffers,
                      std::size_t workers, const BadRun& bad_run);

}  // namespace snapbed::agent
