// SPDX-License-Identifier: GPL-2.0-or-later
// snapbed scripts: runs short scripts batch by batch, remembers which are done, and says so.
#include "scenario/scripts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/file.h"
#include "base/random.h"
#include "cli/commands.h"
#include "runner/execute.h"
#include "runner/interrupt.h"
#include "scenario/words.h"

namespace snapbed::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A plan, its rules and its journal of so many scripts are still handy.
constexpr std::size_t kBatch = 20 * scenario::kScriptsPerCycle;
constexpr const char* kProgressFile = "progress.json";

const scenario::Geometry& geometry_of(const std::string& name) {
  std::vector<std::string> known;
  for (const scenario::Geometry& geometry : scenario::geometries()) {
    if (geometry.name == name) return geometry;
    known.push_back(geometry.name);
  }
  throw scenario::BadScenario("no geometry \"" + name + "\"; expected one of " +
                              scenario::joined(known) + scenario::nearest_note(name, known));
}

// Which scripts have passed at this geometry with these parts and this judge.
class Progress {
 public:
  Progress(fs::path folder, const std::string& with) : file_(std::move(folder) / kProgressFile) {
    state_ = {{"with", with}, {"done", json::array()}, {"failed", json::array()}};
    std::error_code error;
    if (!fs::exists(file_, error)) return;
    json before = json::parse(base::read_file(file_), nullptr, false);
    if (before.is_object() && before.value("with", "") == with) state_ = std::move(before);
  }

  // The scripts of `all` that have not passed yet.
  std::vector<std::size_t> left(const std::vector<std::size_t>& all) const {
    const auto done = state_["done"].get<std::vector<std::size_t>>();
    std::vector<std::size_t> rest;
    for (const std::size_t script : all)
      if (!std::binary_search(done.begin(), done.end(), script)) rest.push_back(script);
    return rest;
  }
  void add(const std::vector<std::size_t>& batch, bool passed) {
    auto list = state_[passed ? "done" : "failed"].get<std::vector<std::size_t>>();
    list.insert(list.end(), batch.begin(), batch.end());
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    state_[passed ? "done" : "failed"] = list;
    fs::create_directories(file_.parent_path());
    base::write_file(file_, state_.dump() + "\n");
  }
  std::size_t done() const { return state_["done"].size(); }

 private:
  fs::path file_;
  json state_;
};

// Which scripts a finding speaks of: those on its disk in its cycle.
void name_scripts(const runner::Result& result, const std::vector<std::size_t>& batch) {
  for (const auto& [name, check] : result.report.checks) {
    for (const model::Finding& finding : check.findings) {
      if (!finding.device.starts_with("d") || finding.cycle == 0) continue;
      const auto disk = scenario::parse_number(finding.device.substr(1));
      const std::size_t at =
          (finding.cycle - 1) * scenario::kScriptsPerCycle + static_cast<std::size_t>(*disk);
      if (at < batch.size())
        fmt::print("  check {}: script {}: {}\n", name, batch[at],
                   scenario::to_string(scenario::all_scripts()[batch[at]]));
    }
  }
}

}  // namespace

int scripts(const CommonOptions& options) {
  const scenario::Geometry& geometry = geometry_of(options.geometry);
  const std::size_t total = scenario::all_scripts().size();
  if (options.only && *options.only >= total)
    throw scenario::BadScenario(
        fmt::format("no script {}; expected a number 0..{}", *options.only, total - 1));
  std::vector<std::size_t> wanted(total);
  std::iota(wanted.begin(), wanted.end(), std::size_t{0});
  const std::uint64_t seed = options.seed.value_or(1);
  // In an order of the seed's, so that any part of them is a fair sample.
  base::Random(seed).shuffle(wanted);
  const runner::Parts parts = runner::find_parts(options.parts, options.program);
  runner::require_programs();
  const fs::path folder = options.out / ("scripts-" + geometry.name);
  Progress progress(folder, runner::fingerprint(parts, options.program));
  std::vector<std::size_t> left =
      options.only ? std::vector<std::size_t>{*options.only} : progress.left(wanted);
  if (options.part && left.size() > *options.part) left.resize(*options.part);
  vm::Guardian guardian = vm::Guardian::start();
  runner::catch_interrupts();
  std::optional<vm::LibvirtHost> libvirt;
  const runner::Host host = make_host(options, guardian, libvirt);
  const auto begin = std::chrono::steady_clock::now();
  int status = 0;
  for (std::size_t at = 0; at < left.size() && status == 0; at += kBatch) {
    const std::vector<std::size_t> batch(
        left.begin() + static_cast<std::ptrdiff_t>(at),
        left.begin() + static_cast<std::ptrdiff_t>(std::min(at + kBatch, left.size())));
    const fs::path file = folder / fmt::format("scripts-{}.toml", batch.front());
    fs::create_directories(folder);
    base::write_file(file, scenario::scripts_toml(geometry, batch));
    const scenario::Scenario made = scenario::load(file);
    runner::Options run = run_options(options);
    run.seed = seed;
    run.out = folder;
    const runner::Result result = runner::execute(made, run, host);
    status = runner::exit_status(made, result);
    if (runner::interrupted()) return status;
    progress.add(batch, status == 0);
    if (status != 0) {
      runner::print_result(made, result);
      name_scripts(result, batch);
    }
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin);
    fmt::print("scripts, geometry {}: {} of {} done, {} s\n", geometry.name, progress.done(), total,
               seconds.count());
    std::cout.flush();
    if (options.minutes && seconds >= std::chrono::minutes(*options.minutes)) break;
  }
  if (left.empty())
    fmt::print("scripts, geometry {}: {} of {} done, nothing is left\n", geometry.name,
               progress.done(), total);
  return status;
}

}  // namespace snapbed::cli
