// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/fd.h"
#include "base/file.h"
#include "journal/reader.h"
#include "model/facts.h"
#include "plan/plan.h"
#include "runner/opinions.h"
#include "scenario/log_licence.h"
#include "scenario/plan_build.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kFioResultLimit = 64ULL << 20U;  // bytes; fio's JSON is some kilobytes

nlohmann::json read_verdict(const fs::path& folder) {
  const fs::path file = folder / kVerdictFile;
  auto verdict = nlohmann::json::parse(base::read_file(file), nullptr, false);
  const auto wrong = [&](const char* what) {
    return std::runtime_error(file.string() + " " + what + "; expected what `snapbed run` wrote");
  };
  if (!verdict.is_object()) throw wrong("is no JSON object");
  if (!verdict.contains("scenario") || !verdict["scenario"].is_string())
    throw wrong("names no scenario");
  if (!verdict.contains("cycles") || !verdict["cycles"].is_number_unsigned() ||
      verdict["cycles"] == 0U || verdict["cycles"] > std::uint64_t{scenario::kCycleLimit})
    throw wrong("tells no usable number of cycles");
  return verdict;
}

// How the run ended, as far as it told. A record that ends before the plan's end is not `done`,
// whatever verdict.json says.
Run archived_run(const nlohmann::json& verdict, const journal::Journal& journal) {
  Run run;
  run.booted = count_marks(journal, plan::MarkKind::boot) > 0;
  const bool done = count_marks(journal, plan::MarkKind::done) > 0;
  const auto told = verdict.contains("ending") ? verdict["ending"] : nlohmann::json::object();
  const auto ending = parse_ending(string_or(told, "how", done ? "done" : "agent-failed"));
  if (!ending)
    throw std::runtime_error(std::string(kVerdictFile) + " says that the run ended by " +
                             told.dump() + ", which this snapbed does not know");
  run.ending = *ending;
  run.what = string_or(told, "what", "the record holds no mark of the plan's end");
  if (run.ending == Ending::done && !done)
    run = {Ending::agent_failed, "the record holds no mark of the plan's end", run.booted, {}, {}};
  run.starved = string_or(told, "starved", "");
  run.late = !told.contains("late") || !told["late"].is_boolean() || told["late"].get<bool>();
  return run;
}

}  // namespace

std::string string_or(const nlohmann::json& object, const char* key, const std::string& otherwise) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return otherwise;
  return object[key].get<std::string>();
}

model::FilesReader files_reader(const fs::path& folder) {
  const fs::path file = folder / "files.img";
  const auto fd = std::make_shared<base::UniqueFd>(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  return [fd](std::uint64_t offset, std::span<std::uint8_t> out) {
    if (!*fd) return false;
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd->get(), out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got <= 0) return false;
      done += static_cast<std::size_t>(got);
    }
    return true;
  };
}

model::Expectations expectations(const scenario::Scenario& scenario, std::uint32_t cycles,
                                 const fs::path& folder) {
  model::Expectations expected;
  expected.minimum = scenario::scaled_minimum(scenario, cycles);
  for (const auto& [counter, least] : scenario.each_cycle)
    expected.minimum["cycle." + counter] = least;
  expected.judged = scenario.judged;
  expected.strict = scenario.strict;
  expected.met = scenario.met;
  expected.budget_bytes = scenario.budget_bytes;
  if (!scenario.second_opinion.empty())
    expected.opinion = [folder](std::uint32_t cycle) { return read_opinion(folder, cycle); };
  return expected;
}

std::vector<std::regex> allowed_log(const scenario::Scenario& scenario) {
  std::vector<std::regex> allowed;
  for (const std::string& pattern : scenario.allow_log) allowed.emplace_back(pattern);
  for (const std::string& licence : scenario::licensed_log(scenario)) allowed.emplace_back(licence);
  return allowed;
}

model::CheckResult log_check(const vm::ConsoleParser& parser) {
  model::CheckResult result;
  result.exercised["lines"] = parser.lines();
  result.exercised["allowed"] = parser.allowed();
  if (parser.lines() == 0) {
    result.reason = "the console stayed empty";
    return result;
  }
  result.outcome = model::Outcome::pass;
  for (const vm::ConsoleFinding& finding : parser.findings()) {
    const bool rests_on_time = finding.kind == vm::ConsoleKind::hung_task ||
                               finding.kind == vm::ConsoleKind::rcu_stall ||
                               finding.kind == vm::ConsoleKind::lockup;
    model::add_finding(result, model::Kind::log_kernel, "", 0, {},
                       fmt::format("{}: {} (console.log, lines {} to {})", to_string(finding.kind),
                                   finding.title, finding.first_line, finding.last_line),
                       rests_on_time);
  }
  result.found = parser.found();  // the parser keeps kConsoleFindingLimit of them
  return result;
}

model::CheckResult watchdog_check(const journal::Journal& journal, const Run& run) {
  model::CheckResult result;
  std::uint32_t cycle = 0;
  std::uint64_t steps = 0;
  for (const journal::MarkBytes& bytes : journal.marks) {
    const auto mark = plan::decode_mark(bytes.bytes);
    if (!mark) continue;
    cycle = std::max(cycle, mark->cycle);
    steps += mark->kind == plan::MarkKind::step_end;
  }
  result.exercised["steps"] = steps;
  // A step that waits in vain for the module is no progress either, although the guest lives.
  if (run.ending == Ending::guest_hung || run.ending == Ending::module_broke_interface) {
    const bool rests_on_time = run.ending == Ending::guest_hung || run.late;
    model::add_finding(result, model::Kind::watchdog_stuck, "", cycle, {}, run.what, rests_on_time);
  } else if (steps > 0) {
    result.outcome = model::Outcome::pass;
  } else {
    result.reason = "no step came to its end";
  }
  return result;
}

namespace {

// Some actions are on record only to tell why nothing was done, or how it was undone.
bool acted(const std::string& how) {
  return how != "full" && how != "alone" && !how.starts_with("back ");
}

}  // namespace

std::vector<RuleTally> tally_rules(const scenario::Scenario& scenario,
                                   const journal::Journal& journal) {
  std::vector<RuleTally> tallies;
  for (const scenario::Rule& rule : scenario.rules)
    tallies.push_back({rule.text, rule.optional, 0, {}});
  for (const journal::RuleAction& action : journal.rule_actions) {
    if (action.rule >= tallies.size()) continue;
    RuleTally& tally = tallies[action.rule];
    ++tally.how[action.how];
    tally.fired += acted(action.how) ? 1U : 0U;
  }
  return tallies;
}

std::map<std::string, std::uint64_t> tally_amplifiers(const journal::Journal& journal) {
  std::map<std::string, std::uint64_t> counts;
  const plan::Plan plan = plan::from_text(journal.plan);
  for (const journal::MarkBytes& bytes : journal.marks) {
    const auto mark = plan::decode_mark(bytes.bytes);
    if (!mark || mark->kind != plan::MarkKind::step_end || mark->step >= plan.steps.size() ||
        plan.steps[mark->step].op != "calm")
      continue;
    const auto told = nlohmann::json::parse(mark->text, nullptr, false);
    if (!told.is_object()) continue;
    for (const auto& [name, value] : told.items())
      if (name != "result" && value.is_number_unsigned())
        counts[name] += value.get<std::uint64_t>();
  }
  return counts;
}

std::uint64_t count_marks(const journal::Journal& journal, plan::MarkKind kind) {
  std::uint64_t count = 0;
  for (const journal::MarkBytes& bytes : journal.marks) {
    const auto mark = plan::decode_mark(bytes.bytes);
    if (mark && mark->kind == kind) ++count;
  }
  return count;
}

void extract_fio(const fs::path& folder, const journal::Journal& journal) {
  const plan::Plan plan = plan::from_text(journal.plan);
  const model::FilesReader read = files_reader(folder);
  for (const journal::MarkBytes& bytes : journal.marks) {
    const auto mark = plan::decode_mark(bytes.bytes);
    if (!mark || mark->kind != plan::MarkKind::step_end || mark->step >= plan.steps.size())
      continue;
    const plan::Step& step = plan.steps[mark->step];
    if (step.op != "fio_stop" && step.op != "fio_wait") continue;
    const auto result = nlohmann::json::parse(mark->text, nullptr, false);
    if (!result.is_object() || !result.contains("base") || !result.contains("bytes")) continue;
    const auto length = result["bytes"].get<std::uint64_t>();
    std::string text(std::min(length, kFioResultLimit), '\0');
    const std::span<std::uint8_t> out(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    if (read(result["base"].get<std::uint64_t>(), out))
      base::write_file(
          folder / fmt::format("fio-{}-{}.json", step.args.value("name", "job"), mark->cycle),
          text);
  }
}

Archived read_archive(const fs::path& folder) {
  const nlohmann::json verdict = read_verdict(folder);
  Archived out;
  out.scenario = scenario::load(folder / (verdict["scenario"].get<std::string>() + ".toml"));
  out.cycles = verdict["cycles"].get<std::uint32_t>();
  out.repeat = string_or(verdict, "repeat", "");
  out.journal = journal::read_journal(folder);
  out.console = vm::ConsoleParser(allowed_log(out.scenario));
  if (fs::exists(folder / kConsoleFile)) out.console.feed(base::read_file(folder / kConsoleFile));
  out.console.finish();
  out.run = archived_run(verdict, out.journal);
  const bool whole = out.run.ending == Ending::done;
  if (whole) out.run.rules = tally_rules(out.scenario, out.journal);
  if (whole) out.run.amplified = tally_amplifiers(out.journal);
  const auto ended =
      static_cast<std::uint32_t>(count_marks(out.journal, plan::MarkKind::cycle_end));
  if (whole || ended > 0) out.scope = model::Scope{0, whole ? model::kAllCycles : ended};
  return out;
}

void add_runner_checks(const Archived& archived, model::Report& report) {
  // Of a run that was stopped before its end only the cycles are asked for that had come to theirs.
  if (archived.run.ending == Ending::done && !archived.journal.complete && report.broken.empty())
    report.broken = "the journal is cut short: " + archived.journal.trouble;
  report.checks["log"] = log_check(archived.console);
  report.checks["watchdog"] = watchdog_check(archived.journal, archived.run);
}

}  // namespace snapbed::runner
