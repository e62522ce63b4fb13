// SPDX-License-Identifier: GPL-2.0-or-later
// Programs of the storm must not inherit the agent's protection from the out-of-memory killer:
// then the kernel would have nobody left to kill.
#pragma once

#include <string>
#include <vector>

namespace snapbed::agent {

// `argv` behind a shell that gives the protection up and then becomes the program. Pure.
inline std::vector<std::string> unprotected(const std::vector<std::string>& argv) {
  std::vector<std::string> command = {"/bin/sh", "-c",
                                      "echo 0 >/proc/self/oom_score_adj && exec \"$@\"", "sh"};
  command.insert(command.end(), argv.begin(), argv.end());
  return command;
}

}  // namespace snapbed::agent
