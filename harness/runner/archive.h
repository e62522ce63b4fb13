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

// What the scenario demands of a run of `cycles` cycles.
model::Expectations expectations(const scenario::Scenario& scenario, std::uint32_t cycles);

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

// The scenario as archived in DIR.
scenario::Scenario archived_scenario(const std::filesystem::path& folder);

}  // namespace snapbed::runner
