// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "journal/print.h"
#include "model/story.h"
#include "plan/mark.h"

namespace snapbed::runner {
namespace {

using model::wrapped;

constexpr std::size_t kConsoleLines = 40;  // of one report: headline, call trace, registers
constexpr std::size_t kLastMarks = 6;
constexpr std::size_t kLastLines = 12;
constexpr std::size_t kUnended = 8;

// The last marks: how far the guest came. Console lines carry no stamps, so this is for a report
// that ended the run; one that did not may belong to an earlier step.
std::string last_marks(const journal::Journal& journal) {
  std::string out = "\n  The guest's last marks\n";
  const std::size_t count = journal.marks.size();
  if (count == 0) return out + "    none: the agent never spoke\n";
  for (std::size_t i = count > kLastMarks ? count - kLastMarks : 0; i < count; ++i)
    out += fmt::format("    {} {}\n", journal.marks[i].begin,
                       plan::mark_words(journal.marks[i].bytes).substr(0, 160));
  return out;
}

std::string unended(const journal::Journal& journal) {
  std::string out = "\n  Requests without an end when the record stops\n";
  std::size_t count = 0;
  for (const journal::Request& request : journal.requests) {
    if (request.end != journal::kNever || ++count > kUnended) continue;
    const auto lines = journal::lines_around(journal, request.begin, {1, 0});
    if (!lines.empty()) out += "    " + lines.back().text + "\n";
  }
  if (count == 0) out += "    none: what the guest waits for, it waits for inside itself\n";
  if (count > kUnended) out += fmt::format("    and {} more\n", count - kUnended);
  return out;
}

std::string last_lines(const journal::Journal& journal) {
  std::string out = "\n  The end of the journal (disks of data, storage and scratch)\n";
  for (const journal::Line& line :
       journal::lines_around(journal, journal::kNever - 1, {kLastLines, 0}, plan::mark_words))
    out += "    " + line.text.substr(0, 160) + "\n";
  return out;
}

std::string advice(model::Kind kind) {
  return "\n  Where to look\n" + wrapped(model::advice_of(kind), 4);
}

}  // namespace

std::string tell_console(const vm::ConsoleFinding& finding, const journal::Journal& journal) {
  std::string out =
      "log / kernel-message\n\n" +
      wrapped(fmt::format("{}: {} (console.log, lines {} to {})", to_string(finding.kind),
                          finding.title, finding.first_line, finding.last_line)) +
      "\n  What the kernel said\n";
  std::istringstream lines(finding.excerpt);
  std::size_t told = 0;
  for (std::string line; std::getline(lines, line);)
    if (++told <= kConsoleLines) out += "    " + line + "\n";
  if (told > kConsoleLines) out += fmt::format("    and {} more lines\n", told - kConsoleLines);
  return out + last_marks(journal) + advice(model::Kind::log_kernel);
}

std::string tell_watchdog(const std::string& what, const journal::Journal& journal) {
  return "watchdog / stuck\n\n" + wrapped(what) + last_marks(journal) + unended(journal) +
         last_lines(journal) + advice(model::Kind::watchdog_stuck);
}

Explanation explain(const Archived& archived, const std::filesystem::path& folder) {
  model::Explained judged;
  if (archived.scope)
    judged =
        model::explain(archived.journal, expectations(archived.scenario, archived.cycles, folder),
                       files_reader(folder), *archived.scope);
  Explanation out;
  std::vector<std::string> chapters = std::move(judged.chapters);
  out.result = judged_again(archived, std::move(judged.report));
  out.result.folder = folder;
  for (const vm::ConsoleFinding& finding : archived.console.findings())
    if (chapters.size() < model::kFindingLimit * 4)
      chapters.push_back(tell_console(finding, archived.journal));
  for (const model::Finding& finding : out.result.report.checks["watchdog"].findings)
    chapters.push_back(tell_watchdog(finding.text, archived.journal));
  for (std::size_t i = 0; i < chapters.size(); ++i)
    out.text += fmt::format("{}{}. {}", i == 0 ? "" : "\n", i + 1, chapters[i]);
  if (chapters.empty()) out.text = "No check found anything.\n";
  return out;
}

}  // namespace snapbed::runner
