// SPDX-License-Identifier: GPL-2.0-or-later
// Children start, end, are captured, time out and die with their starter.
#include "base/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace snapbed::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Command shell(const std::string& text) {
  return {.argv = {"sh", "-c", text}};
}

TEST(Process, CapturesBothStreamsAndTheExitStatus) {
  const auto captured = run(shell("echo out; echo err >&2; exit 3"), Deadline::after(seconds(5)));
  EXPECT_EQ(captured.out, "out\n");
  EXPECT_EQ(captured.err, "err\n");
  EXPECT_EQ(captured.exit.code, 3);
  EXPECT_FALSE(captured.exit.ok());
}

TEST(Process, CapturesMoreThanAPipeHolds) {
  const auto captured = run(shell("head -c 1000000 /dev/zero; head -c 300000 /dev/zero >&2"),
                            Deadline::after(seconds(5)));
  EXPECT_EQ(captured.out.size(), 1000000u);
  EXPECT_EQ(captured.err.size(), 300000u);
}

TEST(Process, AGrandchildThatKeepsThePipeDoesNotKeepTheCaller) {
  const auto deadline = Deadline::after(seconds(2));
  const auto captured = run(shell("sleep 4 & echo started"), deadline);
  EXPECT_EQ(captured.out, "started\n");
  EXPECT_FALSE(deadline.passed());
}

TEST(Process, SaysWhatItWaitedFor) {
  auto process = Process::start({.argv = {"sleep", "30"}});
  try {
    process.wait(Deadline::after(milliseconds(50)));
    FAIL() << "a sleeping child ended";
  } catch (const TimedOut& error) {
    EXPECT_THAT(error.what(), HasSubstr("0.1 s in vain for sleep (pid "));
  }
  EXPECT_EQ(process.kill().signal, SIGKILL);
}

TEST(Process, AProgramThatDoesNotExistIsNamed) {
  try {
    Process::start({.argv = {"snapbed-no-such-program", "x"}});
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("snapbed-no-such-program"));
  }
}

TEST(Process, TerminateTurnsToKillAfterItsGrace) {
  auto process = Process::start(shell("trap '' TERM; echo; while :; do sleep 1; done"));
  wait_until("the shell to ignore SIGTERM", Deadline::after(seconds(5)), [&] {
    std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
    std::stringstream text;
    text << status.rdbuf();
    // Other signals may be ignored already, by whoever started the tests.
    const auto line = text.str().find("SigIgn:\t");
    if (line == std::string::npos) return false;
    return (std::stoull(text.str().substr(line + 8, 16), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  });
  EXPECT_EQ(process.terminate(milliseconds(100)).signal, SIGKILL);
}

TEST(Process, RunOkShowsWhatTheProgramSaid) {
  EXPECT_EQ(run_ok(shell("echo fine"), Deadline::after(seconds(5))), "fine\n");
  try {
    run_ok(shell("echo no such luck >&2; exit 9"), Deadline::after(seconds(5)));
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("exit status 9"));
    EXPECT_THAT(error.what(), HasSubstr("no such luck"));
  }
}

TEST(Process, OutputGoesToItsFileAndEnvironmentIsAdded) {
  const std::string path = testing::TempDir() + "snapbed_process_output";
  ::unlink(path.c_str());
  auto command = shell("echo $SNAPBED_WORD; echo two >&2");
  command.environment["SNAPBED_WORD"] = "one";
  command.output = path;
  EXPECT_TRUE(Process::start(command).wait(Deadline::after(seconds(5))).ok());
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), "one\ntwo\n");
  ::unlink(path.c_str());
}

TEST(Process, InheritsOnlyTheDescriptorsItIsGiven) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd reader(fds[0]);
  const UniqueFd writer(fds[1]);
  auto command = shell("echo hello >&" + std::to_string(writer.get()));
  command.inherited_fds = {writer.get()};
  EXPECT_TRUE(run(command, Deadline::after(seconds(5))).exit.ok());
  char text[6] = {};
  EXPECT_EQ(::read(reader.get(), text, 6), 6);
  EXPECT_EQ(std::string(text, 6), "hello\n");
  command.inherited_fds = {};
  EXPECT_FALSE(run(command, Deadline::after(seconds(5))).exit.ok());
}

TEST(Process, DiesWithItsStarterOnKillMinus9) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const pid_t starter = ::fork();
  if (starter == 0) {
    auto child = Process::start({.argv = {"sleep", "60"}});
    const pid_t pid = child.pid();
    if (::write(fds[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    while (true) ::pause();
  }
  pid_t grandchild = 0;
  ASSERT_EQ(::read(fds[0], &grandchild, sizeof grandchild),
            static_cast<ssize_t>(sizeof grandchild));
  const auto started = process_start_time(grandchild);
  ASSERT_TRUE(started);
  ::kill(starter, SIGKILL);
  ::waitpid(starter, nullptr, 0);
  wait_until("the grandchild to die", Deadline::after(seconds(2)), [&] {
    std::ifstream status("/proc/" + std::to_string(grandchild) + "/status");
    std::stringstream text;
    text << status.rdbuf();
    return process_start_time(grandchild) != started ||
           text.str().find("Z (zombie)") != std::string::npos;
  });
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(Process, ItsProcessorTimeGrows) {
  auto process = Process::start({.argv = {"sh", "-c", "while :; do :; done"}});
  ASSERT_TRUE(processor_use(process.pid())) << "this kernel keeps no schedstat";
  wait_until("the child to run", Deadline::after(seconds(10)),
             [&] { return processor_use(process.pid())->ran > std::chrono::milliseconds(20); });
  process.kill();
  EXPECT_FALSE(processor_use(process.pid()));
}

TEST(Process, AnAbandonedChildIsKilledAndReaped) {
  pid_t pid = 0;
  {
    auto process = Process::start({.argv = {"sleep", "60"}});
    pid = process.pid();
    auto moved = std::move(process);
    EXPECT_EQ(moved.pid(), pid);
  }
  EXPECT_FALSE(process_start_time(pid));
}

}  // namespace
}  // namespace snapbed::base
