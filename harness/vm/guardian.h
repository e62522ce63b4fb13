// SPDX-License-Identifier: GPL-2.0-or-later
// The guardian: a small process that outlives the harness just long enough to clear up after it.
//
// The harness tells it over a socket what it has started and made. When the harness ends in any
// way, kill -9 included, the kernel closes that socket; the guardian reads the end of it, kills
// what still runs, removes what was left, and exits, all within kGuardianLimit. PR_SET_PDEATHSIG
// covers direct children; this covers daemons (libvirt's QEMU), sockets and directories as well.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace snapbed::vm {

inline constexpr std::chrono::milliseconds kGuardianLimit{2000};

class GuardianChannel;

// One thing under guard, until this value goes. Movable. May outlive the Guardian.
class Guarded {
 public:
  Guarded() = default;
  Guarded(std::shared_ptr<GuardianChannel> channel, std::uint64_t id);
  ~Guarded() { release(); }
  Guarded(Guarded&& other) noexcept;
  Guarded& operator=(Guarded&& other) noexcept;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // The guardian forgets it: its owner has ended or removed it in order.
  void release() noexcept;

 private:
  std::shared_ptr<GuardianChannel> channel_;
  std::uint64_t id_ = 0;
};

class Guardian {
 public:
  // Forks: call it early, while the process has one thread. Throws std::system_error.
  static Guardian start();
  // The orderly end: the guardian forgets everything and exits; it is waited for.
  ~Guardian();
  Guardian(Guardian&&) noexcept = default;
  Guardian& operator=(Guardian&&) = delete;
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  pid_t pid() const { return pid_; }

  // All of these may be called from any thread; they throw std::system_error when the guardian is
  // gone.

  // A process, named by its pid and start time. Throws std::runtime_error when there is none.
  Guarded process(pid_t pid);
  // Every process whose program's file name begins with `program` ("qemu-") and whose command line
  // holds `token`, also those that start while the harness dies. `token` has at least 8 characters.
  Guarded matching(const std::string& program, const std::string& token);
  // A file or socket to unlink; absolute.
  Guarded path(const std::filesystem::path& path);
  // A directory to remove with all in it; absolute, at least two levels below the root.
  Guarded directory(const std::filesystem::path& path);
  // A descriptor to keep open, such as that of a locked file: whoever takes the lock next then
  // finds everything cleared up. The caller keeps its own.
  Guarded held_open(int fd);

 private:
  Guardian(std::shared_ptr<GuardianChannel> channel, pid_t pid);

  std::shared_ptr<GuardianChannel> channel_;
  pid_t pid_ = -1;
};

// Processes whose program begins with `program` and whose command line holds `token`; zombies do
// not count. For clearing up after a harness whose guardian was killed too.
std::vector<pid_t> find_processes(const std::string& program, const std::string& token);

}  // namespace snapbed::vm
