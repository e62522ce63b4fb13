// SPDX-License-Identifier: GPL-2.0-or-later
// One run from the scenario to the verdict: folder, server, machine, watching, judging, report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/report.h"
#include "runner/archive.h"
#include "runner/parts.h"
#include "runner/verdict.h"
#include "scenario/scenario.h"
#include "vm/guardian.h"
#include "vm/machine.h"

namespace snapbed::runner {

struct Options {
  std::optional<std::uint64_t> seed;    // absent: from the clock
  std::optional<std::uint32_t> cycles;  // absent: the scenario's
  std::optional<std::uint32_t> vcpus;
  std::optional<std::uint32_t> memory_mib;
  Parts parts;                    // empty fields: defaults
  std::filesystem::path program;  // snapbed itself
  std::filesystem::path out = "out";
  bool dump = false;         // after a finding, the memory of the guest to memory.elf
  bool keep = false;         // keep the disks' images that the run was given
  std::string extra_repeat;  // options that belong to the line that repeats the run
};

// What the runs of one process share.
struct Host {
  vm::Guardian* guardian = nullptr;  // outlives the runs
  vm::Accel accel = vm::Accel::tcg;
  std::function<std::unique_ptr<vm::Machine>(const vm::MachineConfig&)> make_machine;
  // One whose QEMU answers execute(), whatever the other one is.
  std::function<std::unique_ptr<vm::Machine>(const vm::MachineConfig&)> make_direct_machine;
};

struct Result {
  Setting setting;
  Decision decision;
  model::Report report;
  std::filesystem::path folder;
  std::string broken_promise;  // of a scenario with [expect]: what differs; empty: all as promised
};

// Runs it and writes out/<scenario>/<seed>/. Throws only for a wrong `out` (std::runtime_error).
Result execute(const scenario::Scenario& scenario, const Options& options, const Host& host);

// Judges the record in a folder again, from nothing but its files. Throws std::runtime_error that
// names the file and what is wrong with it.
Result verify(const std::filesystem::path& folder);
// The verdict of an archived run whose journal gave this report.
Result judged_again(const Archived& archived, model::Report report);
// The last lines of print_result: the verdict, and on failure its explanation, files and repeat.
void print_verdict(const scenario::Scenario& scenario, const Result& result);

// The exit status of a run: the verdict's, or 0 and 1 for kept and broken promises of [expect].
int exit_status(const scenario::Scenario& scenario, const Result& result);

// Table per cycle, checks, verdict; on failure the explanation, the files and the line to repeat.
void print_result(const scenario::Scenario& scenario, const Result& result);

}  // namespace snapbed::runner
