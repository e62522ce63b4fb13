// SPDX-License-Identifier: GPL-2.0-or-later
// Check `leak`: nothing of the module was there after an rmmod that succeeded. The guest looks for
// caches, threads, nodes, entries in /sys and /proc, disks held open, more memory in use than
// before, and on a kernel with kmemleak for memory that nobody points to.
#include <fmt/format.h>

#include <map>

#include "model/checks.h"

namespace snapbed::model {

void check_leak(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["leak"];
  for (const char* counter : {"unloads", "looked", "kmemleak_scans", "kmemleak_foreign"}) {
    result.exercised[counter] += 0;
  }
  std::map<std::uint32_t, std::uint64_t> reported;  // by step
  for (const PlacedMark& placed : facts.history.marks) {
    if (placed.mark.kind != plan::MarkKind::leak) continue;
    ++reported[placed.mark.step];
    if (!facts.in_scope(placed.mark.cycle)) continue;
    add_finding(result, Kind::leak_left, "", placed.mark.cycle, Evidence{.focus = placed.begin},
                fmt::format("After rmmod there was still {}. {}",
                            placed.text.value("what", std::string("something unnamed")),
                            marks_around(facts.history, placed.begin)));
  }
  for (const plan::Step& step : facts.history.plan.steps) {
    const StepRun& run = facts.history.steps[step.id];
    if (step.op != "rmmod" || !run.succeeded() || !facts.in_scope(step.cycle)) continue;
    if (!run.answer.contains("looked")) {
      throw BrokenRecord(fmt::format("step {} (rmmod) does not say what it looked at", step.id));
    }
    const std::uint64_t told = run.answer.value("left", std::uint64_t{0});
    if (told != reported[step.id]) {
      throw BrokenRecord(fmt::format("step {} (rmmod) found {} things left, {} were reported",
                                     step.id, told, reported[step.id]));
    }
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    ++result.exercised["unloads"];
    for (const char* counter : {"looked", "kmemleak_scans", "kmemleak_foreign", "pages_growth_kib",
                                "objects_growth_kib"}) {
      result.exercised[counter] += run.answer.value(counter, std::uint64_t{0});
    }
  }
}

}  // namespace snapbed::model
