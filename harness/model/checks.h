// SPDX-License-Identifier: GPL-2.0-or-later
// The closed list of checks that judge a journal. Each reads the facts and adds its result to the
// report under its name; what each proves and does not see is told in docs/oracle.md.
#pragma once

#include "model/facts.h"
#include "model/report.h"

namespace snapbed::model {

// Runs first: it narrows Window::feasible of the snapshots it judges, which others build upon.
void check_cut(Facts& facts, Report& report);
// Its part about storage on the captured device.
void judge_hidden(const Facts& facts, std::size_t snapshot, CheckResult& result);
void check_twice(const Facts& facts, Report& report);
void check_map(const Facts& facts, Report& report);
void check_chain(const Facts& facts, Report& report);
void check_order(const Facts& facts, Report& report);
void check_second(const Facts& facts, Report& report);
void check_store(const Facts& facts, Report& report);
void check_origin(const Facts& facts, Report& report);
// Its part about the ledgers of the agent.
void judge_ledgers(const Facts& facts, CheckResult& result);
void check_power(const Facts& facts, Report& report);
void check_events(const Facts& facts, Report& report);
void check_errno(const Facts& facts, Report& report);
void check_abi(const Facts& facts, Report& report);
void check_leak(const Facts& facts, Report& report);

// The summary of a cycle; made when it is missing.
CycleSummary& cycle_of(Report& report, std::uint32_t cycle);

}  // namespace snapbed::model
