// SPDX-License-Identifier: GPL-2.0-or-later
// Around an execution: its folder, the repeat line, verdict.json, and what is printed.
#include "runner/execute.h"

#include <fmt/format.h>

#include <chrono>
#include <fstream>

#include "base/file.h"
#include "runner/archive.h"
#include "runner/execution.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;

std::uint64_t seed_of_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
             std::chrono::duration_cast<std::chrono::microseconds>(now).count()) %
         1000000000U;
}

std::string repeat_line(const scenario::Scenario& scenario, const Options& options,
                        std::uint64_t seed, std::uint32_t cycles) {
  return fmt::format("{} run {} --seed {} --cycles {}{}", options.program.string(), scenario.file,
                     seed, cycles, options.extra_repeat);
}

std::string promise_broken(const scenario::Scenario& scenario, const Decision& decision,
                           const model::Report& report) {
  if (!scenario.expect) return "";
  return difference({scenario.expect->verdict, scenario.expect->reason, scenario.expect->check},
                    decision, report);
}

void describe_parts(const scenario::Scenario& scenario, const Options& options, Setting& setting) {
  try {
    const Parts parts = find_parts(options.parts, options.program, scenario.module_file);
    const ModuleFacts facts = module_facts(parts.module);
    setting.kernel_file = fs::canonical(parts.kernel);
    setting.module_file = fs::canonical(parts.module);
    setting.module_version = facts.version;
    setting.module_hash = facts.hash;
    setting.patches_code = facts.patches_code;
  } catch (const std::exception&) {
    // A missing part is the run's verdict already.
  }
}

void write_verdict(const fs::path& folder, const Setting& setting, const Decision& decision,
                   const model::Report& report) {
  base::write_file(folder / kVerdictFile, to_json(setting, decision, report).dump(2) + "\n");
}

// What stays in the folder when snapbed is killed: a verdict that is none, and what `verify` needs.
void write_unfinished(const Result& result) {
  Setting setting = result.setting;
  setting.run.ending = Ending::interrupted;
  setting.run.what = "the run did not come to its end: it is running, or snapbed was killed";
  write_verdict(result.folder, setting, decide(setting.run, {}), {});
}

}  // namespace

Result execute(const scenario::Scenario& scenario, const Options& options, const Host& host) {
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t seed = options.seed.value_or(seed_of_now());
  const std::uint32_t cycles = options.cycles.value_or(scenario.cycles);
  Result result;
  result.folder = make_run_folder(options.out, scenario.name, seed);
  point_latest(options.out, result.folder);
  result.setting.scenario = scenario.name;
  result.setting.seed = seed;
  result.setting.cycles = cycles;
  result.setting.repeat = repeat_line(scenario, options, seed, cycles);
  result.setting.accel = vm::to_string(host.accel);
  describe_parts(scenario, options, result.setting);
  // Before 8.1 QEMU may translate code just before it changes and keep the old.
  if (host.accel == vm::Accel::tcg && result.setting.patches_code)
    fmt::print(
        "note: this kernel changes its own code while it runs (CONFIG_JUMP_LABEL), which QEMU "
        "before 8.1 emulates wrongly at times: a hang or a write that no filter saw may be "
        "the emulator's\n");
  write_unfinished(result);
  {
    Execution execution(scenario, options, host, result.folder, seed, cycles);
    execution.run();
    result.report = execution.report();
    result.setting.run = execution.outcome();
    result.setting.kernel = execution.kernel();
  }
  result.decision = decide(result.setting.run, result.report);
  result.setting.wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.broken_promise = promise_broken(scenario, result.decision, result.report);
  try {
    write_verdict(result.folder, result.setting, result.decision, result.report);
  } catch (const std::exception& error) {
    result.decision = {Status::broken, Reason::host_disk_full, error.what()};
  }
  return result;
}

Result verify(const fs::path& folder) {
  const auto start = std::chrono::steady_clock::now();
  const Archived archived = read_archive(folder);
  model::Report report;
  if (archived.scope)
    report =
        model::judge(archived.journal, expectations(archived.scenario, archived.cycles, folder),
                     files_reader(folder), *archived.scope);
  Result result = judged_again(archived, std::move(report));
  result.folder = folder;
  result.setting.wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

Result judged_again(const Archived& archived, model::Report report) {
  Result result;
  result.report = std::move(report);
  add_runner_checks(archived, result.report);
  result.setting.run = archived.run;
  result.decision = decide(archived.run, result.report);
  if (!archived.journal.complete && result.decision.status == Status::pass)
    result.decision = {Status::broken, Reason::record_unsound, result.report.broken};
  result.setting.scenario = archived.scenario.name;
  result.setting.seed = archived.journal.seed;
  result.setting.cycles = archived.cycles;
  result.setting.repeat = archived.repeat;
  result.broken_promise = promise_broken(archived.scenario, result.decision, result.report);
  return result;
}

int exit_status(const scenario::Scenario& scenario, const Result& result) {
  if (result.decision.reason == Reason::interrupted) return 130;
  if (scenario.expect) return result.broken_promise.empty() ? 0 : 1;
  return static_cast<int>(result.decision.status);
}

void print_result(const scenario::Scenario& scenario, const Result& result) {
  fmt::print("{}{}{}", cycle_table(result.report), check_table(result.report),
             rule_table(result.setting.run));
  print_verdict(scenario, result);
}

void print_verdict(const scenario::Scenario& scenario, const Result& result) {
  const std::string folder = result.folder.string();
  std::string verdict = to_string(result.decision.status);
  for (char& letter : verdict)
    letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  fmt::print("{}  {} seed {}  ({}, {:.1f} s)  {}\n", verdict, scenario.name, result.setting.seed,
             to_string(result.decision.reason), result.setting.wall_s, folder);
  if (result.decision.status != Status::pass) {
    fmt::print(
        "  {}\n  files:  {}/verdict.json  console.log  journal (snapbed journal {})\n  more:   "
        "snapbed explain {}\n  repeat: {}\n",
        result.decision.explanation, folder, folder, folder, result.setting.repeat);
  }
  if (scenario.expect) {
    if (result.broken_promise.empty())
      fmt::print("PASS  {}: judged as it promises ({})\n", scenario.name, scenario.expect->verdict);
    else
      fmt::print("FAIL  {}: {}\n", scenario.name, result.broken_promise);
  }
}

}  // namespace snapbed::runner
