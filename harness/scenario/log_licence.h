// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's kernel may complain about because the scenario does it to its disks: nobody needs
// to write that into `allow_log`. As narrow as the plan allows.
#pragma once

#include <string>
#include <vector>

#include "scenario/scenario.h"

namespace snapbed::scenario {

// Regular expressions (ECMAScript) of the titles of console findings that the scenario's own faults
// explain: the end of a request to a disk of ours with an operation that a rule fails, tears or
// disconnects, or any when a disk is pulled; what the page cache says of such a read or write; an
// access to a disk that was pulled, or beyond the end of a device that a step makes smaller. Always
// the end of a request to an image, which the reader is told of too. A command that opens an image
// may read it after DESTROY. Never what a file system or swap says.
std::vector<std::string> licensed_log(const Scenario& scenario);

}  // namespace snapbed::scenario
