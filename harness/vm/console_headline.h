// SPDX-License-Identifier: GPL-2.0-or-later
// The first lines of kernel reports, and how each is made into a title.
#pragma once

#include <optional>
#include <string>

#include "vm/console.h"

namespace snapbed::vm {

struct Headline {
  ConsoleKind kind = ConsoleKind::bug;
  std::string title;
};

// REQUIRES: `line` went through clean_console_line().
std::optional<Headline> match_headline(const std::string& line);

// Whether a headline met while a report of `open` is being read belongs to that report: "Oops:"
// after "BUG: kernel NULL pointer dereference", WARNING after "refcount_t: underflow".
bool continues(ConsoleKind open, const Headline& next, const std::string& line);

// "fn" of the first "fn+0x12/0x34" in the text; empty when there is none.
std::string function_in(const std::string& text);

}  // namespace snapbed::vm
