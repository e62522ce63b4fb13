// SPDX-License-Identifier: GPL-2.0-or-later
// snapbed-bench: the guest's side of `snapbed bench`. Started by the init when the kernel's command
// line says snapbed_bench_rounds=N; reports by lines of JSON on the disk `results`, which the host
// reads as a file.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "agent/aligned_memory.h"
#include "agent/bench_gauges.h"
#include "agent/bench_load.h"
#include "agent/bench_systems.h"
#include "agent/block_device.h"
#include "agent/module_disk.h"
#include "base/error.h"
#include "bench/goals.h"
#include "bench/sample.h"

namespace {

using namespace snapbed;
using agent::Control;
using bench::Phase;
using bench::Sample;
using bench::System;

constexpr const char* kStore = "/dev/snapbed/store";
constexpr auto kDiskLimit = std::chrono::seconds(10);
constexpr auto kSettleLimit = std::chrono::seconds(60);
constexpr std::size_t kResultBytes = 1 << 20;

// What the kernel's command line said; the kernel hands it on in the environment.
struct Wish {
  std::uint32_t rounds = 1;
  std::uint32_t divide = 1;
  bool counted = false;  // QEMU counts instructions
  std::string only;      // names of experiments between commas; empty: all

  bool wants(const std::string& experiment) const {
    return only.empty() || ("," + only + ",").find("," + experiment + ",") != only.npos;
  }
};

std::uint32_t number(const char* name, std::uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

Wish read_wish() {
  Wish wish;
  wish.rounds = number("snapbed_bench_rounds", 1);
  wish.divide = std::max(number("snapbed_bench_divide", 1), 1U);
  wish.counted = number("snapbed_bench_counted", 0) != 0;
  if (const char* only = std::getenv("snapbed_bench_only")) wish.only = only;
  return wish;
}

// The text so far, from the first byte of the disk on.
class ResultDisk {
 public:
  ResultDisk() : device_(disk("results"), O_RDWR), memory_(kResultBytes) {
    std::memset(memory_.data(), 0, memory_.size());
  }
  static std::string disk(const std::string& name) {
    return agent::wait_for_device(std::string(agent::kLinkFolder) + "/" + name,
                                  base::Deadline::after(kDiskLimit));
  }
  void add(const std::string& line) {
    if (used_ + line.size() >= memory_.size()) throw std::runtime_error("too many results");
    std::memcpy(memory_.data() + used_, line.data(), line.size());
    const std::size_t first = used_ / 4096 * 4096;
    used_ += line.size();
    const std::size_t end = (used_ + 4095) / 4096 * 4096;
    if (const int error =
            agent::write_at(device_.fd(), memory_.span().subspan(first, end - first), first);
        error != 0)
      base::throw_errno("write of results", error);
  }

 private:
  agent::BlockDevice device_;
  agent::AlignedMemory memory_;
  std::size_t used_ = 0;
};

// Waits until all that was read off the origin to be saved has been written to the store.
void settle(dev_t origin, dev_t store, const agent::Moved& origin_before,
            const agent::Moved& store_before) {
  base::wait_until(
      "old data to be stored", base::Deadline::after(kSettleLimit),
      [&] {
        const std::uint64_t copied = agent::moved(origin).read_bytes - origin_before.read_bytes;
        return agent::moved(store).written_bytes - store_before.written_bytes >= copied;
      },
      std::chrono::milliseconds(5));
}

Sample measure(const Wish& wish, const Phase& phase, System system, std::uint32_t round,
               const std::string& disk, const agent::Setup& setup) {
  agent::Load load{.path = phase.image ? setup.image() : setup.device(),
                   .write = phase.write,
                   .block_bytes = phase.block_bytes,
                   .depth = phase.depth,
                   .offsets = {}};
  const agent::BlockDevice origin(disk, O_RDONLY), store(kStore, O_RDONLY);
  load.offsets = bench::offsets(phase, origin.sectors() * agent::kSectorBytes, round, wish.counted,
                                wish.divide);
  agent::LoadRunner runner(load);
  const agent::Moved origin_before = agent::moved(origin.id());
  const agent::Moved store_before = agent::moved(store.id());
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t before = wish.counted ? agent::instructions_now() : 0;
  runner.run();
  std::uint64_t after = wish.counted ? agent::instructions_now() : 0;

  Sample sample{.row = phase.row, .system = system, .round = round};
  const agent::LoadResult result = runner.result();
  const bool copied = agent::moved(origin.id()).read_bytes > origin_before.read_bytes;
  if (phase.write && system == System::blksnap && copied) {
    settle(origin.id(), store.id(), origin_before, store_before);
    after = wish.counted ? agent::instructions_now() : 0;
  }
  sample.settled_ns = static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
  const agent::Moved origin_after = agent::moved(origin.id());
  const agent::Moved store_after = agent::moved(store.id());
  sample.operations = result.operations;
  sample.bytes = result.operations * phase.block_bytes;
  sample.ns = result.ns;
  if (!(phase.write && system == System::blksnap && copied)) sample.settled_ns = result.ns;
  sample.p50_ns = result.p50_ns;
  sample.p99_ns = result.p99_ns;
  sample.instructions = after - before;
  sample.copied_bytes = phase.write ? origin_after.read_bytes - origin_before.read_bytes : 0;
  sample.requests =
      origin_after.requests - origin_before.requests + store_after.requests - store_before.requests;
  sample.moved_bytes = origin_after.read_bytes - origin_before.read_bytes +
                       origin_after.written_bytes - origin_before.written_bytes +
                       store_after.read_bytes - store_before.read_bytes +
                       store_after.written_bytes - store_before.written_bytes;
  return sample;
}

void run_round(const Wish& wish, const Control& control, std::uint32_t round, ResultDisk& results) {
  for (const bench::Experiment& experiment : bench::experiments()) {
    if (!wish.wants(experiment.name)) continue;
    const std::string disk = ResultDisk::disk(experiment.disk);
    for (const System system : bench::rotated(experiment.systems, round)) {
      const auto setup = agent::make_setup(system, control, disk, ResultDisk::disk("store"));
      for (const Phase& phase : experiment.phases) {
        const Sample sample = measure(wish, phase, system, round, disk, *setup);
        if (!phase.row.empty()) results.add(bench::to_line(sample));
      }
    }
    agent::remove_tracker(control, disk);
  }
}

// Memory of a snapshot of the huge disk, at the take and with scattered blocks saved.
void measure_take(const Control& control, ResultDisk& results) {
  const std::string disk = ResultDisk::disk("huge");
  constexpr int kTries = 5;
  constexpr std::int64_t kMaps = 2 * 2097152;        // two maps, at their largest
  constexpr std::int64_t kLostBitmap = 2097152 / 8;  // at its largest
  std::vector<std::int64_t> used;
  for (int i = 0; i < kTries; ++i) {
    agent::remove_tracker(control, disk);
    const std::int64_t before = agent::used_bytes();
    const auto setup = agent::make_setup(System::blksnap, control, disk, ResultDisk::disk("store"));
    used.push_back(agent::used_bytes() - before);
  }
  agent::remove_tracker(control, disk);
  std::sort(used.begin(), used.end());
  results.add(bench::to_line(
      bench::Memory{bench::kTakeHugeAll, used[kTries / 2], bench::kHugeBytes >> 40U}));
  results.add(
      bench::to_line(bench::Memory{bench::kTakeHuge, used[kTries / 2] - kMaps - kLostBitmap, 1}));
}

void measure_state(const Control& control, const std::string& name, const char* what,
                   std::uint64_t step_bytes, std::uint64_t count, ResultDisk& results) {
  const std::string disk = ResultDisk::disk(name);
  const auto setup = agent::make_setup(System::blksnap, control, disk, ResultDisk::disk("store"));
  const agent::BlockDevice origin(disk, O_RDONLY), store(kStore, O_RDONLY);
  agent::Load load{.path = disk, .write = true, .block_bytes = 4096, .depth = 32, .offsets = {}};
  load.offsets.emplace_back();
  for (std::uint64_t i = 0; i < count; ++i) load.offsets[0].push_back(i * step_bytes);
  const agent::Moved origin_before = agent::moved(origin.id());
  const agent::Moved store_before = agent::moved(store.id());
  const std::int64_t before = agent::used_bytes();
  {
    agent::LoadRunner runner(load);
    runner.run();
  }
  settle(origin.id(), store.id(), origin_before, store_before);
  results.add(bench::to_line(bench::Memory{what, agent::used_bytes() - before, count}));
}

void measure_memory(const Wish& wish, const Control& control, ResultDisk& results) {
  measure_take(control, results);
  measure_state(control, "wide", bench::kStateDense, bench::kUnitBytes,
                bench::kWideBytes / bench::kUnitBytes, results);
  measure_state(control, "huge", bench::kStateSparse, std::uint64_t{16} << 20, 131072 / wish.divide,
                results);
}

void run(ResultDisk& results) {
  const Wish wish = read_wish();
  if (const int error = agent::insert_module(ResultDisk::disk("module"), {}); error != 0)
    base::throw_errno("inserting the module", error);
  const Control control;
  for (std::uint32_t round = 0; round < wish.rounds; ++round)
    run_round(wish, control, round, results);
  if (!wish.counted && wish.wants(bench::kMemoryName)) measure_memory(wish, control, results);
  results.add(bench::done_line());
}

}  // namespace

int main() {
  try {
    agent::refresh_links();
    ResultDisk results;
    try {
      run(results);
      return 0;
    } catch (const std::exception& error) {
      results.add(bench::error_line(error.what()));
      throw;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "snapbed-bench: %s\n", error.what());
    return 3;
  }
}
