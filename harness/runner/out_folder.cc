// SPDX-License-Identifier: GPL-2.0-or-later
// Folders made, emptied and pointed at.
#include "runner/out_folder.h"

#include <unistd.h>

#include <system_error>

#include "base/file.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;
constexpr const char* kMarkFile = ".snapbed-run";

void empty(const fs::path& folder) {
  if (!fs::exists(folder / kMarkFile))
    throw OutRefused("the folder " + folder.string() + " holds files but no " + kMarkFile +
                     ": not emptying what no run of snapbed made");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != kMarkFile) fs::remove_all(entry.path());
}

}  // namespace

fs::path make_run_folder(const fs::path& out, const std::string& scenario, std::uint64_t seed) {
  const fs::path folder = fs::absolute(out) / scenario / std::to_string(seed);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw OutRefused("the folder for results " + folder.string() +
                     " cannot be made: " + error.message());
  if (!fs::is_empty(folder)) empty(folder);
  base::write_file(folder / kMarkFile, "a run of snapbed; emptied by the next of the same seed\n");
  return folder;
}

void point_latest(const fs::path& out, const fs::path& run) {
  const fs::path folder = fs::absolute(out);
  const fs::path fresh = folder / (".latest-" + std::to_string(::getpid()));
  std::error_code ignored;
  fs::remove(fresh, ignored);
  fs::create_symlink(fs::relative(run, folder), fresh);
  fs::rename(fresh, folder / "latest");
}

}  // namespace snapbed::runner
