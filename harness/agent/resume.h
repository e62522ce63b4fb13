// SPDX-License-Identifier: GPL-2.0-or-later
// Where the machine before this one came to when its power was cut: what its marks tell.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/mark.h"

namespace snapbed::agent {

struct Resume {
  std::uint32_t boots = 0;           // machines before this one
  std::uint64_t marks = 0;           // that they wrote: the next one's number
  std::optional<std::uint32_t> cut;  // the step power_cut that the last one came to
  std::vector<plan::Mark> ended;     // step_end marks, in their order
};

// Reads marks from the first sector on, until there are no more; `read` fills the bytes of the
// sectors from `first` on and throws when it cannot. Nothing was written: all 0. Throws Fatal when
// there are marks, and the last step that began is no power_cut.
using ReadMarks = std::function<void(std::uint64_t first, std::span<std::uint8_t> bytes)>;
Resume read_marks(std::uint64_t sectors, std::span<std::uint8_t> buffer, const ReadMarks& read);

}  // namespace snapbed::agent
