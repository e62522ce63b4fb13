// SPDX-License-Identifier: GPL-2.0-or-later
// The error after which the agent cannot go on; it becomes the `fatal` mark.
#pragma once

#include <stdexcept>
#include <string>

namespace snapbed::agent {

class Fatal : public std::runtime_error {
 public:
  // `module`: the module under test broke its interface, so the run is not the testbed's failure.
  // `late`: nothing but a limit of time says so.
  explicit Fatal(const std::string& what, bool module = false, bool late = false)
      : std::runtime_error(what), module_(module), late_(late) {}
  bool module() const { return module_; }
  bool late() const { return late_; }

 private:
  bool module_;
  bool late_;
};

}  // namespace snapbed::agent
