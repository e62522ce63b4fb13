// SPDX-License-Identifier: GPL-2.0-or-later
// All findings of an archived run at length: the journal's by model/story.h, the console's and the
// watchdog's with the guest's last steps. For `snapbed explain`.
#pragma once

#include <filesystem>
#include <string>

#include "runner/archive.h"
#include "runner/execute.h"

namespace snapbed::runner {

struct Explanation {
  std::string text;  // chapters with numbers; without a finding a sentence that says so
  Result result;     // as `verify` gives it
};
Explanation explain(const Archived& archived, const std::filesystem::path& folder);

// The chapter of a kernel message, of a guest that stood still.
std::string tell_console(const vm::ConsoleFinding& finding, const journal::Journal& journal);
std::string tell_watchdog(const std::string& what, const journal::Journal& journal);

}  // namespace snapbed::runner
