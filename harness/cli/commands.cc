// SPDX-License-Identifier: GPL-2.0-or-later
// run, verify, journal and doctor.
#include "cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "journal/print.h"
#include "journal/reader.h"
#include "plan/mark.h"
#include "runner/archive.h"
#include "runner/execute.h"
#include "runner/explain.h"
#include "runner/interrupt.h"
#include "vm/accel_probe.h"
#include "vm/doctor.h"
#include "vm/libvirt_machine.h"
#include "vm/qemu_machine.h"

namespace snapbed::cli {
namespace {

namespace fs = std::filesystem;

fs::path cache() {
  return vm::libvirt_cache().parent_path();
}

vm::Accel accel(const CommonOptions& options) {
  if (options.accel == "tcg") return vm::Accel::tcg;
  const vm::AccelProbe probe =
      vm::probe_kvm(vm::kvm_cache_file(cache()), vm::qemu_version().value_or(""), false);
  return vm::choose_accel(
      options.accel == "kvm" ? vm::AccelChoice::kvm : vm::AccelChoice::automatic, probe);
}

std::string extra_repeat(const CommonOptions& options) {
  std::string extra;
  for (const std::string& word : common_words(options)) extra += " " + word;
  return extra;
}

struct Tally {
  int passed = 0;
  int failed = 0;
  int broken = 0;
  int skipped = 0;
  int status = 0;  // the worst: 1 before 3 before 4

  void add(int one) {
    passed += one == 0;
    failed += one == 1;
    broken += one == kBroken;
    skipped += one == 4;
    if (status != 1 && one != 0) status = one == 1 || status == 0 ? one : std::min(status, one);
  }
};

}  // namespace

runner::Options run_options(const CommonOptions& options) {
  runner::Options out;
  out.seed = options.seed;
  out.cycles = options.cycles;
  out.vcpus = options.vcpus;
  out.memory_mib = options.memory_mib;
  out.parts = options.parts;
  out.program = options.program;
  out.out = options.out;
  out.keep = options.keep;
  out.dump = options.dump;
  out.extra_repeat = extra_repeat(options);
  return out;
}

runner::Host make_host(const CommonOptions& options, vm::Guardian& guardian,
                       std::optional<vm::LibvirtHost>& libvirt) {
  runner::Host host;
  host.guardian = &guardian;
  host.accel = accel(options);
  host.make_direct_machine = [&guardian](const vm::MachineConfig& config) {
    return vm::make_qemu_machine(config, &guardian);
  };
  if (options.connect == "qemu:") {
    host.make_machine = host.make_direct_machine;
    return host;
  }
  libvirt.emplace(options.connect.empty()
                      ? vm::LibvirtHost::embedded(vm::libvirt_cache(), &guardian)
                      : vm::LibvirtHost::connect(options.connect));
  host.make_machine = [&libvirt](const vm::MachineConfig& config) {
    return libvirt->machine(config);
  };
  return host;
}

namespace {

struct Repeats {
  std::uint32_t runs = 0;
  std::uint32_t failed = 0;
  std::map<std::string, std::uint32_t> ways;  // "fail (check-failed)" -> how often
};

void print_repeats(const scenario::Scenario& scenario, std::uint64_t seed, const Repeats& repeats) {
  std::string ways;
  for (const auto& [way, count] : repeats.ways)
    ways += fmt::format("{}{} x {}", ways.empty() ? "" : ", ", count, way);
  fmt::print("{} seed {}: failed in {} of {} runs ({})\n", scenario.name, seed, repeats.failed,
             repeats.runs, ways);
}

}  // namespace

std::vector<std::string> common_words(const CommonOptions& options) {
  std::vector<std::string> words;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  add("--kernel", options.parts.kernel);
  add("--module", options.parts.module);
  add("--amplifier", options.parts.amplifier);
  add("--image", options.parts.image);
  add("--plugin", options.parts.plugin);
  add("--accel", options.accel == "auto" ? "" : options.accel);
  add("--connect", options.connect);
  if (options.vcpus) add("--vcpus", std::to_string(*options.vcpus));
  if (options.memory_mib) add("--memory", std::to_string(*options.memory_mib));
  if (options.grow_sectors > 0) add("--grow", std::to_string(options.grow_sectors));
  return words;
}

int run(const CommonOptions& options) {
  std::vector<scenario::Scenario> scenarios;
  for (const fs::path& file : find_scenarios(options.scenarios, options.names)) {
    scenarios.push_back(scenario::load(file));
    scenario::grow(scenarios.back(), options.grow_sectors);
  }
  // Before any thread or child: the guardian forks, and a missing part should cost nothing.
  runner::require_programs();
  runner::find_parts(options.parts, options.program);
  vm::Guardian guardian = vm::Guardian::start();
  runner::catch_interrupts();
  std::optional<vm::LibvirtHost> libvirt;
  const runner::Host host = make_host(options, guardian, libvirt);
  Tally tally;
  for (const scenario::Scenario& scenario : scenarios) {
    runner::Options wanted = run_options(options);
    Repeats repeats;
    for (std::uint32_t i = 1; i <= options.times; ++i) {
      // Every repetition has a folder of its own: a pass must not empty what a failure left.
      if (options.times > 1) wanted.out = options.out / fmt::format("times-{}", i);
      const runner::Result result = runner::execute(scenario, wanted, host);
      wanted.seed = result.setting.seed;
      runner::print_result(scenario, result);
      const int status = runner::exit_status(scenario, result);
      if (runner::interrupted()) return status;
      tally.add(status);
      ++repeats.runs;
      repeats.failed += status == 1;
      ++repeats.ways[fmt::format("{} ({})", to_string(result.decision.status),
                                 to_string(result.decision.reason))];
    }
    if (options.times > 1) print_repeats(scenario, *wanted.seed, repeats);
  }
  if (scenarios.size() > 1 || options.times > 1)
    fmt::print("{} passed, {} failed, {} broken, {} skipped\n", tally.passed, tally.failed,
               tally.broken, tally.skipped);
  return tally.status;
}

int verify(const CommonOptions& options) {
  const scenario::Scenario scenario = runner::read_archive(options.folder).scenario;
  const runner::Result result = runner::verify(options.folder);
  runner::print_result(scenario, result);
  // 130 is for the one who was interrupted, not for its record.
  const int status = runner::exit_status(scenario, result);
  return status == kInterrupted ? kBroken : status;
}

int explain(const CommonOptions& options) {
  const runner::Archived archived = runner::read_archive(options.folder);
  const runner::Explanation explanation = runner::explain(archived, options.folder);
  fmt::print("{}\n", explanation.text);
  runner::print_verdict(archived.scenario, explanation.result);
  const int status = runner::exit_status(archived.scenario, explanation.result);
  return status == kInterrupted ? kBroken : status;
}

int print_journal(const CommonOptions& options) {
  const journal::Journal journal = journal::read_journal(options.folder);
  journal::print(journal, std::cout, plan::mark_words);
  if (!journal.complete)
    std::cerr << "snapbed: the journal is cut short: " << journal.trouble << "\n";
  return journal.complete ? 0 : kBroken;
}

int doctor(const CommonOptions& options) {
  vm::DoctorOptions asked;
  asked.cache = cache();
  asked.output = fs::absolute(options.out);
  asked.plugin = options.parts.plugin.empty() ? options.program.parent_path().parent_path() /
                                                    "recorder/nbdkit-snapbed-plugin.so"
                                              : options.parts.plugin;
  asked.force = options.force;
  vm::Guardian guardian = vm::Guardian::start();
  const vm::Diagnosis diagnosis = vm::diagnose(asked, &guardian);
  vm::print(diagnosis, std::cout);
  return diagnosis.healthy() ? 0 : kBroken;
}

}  // namespace snapbed::cli
