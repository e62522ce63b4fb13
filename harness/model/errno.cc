// SPDX-License-Identifier: GPL-2.0-or-later
// Check `errno`: every call and program of the plan gave one of the results that its step expects.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "model/checks.h"

namespace snapbed::model {

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
}

}  // namespace snapbed::model
