// SPDX-License-Identifier: GPL-2.0-or-later
// A writable view of an image that leaves the image alone: dm-snapshot over it, with its changes
// in memory. A file system can replay its log there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"

namespace snapbed::agent {

// Runs a program and gives its exit code.
using RunProgram = std::function<int(const std::vector<std::string>& argv)>;

class Overlay {
 public:
  // Throws Fatal or std::system_error when a part of it cannot be made: that says nothing about
  // the image, whose contents are not looked at here. `sectors` is the image's size.
  Overlay(const std::string& image, std::uint64_t sectors, RunProgram run);
  ~Overlay();
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  std::string path() const;

 private:
  RunProgram run_;
  base::UniqueFd store_;  // the loop device; it frees itself with its last user
};

}  // namespace snapbed::agent
