// SPDX-License-Identifier: GPL-2.0-or-later
// The class map: which class of bugs is provoked by which scenario, proven by which mutant. Made
// from the files themselves, so that it cannot tell what is not there. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "campaign/mutant.h"
#include "scenario/scenario.h"

namespace snapbed::campaign {

struct BugClass {
  std::string id;  // "C01"
  std::string bug;
  std::string provoked_by;
  std::string seen_by;  // checks
};

// docs/failure-classes.md: its rows, and the ids under the heading "## Open". Throws
// std::runtime_error for a class named twice or a file without any.
struct ClassList {
  std::vector<BugClass> classes;
  std::set<std::string> open;
};
ClassList parse_class_list(const std::string& markdown);

struct ClassMap {
  std::string class_table;            // Markdown
  std::string mutant_table;           // Markdown
  std::vector<std::string> problems;  // one line each: what is missing or contradicts
  std::size_t provoked = 0;           // classes with a scenario
  std::vector<std::string> missing;   // classes without one
};
// A class is provoked by a scenario that names it, and by one that must catch a mutant of it.
ClassMap map_classes(const ClassList& list, const std::vector<scenario::Scenario>& scenarios,
                     const std::vector<Mutant>& mutants);

// `document` with the lines between "<!-- NAME: begin ... -->" and "<!-- NAME: end -->" replaced.
// Throws std::runtime_error when it has not both lines.
std::string with_section(const std::string& document, const std::string& name,
                         const std::string& content);

}  // namespace snapbed::campaign
