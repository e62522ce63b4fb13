// SPDX-License-Identifier: GPL-2.0-or-later
// The folder of one run, out/<scenario>/<seed>/, and the short private folder for its sockets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/temporary_folder.h"

namespace snapbed::runner {

// Makes OUT/SCENARIO/SEED, emptied when it holds an earlier run. Only a folder that bears our
// mark file is emptied, so that a slip of --out deletes nothing of anybody's. Throws
// std::runtime_error naming the folder; std::system_error for the host's refusals.
std::filesystem::path make_run_folder(const std::filesystem::path& out, const std::string& scenario,
                                      std::uint64_t seed);

// OUT/latest -> SCENARIO/SEED, replaced in one step.
void point_latest(const std::filesystem::path& out, const std::filesystem::path& run);

// /tmp/snapbed-XXXXXX, mode 0700: socket paths must stay under 108 bytes. Removed with all in
// it by the destructor.
class SocketFolder : public base::TemporaryFolder {
 public:
  SocketFolder() : TemporaryFolder("/tmp/snapbed-") {}
};

}  // namespace snapbed::runner
