// SPDX-License-Identifier: GPL-2.0-or-later
// `snapbed bench`: two machines, one after the other: one with two vCPUs by the clock, one with a
// single vCPU whose instructions QEMU counts. The disks are files in memory that QEMU serves by
// itself: the recording server's hashing would cost more than what is to be compared.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <system_error>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "bench/host_load.h"
#include "bench/report.h"
#include "cli/commands.h"
#include "runner/command_line.h"
#include "runner/interrupt.h"
#include "runner/live_line.h"
#include "runner/out_folder.h"
#include "runner/server.h"
#include "vm/console.h"
#include "vm/host_counter.h"
#include "vm/qemu_machine.h"

namespace snapbed::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes kResultLimit{5};  // without any new result
constexpr auto kLook = std::chrono::milliseconds(500);
constexpr std::uint64_t kResultBytes = 1 << 20;
constexpr std::uint64_t kMiB = 1 << 20;

// A sparse file in which every `step` bytes a block of `block` bytes is written: what the host
// allocates while it is measured would be charged to whoever comes first.
void make_disk(const fs::path& path, std::uint64_t size, std::uint64_t block, std::uint64_t step,
               std::uint64_t written) {
  const base::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    base::throw_errno("making " + path.string() + " of " + std::to_string(size) + " bytes");
  const std::vector<char> bytes(block, 's');
  for (std::uint64_t at = 0; at + block <= written; at += step)
    if (::pwrite(file.get(), bytes.data(), block, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(block))
      base::throw_errno("filling " + path.string());
}

void make_disks(const fs::path& folder, const fs::path& module) {
  make_disk(folder / "origin", bench::kOriginBytes, kMiB, kMiB, bench::kOriginBytes);
  make_disk(folder / "wide", bench::kWideBytes, 4096, bench::kUnitBytes, bench::kWideBytes);
  make_disk(folder / "huge", bench::kHugeBytes, 4096, 4096, 0);
  // As much as dm-snapshot stores for the first touches in chunks of 64 KiB.
  make_disk(folder / "store", bench::kStoreBytes, kMiB, kMiB, bench::kWideBytes / 4 + 64 * kMiB);
  make_disk(folder / "results", kResultBytes, 4096, 4096, 0);
  runner::write_module_disk(module, folder / "module");
}

vm::MachineConfig machine(const BenchOptions& asked, const runner::Parts& parts,
                          const fs::path& disks, const fs::path& out, const fs::path& sockets,
                          bool counted) {
  vm::MachineConfig config;
  config.name = "snapbed-" + std::to_string(::getpid());
  config.kernel = parts.kernel;
  config.root_image = parts.image;
  config.firmware = vm::quick_firmware();
  std::vector<std::string> arguments = {fmt::format("snapbed_bench_rounds={}", asked.rounds),
                                        fmt::format("snapbed_bench_divide={}", asked.divide),
                                        fmt::format("snapbed_bench_counted={:d}", counted)};
  if (!asked.only.empty()) arguments.push_back("snapbed_bench_only=" + asked.only);
  // Where instructions are counted they are the clock, and it is exact.
  config.command_line = runner::guest_command_line(
      arguments, config.accel, counted ? 0 : vm::host_counter_khz(), runner::Caches::fast);
  config.memory_mib = 1024;
  config.vcpus = counted ? 1 : 2;
  config.count_instructions = counted;
  config.console_file = out / (counted ? "console-counted.log" : "console.log");
  config.work_dir = sockets;
  for (const char* name : {"origin", "wide", "huge", "store", "results", "module"}) {
    vm::Disk disk;
    disk.name = name;
    disk.file = disks / name;
    disk.read_only = disk.name == "module";
    config.disks.push_back(disk);
  }
  return config;
}

bench::Results read_results(const fs::path& disks) {
  const std::string text = base::read_file(disks / "results");
  return bench::parse(std::string_view(text).substr(0, text.find('\0')));
}

void look_at_console(const fs::path& console) {
  vm::ConsoleParser parser;
  parser.feed(base::read_file(console));
  parser.finish();
  if (!parser.findings().empty())
    throw std::runtime_error("the guest's kernel complains: " + parser.findings().front().title +
                             "; see " + console.string());
}

// What a machine measured, and how much of the host other programs used meanwhile, 0 to 1.
struct Measured {
  bench::Results results;
  double others = 0;
};

// Looks at the host's processors while the machine runs, for its times are gone when it ends.
class HostWatch {
 public:
  void look(const vm::Machine& guest) {
    const auto pid = guest.pid();
    if (!pid) return;
    try {
      ours_ = bench::parse_process_ticks(
          base::read_file(fs::path("/proc") / std::to_string(*pid) / "stat"));
      last_ = host();
    } catch (const std::system_error&) {
      // It has just ended: what was seen last is as good.
    }
  }
  double others() const { return bench::used_by_others(first_, last_, ours_); }

 private:
  static bench::HostTicks host() { return bench::parse_host_ticks(base::read_file("/proc/stat")); }

  bench::HostTicks first_ = host();
  bench::HostTicks last_ = first_;
  std::uint64_t ours_ = 0;
};

// Where the guest is, by what it measured last.
std::string place(const BenchOptions& asked, const bench::Results& results) {
  if (!results.memory.empty()) return "memory of snapshots";
  if (results.samples.empty()) return "booting";
  const bench::Sample& last = results.samples.back();
  return fmt::format("round {} of {}: {} with {}", last.round + 1, asked.rounds, last.row,
                     bench::to_string(last.system));
}

// Until the machine has ended. Throws when it stops giving results. Returns how much of the host
// others used.
double wait_for_results(const BenchOptions& asked, const fs::path& disks, const std::string& what,
                        vm::Machine& guest) {
  runner::LiveLine live("bench, " + what);
  HostWatch watch;
  std::size_t known = 0;
  base::Deadline deadline = base::Deadline::after(kResultLimit);
  while (guest.alive() && !runner::interrupted()) {
    watch.look(guest);
    const bench::Results results = read_results(disks);
    const std::size_t count = results.samples.size() + results.memory.size();
    if (count > known) deadline = base::Deadline::after(kResultLimit);
    known = count;
    live.show_text(place(asked, results),
                   results.samples.empty() ? 0 : results.samples.back().round + 1);
    if (deadline.passed())
      throw deadline.error("a result after \"" + place(asked, results) + "\" (" + what + ")");
    std::this_thread::sleep_for(kLook);
  }
  return watch.others();
}

// What was measured; all of it, unless the user has interrupted.
Measured measure(const BenchOptions& asked, const runner::Parts& parts, const fs::path& out,
                 vm::Guardian& guardian, bool counted) {
  const char* what = counted ? "counting instructions, 1 vCPU" : "by the clock, 2 vCPUs";
  const base::TemporaryFolder disks(fs::absolute(asked.disks) / "snapbed-bench-");
  const vm::Guarded guarded_disks = guardian.directory(disks.path());
  const runner::SocketFolder sockets;
  const vm::Guarded guarded_sockets = guardian.directory(sockets.path());
  make_disks(disks.path(), parts.module);
  const vm::MachineConfig config =
      machine(asked, parts, disks.path(), out, sockets.path(), counted);
  const auto guest = vm::make_qemu_machine(config, &guardian);
  guest->start(base::Deadline::after(std::chrono::seconds(30)));
  const double others = wait_for_results(asked, disks.path(), what, *guest);
  const bench::Results results = read_results(disks.path());
  if (runner::interrupted()) return {results, others};
  look_at_console(config.console_file);
  if (!results.error.empty()) throw std::runtime_error("in the guest: " + results.error);
  if (!results.done)
    throw std::runtime_error("the guest ended before it was done; see " +
                             config.console_file.string());
  return {results, others};
}

}  // namespace

int bench(const CommonOptions& options, const BenchOptions& asked) {
  runner::require_programs();
  const runner::Parts parts = runner::find_parts(options.parts, options.program);
  vm::Guardian guardian = vm::Guardian::start();
  runner::catch_interrupts();
  const fs::path out = fs::absolute(options.out) / "bench";
  fs::create_directories(out);
  const Measured timed = asked.clock ? measure(asked, parts, out, guardian, false) : Measured{};
  const Measured counted = asked.count && !runner::interrupted()
                               ? measure(asked, parts, out, guardian, true)
                               : Measured{};
  const bench::Results& wall = timed.results;
  const auto lines = bench::summarize(wall.samples, counted.results.samples);
  const auto goals = bench::goals(lines, wall.memory, timed.others > bench::kLoaded);
  const bool complete = !runner::interrupted();
  nlohmann::json json = bench::to_json(lines, wall.memory, goals);
  json["complete"] = complete;
  json["host_used_by_others"] = asked.clock ? nlohmann::json(timed.others) : nlohmann::json();
  base::write_file(out / "bench.json", json.dump(1) + "\n");
  fmt::print("{}\n{}\n{}\n{}\n", bench::table(lines), bench::memory_table(wall.memory),
             bench::goal_table(goals), (out / "bench.json").string());
  if (timed.others > bench::kLoaded)
    fmt::print(
        "{:.0f} % of the host's processors were used by others: speeds and their ratios are those "
        "of a loaded host\n",
        timed.others * 100);
  if (!complete) fmt::print("interrupted: this is what had been measured by then\n");
  return complete ? 0 : kInterrupted;
}

}  // namespace snapbed::cli
