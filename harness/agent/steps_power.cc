// SPDX-License-Identifier: GPL-2.0-or-later
// Steps around a cut of the power, and what the machine after it knows of the one before.
#include <fcntl.h>

#include "agent/agent.h"
#include "agent/fatal.h"
#include "agent/text.h"

namespace snapbed::agent {
namespace {

constexpr auto kCutLimit = std::chrono::seconds(120);  // of the guest's time: its writers are slow

}  // namespace

// The server cuts the power: nothing here goes on. Whoever comes to the end of the wait lives.
Agent::Result Agent::power_cut(const Step& step) {
  base::wait_until("the power to be cut", step_deadline(step, kCutLimit), [] { return false; });
  return {{"result", 0}};
}

Agent::Result Agent::copy_origin(const Step& step) {
  return copy_device(step, BlockDevice(device_path(step.args.at("device")), O_RDONLY));
}

std::size_t Agent::begin_behind(const Resume& resume) {
  if (!resume.cut) return 0;
  for (const plan::Mark& mark : resume.ended) {
    if (mark.step >= plan_.steps.size() || plan_.steps[mark.step].op != "create") continue;
    const auto text = nlohmann::json::parse(mark.text, nullptr, false);
    if (!text.is_object() || !text.contains("id")) continue;
    const Step& step = plan_.steps[mark.step];
    snapshots_.created(
        step.args.at("snapshot"),
        {uuid_of(text.at("id").get<std::string>()), step.args.at("devices"), {}, {}, false});
  }
  if (*resume.cut >= plan_.steps.size() || plan_.steps[*resume.cut].op != "power_cut") {
    throw Fatal("the plan has no power_cut at step " + std::to_string(*resume.cut));
  }
  return *resume.cut + 1;
}

}  // namespace snapbed::agent
