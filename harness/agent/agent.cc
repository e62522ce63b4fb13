// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/agent.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <thread>

#include "agent/fatal.h"
#include "agent/image_copy.h"

namespace snapbed::agent {
namespace {

constexpr const char* kFilesDisk = "/dev/snapbed/files";
constexpr auto kDeviceLimit = std::chrono::seconds(10);
// Longer than any limit inside a step: this one is for steps that hang in the kernel.
constexpr auto kStepLimit = std::chrono::milliseconds(300'000);

thread_local std::vector<AlignedMemory>* lane_buffers = nullptr;

// Steps without whose success the following ones mean nothing.
bool others_stand_on(const std::string& op) {
  static const std::vector<std::string> ops = {
      "selftest",  "insmod",    "fio_start", "ledger_start", "plug",          "unplug",
      "mkfs",      "mount",     "dm_create", "dm_reload",    "dm_suspend",    "dm_resume",
      "partition", "md_create", "create",    "take",         "collect_images"};
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

bool calls_the_module(const std::string& op) {
  return op == "insmod" || op == "create" || op == "take" || op == "collect_images";
}

// The argument hang_ms, or the usual limit beyond the step's own.
std::chrono::milliseconds hang_limit(const plan::Step& step) {
  const auto own = std::chrono::milliseconds(step.args.value("timeout_ms", std::int64_t{0}));
  const auto usual = (kStepLimit + own).count();
  return std::chrono::milliseconds(step.args.value("hang_ms", usual));
}

// How many machines the plan needs, one after the other.
std::uint64_t machines(const plan::Plan& plan) {
  return 1 + static_cast<std::uint64_t>(
                 std::count_if(plan.steps.begin(), plan.steps.end(),
                               [](const plan::Step& step) { return step.op == "power_cut"; }));
}

std::vector<AlignedMemory> make_buffers() {
  std::vector<AlignedMemory> buffers;
  for (std::size_t i = 0; i < kCopyWorkers; ++i) buffers.emplace_back(kCopyBlockBytes);
  return buffers;
}

}  // namespace

base::Deadline step_deadline(const plan::Step& step, std::chrono::milliseconds usual) {
  return base::Deadline::after(
      std::chrono::milliseconds(step.args.value("timeout_ms", usual.count())));
}

Agent::Agent(const plan::Plan& plan, Marks& marks, const Resume& resume)
    : plan_(plan),
      marks_(marks),
      watch_(marks),
      buffers_(make_buffers()),
      files_(
          BlockDevice(wait_for_device(kFilesDisk, base::Deadline::after(kDeviceLimit)), O_WRONLY),
          resume.boots, machines(plan)),
      counter_(resume.boots) {
  first_step_ = begin_behind(resume);
}

const std::map<std::string, Agent::Handler>& Agent::handlers() {
  static const std::map<std::string, Handler> table = {
      {"selftest", &Agent::selftest},
      {"insmod", &Agent::insmod},
      {"rmmod", &Agent::rmmod},
      {"fio_start", &Agent::fio_start},
      {"fio_stop", &Agent::fio_stop},
      {"fio_wait", &Agent::fio_wait},
      {"ledger_start", &Agent::ledger_start},
      {"ledger_stop", &Agent::ledger_stop},
      {"wait_writes", &Agent::wait_writes},
      {"write", &Agent::write},
      {"discard", &Agent::discard},
      {"zero", &Agent::zero},
      {"flush", &Agent::flush},
      {"mkfs", &Agent::mkfs},
      {"mount", &Agent::mount},
      {"umount", &Agent::umount},
      {"dm_create", &Agent::dm_create},
      {"dm_reload", &Agent::dm_reload},
      {"dm_suspend", &Agent::dm_suspend},
      {"dm_resume", &Agent::dm_resume},
      {"dm_remove", &Agent::dm_remove},
      {"partition", &Agent::partition},
      {"md_create", &Agent::md_create},
      {"md_stop", &Agent::md_stop},
      {"run", &Agent::run_command},
      {"kunit", &Agent::kunit},
      {"create", &Agent::create},
      {"append", &Agent::append},
      {"take", &Agent::take},
      {"collect_images", &Agent::collect_images},
      {"collect_trackers", &Agent::collect_trackers},
      {"copy_image", &Agent::copy_image},
      {"read_map", &Agent::read_map},
      {"mark_dirty", &Agent::mark_dirty},
      {"write_image", &Agent::write_image},
      {"check_image", &Agent::check_image},
      {"destroy", &Agent::destroy},
      {"remove_tracker", &Agent::remove_tracker},
      {"wait_event", &Agent::wait_event},
      {"abi", &Agent::abi_calls},
      {"call_storm", &Agent::call_storm},
      {"fail_allocations", &Agent::fail_allocations},
      {"amplify_code", &Agent::amplify_code},
      {"amplify_cpus", &Agent::amplify_cpus},
      {"amplify_priority", &Agent::amplify_priority},
      {"amplify_memory", &Agent::amplify_memory},
      {"amplify_kill", &Agent::amplify_kill},
      {"calm", &Agent::calm},
      {"limit_group", &Agent::limit_group},
      {"plug", &Agent::plug},
      {"unplug", &Agent::unplug},
      {"power_cut", &Agent::power_cut},
      {"copy_origin", &Agent::copy_origin},
      {"cycle_end", &Agent::cycle_end},
  };
  return table;
}

std::string Agent::device_path(const std::string& name) {
  const auto device = plan_.devices.find(name);
  if (device == plan_.devices.end()) throw Fatal("the plan has no device \"" + name + "\"");
  return wait_for_device(device->second.path, base::Deadline::after(kDeviceLimit));
}

std::vector<AlignedMemory>& Agent::buffers() {
  return lane_buffers == nullptr ? buffers_ : *lane_buffers;
}

void Agent::run(Place& place) {
  const std::span<const Step> steps(plan_.steps);
  for (std::size_t at = first_step_; at < steps.size();) {
    place = {steps[at].id, steps[at].cycle};
    std::size_t end = at;
    while (end < steps.size() && steps[end].args.contains("lane")) ++end;
    if (end == at) {
      run_step(steps[at++]);
      continue;
    }
    run_lanes(steps.subspan(at, end - at));
    at = end;
  }
}

// The first lane that cannot go on ends the others at their next step.
void Agent::run_lanes(std::span<const Step> steps) {
  std::map<std::string, std::vector<const Step*>> lanes;
  for (const Step& step : steps) lanes[step.args.at("lane")].push_back(&step);
  if (module_loaded_) control();
  std::mutex mutex;
  std::exception_ptr failure;
  const auto failed = [&] {
    const std::scoped_lock lock(mutex);
    return failure != nullptr;
  };
  const auto run_lane = [&](const std::vector<const Step*>& lane) {
    std::vector<AlignedMemory> own;
    own.emplace_back(plan::kLaneWriteBytes);
    lane_buffers = &own;
    try {
      for (const Step* step : lane)
        if (!failed()) run_step(*step);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  watch_.begin({steps.front().id, steps.front().cycle}, "lanes", kStepLimit, module_loaded_);
  std::vector<std::thread> threads;
  for (const auto& [name, lane] : lanes) threads.emplace_back(run_lane, std::cref(lane));
  for (std::thread& thread : threads) thread.join();
  watch_.end();
  if (failure) std::rethrow_exception(failure);
}

// With the module loaded, a wait that runs out is put down to it: the host knows whether its own
// disks were to blame.
Agent::Result Agent::carry_out(const Step& step) {
  const auto handler = handlers().find(step.op);
  if (handler == handlers().end()) throw Fatal("step " + step.op + " is not known here");
  const std::string where = "step " + std::to_string(step.id) + " (" + step.op + "): ";
  try {
    return (this->*handler->second)(step);
  } catch (const Fatal& error) {
    throw Fatal(where + error.what(), error.module(), error.late());
  } catch (const base::TimedOut& error) {
    throw Fatal(where + error.what(), module_loaded_, true);
  } catch (const std::exception& error) {
    throw Fatal(where + error.what());
  }
}

void Agent::run_step(const Step& step) {
  const Place place{step.id, step.cycle};
  Result begin = {{"op", step.op}};
  if (step.args.contains("label")) begin["label"] = step.args["label"];
  if (step.op == "power_cut") begin.update(step.args);  // the server obeys it
  marks_.write(plan::MarkKind::step_begin, place, begin);
  // The answer to cycle_end takes as long as judging does; the host watches that.
  const bool watched = step.op != "cycle_end" && lane_buffers == nullptr;
  if (watched) watch_.begin(place, step.op, hang_limit(step), module_loaded_);
  const std::uint64_t called = counter_.draw();
  Result result = carry_out(step);
  result["guest"] = {called, counter_.draw()};
  if (watched) watch_.end();
  marks_.write(plan::MarkKind::step_end, place, result);
  const int code = result.at("result");
  const bool unloaded = step.op == "rmmod" && code == 0;
  if (std::find(step.expect.begin(), step.expect.end(), code) == step.expect.end() &&
      (unloaded || others_stand_on(step.op))) {
    throw Fatal("step " + std::to_string(step.id) + " (" + step.op + "): gave " +
                    std::to_string(code) + ", on which nothing can go on",
                unloaded || calls_the_module(step.op), code == ETIMEDOUT);
  }
}

}  // namespace snapbed::agent
