// SPDX-License-Identifier: GPL-2.0-or-later
// Steps during which the host plugs a disk in or pulls it: the guest waits until it sees that.
#include <filesystem>

#include "agent/agent.h"

namespace snapbed::agent {
namespace {

constexpr auto kPlugLimit = std::chrono::seconds(60);

}  // namespace

Agent::Result Agent::plug(const Step& step) {
  const std::string device = step.args.at("device");
  const std::string path =
      wait_for_device(plan_.devices.at(device).path, step_deadline(step, kPlugLimit));
  return {{"result", 0}, {"node", std::filesystem::read_symlink(path).filename().string()}};
}

Agent::Result Agent::unplug(const Step& step) {
  const std::string device = step.args.at("device");
  const std::string path = plan_.devices.at(device).path;
  base::wait_until("disk " + device + " to go", step_deadline(step, kPlugLimit), [&path] {
    refresh_links();
    return !std::filesystem::is_symlink(path);
  });
  return {{"result", 0}};
}

}  // namespace snapbed::agent
