// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line of every guest, judged or not.
#pragma once

#include <string>

#include "scenario/scenario.h"

namespace snapbed::runner {

// What each guest gets, then the arguments that `scenario` asks for. Pure.
std::string guest_command_line(const scenario::Scenario& scenario);

}  // namespace snapbed::runner
