// SPDX-License-Identifier: GPL-2.0-or-later
// Check `abi`: every case of the interface that the guest tried gave one of the results that are
// right. The guest reports what came; what is compared here. A case that was counted and not
// reported makes the record broken.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model/checks.h"

namespace snapbed::model {

namespace {

constexpr const char* kCounters[] = {"cases",       "storm_calls",    "storm_creates",
                                     "storm_takes", "storm_destroys", "sites",
                                     "worker_sites"};

std::string listed(const nlohmann::json& expected) {
  std::string text;
  for (const auto& one : expected) {
    text += (text.empty() ? "" : " or ") + one.get<std::string>();
  }
  return text;
}

// Results of which a limit of time is all there is to say: the kernel's, and the agent's own word
// for a call that did not come back in time.
bool rests_on_time(const std::string& got) {
  return got == "ETIMEDOUT" || got == "waited on";
}

// The case in `text` as a finding's sentence; empty when its result is right.
std::string contradiction(const nlohmann::json& text) {
  const auto got = text.at("got").get<std::string>();
  const auto& expected = text.at("expected");
  if (std::any_of(expected.begin(), expected.end(), [&](const auto& one) { return one == got; })) {
    return "";
  }
  return fmt::format("{}, {}: got {}, expected {}", text.at("call").get<std::string>(),
                     text.at("with").get<std::string>(), got, listed(expected));
}

}  // namespace

void check_abi(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["abi"];
  for (const char* counter : kCounters) result.exercised[counter] += 0;
  std::map<std::uint32_t, std::uint64_t> reported;  // by step
  for (const PlacedMark& placed : facts.history.marks) {
    if (placed.mark.kind != plan::MarkKind::abi_case) continue;
    ++reported[placed.mark.step];
    if (!facts.in_scope(placed.mark.cycle)) continue;
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    ++result.exercised["cases"];
    std::string what;
    try {
      what = contradiction(placed.text);
    } catch (const nlohmann::json::exception& error) {
      throw BrokenRecord(fmt::format("mark {} is no case: {}", placed.mark.sequence, error.what()));
    }
    if (what.empty()) continue;
    add_finding(result, Kind::abi_case, "", placed.mark.cycle, Evidence{.focus = placed.begin},
                what + ". " + marks_around(facts.history, placed.begin),
                rests_on_time(placed.text.at("got").get<std::string>()));
  }
  for (const plan::Step& step : facts.history.plan.steps) {
    const StepRun& run = facts.history.steps[step.id];
    if (!run.finished() || !run.answer.contains("cases")) continue;
    const auto told = run.answer.at("cases").get<std::uint64_t>();
    if (told != reported[step.id]) {
      throw BrokenRecord(fmt::format("step {} ({}) tried {} cases, {} were reported", step.id,
                                     step.op, told, reported[step.id]));
    }
    if (!facts.in_scope(step.cycle)) continue;
    for (const char* counter : kCounters) {
      if (std::string_view(counter) == "cases") continue;
      result.exercised[counter] += run.answer.value(counter, std::uint64_t{0});
    }
  }
}

}  // namespace snapbed::model
