// SPDX-License-Identifier: GPL-2.0-or-later
// Child processes: started with Boost.Process, tied to the life of their starter by
// PR_SET_PDEATHSIG, waited for with deadlines, killed and reaped by their owner's destructor.
//
// The kernel sends the death signal when the *thread* that started the child ends: start children
// from a thread that lives as long as they should.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/fd.h"

namespace snapbed::base {

// How a process ended: exactly one of the two is set.
struct Exit {
  std::optional<int> code;
  std::optional<int> signal;

  bool ok() const { return code == 0; }
};
// From what waitpid() tells of a process that has ended.
Exit exit_of(int status);
// "exit status 3", "killed by signal 9 (Killed)".
std::string to_string(const Exit& exit);

enum class Input : std::uint8_t { null, inherit };
enum class DeathSignal : std::uint8_t { kill, none };  // what the starter's death sends

struct Command {
  std::vector<std::string> argv;  // [0] is a path or a name to be found in PATH
  std::map<std::string, std::string> environment = {};  // added to our own
  std::optional<std::filesystem::path> output =
      {};  // appended to, stdout and stderr; nullopt: inherited
  Input input = Input::null;
  bool new_group = true;  // own process group: a Ctrl-C at the terminal reaches only the harness
  DeathSignal death_signal = DeathSignal::kill;
  // Descriptors the child gets under the same numbers, whatever their close-on-exec flags say. All
  // others of ours should be O_CLOEXEC, or they leak into the child.
  std::vector<int> inherited_fds = {};
};
// The command as one would type it, for messages.
std::string to_string(const Command& command);

struct Captured;

// One child. Movable; one thread at a time.
class Process {
 public:
  // Throws std::runtime_error naming the command when it cannot be found or started.
  static Process start(const Command& command);
  // SIGKILL and reap, when it still runs.
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Valid as a name of the child until its end has been seen by one of the calls below.
  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }

  // nullopt while it runs. Does not block.
  std::optional<Exit> poll();
  // Throws TimedOut "waited 5.0 s in vain for nbdkit (pid 7) to end".
  Exit wait(const Deadline& deadline);
  // Sends a signal; no effect when it has ended.
  void signal(int number);
  // SIGTERM, and SIGKILL when it has not ended within `grace`. Returns how it ended.
  Exit terminate(std::chrono::milliseconds grace);
  // SIGKILL and reap.
  Exit kill();

 private:
  struct Streams;  // descriptors for 0, 1 and 2
  static Process start_on(const Command& command, const Streams& streams);
  friend Captured run(const Command& command, const Deadline& deadline);

  Process(pid_t pid, std::string name);
  void release() noexcept;

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  std::string name_;
  std::optional<Exit> exit_;
};

struct Captured {
  Exit exit;
  std::string out;
  std::string err;
};
inline constexpr std::size_t kCaptureLimit =
    16 << 20;  // bytes kept of each stream; the rest is dropped

// Runs a command to its end and keeps what it printed. Throws std::runtime_error when it cannot
// start, TimedOut (after killing it) when it runs past the deadline. Command::output is ignored.
Captured run(const Command& command, const Deadline& deadline);
// As run(), and throws with the tail of its stderr unless it exits with 0.
std::string run_ok(const Command& command, const Deadline& deadline);

// Full path of a program in PATH, or of `name` itself when it has a slash; nullopt when there is
// none.
std::optional<std::filesystem::path> find_program(const std::string& name);

// The fields of a /proc/PID/stat from the third on, the state, which stand behind the name; none
// when the text is no such. See proc(5). Pure.
std::vector<std::string> stat_fields(const std::string& stat);

// Those of the process `pid`; none when there is none.
std::vector<std::string> process_stat(pid_t pid);

// Field 22 of /proc/PID/stat: pid and start time together name a process for the life of the host.
// nullopt when there is no such process.
std::optional<std::uint64_t> process_start_time(pid_t pid);

// Processor time of a process's living threads: had, and waited for while they could have run.
struct ProcessorUse {
  std::chrono::nanoseconds ran{0};
  std::chrono::nanoseconds waited{0};
};
// The sums of /proc/PID/task/TID/schedstat (the kernel's scheduler/sched-stats.rst); nullopt when
// there is no such process or the host's kernel does not count.
std::optional<ProcessorUse> processor_use(pid_t pid);

}  // namespace snapbed::base
