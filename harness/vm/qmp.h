// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's control socket: one command at a time, answers and awaited events with deadlines.
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <nlohmann/json.hpp>
#include <string>

#include "base/deadline.h"
#include "base/fd.h"

namespace snapbed::vm {

// A negotiated connection. One thread at a time.
class Qmp {
 public:
  // Waits until something listens, while `alive` says so. Throws std::runtime_error when that ends
  // or the other side is no QEMU, TimedOut.
  Qmp(const std::filesystem::path& socket, const std::function<bool()>& alive,
      const base::Deadline& deadline);

  // The "return" of the answer. Throws std::runtime_error with the command and QEMU's words.
  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                         const base::Deadline& deadline);
  // The next event of this name that `wanted` accepts, also one that has come already; others are
  // dropped. Throws TimedOut.
  nlohmann::json wait_event(const std::string& name,
                            const std::function<bool(const nlohmann::json&)>& wanted,
                            const base::Deadline& deadline);

 private:
  // The next message; `what` is what it is waited for.
  nlohmann::json receive(const std::string& what, const base::Deadline& deadline);

  base::UniqueFd socket_;
  std::string buffer_;
  std::list<nlohmann::json> events_;
};

}  // namespace snapbed::vm
