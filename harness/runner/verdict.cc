// SPDX-License-Identifier: GPL-2.0-or-later
// The order of precedence among things that went wrong, and how a verdict is shown.
#include "runner/verdict.h"

#include <fmt/format.h>

#include <algorithm>

namespace snapbed::runner {
namespace {

using model::CheckResult;
using model::Outcome;
using model::Report;

constexpr std::size_t kTableColumns = 95;  // more wraps in most terminals
constexpr std::size_t kCountsColumn = 18;

constexpr std::pair<const char*, Ending> kEndings[] = {
    {"done", Ending::done},
    {"finding", Ending::finding},
    {"no-boot", Ending::no_boot},
    {"guest-died", Ending::guest_died},
    {"guest-hung", Ending::guest_hung},
    {"agent-failed", Ending::agent_failed},
    {"module-broke-interface", Ending::module_broke_interface},
    {"server-stuck", Ending::server_stuck},
    {"server-failed", Ending::server_failed},
    {"host-disk-full", Ending::host_disk_full},
    {"part-missing", Ending::part_missing},
    {"host-error", Ending::host_error},
    {"interrupted", Ending::interrupted},
    {"host-lacks", Ending::host_lacks},
    {"module-lacks", Ending::module_lacks},
};

std::string outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::pass:
      return "pass";
    case Outcome::fail:
      return "fail";
    case Outcome::not_run:
      return "not run";
  }
  return "?";
}

std::vector<std::string> with_outcome(const Report& report, Outcome outcome) {
  std::vector<std::string> names;
  for (const auto& [name, check] : report.checks)
    if (check.outcome == outcome) names.push_back(name);
  return names;
}

const CheckResult* check_of(const Report& report, const std::string& name) {
  const auto found = report.checks.find(name);
  return found == report.checks.end() ? nullptr : &found->second;
}

// The clearest finding of the first failing check, with its check's name in front.
std::string paragraph(const Report& report, const std::vector<std::string>& failed) {
  for (const std::string& name : failed) {
    const CheckResult& check = report.checks.at(name);
    if (check.findings.empty()) continue;
    const model::Finding& finding = check.findings.front();
    const std::string more = check.found > 1 ? fmt::format(" (the first of {})", check.found) : "";
    const std::string device = finding.device.empty() ? "" : " of " + finding.device;
    return fmt::format("check {}{}, cycle {}{}: {}", name, device, finding.cycle, more,
                       finding.text);
  }
  return failed.empty() ? "" : "check " + failed.front() + " failed without telling why";
}

// Whether nothing but limits of time speaks in a check that failed.
bool rests_on_time(const CheckResult& check) {
  return check.found <= check.findings.size() &&
         std::all_of(check.findings.begin(), check.findings.end(),
                     [](const model::Finding& finding) { return finding.rests_on_time; });
}

// Endings that say the testbed or the host failed, whatever else was found.
std::optional<Reason> host_trouble(Ending ending) {
  switch (ending) {
    case Ending::interrupted:
      return Reason::interrupted;
    case Ending::host_disk_full:
      return Reason::host_disk_full;
    case Ending::server_stuck:
      return Reason::server_stuck;
    case Ending::server_failed:
      return Reason::server_failed;
    case Ending::part_missing:
      return Reason::part_missing;
    case Ending::host_error:
      return Reason::host_error;
    default:
      return std::nullopt;
  }
}

std::optional<Reason> guest_trouble(Ending ending) {
  switch (ending) {
    case Ending::guest_died:
      return Reason::guest_died;
    case Ending::guest_hung:
      return Reason::guest_hung;
    case Ending::module_broke_interface:
      return Reason::module_broke_interface;
    default:
      return std::nullopt;
  }
}

std::string not_run_text(const Report& report, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += fmt::format("{}check {} was not run: {}", text.empty() ? "" : "; ", name,
                        report.checks.at(name).reason);
  return text;
}

// "match 3, time 1".
std::string how_text(const RuleTally& rule) {
  std::string text;
  for (const auto& [how, count] : rule.how)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", how, count);
  return text;
}

// A run that came to its end without any contradiction: was it worth anything?
Decision decide_quiet(const Run& run, const Report& report) {
  if (!report.broken.empty()) return {Status::broken, Reason::record_unsound, report.broken};
  for (const RuleTally& rule : run.rules)
    if (rule.fired == 0 && !rule.optional)
      return {Status::broken, Reason::rule_never_fired,
              fmt::format("the rule \"{}\" of the scenario never acted ({})", rule.text,
                          rule.how.empty() ? "it met no request" : how_text(rule))};
  const auto idle = with_outcome(report, Outcome::not_run);
  if (!idle.empty()) return {Status::broken, Reason::not_exercised, not_run_text(report, idle)};
  if (with_outcome(report, Outcome::pass).empty())
    return {Status::broken, Reason::not_exercised, "no check was run at all"};
  return {Status::pass, Reason::all_checks_passed, "every check passed"};
}

}  // namespace

std::string to_string(Status status) {
  switch (status) {
    case Status::pass:
      return "pass";
    case Status::fail:
      return "fail";
    case Status::bad_input:
      return "bad input";
    case Status::broken:
      return "broken";
    case Status::skip:
      return "skip";
  }
  return "?";
}

std::string to_string(Reason reason) {
  switch (reason) {
    case Reason::all_checks_passed:
      return "all-checks-passed";
    case Reason::check_failed:
      return "check-failed";
    case Reason::kernel_log:
      return "kernel-log";
    case Reason::guest_died:
      return "guest-died";
    case Reason::guest_hung:
      return "guest-hung";
    case Reason::module_broke_interface:
      return "module-broke-interface";
    case Reason::no_boot:
      return "no-boot";
    case Reason::agent_failed:
      return "agent-failed";
    case Reason::record_unsound:
      return "record-unsound";
    case Reason::not_exercised:
      return "not-exercised";
    case Reason::rule_never_fired:
      return "rule-never-fired";
    case Reason::server_stuck:
      return "server-stuck";
    case Reason::server_failed:
      return "server-failed";
    case Reason::host_disk_full:
      return "host-disk-full";
    case Reason::part_missing:
      return "part-missing";
    case Reason::host_error:
      return "host-error";
    case Reason::host_starved:
      return "host-starved";
    case Reason::interrupted:
      return "interrupted";
    case Reason::host_cannot:
      return "host-cannot";
    case Reason::module_cannot:
      return "module-cannot";
  }
  return "?";
}

std::string to_string(Ending ending) {
  for (const auto& [name, value] : kEndings)
    if (value == ending) return name;
  return "?";
}

std::optional<Ending> parse_ending(const std::string& name) {
  for (const auto& [known, value] : kEndings)
    if (known == name) return value;
  return std::nullopt;
}

Decision decide(const Run& run, const Report& report) {
  if (run.ending == Ending::host_lacks) return {Status::skip, Reason::host_cannot, run.what};
  if (run.ending == Ending::module_lacks) return {Status::skip, Reason::module_cannot, run.what};
  if (const auto reason = host_trouble(run.ending)) return {Status::broken, *reason, run.what};
  if (!run.booted || run.ending == Ending::no_boot)
    return {Status::broken, Reason::no_boot, run.what};

  auto failed = with_outcome(report, Outcome::fail);
  if (!run.starved.empty()) {
    const std::string late = paragraph(report, failed);
    const bool some = std::erase_if(failed, [&](const std::string& name) {
                        return rests_on_time(report.checks.at(name));
                      }) > 0;
    if (some && failed.empty())
      return {Status::broken, Reason::host_starved,
              run.starved + ", so this says nothing: " + late};
  }
  // A hang or a death has its kernel message as the better explanation.
  const bool log_failed = std::find(failed.begin(), failed.end(), "log") != failed.end();
  const auto judged = std::find_if(failed.begin(), failed.end(), [](const std::string& name) {
    return name != "log" && name != "watchdog";
  });
  // Findings of a record that cannot be trusted prove nothing; the kernel's own words do.
  const bool whole = run.ending == Ending::done || run.ending == Ending::finding;
  const bool trusted = report.broken.empty() || !whole;
  if (judged != failed.end() && trusted) {
    std::rotate(failed.begin(), judged, judged + 1);
    return {Status::fail, Reason::check_failed, paragraph(report, failed)};
  }
  if (log_failed) return {Status::fail, Reason::kernel_log, paragraph(report, {"log"})};
  if (const auto reason = guest_trouble(run.ending)) return {Status::fail, *reason, run.what};
  if (run.ending == Ending::agent_failed) return {Status::broken, Reason::agent_failed, run.what};
  // A run that was stopped for a finding has not come to its end, and must not pass without it.
  if (run.ending == Ending::finding)
    return {Status::broken, Reason::record_unsound, run.what + ", but nothing was found again"};
  return decide_quiet(run, report);
}

nlohmann::json to_json(const Setting& setting, const Decision& decision, const Report& report) {
  nlohmann::json out = {
      {"scenario", setting.scenario},
      {"seed", setting.seed},
      {"verdict", to_string(decision.status)},
      {"reason", to_string(decision.reason)},
      {"explanation", decision.explanation},
      {"repeat", setting.repeat},
      {"cycles", setting.cycles},
      {"cycles_judged", report.cycles.size()},
      {"snapshots", report.snapshots},
      {"writes", report.writes},
      {"bytes_written", report.bytes_written},
      {"sectors_judged", report.sectors_judged},
      {"ending",
       {{"how", to_string(setting.run.ending)},
        {"what", setting.run.what},
        {"starved", setting.run.starved},
        {"late", setting.run.late},
        {"nudges", setting.run.nudges}}},
      {"wall_s", setting.wall_s},
      {"accel", setting.accel},
      {"kernel",
       {{"release", setting.kernel},
        {"file", setting.kernel_file},
        {"patches_code", setting.patches_code}}},
      {"module",
       {{"file", setting.module_file},
        {"version", setting.module_version},
        {"hash", setting.module_hash}}},
      {"rules", nlohmann::json::array()},
      {"amplified", setting.run.amplified},
      {"checks", nlohmann::json::object()},
      {"exercised", nlohmann::json::object()},
      {"findings", nlohmann::json::array()},
  };
  for (const RuleTally& rule : setting.run.rules)
    out["rules"].push_back({{"rule", rule.text},
                            {"fired", rule.fired},
                            {"how", rule.how},
                            {"optional", rule.optional}});
  for (const auto& [name, check] : report.checks) {
    out["checks"][name] = outcome_text(check.outcome);
    out["exercised"][name] = check.exercised;
    if (check.outcome == Outcome::not_run) out["not_run"][name] = check.reason;
    for (const model::Finding& finding : check.findings)
      out["findings"].push_back({{"check", name},
                                 {"kind", model::name_of(finding.kind)},
                                 {"device", finding.device},
                                 {"cycle", finding.cycle},
                                 {"text", finding.text}});
  }
  return out;
}

std::string cycle_table(const Report& report) {
  std::string out = fmt::format("{:>5} {:>9} {:>8} {:>12} {:>12} {:>11} {:>5}\n", "cycle", "writes",
                                "MiB", "across take", "overwritten", "judged", "snaps");
  for (const model::CycleSummary& cycle : report.cycles)
    out +=
        fmt::format("{:>5} {:>9} {:>8.1f} {:>12} {:>12} {:>11} {:>5}\n", cycle.cycle, cycle.writes,
                    static_cast<double>(cycle.bytes_written) / 1048576.0, cycle.writes_across_take,
                    cycle.sectors_overwritten, cycle.sectors_judged, cycle.snapshots);
  return out;
}

std::string check_table(const Report& report) {
  std::string out;
  for (const auto& [name, check] : report.checks) {
    std::string line = fmt::format("{:<9} {:<8}", name, outcome_text(check.outcome));
    if (check.outcome == Outcome::not_run) {
      out += line + " " + check.reason + "\n";
      continue;
    }
    for (const auto& [counter, value] : check.exercised) {
      const std::string count = fmt::format(" {} {}", counter, value);
      if (line.size() + count.size() > kTableColumns) {
        out += line + "\n";
        line = std::string(kCountsColumn, ' ');
      }
      line += count + ",";
    }
    if (line.back() == ',') line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string rule_table(const Run& run) {
  std::string out;
  for (const auto& [what, count] : run.amplified)
    out += fmt::format("{:<9} {:<8} {}\n", "amplified", count, what);
  for (const RuleTally& rule : run.rules)
    out += fmt::format("{:<9} {:<8} {}{}\n", "rule", rule.fired,
                       rule.how.empty() ? "" : how_text(rule) + ": ", rule.text);
  return out;
}

std::string difference(const Promise& promise, const Decision& decision, const Report& report) {
  const std::string verdict = to_string(decision.status);
  if (verdict != promise.verdict)
    return fmt::format("promised the verdict {}, got {} ({}): {}", promise.verdict, verdict,
                       to_string(decision.reason), decision.explanation);
  if (promise.reason && *promise.reason != to_string(decision.reason))
    return fmt::format("promised the reason {}, got {}: {}", *promise.reason,
                       to_string(decision.reason), decision.explanation);
  if (promise.check) {
    const CheckResult* check = check_of(report, *promise.check);
    if (check == nullptr || check->outcome != Outcome::fail)
      return fmt::format("promised that check {} fails, it did not: {}", *promise.check,
                         decision.explanation);
  }
  return "";
}

}  // namespace snapbed::runner
