// SPDX-License-Identifier: GPL-2.0-or-later
// Judging: a pure function from the record of a run to findings. See docs/oracle.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "journal/record.h"
#include "model/report.h"

namespace snapbed::model {

// Reads out.size() bytes that the guest put on the files disk at `offset`; false when they are not
// there.
using FilesReader = std::function<bool(std::uint64_t offset, std::span<std::uint8_t> out)>;

// Which cycles are judged. Earlier ones still count as history (versions, map numbers); later
// ones are as if they had not happened. Minima are applied only when last_cycle is kAllCycles.
struct Scope {
  std::uint32_t first_cycle = 0;
  std::uint32_t last_cycle = kAllCycles;
};

Report judge(const journal::Journal& journal, const Expectations& expectations,
             const FilesReader& files, Scope scope);
// The same on facts that are kept: the check `cut` narrows what they know of every P.
class Facts;
Report judge(Facts& facts);
// Judges everything recorded up to the end of `cycle`.
Report judge(const journal::Journal& journal, const Expectations& expectations,
             const FilesReader& files, std::uint32_t cycle = kAllCycles);

}  // namespace snapbed::model
