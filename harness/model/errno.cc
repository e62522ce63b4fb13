// SPDX-License-Identifier: GPL-2.0-or-later
// Check `errno`: every call and program of the plan gave one of the results that its step expects.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "model/checks.h"

namespace snapbed::model {
namespace {

using Names = std::multiset<std::string>;

// What TRACKER_COLLECT gave where the step says what that must be: these devices and no other.
std::string wrong_list(const plan::Step& step, const StepRun& run) {
  if (step.op != "collect_trackers" || !step.args.contains("shows") || !run.succeeded()) return "";
  const auto expected = step.args.at("shows").get<Names>();
  const auto foreign = run.answer.at("foreign").get<std::uint64_t>();
  const auto seen = run.answer.at("trackers").get<Names>();
  if (seen == expected && foreign == 0) return "";
  return fmt::format("shows {}{}, expected {}", fmt::join(seen, ", "),
                     foreign > 0 ? fmt::format(" and {} others", foreign) : "",
                     fmt::join(expected, ", "));
}

// Storage that answers a LOW is taken, unless the snapshot is going, the disk has gone, or there is
// no memory.
void judge_answers(const History& history, const Snapshot& snapshot, CheckResult& result) {
  for (const Answer& answer : snapshot.answers) {
    ++result.exercised["calls"];
    const bool going = answer.result == ESRCH && answer.returned > snapshot.destroy_called;
    if (answer.result == 0 || answer.result == ENOMEM || going ||
        history.was_pulled(answer.disk, 0, answer.returned))
      continue;
    add_finding(result, Kind::errno_result, "", snapshot.cycle, Evidence{.focus = answer.returned},
                fmt::format("The APPEND of snapshot {} that answers LOW gave {}, expected 0. {}",
                            snapshot.name, answer.result, marks_around(history, answer.returned)));
  }
}

}  // namespace

void check_errno(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["errno"];
  result.exercised["calls"] += 0;
  for (const plan::Step& step : facts.history.plan.steps) {
    const StepRun& run = facts.history.steps[step.id];
    if (!run.finished() || !facts.in_scope(step.cycle)) continue;
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    ++result.exercised["calls"];
    if (step.op == "kunit")
      result.exercised["kunit_cases"] += run.answer.value("kunit_cases", std::uint64_t{0});
    const bool right = std::any_of(step.expect.begin(), step.expect.end(),
                                   [&](std::int32_t expected) { return expected == run.result; });
    const std::string list = wrong_list(step, run);
    if (!list.empty()) {
      add_finding(result, Kind::errno_result, "", step.cycle,
                  Evidence{.steps = {step.id}, .focus = run.called},
                  fmt::format("Step {} {} {}. {}", step.id, step.op, list,
                              marks_around(facts.history, run.called)));
    }
    if (right) continue;
    std::string expected;
    for (const std::int32_t value : step.expect) {
      expected += (expected.empty() ? "" : " or ") + std::to_string(value);
    }
    add_finding(
        result, Kind::errno_result, step.args.value("device", std::string()), step.cycle,
        Evidence{.steps = {step.id}, .focus = run.called},
        fmt::format("Step {} {} {} gave {}, expected {}; its answer was {}. {}", step.id, step.op,
                    step.args.dump().substr(0, 200), run.result, expected,
                    run.answer.dump().substr(0, 400), marks_around(facts.history, run.called)),
        run.result == ETIMEDOUT);
  }
  for (const Snapshot& snapshot : facts.history.snapshots)
    if (facts.in_scope(snapshot.cycle)) judge_answers(facts.history, snapshot, result);
}

}  // namespace snapbed::model
