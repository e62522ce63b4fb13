// SPDX-License-Identifier: GPL-2.0-or-later
// The watching of one machine: an event loop over marks, console and health. Internal to runner/.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "journal/reader.h"
#include "model/judge.h"
#include "runner/execute.h"
#include "runner/live_line.h"
#include "runner/nudge.h"
#include "runner/opinions.h"
#include "runner/out_folder.h"
#include "runner/progress.h"
#include "runner/server.h"
#include "runner/starvation.h"
#include "scenario/plan_build.h"
#include "vm/console.h"
#include "vm/witness.h"

namespace snapbed::runner {

class Execution {
 public:
  Execution(const scenario::Scenario& scenario, const Options& options, const Host& host,
            std::filesystem::path folder, std::uint64_t seed, std::uint32_t cycles);

  // Everything from the server's start to the last judging; failures become the run's ending.
  void run();

  const Run& outcome() const { return run_; }
  const model::Report& report() const { return report_; }
  const std::string& kernel() const { return kernel_; }

 private:
  using Clock = std::chrono::steady_clock;

  void prepare();
  void start();
  void watch();
  void finish();
  void judge_all();
  bool step();  // one turn of the loop; false: it is over
  bool handle(const ServerEvent& event);
  bool handle_mark(const plan::Mark& mark);
  void follow_server(const nlohmann::json& stats);
  bool act(const plan::Mark& mark);
  bool follow_power_cut();
  void start_machine();
  bool judge_cycle(const plan::Mark& mark);
  bool look_at_machine();
  bool look_at_console();
  bool look_at_clock();
  bool hung(const std::string& what);
  void ask_qemu(const plan::Mark& mark);
  void read_console();
  std::string gave_up(const std::string& what);
  bool end(Ending ending, std::string what);
  void require_host() const;
  void require_module() const;
  void dump_memory();
  vm::MachineConfig machine_config() const;
  vm::Disk machine_disk(const std::string& name) const;

  const scenario::Scenario& scenario_;
  const Options& options_;
  const Host& host_;
  std::filesystem::path folder_;
  Parts parts_;
  scenario::Built built_;
  std::uint32_t cycles_;
  model::Expectations expectations_;

  std::optional<SocketFolder> sockets_;
  vm::Guarded guarded_sockets_;
  vm::Guarded guarded_server_;
  std::optional<Server> server_;
  std::unique_ptr<vm::Machine> machine_;
  bool booting_ = true;  // of this machine no mark has come yet
  std::optional<vm::Witness> witness_;
  Asked asked_qemu_;
  vm::ConsoleParser console_;
  std::uint64_t console_offset_ = 0;
  std::string console_tail_;
  std::optional<Clock::time_point> console_changed_;
  std::optional<journal::JournalReader> reader_;
  journal::Journal journal_;
  std::optional<Progress> progress_;
  Starvation starvation_;
  Quiet quiet_;
  std::vector<std::string> nudged_;  // disks
  std::uint64_t guest_ended_ = 0;    // requests of the guest, as the server last told
  Clock::time_point asked_;
  Clock::time_point looked_;
  Clock::time_point turned_;                 // the last look at the clock
  std::optional<base::Deadline> power_off_;  // set by the `done` mark
  LiveLine line_;
  LiveState live_;
  std::uint32_t judged_cycle_ = 0;  // the last cycle whose end was seen
  std::uint64_t mark_stamp_ = 0;    // of the mark that is handled
  std::string kernel_;
  Run run_;
  bool over_ = false;
  model::Report report_;
};

}  // namespace snapbed::runner
