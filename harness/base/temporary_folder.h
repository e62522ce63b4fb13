// SPDX-License-Identifier: GPL-2.0-or-later
// A folder that goes with its owner.
#pragma once

#include <filesystem>

namespace snapbed::base {

// Removed with all in it by the destructor.
class TemporaryFolder {
 public:
  // Makes `beginning` and six letters more, mode 0700; absolute when `beginning` is. Throws
  // std::system_error naming it.
  explicit TemporaryFolder(const std::filesystem::path& beginning);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace snapbed::base
