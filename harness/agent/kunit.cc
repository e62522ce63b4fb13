// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/kunit.h"

#include <optional>
#include <regex>
#include <sstream>

namespace snapbed::agent {
namespace {

// Lines of the suite's own level have no blanks in front, those of its cases four.
const std::regex& plan_line() {
  static const std::regex expression(R"(^    1\.\.(\d+)$)");
  return expression;
}
const std::regex& case_line() {
  static const std::regex expression(R"(^    (not ok|ok) \d+ (?:- )?(\S+)(.*)$)");
  return expression;
}

bool skipped(const std::string& rest) {
  return rest.find("# SKIP") != std::string::npos;
}

}  // namespace

KunitSuite parse_kunit(const std::string& suite, const std::string& text) {
  KunitSuite result;
  std::optional<std::uint64_t> announced;
  bool good = false;
  const std::regex suite_line("^ok \\d+ (?:- )?" + suite + "$");
  std::istringstream lines(text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!announced && std::regex_match(line, match, plan_line())) {
      announced = std::stoull(match[1]);
    } else if (std::regex_match(line, match, case_line())) {
      ++result.cases;
      if (match[1] != "ok" || skipped(match[3]))
        result.failed.push_back(suite + "." + match[2].str());
    } else if (std::regex_match(line, suite_line)) {
      good = true;
    }
  }
  const bool whole = announced && *announced > 0 && result.cases == *announced;
  if (result.failed.empty() && !(good && whole)) result.failed.push_back(suite);
  return result;
}

}  // namespace snapbed::agent
