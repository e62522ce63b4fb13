// SPDX-License-Identifier: GPL-2.0-or-later
// Starting is Boost.Process; waiting is a pidfd, because Boost's timed waits (1.74) block SIGCHLD
// for the whole process and miss children that end between two calls.
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/io.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace snapbed::base {
namespace {

namespace bp = boost::process;

std::string base_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

// What the child does between fork and exec; async-signal-safe calls only.
struct ChildSetup : bp::extend::handler {
  int in = -1;  // -1: inherited
  int out = -1;
  int err = -1;
  const std::vector<int>* inherited = nullptr;
  bool new_group = true;
  DeathSignal death_signal = DeathSignal::kill;
  pid_t starter = -1;

  template <typename Executor>
  void on_exec_setup(Executor& executor) const {
    if (new_group) ::setpgid(0, 0);
    if (death_signal == DeathSignal::kill) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      // The starter may have died before the call above: then no signal ever comes.
      if (::getppid() != starter) ::_exit(127);
    }
    ::sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    put(executor, in, 0);
    put(executor, out, 1);
    put(executor, err, 2);
    for (const int fd : *inherited) {
      const int flags = ::fcntl(fd, F_GETFD);
      if (flags < 0 || ::fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0)
        executor.set_error({errno, std::system_category()}, "keeping a descriptor open");
    }
  }

 private:
  template <typename Executor>
  static void put(Executor& executor, int from, int to) {
    if (from >= 0 && ::dup2(from, to) < 0)
      executor.set_error({errno, std::system_category()}, "redirecting a stream");
  }
};

bp::native_environment current_environment() {
  return boost::this_process::environment();
}

pid_t launch(const Command& command, int in, int out, int err) {
  if (command.argv.empty()) throw std::runtime_error("cannot start a command without words");
  const auto program = find_program(command.argv.front());
  if (!program)
    throw std::runtime_error("cannot start " + command.argv.front() + ": not found in PATH");
  bp::environment environment = current_environment();
  for (const auto& [name, value] : command.environment) environment[name] = value;
  ChildSetup setup;
  setup.in = in;
  setup.out = out;
  setup.err = err;
  setup.inherited = &command.inherited_fds;
  setup.new_group = command.new_group;
  setup.death_signal = command.death_signal;
  setup.starter = ::getpid();
  const std::vector<std::string> words(command.argv.begin() + 1, command.argv.end());
  std::error_code error;
  bp::child child(bp::exe = program->string(), bp::args = words, environment, error, setup);
  if (error)
    throw std::runtime_error("cannot start " + to_string(command) + ": " + error.message());
  const pid_t pid = child.id();
  child.detach();  // From here on this file waits for it.
  return pid;
}

UniqueFd open_stream(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) throw_errno("opening " + path + " for a child's stream");
  return fd;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) < 0) throw_errno("making a pipe for a child");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

bool readable(const UniqueFd& fd) {
  ::pollfd watched{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return fd && ::poll(&watched, 1, 0) > 0;
}

// Reads what is there; false at the end of the stream.
bool drain(int fd, std::string& text) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (got <= 0) return false;
  const std::size_t room = kCaptureLimit - std::min(kCaptureLimit, text.size());
  text.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
  return true;
}

}  // namespace

Exit exit_of(int status) {
  Exit exit;
  if (WIFEXITED(status))
    exit.code = WEXITSTATUS(status);
  else
    exit.signal = WTERMSIG(status);
  return exit;
}

std::string to_string(const Exit& exit) {
  if (exit.signal)
    return "killed by signal " + std::to_string(*exit.signal) + " (" + ::strsignal(*exit.signal) +
           ")";
  return "exit status " + std::to_string(exit.code.value_or(-1));
}

std::string to_string(const Command& command) {
  std::string text;
  for (const auto& word : command.argv) {
    if (!text.empty()) text += ' ';
    const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$&|;<>()*?#") == word.npos;
    if (plain) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  if (name.find('/') != name.npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    return std::nullopt;
  }
  const char* path = ::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto candidate = std::filesystem::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

std::vector<std::string> stat_fields(const std::string& stat) {
  // The name in parentheses may hold spaces and parentheses itself: count from the last one.
  const auto paren = stat.rfind(')');
  std::istringstream rest(paren == stat.npos ? "" : stat.substr(paren + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

std::vector<std::string> process_stat(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  return stat_fields(line);
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
  constexpr std::size_t kStartTime = 22 - 3;
  const std::vector<std::string> fields = process_stat(pid);
  if (fields.size() <= kStartTime) return std::nullopt;
  return std::stoull(fields[kStartTime]);
}

std::optional<ProcessorUse> processor_use(pid_t pid) {
  std::optional<ProcessorUse> sum;
  std::error_code error;
  const std::filesystem::directory_iterator threads("/proc/" + std::to_string(pid) + "/task",
                                                    error);
  if (error) return sum;
  for (auto thread = begin(threads); thread != end(threads); thread.increment(error)) {
    if (error) break;
    std::ifstream file(thread->path() / "schedstat");
    std::int64_t ran = 0;
    std::int64_t waited = 0;
    if (!(file >> ran >> waited)) continue;  // it has just ended
    if (!sum) sum.emplace();
    sum->ran += std::chrono::nanoseconds(ran);
    sum->waited += std::chrono::nanoseconds(waited);
  }
  return sum;
}

struct Process::Streams {
  int in = -1;  // -1: inherited
  int out = -1;
  int err = -1;
};

Process::Process(pid_t pid, std::string name) : pid_(pid), name_(std::move(name)) {
}

Process Process::start_on(const Command& command, const Streams& streams) {
  const pid_t pid = launch(command, streams.in, streams.out, streams.err);
  Process process(pid, base_name(command.argv.front()));
  process.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.pidfd_) throw_errno("watching " + process.name_ + " (pidfd_open)");
  return process;
}

Process Process::start(const Command& command) {
  UniqueFd null;
  if (command.input == Input::null) null = open_stream("/dev/null", O_RDONLY);
  UniqueFd out;
  if (command.output) out = open_stream(command.output->string(), O_WRONLY | O_CREAT | O_APPEND);
  return start_on(command, {null.get(), out.get(), out.get()});
}

void Process::release() noexcept {
  if (pid_ > 0 && !exit_) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  pidfd_.reset();
  pid_ = -1;
}

Process::~Process() {
  release();
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      name_(std::move(other.name_)),
      exit_(other.exit_) {
}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    release();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    name_ = std::move(other.name_);
    exit_ = other.exit_;
  }
  return *this;
}

std::optional<Exit> Process::poll() {
  if (exit_) return exit_;
  int status = 0;
  const pid_t got = ::waitpid(pid_, &status, WNOHANG);
  if (got == pid_) exit_ = exit_of(status);
  if (got < 0 && errno != EINTR)
    throw_errno("waiting for " + name_ + " (pid " + std::to_string(pid_) + ")");
  return exit_;
}

Exit Process::wait(const Deadline& deadline) {
  while (true) {
    if (const auto exit = poll()) return *exit;
    if (deadline.passed())
      throw deadline.error(name_ + " (pid " + std::to_string(pid_) + ") to end");
    ::pollfd watched{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&watched, 1, deadline.poll_ms()) < 0 && errno != EINTR)
      throw_errno("polling for the end of " + name_);
  }
}

void Process::signal(int number) {
  if (!poll()) ::kill(pid_, number);
}

Exit Process::terminate(std::chrono::milliseconds grace) {
  signal(SIGTERM);
  try {
    return wait(Deadline::after(grace));
  } catch (const TimedOut&) {
    return kill();
  }
}

Exit Process::kill() {
  signal(SIGKILL);
  // Only a process stuck in the kernel survives this; the deadline keeps us from joining it.
  return wait(Deadline::after(std::chrono::seconds(10)));
}

Captured run(const Command& command, const Deadline& deadline) {
  const UniqueFd null = open_stream("/dev/null", O_RDONLY);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  Process process = Process::start_on(command, {null.get(), out.write.get(), err.write.get()});
  out.write.reset();
  err.write.reset();
  Captured captured;
  // A grandchild may hold a pipe open after our child's end: its end closes the capture.
  while ((out.read || err.read) &&
         !(process.poll() && !readable(out.read) && !readable(err.read))) {
    if (deadline.passed()) throw deadline.error(to_string(command) + " to end");
    std::array<::pollfd, 3> watched{{{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                                     {.fd = err.read.get(), .events = POLLIN, .revents = 0},
                                     {.fd = process.pidfd_.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(watched.data(), watched.size(), deadline.poll_ms()) < 0 && errno != EINTR)
      throw_errno("polling the output of " + process.name());
    if (watched[0].revents != 0 && !drain(out.read.get(), captured.out)) out.read.reset();
    if (watched[1].revents != 0 && !drain(err.read.get(), captured.err)) err.read.reset();
  }
  captured.exit = process.wait(deadline);
  return captured;
}

std::string run_ok(const Command& command, const Deadline& deadline) {
  constexpr std::size_t kTail = 600;  // characters of stderr worth showing
  Captured captured = run(command, deadline);
  if (captured.exit.ok()) return std::move(captured.out);
  const std::size_t skip = captured.err.size() - std::min(captured.err.size(), kTail);
  throw std::runtime_error(to_string(command) + ": " + to_string(captured.exit) + ": " +
                           captured.err.substr(skip));
}

}  // namespace snapbed::base
