// SPDX-License-Identifier: GPL-2.0-or-later
// The folder of a run as something to judge: its journal, kept files, console and scenario.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "journal/record.h"
#include "model/judge.h"
#include "plan/mark.h"
#include "runner/verdict.h"
#include "scenario/scenario.h"
#include "vm/console.h"

namespace snapbed::runner {

inline constexpr const char* kConsoleFile = "console.log";
inline constexpr const char* kVerdictFile = "verdict.json";

// Reads DIR/files.img; holds it open.
model::FilesReader files_reader(const std::filesystem::path& folder);

// The string that a verdict (or a part of it) has under `key`; `otherwise` when it has none there.
std::string string_or(const nlohmann::json& object, const char* key, const std::string& otherwise);

// What the scenario demands of a run of `cycles` cycles whose record lies in `folder`.
model::Expectations expectations(const scenario::Scenario& scenario, std::uint32_t cycles,
                                 const std::filesystem::path& folder);

// What the scenario allows, and what its own faults explain (scenario/log_licence.h).
std::vector<std::regex> allowed_log(const scenario::Scenario& scenario);

// The runner's own check: the kernel log. The parser must have been finished.
model::CheckResult log_check(const vm::ConsoleParser& parser);

// The runner's other check: that the guest went on. `run` is how the run ended.
model::CheckResult watchdog_check(const journal::Journal& journal, const Run& run);

// What each rule of the scenario did, in their order.
std::vector<RuleTally> tally_rules(const scenario::Scenario& scenario,
                                   const journal::Journal& journal);

// What the amplifiers of the guest told at each `calm`, summed up.
std::map<std::string, std::uint64_t> tally_amplifiers(const journal::Journal& journal);

// The number of marks of a kind.
std::uint64_t count_marks(const journal::Journal& journal, plan::MarkKind kind);

// fio's results off the files disk into DIR/fio-NAME-CYCLE.json.
void extract_fio(const std::filesystem::path& folder, const journal::Journal& journal);

// A run's folder, read and ready to be judged again.
struct Archived {
  scenario::Scenario scenario;
  std::uint32_t cycles = 0;
  std::string repeat;
  journal::Journal journal;
  vm::ConsoleParser console;  // finished
  Run run;                    // how it ended, as far as it told
  // The cycles that can be judged; nullopt when none came to its end.
  std::optional<model::Scope> scope;
};
// Throws std::runtime_error that names the file and what is wrong with it.
Archived read_archive(const std::filesystem::path& folder);

// Of an archived run: the journal's report, unless nothing can be judged, with the runner's checks.
void add_runner_checks(const Archived& archived, model::Report& report);

}  // namespace snapbed::runner
