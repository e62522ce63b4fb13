// SPDX-License-Identifier: GPL-2.0-or-later
// The error after which the agent cannot go on; it becomes the `fatal` mark.
#pragma once

#include <stdexcept>
#include <string>

namespace snapbed::agent {

class Fatal : public std::runtime_error {
 public:
  // `module`: the module under test broke its interface, so the run is not the testbed's failure.
  explicit Fatal(const std::string& what, bool module = false)
      : std::runtime_error(what), module_(module) {}
  bool module() const { return module_; }

 private:
  bool module_;
};

}  // namespace snapbed::agent
