// SPDX-License-Identifier: GPL-2.0-or-later
// A finding at length: its paragraph, a picture of the timeline, the requests that ran beside each
// other on its sectors, what the guest was doing, the journal around it, and where to look in a
// module. For `snapbed explain`. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/facts.h"

namespace snapbed::model {

// The columns that the story's prose is broken at. Pictures and journal lines may be longer.
inline constexpr std::size_t kStoryColumns = 96;

// Breaks prose at blanks; every line begins with `indent` blanks and ends in a newline.
std::string wrapped(const std::string& text, std::size_t indent = 2);

// The chapter of one finding. `found` is how many of its check there were. The facts must have been
// judged: what is known of P is drawn.
std::string tell_finding(const Facts& facts, const Finding& finding, std::uint64_t found);

struct Explained {
  Report report;
  std::vector<std::string> chapters;  // one per kept finding, in the order of the checks
};
// Judges and tells. When the record is broken there are no chapters; report.broken says why.
Explained explain(const journal::Journal& journal, const Expectations& expectations,
                  const FilesReader& files, Scope scope);

}  // namespace snapbed::model
