// SPDX-License-Identifier: GPL-2.0-or-later
// The commands of snapbed. Each returns its exit status and throws scenario::BadScenario for bad
// input, std::exception for anything the host refuses.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runner/execute.h"
#include "runner/parts.h"
#include "scenario/scenario.h"
#include "vm/guardian.h"
#include "vm/libvirt_machine.h"

namespace snapbed::cli {

inline constexpr int kBadInput = 2;
inline constexpr int kBroken = 3;
inline constexpr int kInterrupted = 130;

struct CommonOptions {
  std::filesystem::path program;
  std::vector<std::string> names;
  std::filesystem::path scenarios = "scenarios";
  std::filesystem::path out = "out";
  std::filesystem::path folder;
  runner::Parts parts;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint32_t> cycles;
  std::optional<std::uint32_t> vcpus;
  std::optional<std::uint32_t> memory_mib;
  std::string accel = "auto";
  std::string connect;
  std::uint64_t grow_sectors = 0;  // added to every data disk
  std::uint32_t times = 1;         // that each scenario is run, with one seed
  double hours = 1;
  std::uint32_t machines = 0;
  std::string budget = "8G";
  std::vector<std::string> variants;  // NAME=KERNEL:MODULE
  std::filesystem::path canary;       // a mutant's patch
  std::filesystem::path canary_module;
  std::filesystem::path canary_kernel;
  bool check = false;  // classes
  bool write = false;
  bool keep = false;
  bool dump = false;
  bool force = false;
  std::string geometry = "small";
  std::optional<std::size_t> part;       // of `scripts`: at most so many
  std::optional<std::size_t> only;       // of `scripts`: this one
  std::optional<std::uint32_t> minutes;  // of `scripts`: begins no batch after them
};

struct BenchOptions {
  std::uint32_t rounds = 5;
  std::uint32_t divide = 1;  // every load so many times shorter
  std::string only;          // experiments, between commas; empty: all
  std::filesystem::path disks = "/dev/shm";
  bool clock = true;
  bool count = true;
};

int run(const CommonOptions& options);
int scripts(const CommonOptions& options);
int classes(const CommonOptions& options);
int stress(const CommonOptions& options);
int list(const CommonOptions& options);
int verify(const CommonOptions& options);
int explain(const CommonOptions& options);
int print_journal(const CommonOptions& options);
int shell(const CommonOptions& options);
int doctor(const CommonOptions& options);
int bench(const CommonOptions& options, const BenchOptions& bench);

runner::Options run_options(const CommonOptions& options);
// One libvirt connection for all runs: the embedded driver allows no second. It is put into
// `libvirt`; that and the guardian outlive the host.
runner::Host make_host(const CommonOptions& options, vm::Guardian& guardian,
                       std::optional<vm::LibvirtHost>& libvirt);

// The options of a run that are not its scenario, seed and cycles, as one would type them.
std::vector<std::string> common_words(const CommonOptions& options);

// Every scenario file of a folder, sorted. Throws BadScenario.
std::vector<std::filesystem::path> all_scenarios(const std::filesystem::path& folder);
// Files of the scenarios meant by `names`: paths, names without .toml, @tags. Throws BadScenario.
std::vector<std::filesystem::path> find_scenarios(const std::filesystem::path& folder,
                                                  const std::vector<std::string>& names);

}  // namespace snapbed::cli
