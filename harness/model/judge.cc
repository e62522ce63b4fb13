// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/checks.h"
#include "model/devices.h"
#include "model/facts.h"

namespace snapbed::model {

using journal::Request;
using journal::Role;

CycleSummary& cycle_of(Report& report, std::uint32_t cycle) {
  const auto found = std::find_if(report.cycles.begin(), report.cycles.end(),
                                  [&](const CycleSummary& c) { return c.cycle == cycle; });
  if (found != report.cycles.end()) return *found;
  CycleSummary summary;
  summary.cycle = cycle;
  report.cycles.push_back(summary);
  return report.cycles.back();
}

namespace {

// Counts writes by the cycle whose marks were last seen when they began.
void count_writes(const Facts& facts, Report& report) {
  std::size_t mark = 0;
  std::uint32_t cycle = 0;
  for (const Request& request : facts.journal.requests) {
    if (request.begin > facts.history.horizon) break;
    while (mark < facts.history.marks.size() && facts.history.marks[mark].begin <= request.begin) {
      cycle = std::max(cycle, facts.history.marks[mark].mark.cycle);
      ++mark;
    }
    if (!changes_data(request.op) || !facts.in_scope(cycle)) continue;
    if (facts.journal.is_loss(request)) continue;
    if (facts.journal.disks[request.disk].role != Role::data) continue;
    CycleSummary& summary = cycle_of(report, cycle);
    ++summary.writes;
    summary.bytes_written += request.count * journal::kSectorBytes;
  }
}

void add_up(const Facts& facts, Report& report) {
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    const std::uint32_t cycle = facts.history.snapshots[i].take_cycle;
    if (facts.windows[i].judged && facts.in_scope(cycle)) ++cycle_of(report, cycle).snapshots;
  }
  std::sort(report.cycles.begin(), report.cycles.end(),
            [](const CycleSummary& a, const CycleSummary& b) { return a.cycle < b.cycle; });
  for (const CycleSummary& cycle : report.cycles) {
    report.writes += cycle.writes;
    report.bytes_written += cycle.bytes_written;
    report.snapshots += cycle.snapshots;
    report.sectors_judged += cycle.sectors_judged;
  }
}

// Image sectors that a step copies.
struct CopiedPart {
  std::string snapshot;
  std::string device;
  std::uint64_t first = 0;
  std::uint64_t end = ~std::uint64_t{0};
};

CopiedPart copy_of(const plan::Step& step) {
  CopiedPart copy{step.args.value("snapshot", ""), step.args.value("device", "")};
  copy.first = step.args.value("first", std::uint64_t{0});
  if (step.args.contains("count"))
    copy.end = copy.first + step.args.at("count").get<std::uint64_t>();
  return copy;
}

bool share_sectors(const CopiedPart& one, const CopiedPart& other) {
  return one.snapshot == other.snapshot && one.device == other.device && one.first < other.end &&
         other.first < one.end;
}

// A snapshot made anew has other images than the one of that name before.
void forget(std::vector<CopiedPart>& copied, const std::string& snapshot) {
  std::erase_if(copied, [&](const CopiedPart& copy) { return copy.snapshot == snapshot; });
}

// Checks that the plan's steps give work to.
std::set<std::string> implied(const plan::Plan& plan, const Expectations& expectations) {
  const bool strict = expectations.strict;
  std::set<std::string> names{"errno", "origin"};
  if (expectations.opinion) names.insert("second");
  std::vector<CopiedPart> copied;
  for (const plan::Step& step : plan.steps) {
    if (step.op == "take" && strict) names.insert("order");
    if (step.op == "create") {
      names.insert("events");
      forget(copied, step.args.value("snapshot", ""));
      if (step.args.contains("low") && !step.args["low"].is_null()) names.insert("store");
    }
    if (step.op == "append") names.insert("store");
    if (step.op == "read_map") names.insert("map");
    if (step.op == "rmmod") names.insert("leak");
    if (step.op == "power_cut") names.insert("power");
    if (step.op == "abi" || step.op == "call_storm" || step.op == "fail_allocations") {
      names.insert("abi");
    }
    if (step.op == "copy_image") {
      names.insert("cut");
      const CopiedPart copy = copy_of(step);
      const bool again = std::any_of(copied.begin(), copied.end(), [&](const CopiedPart& other) {
        return share_sectors(copy, other);
      });
      if (again && strict) names.insert("twice");
      copied.push_back(copy);
    }
  }
  return names;
}

void not_run(CheckResult& result, std::string reason) {
  if (result.outcome == Outcome::fail) return;
  result.outcome = Outcome::not_run;
  result.reason = std::move(reason);
}

std::uint64_t cycle_value(const CycleSummary& cycle, const std::string& counter) {
  if (counter == "writes") return cycle.writes;
  if (counter == "bytes_written") return cycle.bytes_written;
  if (counter == "writes_across_take") return cycle.writes_across_take;
  if (counter == "sectors_judged") return cycle.sectors_judged;
  if (counter == "sectors_overwritten") return cycle.sectors_overwritten;
  return cycle.snapshots;
}

// "cycle.sectors_overwritten" binds every cycle that took a snapshot; the check that the count
// belongs to is the one that did not run.
void demand_cycles(Report& report, const std::string& counter, std::uint64_t least) {
  constexpr const char* kKnown[] = {"writes",         "bytes_written",       "writes_across_take",
                                    "sectors_judged", "sectors_overwritten", "snapshots"};
  if (std::none_of(std::begin(kKnown), std::end(kKnown),
                   [&](const char* known) { return counter == known; })) {
    throw BrokenRecord("a minimum names cycle." + counter + ", which is not counted");
  }
  const std::string check = counter == "sectors_overwritten" ? "twice" : "cut";
  for (const CycleSummary& cycle : report.cycles) {
    if (cycle.snapshots == 0) continue;
    const std::uint64_t value = cycle_value(cycle, counter);
    if (value >= least) continue;
    not_run(report.checks[check], fmt::format("{} was {} in cycle {}, at least {} are demanded",
                                              counter, value, cycle.cycle, least));
  }
}

void demand(const Facts& facts, Report& report) {
  std::set<std::string> judged(facts.expectations.judged.begin(), facts.expectations.judged.end());
  if (judged.empty()) judged = implied(facts.history.plan, facts.expectations);
  for (auto entry = report.checks.begin(); entry != report.checks.end();) {
    const bool idle = entry->second.outcome == Outcome::not_run && !judged.contains(entry->first);
    entry = idle ? report.checks.erase(entry) : std::next(entry);
  }
  for (const std::string& name : judged) {
    if (name == "log" || name == "watchdog") continue;
    CheckResult& result = report.checks[name];
    if (result.outcome == Outcome::not_run && result.reason.empty()) {
      result.reason = "the run gave it nothing to judge";
    }
  }
  if (facts.scope.last_cycle != kAllCycles) return;
  for (const auto& [key, least] : facts.expectations.minimum) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) throw BrokenRecord("minimum \"" + key + "\" is no check.counter");
    const std::string check = key.substr(0, dot);
    const std::string counter = key.substr(dot + 1);
    if (check == "cycle") {
      demand_cycles(report, counter, least);
      continue;
    }
    if (check == "log" || check == "watchdog") continue;
    CheckResult& result = report.checks[check];
    if (result.outcome != Outcome::not_run && !result.exercised.contains(counter)) {
      throw BrokenRecord("a minimum names " + key + ", which is not counted");
    }
    const std::uint64_t value = result.exercised[counter];
    if (value < least) {
      not_run(result, fmt::format("{} was {}, at least {} are demanded", counter, value, least));
    }
  }
}

// A record that was damaged in a way that only a check stumbles over: what it reads as (a wrong
// type, a number out of range, more memory than there is) says nothing about the module.
std::string unreadable(const std::exception& error) {
  return std::string("the record makes no sense: ") + error.what();
}

// Without a drain, writes that passed the hook before P land during the hold without a copy: images
// may move, and neither `twice` nor `chain` nor `order` has a rule that such a module must keep.
void run_checks(Facts& facts, Report& report) {
  check_cut(facts, report);
  check_map(facts, report);
  if (facts.expectations.strict) {
    check_twice(facts, report);
    check_chain(facts, report);
    check_order(facts, report);
  }
  check_store(facts, report);
  check_second(facts, report);
  check_origin(facts, report);
  check_power(facts, report);
  check_events(facts, report);
  check_errno(facts, report);
  check_abi(facts, report);
  check_leak(facts, report);
}

// A run without its end may stop anywhere, but the server must say that it wrote down all it saw.
void demand_complete(const Facts& facts, Report& report) {
  if (facts.journal.complete || facts.scope.last_cycle != kAllCycles) return;
  report.broken =
      "the journal is not complete: " +
      (facts.journal.trouble.empty() ? std::string("no reason given") : facts.journal.trouble);
}

}  // namespace

Report judge(Facts& facts) {
  Report report;
  try {
    count_writes(facts, report);
    run_checks(facts, report);
    add_up(facts, report);
    demand(facts, report);
    demand_complete(facts, report);
  } catch (const BrokenRecord& error) {
    report.broken = error.what();
  } catch (const std::exception& error) {
    report.broken = unreadable(error);
  }
  return report;
}

Report judge(const journal::Journal& journal, const Expectations& expectations,
             const FilesReader& files, Scope scope) {
  try {
    const auto wider = with_devices(journal);
    Facts facts(wider ? *wider : journal, expectations, files, scope);
    return judge(facts);
  } catch (const BrokenRecord& error) {
    Report report;
    report.broken = error.what();
    return report;
  } catch (const std::exception& error) {
    Report report;
    report.broken = unreadable(error);
    return report;
  }
}

Report judge(const journal::Journal& journal, const Expectations& expectations,
             const FilesReader& files, std::uint32_t cycle) {
  return judge(journal, expectations, files, Scope{0, cycle});
}

}  // namespace snapbed::model
