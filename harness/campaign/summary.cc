// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "campaign/statistics.h"
#include "model/story.h"

namespace snapbed::campaign {

namespace {

std::string canary_text(const Canary& canary) {
  if (!canary.caught)
    return fmt::format("canary   NOT CAUGHT: {}. {} This night proves nothing.", canary.mutant,
                       canary.trouble);
  return fmt::format(
      "canary   {} was caught by {} with seed {}, in {:.0f} s: this night could see a failure",
      canary.mutant, canary.by, canary.seeds, canary.seconds);
}

std::string counts_text(const Counts& counts) {
  return fmt::format("{} passed, {} failed, {} broken, {} not exercised", counts.passed,
                     counts.failed, counts.broken, counts.not_exercised);
}

std::string group_text(const Group& group) {
  std::string out =
      fmt::format("\n  {} x  {}{}\n", group.count, group.kind == Count::broken ? "broken: " : "",
                  to_string(group.signature));
  out += fmt::format("    first:   {}, seed {}, {} kernel\n", group.first.scenario,
                     group.first.seed, group.first.variant);
  if (!group.first.explanation.empty()) out += model::wrapped(group.first.explanation, 6);
  if (group.tried > 0)
    out += fmt::format("    again:   fails in {} of {} re-runs\n", group.again, group.tried);
  out += fmt::format("    repeat:  {}\n", group.first.repeat);
  return out + (group.kind == Count::fail
                    ? fmt::format("    explain: snapbed explain {}\n", group.first.folder)
                    : fmt::format("    kept:    {}\n", group.first.folder));
}

std::string scenario_table(const Night& night) {
  std::size_t width = 8;
  for (const auto& [key, counts] : night.by_scenario) width = std::max(width, key.first.size());
  std::string out =
      fmt::format("\n  {:<{}}  {:<7} {:>6} {:>6} {:>6} {:>6}  {}\n", "scenario", width, "kernel",
                  "passed", "failed", "broken", "idle", "fails in less than");
  for (const auto& [key, counts] : night.by_scenario)
    out += fmt::format(
        "  {:<{}}  {:<7} {:>6} {:>6} {:>6} {:>6}  {}\n", key.first, width, key.second,
        counts.passed, counts.failed, counts.broken, counts.not_exercised,
        counts.judged() == 0 ? std::string("-")
                             : percent(failure_rate_bound(counts.failed, counts.judged())));
  return out;
}

// What the colour means, in a sentence somebody can quote.
std::string meaning(const Night& night) {
  const std::uint64_t runs = night.counts.judged();
  if (runs == 0) return "NOTHING was judged: this night says nothing about the module.";
  const double bound = failure_rate_bound(night.counts.failed, runs);
  if (night.counts.failed > 0)
    return fmt::format(
        "RED: {} of {} judged runs failed. With 95 % confidence the rate of failing "
        "is below {} for this mix of scenarios on this machine.",
        night.counts.failed, runs, percent(bound));
  const int status = exit_status(night);
  const char* colour = status == 0 ? "GREEN" : status == 130 ? "CUT SHORT" : "BROKEN";
  return fmt::format(
      "{}: none of {} judged runs failed. With 95 % confidence fewer than one run in "
      "{:.0f} fails ({}) for this mix of scenarios on this machine; what the "
      "scenarios do not provoke, it does not speak of.",
      colour, runs, 1 / bound, percent(bound));
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    switch (letter) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML has no way to write the others, and bytes above are not UTF-8 by our own promise.
        out += (byte < 0x20 && letter != '\n' && letter != '\t') || byte > 0x7e ? '?' : letter;
    }
  }
  return out;
}

std::string case_head(const std::string& suite, const std::string& name, double seconds) {
  return fmt::format("  <testcase classname=\"snapbed.{}\" name=\"{}\" time=\"{:.0f}\">\n",
                     escaped(suite), escaped(name), seconds);
}

std::string problem(const char* element, const std::string& what, const std::string& details) {
  return fmt::format("    <{0} message=\"{1}\">{2}</{0}>\n", element, escaped(what),
                     escaped(details));
}

// What a scenario was the first to show; its other failures are repetitions of what others showed.
std::string first_findings(const Night& night, const std::pair<std::string, std::string>& key) {
  std::string out;
  for (const Group& group : night.groups) {
    if (group.first.scenario != key.first || group.first.variant != key.second) continue;
    out += fmt::format("{} x {}: {}\nrepeat: {}\n", group.count, to_string(group.signature),
                       group.first.explanation, group.first.repeat);
  }
  return out.empty() ? "findings that another scenario showed first" : out;
}

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string live_text(const Night& night, double elapsed_s, const std::string& now) {
  return fmt::format("{} of {}  {} runs: {} passed, {} failed, {} broken  now: {}",
                     clock_text(elapsed_s), clock_text(night.hours_wanted * 3600),
                     night.counts.all(), night.counts.passed, night.counts.failed,
                     night.counts.broken, now.empty() ? "waiting" : now);
}

std::string text_summary(const Night& night) {
  std::string out =
      fmt::format("stress of {}, {} of {} h wanted{}, seed {}, {} CPUs\n\n", night.begun,
                  clock_text(night.seconds), night.hours_wanted,
                  night.interrupted ? " (interrupted)" : "", night.seed, night.host_cpus);
  out += model::wrapped(canary_text(night.canary), 2);
  out += fmt::format("  runs     {}: {}\n", night.counts.all(), counts_text(night.counts));
  out += fmt::format("  judged   {} snapshots, {} image sectors\n", night.snapshots,
                     night.sectors_judged);
  if (night.stripped > 0)
    out += fmt::format("  kept     {} records lost their journals to the disk budget\n",
                       night.stripped);
  for (const Group& group : night.groups) out += group_text(group);
  return out + scenario_table(night) + "\n" + model::wrapped(meaning(night), 2);
}

std::string junit_summary(const Night& night) {
  std::string cases = case_head("stress", "canary " + night.canary.mutant, night.canary.seconds);
  if (!night.canary.caught) cases += problem("error", "not caught", night.canary.trouble);
  cases += "  </testcase>\n";
  std::uint64_t failures = 0;
  std::uint64_t errors = night.canary.caught ? 0 : 1;
  for (const auto& [key, counts] : night.by_scenario) {
    cases += case_head(key.second, key.first, 0);
    failures += counts.failed > 0;
    errors += counts.failed == 0 && counts.broken > 0;
    const bool bad = counts.failed > 0 || counts.broken > 0;
    const std::string told = first_findings(night, key);
    if (bad) cases += problem(counts.failed > 0 ? "failure" : "error", counts_text(counts), told);
    if (counts.judged() == 0 && counts.broken == 0)
      cases += "    <skipped message=\"not exercised\"/>\n";
    cases += fmt::format("    <system-out>{}</system-out>\n  </testcase>\n", counts_text(counts));
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"snapbed stress\" "
      "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.0f}\">\n{}</testsuite>\n",
      night.by_scenario.size() + 1, failures, errors, night.seconds, cases);
}

nlohmann::json json_summary(const Night& night) {
  const auto of = [](const Counts& counts) {
    return nlohmann::json{{"passed", counts.passed},
                          {"failed", counts.failed},
                          {"broken", counts.broken},
                          {"not_exercised", counts.not_exercised}};
  };
  nlohmann::json out = {
      {"begun", night.begun},
      {"hours_wanted", night.hours_wanted},
      {"seconds", night.seconds},
      {"seed", night.seed},
      {"interrupted", night.interrupted},
      {"exit_status", exit_status(night)},
      {"runs", of(night.counts)},
      {"snapshots", night.snapshots},
      {"sectors_judged", night.sectors_judged},
      {"failure_rate_bound_95", failure_rate_bound(night.counts.failed, night.counts.judged())},
      {"meaning", meaning(night)},
      {"canary",
       {{"mutant", night.canary.mutant},
        {"caught", night.canary.caught},
        {"by", night.canary.by},
        {"seeds", night.canary.seeds},
        {"seconds", night.canary.seconds}}},
      {"findings", nlohmann::json::array()},
      {"scenarios", nlohmann::json::array()},
  };
  for (const Group& group : night.groups)
    out["findings"].push_back({{"kind", to_string(group.kind)},
                               {"check", group.signature.check},
                               {"role", group.signature.role},
                               {"title", group.signature.title},
                               {"count", group.count},
                               {"scenario", group.first.scenario},
                               {"variant", group.first.variant},
                               {"seed", group.first.seed},
                               {"explanation", group.first.explanation},
                               {"repeat", group.first.repeat},
                               {"fails_again", group.again},
                               {"re_runs", group.tried},
                               {"folder", group.first.folder}});
  for (const auto& [key, counts] : night.by_scenario) {
    nlohmann::json row = of(counts);
    row["scenario"] = key.first;
    row["variant"] = key.second;
    row["failure_rate_bound_95"] = failure_rate_bound(counts.failed, counts.judged());
    out["scenarios"].push_back(std::move(row));
  }
  return out;
}

}  // namespace snapbed::campaign
