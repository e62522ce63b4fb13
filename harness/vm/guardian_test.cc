// SPDX-License-Identifier: GPL-2.0-or-later
// Harnesses that are really killed with SIGKILL, and what is left of them afterwards.
#include "vm/guardian.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "base/deadline.h"
#include "base/fd.h"
#include "base/process.h"

namespace snapbed::vm {
namespace {

using base::Deadline;
using base::wait_until;

std::filesystem::path fresh_folder() {
  std::string name = testing::TempDir() + "snapbed-guardian-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
  return name;
}

// A daemon: no PR_SET_PDEATHSIG and its own group, so that only the guardian can end it. Its
// command line holds the file's path, which no other process knows.
base::Process start_daemon(const std::filesystem::path& file) {
  std::ofstream(file) << "x";
  return base::Process::start({.argv = {"tail", "-f", file.string()},
                               .output = "/dev/null",
                               .death_signal = base::DeathSignal::none});
}

bool runs(const std::filesystem::path& file) {
  return !find_processes("tail", file.string()).empty();
}

// Runs `harness` in a forked process that says when it is set up and then waits to be killed.
pid_t start_harness(const std::function<void(Guardian&)>& harness) {
  int fds[2];
  if (::pipe(fds) != 0) throw std::runtime_error("no pipe for the test");
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      Guardian guardian = Guardian::start();
      harness(guardian);
      const pid_t guardian_pid = guardian.pid();
      if (::write(fds[1], &guardian_pid, sizeof guardian_pid) < 0) ::_exit(1);
      while (true) ::pause();
    } catch (...) {
    }
    ::_exit(1);
  }
  ::close(fds[1]);
  pid_t guardian_pid = -1;
  const ssize_t got = ::read(fds[0], &guardian_pid, sizeof guardian_pid);
  ::close(fds[0]);
  if (got != static_cast<ssize_t>(sizeof guardian_pid))
    throw std::runtime_error("the test's harness did not start");
  return pid;
}

void kill_minus_9(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST(Guardian, KillsAndRemovesEverythingWithinTwoSeconds) {
  const auto folder = fresh_folder();
  std::ofstream(folder / "socket") << "x";
  std::filesystem::create_directories(folder / "work" / "deep");
  std::ofstream(folder / "work" / "deep" / "file") << "x";
  const pid_t harness = start_harness([&](Guardian& guardian) {
    // Leaked on purpose: the destructors of a killed harness do not run either.
    auto* first = new base::Process(start_daemon(folder / "by-pid"));
    new base::Process(start_daemon(folder / "by-name"));
    new Guarded(guardian.process(first->pid()));
    new Guarded(guardian.matching("tail", folder / "by-name"));
    new Guarded(guardian.path(folder / "socket"));
    new Guarded(guardian.directory(folder / "work"));
  });
  EXPECT_TRUE(runs(folder / "by-pid") && runs(folder / "by-name"));
  kill_minus_9(harness);
  const auto deadline = Deadline::after(kGuardianLimit);
  wait_until("the guardian to clear up", deadline, [&] {
    return !runs(folder / "by-pid") && !runs(folder / "by-name") &&
           !std::filesystem::exists(folder / "socket") && !std::filesystem::exists(folder / "work");
  });
  EXPECT_TRUE(std::filesystem::exists(folder / "by-pid")) << "removed what it was not told of";
  std::filesystem::remove_all(folder);
}

TEST(Guardian, CatchesWhatStartsAfterTheHarnessDied) {
  const auto folder = fresh_folder();
  const pid_t harness = start_harness([&](Guardian& guardian) {
    new Guarded(guardian.matching("tail", folder / "late"));
    // A child between fork and exec when the harness dies, drawn out.
    base::Process::start(
        {.argv = {"sh", "-c", "(sleep 0.2; exec tail -f " + (folder / "late").string() + ") &"},
         .death_signal = base::DeathSignal::none})
        .wait(Deadline::after(std::chrono::seconds(5)));
  });
  std::ofstream(folder / "late") << "x";
  kill_minus_9(harness);
  const auto deadline = Deadline::after(kGuardianLimit);
  wait_until(
      "the late daemon to start", deadline, [&] { return runs(folder / "late"); },
      std::chrono::milliseconds(1));
  wait_until("the late daemon to be killed", deadline, [&] { return !runs(folder / "late"); });
  std::filesystem::remove_all(folder);
}

TEST(Guardian, TouchesNothingAfterAnOrderlyEnd) {
  const auto folder = fresh_folder();
  base::Process daemon = start_daemon(folder / "daemon");
  pid_t guardian_pid = -1;
  {
    Guardian guardian = Guardian::start();
    guardian_pid = guardian.pid();
    const Guarded process = guardian.process(daemon.pid());
    const Guarded path = guardian.path(folder / "daemon");
    EXPECT_TRUE(base::process_start_time(guardian_pid));
  }
  EXPECT_FALSE(base::process_start_time(guardian_pid));
  EXPECT_FALSE(daemon.poll());
  EXPECT_TRUE(std::filesystem::exists(folder / "daemon"));
  daemon.kill();
  std::filesystem::remove_all(folder);
}

TEST(Guardian, ForgetsWhatWasReleased) {
  const auto folder = fresh_folder();
  std::ofstream(folder / "kept") << "x";
  std::ofstream(folder / "removed") << "x";
  const pid_t harness = start_harness([&](Guardian& guardian) {
    { const Guarded released = guardian.path(folder / "kept"); }
    new Guarded(guardian.path(folder / "removed"));
  });
  kill_minus_9(harness);
  wait_until("the guardian to clear up", Deadline::after(kGuardianLimit),
             [&] { return !std::filesystem::exists(folder / "removed"); });
  EXPECT_TRUE(std::filesystem::exists(folder / "kept"));
  std::filesystem::remove_all(folder);
}

TEST(Guardian, KeepsALockUntilEverythingIsClearedUp) {
  const auto folder = fresh_folder();
  const auto lock = folder / "lock";
  const pid_t harness = start_harness([&](Guardian& guardian) {
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) throw std::runtime_error("lock taken");
    new Guarded(guardian.held_open(fd));
    new Guarded(guardian.matching("tail", folder / "daemon"));
    new base::Process(start_daemon(folder / "daemon"));
  });
  const base::UniqueFd fd(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
  kill_minus_9(harness);
  EXPECT_NE(::flock(fd.get(), LOCK_EX | LOCK_NB), 0) << "the lock went with the harness";
  wait_until("the guardian to give up the lock", Deadline::after(kGuardianLimit),
             [&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0; });
  EXPECT_FALSE(runs(folder / "daemon"));
  std::filesystem::remove_all(folder);
}

TEST(Guardian, RefusesWhatWouldHitStrangers) {
  Guardian guardian = Guardian::start();
  EXPECT_THROW(guardian.matching("qemu-", "x"), std::runtime_error);
  EXPECT_THROW(guardian.matching("", "a long enough token"), std::runtime_error);
  EXPECT_THROW(guardian.directory("/tmp"), std::runtime_error);
  EXPECT_THROW(guardian.directory("/tmp/a/.."), std::runtime_error);
  EXPECT_THROW(guardian.directory("relative/path/x"), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::vm
