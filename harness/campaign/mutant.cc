// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/mutant.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "scenario/words.h"

namespace snapbed::campaign {

namespace {

namespace fs = std::filesystem;

// Lines "Key: value" up to the first line of the patch itself; a line that begins with a blank goes
// on with the one before.
std::map<std::string, std::string> head_of(const std::string& text) {
  std::map<std::string, std::string> head;
  std::istringstream lines(text);
  std::string key;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("--- ") || line.starts_with("diff ")) break;
    const std::size_t colon = line.find(": ");
    if (!line.empty() && line[0] == ' ' && !key.empty()) {
      head[key] += line;
    } else if (colon != std::string::npos) {
      key = line.substr(0, colon);
      head[key] = line.substr(colon + 2);
    }
  }
  return head;
}

}  // namespace

Mutant parse_mutant(const std::string& text, const fs::path& file) {
  const auto head = head_of(text);
  const auto wrong = [&](const std::string& what) {
    return std::runtime_error(file.string() + ": " + what +
                              "; expected lines Class:, Scenario: and Checks: before the patch");
  };
  const auto get = [&](const char* key) {
    const auto found = head.find(key);
    if (found == head.end() || found->second.empty())
      throw wrong("there is no line " + std::string(key) + ":");
    return found->second;
  };
  Mutant mutant;
  mutant.name = file.stem();
  const std::string bug_class = get("Class");
  const std::size_t comma = bug_class.find(", ");
  if (comma == std::string::npos) throw wrong("Class: tells no bug after its comma");
  mutant.bug_class = bug_class.substr(0, comma);
  mutant.bug = bug_class.substr(comma + 2);
  mutant.scenario = get("Scenario");
  std::istringstream checks(get("Checks"));
  for (std::string check; checks >> check;) mutant.checks.push_back(check);
  if (head.contains("Cycles")) {
    const auto cycles = scenario::parse_number(head.at("Cycles"));
    if (!cycles || *cycles == 0 || *cycles > 100000) throw wrong("Cycles: is no usable number");
    mutant.cycles = static_cast<std::uint32_t>(*cycles);
  }
  return mutant;
}

Mutant read_mutant(const fs::path& file) {
  return parse_mutant(base::read_file(file), file);
}

std::vector<Mutant> read_mutants(const fs::path& folder) {
  std::vector<Mutant> all;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".patch") all.push_back(read_mutant(entry.path()));
  std::sort(all.begin(), all.end(),
            [](const Mutant& a, const Mutant& b) { return a.name < b.name; });
  return all;
}

}  // namespace snapbed::campaign
