// SPDX-License-Identifier: GPL-2.0-or-later
// Programs of the storm must not inherit the agent's protection from the out-of-memory killer:
// then the kernel would have nobody left to kill. They live in the storm's control group once
// limit_group has made it.
#pragma once

#include <string>
#include <vector>

namespace snapbed::agent {

inline constexpr const char* kStormGroupRoot = "/run/cgroup";
inline constexpr const char* kStormGroup = "/run/cgroup/storm";

// `argv` behind a shell that gives the protection up, joins the group and then becomes the program.
// Pure.
inline std::vector<std::string> unprotected(const std::vector<std::string>& argv) {
  const std::string group = std::string(kStormGroup) + "/cgroup.procs";
  std::vector<std::string> command = {"/bin/sh", "-c",
                                      "echo 0 >/proc/self/oom_score_adj && "
                                      "{ [ ! -e " +
                                          group + " ] || echo 0 >" + group + "; } && exec \"$@\"",
                                      "sh"};
  command.insert(command.end(), argv.begin(), argv.end());
  return command;
}

}  // namespace snapbed::agent
