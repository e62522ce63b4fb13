// SPDX-License-Identifier: GPL-2.0-or-later
// The systems that are compared, put between the load and a disk, and taken away again.
#pragma once

#include <memory>
#include <string>

#include "agent/snapshots.h"
#include "bench/experiments.h"

namespace snapbed::agent {

// A system over a disk: there from the constructor's end to the destructor.
class Setup {
 public:
  virtual ~Setup() = default;
  virtual std::string device() const = 0;  // what is written to
  virtual std::string image() const = 0;   // what was there before, or the device
};

// `disk` and `store` are paths of whole disks. Throws std::runtime_error saying what failed.
// `control` outlives the setup.
std::unique_ptr<Setup> make_setup(bench::System system, const Control& control,
                                  const std::string& disk, const std::string& store);

// Forgets a tracked disk; no effect on another. Throws std::system_error.
void remove_tracker(const Control& control, const std::string& disk);

}  // namespace snapbed::agent
