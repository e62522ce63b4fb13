// SPDX-License-Identifier: GPL-2.0-or-later
// A scenario as values: what a scenario file (TOML, docs/scenarios.md) and the fio job files
// beside it say, checked as far as it can be without a machine. Pure but for reading the files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "journal/record.h"
#include "plan/plan.h"

namespace snapbed::scenario {

// The file is wrong. what() is one line: "FILE:LINE: what is wrong; expected ... (nearest: ...)".
class BadScenario : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A disk that the scenario asks for; the runner adds plan, marks, evidence and files.
struct Disk {
  std::string name;                          // [a-z][a-z0-9-]*, at most 15 characters
  journal::Role role = journal::Role::data;  // data, storage or scratch
  journal::Initial initial = journal::Initial::seeded;
  std::uint64_t sectors = 0;           // of 512 bytes, at least 1
  std::uint32_t logical_block = 512;   // bytes: 512 or 4096
  std::uint32_t physical_block = 512;  // bytes: 512 or 4096, at least the logical one
  bool discard = true;
};

// Whether the agent can show at boot, on this disk, that every kind of request arrives.
bool takes_selftest(const Disk& disk);

// How a device comes to be: by the steps partition, dm_create, md_create, or by none of them.
enum class Kind { partition, dm, md, other };

// A device that the guest makes of its disks.
struct Device {
  std::string name;
  Kind kind = Kind::other;
  plan::Device where;
  nlohmann::json make = nlohmann::json::object();  // further arguments of the step that makes it
};

// A fio job file; %NAME% stands for a device's path, %seed% for a number of (seed, step), see
// plan_build.h.
struct Fio {
  std::string name;
  std::string file;  // as written in the scenario
  std::string text;
};

// One step as written: arguments checked and in the units of plan/plan.h, names resolved; what
// depends on seed and cycle (evidence places, fio text) is filled in by build_plan.
struct Step {
  std::uint32_t line = 0;
  std::string op;
  nlohmann::json args = nlohmann::json::object();
  std::vector<std::int32_t> expect = {0};
};

// What a meta scenario promises about its own verdict; nullopt fields are not looked at.
struct Expect {
  std::string verdict;                // pass, fail, broken or skip
  std::optional<std::string> reason;  // one of the verdict's closed list
  std::optional<std::string> check;   // a check with outcome fail
};

// A rule of the recording server.
struct Rule {
  std::uint32_t line = 0;
  std::string text;        // in the short form, for people
  bool optional = false;   // it may meet nothing
  bool must_meet = false;  // its holds must be ended by the request they wait for
  nlohmann::json config;   // as the recording server reads it
};

struct Scenario {
  std::string name;  // file name without .toml
  std::string file;
  std::string text;  // the file as read, for the archive
  std::string promise;
  std::vector<std::string> tags;
  std::vector<std::string> classes;  // bug classes that it provokes: C01, T03, ...; each once
  std::uint32_t cycles = 1;
  std::uint32_t vcpus = 2;
  std::uint64_t memory_bytes = 512ULL << 20;
  std::uint64_t stall_ms = 60000;  // no mark and no request for so long: the watchdog speaks
  bool module = true;              // false: the module is not loaded (control run)
  std::string module_file = "blksnap.ko";  // which of the modules that are built is on the disk
  bool strict = true;                      // take drains: one instant per snapshot
  std::uint64_t budget_bytes = 0;          // bound of unsaved data per snapshot, 0: not judged
  std::vector<std::string> needs;          // of the host: "kvm"; without it the run is skipped
  std::string second_opinion;       // a data disk that QEMU's own snapshot judges too; empty: none
  std::vector<std::string> judged;  // checks that must have run; empty: those the steps imply
  std::vector<std::string> kernel_arguments;
  std::vector<std::string>
      allow_log;  // regular expressions of kernel log lines that are no finding
  std::map<std::string, std::string> module_parameters;
  std::vector<Disk> disks;
  std::vector<Device> devices;
  std::vector<Fio> fios;
  std::vector<Step> setup;
  std::vector<std::vector<Step>> cycle;  // lists that the cycles take in turn; at least one
  std::vector<Step> teardown;
  std::vector<Rule> rules;                          // sentences of `rules` first, then [[rule]]s
  std::vector<std::uint32_t> met;                   // indexes of rules with must_meet
  std::map<std::string, std::uint64_t> minimum;     // "check.counter" over all `cycles` cycles
  std::map<std::string, std::uint64_t> each_cycle;  // counter of every cycle's summary
  std::optional<Expect> expect;
};

// All steps of setup, cycles and teardown, in this order; they live as long as the scenario.
std::vector<const Step*> steps_of(const Scenario& scenario);
// Whether a step of the scenario is this operation.
bool uses(const Scenario& scenario, std::string_view op);
// Whether the scenario says that it needs this of the host or the module.
bool needs(const Scenario& scenario, std::string_view what);

// The checks that a scenario or a mutant may name.
const std::vector<std::string>& check_names();

// Reads FILE and the fio files it names. Throws BadScenario.
Scenario load(const std::filesystem::path& file);

// The same from text; `folder` is where fio files are looked up. Throws BadScenario.
Scenario parse(const std::string& text, const std::filesystem::path& file,
               const std::filesystem::path& folder);

// Adds sectors to every data disk: ranges that the steps name stay inside. A multiple of the
// logical block is added, at least `sectors`.
void grow(Scenario& scenario, std::uint64_t sectors);

inline constexpr std::uint32_t kCycleLimit = 100000;  // a plan must fit in memory many times over
inline constexpr std::size_t kDiskLimit = 20;  // virtio disks that fit one PCI bus beside ours
inline constexpr std::size_t kFileBytesLimit = 1U << 20U;        // no honest scenario is near it
inline constexpr std::uint64_t kDiskSectorsLimit = 1ULL << 41U;  // 1 PiB

}  // namespace snapbed::scenario
