// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that try the interface itself, and the search for what an unloaded module has left.
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "agent/abi.h"
#include "agent/agent.h"
#include "agent/call_storm.h"
#include "agent/fail_nth.h"
#include "agent/failing_calls.h"
#include "agent/fatal.h"
#include "agent/leftovers.h"
#include "agent/module_disk.h"
#include "journal/pattern.h"

namespace snapbed::agent {
namespace {

constexpr const char* kModuleDisk = "/dev/snapbed/module";
constexpr const char* kModuleName = "blksnap";
constexpr auto kDiskLimit = std::chrono::seconds(10);

}  // namespace

std::vector<Subject> Agent::subjects(const Step& step) {
  std::vector<Subject> found;
  for (const std::string& name : step.args.at("devices").get<std::vector<std::string>>()) {
    found.push_back(subject_at(device_path(name)));
  }
  return found;
}

std::vector<std::string> Agent::whole_disks() const {
  std::vector<std::string> paths;
  for (const auto& [name, device] : plan_.devices) {
    if (name == device.disk) paths.push_back(device.path);
  }
  return paths;
}

Agent::Result Agent::abi_calls(const Step& step) {
  control_.reset();
  CaseLog cases(marks_, {step.id, step.cycle});
  const std::string module =
      read_module(wait_for_device(kModuleDisk, base::Deadline::after(kDiskLimit)));
  const AbiBench::Loader loader{
      [&](const auto& parameters) { return insert_module_file(module, parameters); },
      [] { return remove_module(kModuleName); },
      [this] { return leftovers(kModuleName, whole_disks()).found; },
      [&](const std::string& name) { return base::parameter_range(module, name); }};
  AbiBench bench(cases, subjects(step), subject_at(device_path(step.args.at("storage"))), loader);
  run_abi_part(bench, step.args.value("part", "all"));
  return {{"result", 0}, {"cases", cases.count()}};
}

Agent::Result Agent::call_storm(const Step& step) {
  CaseLog cases(marks_, {step.id, step.cycle});
  AbiBench bench(cases, subjects(step), subject_at(device_path(step.args.at("storage"))), {});
  const StormCounts counts = storm_calls(bench, {journal::step_key(plan_.seed, step.id),
                                                 step.args.at("threads"), step.args.at("calls")});
  bench.clear();
  return {{"result", 0},
          {"cases", cases.count()},
          {"storm_calls", counts.calls},
          {"storm_creates", counts.creates},
          {"storm_takes", counts.takes},
          {"storm_destroys", counts.destroys}};
}

Agent::Result Agent::fail_allocations(const Step& step) {
  if (!has_fail_nth()) throw Fatal("this kernel has no fail-nth: run it with the debug variant");
  CaseLog cases(marks_, {step.id, step.cycle});
  AbiBench bench(cases, subjects(step), subject_at(device_path(step.args.at("storage"))), {});
  FailureCounts counts;
  try {
    counts = failing_calls(bench, step.args.value("call", "all"));
  } catch (const CannotGoOn& error) {
    cases.truth("fail-nth", "every allocation can be tried", false, error.what());
  }
  return {{"result", 0},
          {"cases", cases.count()},
          {"sites", counts.sites},
          {"worker_sites", counts.worker_sites}};
}

Agent::Result Agent::rmmod(const Step& step) {
  // An open control node would hold the module. Threads that fetch events use it.
  if (!snapshots_.any_events()) control_.reset();
  const ModulePlace place = loaded_place(kModuleName);
  const int error = remove_module(kModuleName);
  if (error != 0) return {{"result", error}};
  module_loaded_ = false;
  Leftovers left = leftovers(kModuleName, whole_disks());
  const LostMemory lost = lost_memory(place);
  for (const std::string& report : lost.found) {
    std::fprintf(stderr, "snapbed-agent: lost memory: %s\n", report.c_str());
    left.found.push_back("memory that nobody points to (see console.log): " + report);
  }
  const bool disks_in_memory =
      std::any_of(plan_.devices.begin(), plan_.devices.end(), [](const auto& device) {
        return device.second.path.starts_with("/dev/ram") ||
               device.second.path.starts_with("/dev/zram");
      });
  const MemoryGrowth growth = memory_growth(memory_before_, disks_in_memory);
  left.found.insert(left.found.end(), growth.found.begin(), growth.found.end());
  for (const std::string& what : left.found) {
    marks_.write(plan::MarkKind::leak, {step.id, step.cycle}, {{"what", what}});
  }
  return {{"result", 0},
          {"pages_growth_kib", growth.bytes.pages >> 10U},
          {"objects_growth_kib", growth.bytes.objects >> 10U},
          {"looked", left.looked},
          {"left", left.found.size()},
          {"kmemleak_scans", lost.scans},
          {"kmemleak_foreign", lost.foreign}};
}

}  // namespace snapbed::agent
