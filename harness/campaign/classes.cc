// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

namespace snapbed::campaign {

namespace {

bool is_class(const std::string& word) {
  return word.size() == 3 && std::string("CTSL").find(word[0]) != std::string::npos &&
         std::isdigit(static_cast<unsigned char>(word[1])) &&
         std::isdigit(static_cast<unsigned char>(word[2]));
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

// "| a | b |" as {"a", "b"}; empty for anything else.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  if (!line.starts_with("| ")) return out;
  for (std::size_t at = 1; at < line.size();) {
    const std::size_t end = line.find('|', at);
    if (end == std::string::npos) break;
    out.push_back(trimmed(line.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

std::string joined(const std::set<std::string>& words, const char* between = ", ") {
  return fmt::format("{}", fmt::join(words, between));
}

struct Entry {
  std::set<std::string> scenarios;
  std::set<std::string> mutants;
};

// Checks the mutants' heads against what exists; fills their classes' entries.
void add_mutants(const std::vector<scenario::Scenario>& scenarios,
                 const std::vector<Mutant>& mutants, std::map<std::string, Entry>& entries,
                 std::vector<std::string>& problems) {
  const std::vector<std::string>& checks = scenario::check_names();
  for (const Mutant& mutant : mutants) {
    const auto entry = entries.find(mutant.bug_class);
    if (entry == entries.end()) {
      problems.push_back("mutant " + mutant.name + " is of class " + mutant.bug_class +
                         ", which docs/failure-classes.md does not have");
      continue;
    }
    // K: bugs that the KUnit suites must catch, one a suite, of whatever class.
    const bool of_suite = mutant.name.starts_with("K");
    if (!of_suite && !mutant.name.starts_with(mutant.bug_class + "-"))
      problems.push_back("mutant " + mutant.name + " is not named after its class " +
                         mutant.bug_class);
    const bool known = std::any_of(
        scenarios.begin(), scenarios.end(),
        [&](const scenario::Scenario& scenario) { return scenario.name == mutant.scenario; });
    if (!known) {
      problems.push_back("mutant " + mutant.name + " must be caught by " + mutant.scenario +
                         ", and there is no such scenario");
      continue;
    }
    for (const std::string& check : mutant.checks)
      if (std::find(checks.begin(), checks.end(), check) == checks.end())
        problems.push_back("mutant " + mutant.name + " is to be caught by \"" + check +
                           "\", which is no check");
    entry->second.scenarios.insert(mutant.scenario);
    entry->second.mutants.insert(mutant.name);
  }
}

std::string mutants_as_table(const std::vector<Mutant>& mutants) {
  std::string out = "| mutant | the bug | scenario | checks |\n|---|---|---|---|\n";
  for (const Mutant& mutant : mutants) {
    std::string bug = mutant.bug;
    if (bug.ends_with('.')) bug.pop_back();
    std::replace(bug.begin(), bug.end(), '|', '/');
    out += fmt::format("| {} | {} | {} | {} |\n", mutant.name, bug, mutant.scenario,
                       fmt::join(mutant.checks, " "));
  }
  return out;
}

}  // namespace

ClassList parse_class_list(const std::string& markdown) {
  ClassList list;
  std::set<std::string> seen;
  bool open = false;
  std::istringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) open = line == "## Open";
    const auto row = cells(line);
    if (row.size() == 4 && is_class(row[0])) {
      if (!seen.insert(row[0]).second)
        throw std::runtime_error("the list of classes has " + row[0] + " twice");
      list.classes.push_back({row[0], row[1], row[2], row[3]});
    } else if (open) {
      std::istringstream words(line);
      for (std::string word; words >> word;)
        if (is_class(word)) list.open.insert(word);
    }
  }
  if (list.classes.empty())
    throw std::runtime_error("the list of classes has no row such as | C01 | ... | ... | ... |");
  return list;
}

ClassMap map_classes(const ClassList& list, const std::vector<scenario::Scenario>& scenarios,
                     const std::vector<Mutant>& mutants) {
  ClassMap map;
  std::map<std::string, Entry> entries;
  for (const BugClass& one : list.classes) entries[one.id];
  for (const scenario::Scenario& scenario : scenarios) {
    for (const std::string& id : scenario.classes) {
      const auto entry = entries.find(id);
      if (entry != entries.end())
        entry->second.scenarios.insert(scenario.name);
      else
        map.problems.push_back("scenario " + scenario.name + " names class " + id +
                               ", which docs/failure-classes.md does not have");
    }
  }
  add_mutants(scenarios, mutants, entries, map.problems);
  map.class_table = "| class | scenarios | seen by | mutants |\n|---|---|---|---|\n";
  for (const BugClass& one : list.classes) {
    const Entry& entry = entries[one.id];
    const bool open = list.open.contains(one.id);
    map.class_table +=
        fmt::format("| {} | {} | {} | {} |\n", one.id,
                    entry.scenarios.empty() ? std::string("*none yet*") : joined(entry.scenarios),
                    one.seen_by, joined(entry.mutants));
    if (!entry.scenarios.empty()) {
      ++map.provoked;
      if (open)
        map.problems.push_back("class " + one.id + " is provoked by " + joined(entry.scenarios) +
                               ": take it off the open list of docs/failure-classes.md");
      continue;
    }
    map.missing.push_back(one.id);
    if (!open)
      map.problems.push_back("class " + one.id + " (" + one.bug +
                             ") has no scenario and is not on the open list");
  }
  for (const std::string& id : list.open)
    if (!entries.contains(id))
      map.problems.push_back("the open list has " + id + ", which is no class");
  map.mutant_table = mutants_as_table(mutants);
  return map;
}

std::string with_section(const std::string& document, const std::string& name,
                         const std::string& content) {
  const std::size_t begin = document.find("<!-- " + name + ": begin");
  const std::size_t first = begin == std::string::npos ? begin : document.find('\n', begin);
  const std::size_t end = document.find("<!-- " + name + ": end -->");
  if (first == std::string::npos || end == std::string::npos || end < first)
    throw std::runtime_error("there are no lines <!-- " + name + ": begin --> and <!-- " + name +
                             ": end -->");
  return document.substr(0, first + 1) + content + document.substr(end);
}

}  // namespace snapbed::campaign
