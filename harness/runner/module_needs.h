// SPDX-License-Identifier: GPL-2.0-or-later
// What a scenario asks of the module beyond the interface. Another implementation has other
// parameters beside those of the interface, other functions, and nothing to look at inside.
#pragma once

#include <string>

#include "plan/plan.h"
#include "runner/parts.h"
#include "scenario/scenario.h"

namespace snapbed::runner {

// One sentence about the first thing that the module lacks, "" when it has all; `plan` is the
// scenario's, `module` names the module for people. Pure.
std::string lacking(const scenario::Scenario& scenario, const plan::Plan& plan,
                    const ModuleFacts& facts, const std::string& module);

}  // namespace snapbed::runner
