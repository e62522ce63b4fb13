// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/keep.h"

#include <sys/stat.h>

#include <set>

namespace snapbed::campaign {

namespace fs = std::filesystem;

std::vector<std::size_t> to_strip(const std::vector<Kept>& kept, std::uint64_t budget_bytes) {
  std::uint64_t total = 0;
  std::set<Signature> seen;
  std::vector<std::size_t> firsts;
  std::vector<std::size_t> repetitions;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    total += kept[i].bytes;
    if (kept[i].stripped) continue;
    (seen.insert(kept[i].signature).second ? firsts : repetitions).push_back(i);
  }
  std::vector<std::size_t> out;
  for (auto* group : {&repetitions, &firsts}) {
    for (auto at = group->rbegin(); at != group->rend() && total > budget_bytes; ++at) {
      total -= kept[*at].bytes;
      out.push_back(*at);
    }
  }
  return out;
}

std::uint64_t occupied(const fs::path& folder) {
  constexpr std::uint64_t kStatBlock = 512;  // the unit of st_blocks
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, error)) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
  }
  return bytes;
}

void strip(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.path().extension() == ".seg" || entry.path().extension() == ".img")
      files.push_back(entry.path());
  for (const fs::path& file : files) fs::remove(file, error);
}

}  // namespace snapbed::campaign
