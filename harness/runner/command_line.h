// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line of every guest, judged or not.
#pragma once

#include <string>
#include <vector>

namespace snapbed::runner {

// What each guest gets, then `arguments`. Pure.
std::string guest_command_line(const std::vector<std::string>& arguments);

}  // namespace snapbed::runner
