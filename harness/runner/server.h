// SPDX-License-Identifier: GPL-2.0-or-later
// The recording server of one run: an nbdkit process with our plugin, and the control channel to
// it (JSON lines over a socket pair).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/fd.h"
#include "base/process.h"
#include "plan/mark.h"
#include "scenario/plan_build.h"

namespace snapbed::runner {

// One line from the server.
struct ServerEvent {
  enum class Kind : std::uint8_t { ready, mark, stats, cut, power, error, ended };
  Kind kind = Kind::error;
  plan::Mark mark;      // of a mark; guest_ns is 0
  nlohmann::json line;  // as it came
  std::string what;     // of an error or an end
};

struct ServerOptions {
  std::filesystem::path plugin;
  std::filesystem::path folder;  // of the run: configuration, log, journal
  std::filesystem::path socket;  // under 108 bytes
  nlohmann::json config;         // without control_fd
};

// Not thread safe.
class Server {
 public:
  // Throws std::runtime_error with the server's own words when it does not get ready in time.
  Server(const ServerOptions& options, const base::Deadline& deadline);

  // The next event, nullopt when none comes within `wait`. After `ended` no more comes.
  std::optional<ServerEvent> next(std::chrono::milliseconds wait);
  void ask_stats();
  // Lets the held reply of a mark go.
  void answer(std::uint64_t sequence);
  // After a `cut`, when the machine is gone: the disks lose what they lose; then comes `power`.
  void restore_power();
  // The orderly end: the journal is closed when this returns. Throws base::TimedOut after killing
  // it.
  void quit(const base::Deadline& deadline);
  pid_t pid() const { return process_->pid(); }
  int control_fd() const { return control_.get(); }
  // The last lines of its log, for messages.
  std::string last_words() const;

 private:
  void send(const nlohmann::json& command);
  bool fill(std::chrono::milliseconds wait);
  std::optional<ServerEvent> parse_line();

  std::filesystem::path log_;
  base::UniqueFd control_;
  std::optional<base::Process> process_;
  std::string buffer_;
  bool ended_ = false;
};

// The plugin's configuration for a plan: disks by role, rules, the module as a disk of its own.
nlohmann::json server_config(const scenario::Scenario& scenario, const scenario::Built& built,
                             const std::filesystem::path& folder);

// Writes the disk that carries the module file to the guest (agent/module_disk.h tells its layout)
// and returns its size in sectors.
std::uint64_t write_module_disk(const std::filesystem::path& module,
                                const std::filesystem::path& disk);

}  // namespace snapbed::runner
