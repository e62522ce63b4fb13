// SPDX-License-Identifier: GPL-2.0-or-later
// Carries out a plan: each step between its two marks, in order, in the calling thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/abi.h"
#include "agent/aligned_memory.h"
#include "agent/amplifiers.h"
#include "agent/block_device.h"
#include "agent/files_disk.h"
#include "agent/fio.h"
#include "agent/guest_counter.h"
#include "agent/ledger_storm.h"
#include "agent/leftovers.h"
#include "agent/marks.h"
#include "agent/resume.h"
#include "agent/snapshots.h"
#include "agent/step_watch.h"
#include "base/process.h"
#include "base/random.h"
#include "plan/plan.h"

namespace snapbed::agent {

class Agent {
 public:
  // Takes its memory now: later the storm may have it all. `plan` and `marks` outlive the agent;
  // `resume` tells of the machines before this one.
  Agent(const plan::Plan& plan, Marks& marks, const Resume& resume);

  // Every step of the plan that is left; `place` follows, also when it throws. Throws Fatal when it
  // cannot go on.
  void run(Place& place);

 private:
  using Step = plan::Step;
  using Result = nlohmann::json;  // what step_end reports, with "result"
  using Handler = Result (Agent::*)(const Step&);
  static const std::map<std::string, Handler>& handlers();
  void run_step(const Step& step);
  void run_lanes(std::span<const Step> steps);
  Result carry_out(const Step& step);

  // steps_disk.cc
  Result selftest(const Step& step);
  Result wait_writes(const Step& step);
  Result write(const Step& step);
  Result discard(const Step& step);
  Result zero(const Step& step);
  Result flush(const Step& step);
  // steps_system.cc
  Result insmod(const Step& step);
  Result fio_start(const Step& step);
  Result fio_stop(const Step& step);
  Result fio_wait(const Step& step);
  Result mkfs(const Step& step);
  Result mount(const Step& step);
  Result umount(const Step& step);
  Result run_command(const Step& step);
  Result kunit(const Step& step);
  // steps_device.cc
  Result partition(const Step& step);
  Result md_create(const Step& step);
  Result md_stop(const Step& step);
  Result dm_create(const Step& step);
  Result dm_reload(const Step& step);
  Result dm_suspend(const Step& step);
  Result dm_resume(const Step& step);
  Result dm_remove(const Step& step);
  // steps_snapshot.cc
  Result create(const Step& step);
  Result append(const Step& step);
  Result take(const Step& step);
  Result collect_images(const Step& step);
  Result collect_trackers(const Step& step);
  Result read_map(const Step& step);
  Result mark_dirty(const Step& step);
  Result destroy(const Step& step);
  Result remove_tracker(const Step& step);
  Result wait_event(const Step& step);
  Result cycle_end(const Step& step);
  // steps_abi.cc
  Result abi_calls(const Step& step);
  Result call_storm(const Step& step);
  Result fail_allocations(const Step& step);
  Result rmmod(const Step& step);
  // steps_amplify.cc
  Result amplify_code(const Step& step);
  Result amplify_cpus(const Step& step);
  Result amplify_priority(const Step& step);
  Result amplify_memory(const Step& step);
  Result amplify_kill(const Step& step);
  Result calm(const Step& step);
  Result limit_group(const Step& step);
  // steps_image.cc
  Result copy_image(const Step& step);
  Result write_image(const Step& step);
  Result check_image(const Step& step);
  // steps_plug.cc
  Result plug(const Step& step);
  Result unplug(const Step& step);
  // steps_power.cc
  Result power_cut(const Step& step);
  Result copy_origin(const Step& step);
  std::size_t begin_behind(const Resume& resume);  // the first step of this machine
  // steps_ledger.cc
  Result ledger_start(const Step& step);
  Result ledger_stop(const Step& step);

  std::vector<Subject> subjects(const Step& step);
  std::vector<std::string> whole_disks() const;  // paths
  base::Random random_of(const Step& step) const;
  void amplify(const Step& step, const std::function<std::unique_ptr<Amplifier>()>& make);
  Result finish_fio(const Step& step, bool interrupt);
  // Writes the step's pattern to scattered ranges of an open device; 0 or a positive errno.
  int write_scattered(const Step& step, const BlockDevice& device, std::uint64_t& sectors);
  int discard_range(const std::string& path, unsigned long request, plan::Range range);
  bool ledgers_done() const;  // nobody writes any more: to wait for writes is in vain
  Control& control();
  std::string image_path(const Step& step);
  std::optional<BlockDevice> open_image(const Step& step, int flags, int& error);
  Result copy_device(const Step& step, const BlockDevice& from);
  // Of the calling thread: a lane has its own.
  std::vector<AlignedMemory>& buffers();
  void start_events(const Step& step, Snapshot& snapshot, const std::vector<std::string>& names,
                    const std::vector<abi::DeviceId>& ids);
  std::vector<abi::CbtInfo> trackers(int& error);
  std::string device_path(const std::string& name);  // waits until it is there
  abi::DeviceId device_id(const std::string& name);
  // A program with its output on the console; how it ended as a number: exit code, or 128 + signal.
  int run_program(const std::vector<std::string>& argv, const Step& step);
  // The step's table in a file for dmsetup; waits for the devices it names.
  std::string dm_table(const Step& step);

  const plan::Plan& plan_;
  Marks& marks_;
  StepWatch watch_;
  std::vector<AlignedMemory> buffers_;
  FilesDisk files_;
  std::unique_ptr<Control> control_;
  SnapshotBook snapshots_;
  FioJobs fio_;
  std::map<std::string, std::unique_ptr<Amplifier>> amplifiers_;  // by the step that began them
  GuestCounter counter_;
  std::map<std::string, std::unique_ptr<LedgerStorm>> ledgers_;
  bool module_loaded_ = false;
  UsedMemory memory_before_;  // before the module was loaded
  std::size_t first_step_ = 0;
};

// The step's time limit: its argument timeout_ms, or `usual`. Guest time.
base::Deadline step_deadline(const plan::Step& step, std::chrono::milliseconds usual);
// The argument [[first, count], ...].
std::vector<abi::BlockRange> ranges_argument(const plan::Step& step);

}  // namespace snapbed::agent
