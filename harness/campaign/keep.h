// SPDX-License-Identifier: GPL-2.0-or-later
// Which records of a night stay: everything of the first failure of each signature, then of the
// older ones, as far as the disk budget goes. What has to go loses its journal and kept files,
// never its verdict and console. Pure but for the last two.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "campaign/signature.h"

namespace snapbed::campaign {

struct Kept {
  Signature signature;
  std::filesystem::path folder;
  std::uint64_t bytes = 0;
  bool stripped = false;
};

// Indexes of those to strip, so that the rest fits: the youngest repetition first, then the
// youngest first one of a signature. `kept` is in the order of the runs.
std::vector<std::size_t> to_strip(const std::vector<Kept>& kept, std::uint64_t budget_bytes);

// Bytes on disk of all in the folder (sparse files count what they occupy).
std::uint64_t occupied(const std::filesystem::path& folder);
// Removes journal and kept files; verdict, console, plan and scenario stay.
void strip(const std::filesystem::path& folder);

}  // namespace snapbed::campaign
