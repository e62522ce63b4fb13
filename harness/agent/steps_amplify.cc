// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that make races likelier: amplifiers in the background, limits of the storm, failing
// allocations.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>

#include "agent/agent.h"
#include "agent/fatal.h"
#include "agent/kernel_switch.h"
#include "agent/module_disk.h"
#include "agent/text.h"
#include "agent/unprotected.h"
#include "journal/pattern.h"

namespace snapbed::agent {
namespace {

constexpr const char* kAmplifierDisk = "/dev/snapbed/amplifier";
constexpr const char* kAmplifierFolder = "/sys/module/snapbed_amplifier";
constexpr auto kDiskLimit = std::chrono::seconds(10);

std::chrono::milliseconds every(const plan::Step& step) {
  return std::chrono::milliseconds(step.args.at("every_ms").get<std::uint64_t>());
}

void require(const std::string& what, int error) {
  if (error != 0) throw Fatal(what + ": errno " + std::to_string(error));
}

}  // namespace

base::Random Agent::random_of(const Step& step) const {
  return base::Random(journal::step_key(plan_.seed, step.id));
}

// Two of one kind would undo each other's work.
void Agent::amplify(const Step& step, const std::function<std::unique_ptr<Amplifier>()>& make) {
  if (amplifiers_.contains(step.op)) throw Fatal(step.op + " is running already");
  amplifiers_[step.op] = make();
}

Agent::Result Agent::amplify_code(const Step& step) {
  if (!std::filesystem::exists(kAmplifierFolder)) {
    const std::string disk = wait_for_device(kAmplifierDisk, step_deadline(step, kDiskLimit));
    require("the amplifier's module cannot be inserted", insert_module(disk, {}));
  }
  Pauses pauses;
  for (const std::string& name : split_list(step.args.value("functions", "")))
    pauses.functions.push_back(name);
  pauses.count = step.args.at("count");
  pauses.most = std::chrono::microseconds(step.args.at("pause_us").get<std::uint64_t>());
  pauses.share = step.args.at("share");
  amplify(step, [&] { return pause_module(pauses, random_of(step)); });
  return {{"result", 0}};
}

Agent::Result Agent::amplify_cpus(const Step& step) {
  amplify(step, [&] { return flip_cpus(every(step), random_of(step)); });
  return {{"result", 0}};
}

Agent::Result Agent::amplify_priority(const Step& step) {
  amplify(step, [&] { return shuffle_priorities(every(step), random_of(step)); });
  return {{"result", 0}};
}

Agent::Result Agent::amplify_memory(const Step& step) {
  const auto leave = step.args.at("leave").get<std::uint64_t>();
  amplify(step, [&] { return press_memory(leave, random_of(step)); });
  return {{"result", 0}};
}

Agent::Result Agent::amplify_kill(const Step& step) {
  const std::string device = device_path(step.args.at("device"));
  const auto count = step.args.at("writers").get<std::uint64_t>();
  amplify(step, [&] { return kill_writers(device, count, every(step), random_of(step)); });
  return {{"result", 0}};
}

Agent::Result Agent::calm(const Step&) {
  Result result = {{"result", 0}};
  for (const auto& [op, amplifier] : amplifiers_) {
    for (const auto& [name, value] : amplifier->stop()) result[name] = value;
  }
  amplifiers_.clear();
  return result;
}

// Programs started later join the group (unprotected.h); what they had been granted before stays.
Agent::Result Agent::limit_group(const Step& step) {
  const std::string root = kStormGroupRoot;
  if (!std::filesystem::exists(kStormGroup)) {
    std::filesystem::create_directories(root);
    if (::mount("cgroup2", root.c_str(), "cgroup2", 0, nullptr) != 0)
      require("mount of cgroup2", errno);
    require("cgroup controllers", write_switch(root + "/cgroup.subtree_control", "+io +memory"));
    std::filesystem::create_directory(kStormGroup);
  }
  const std::string group = kStormGroup;
  if (step.args.contains("memory")) {
    const auto bytes = step.args["memory"].get<std::uint64_t>();
    require("memory.max", write_switch(group + "/memory.max", std::to_string(bytes)));
  }
  if (step.args.contains("device")) {
    const dev_t id = device_below(device_path(step.args["device"]));
    const std::string rate = std::to_string(step.args.at("rate").get<std::uint64_t>());
    require("io.max",
            write_switch(group + "/io.max", std::to_string(major(id)) + ":" +
                                                std::to_string(minor(id)) + " wbps=" + rate));
  }
  return {{"result", 0}};
}

}  // namespace snapbed::agent
