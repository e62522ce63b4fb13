// SPDX-License-Identifier: GPL-2.0-or-later
// The folder of one run, out/<scenario>/<seed>/, and the short private folder for its sockets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/temporary_folder.h"

namespace snapbed::runner {

// The folder asked for cannot be used; what() is one line naming it.
class OutRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Makes OUT/SCENARIO/SEED, emptied when it holds an earlier run. Only a folder that bears our
// mark file is emptied, so that a slip of --out deletes nothing of anybody's. Throws
// OutRefused; std::system_error when it cannot be written to.
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
