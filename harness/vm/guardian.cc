// SPDX-License-Identifier: GPL-2.0-or-later
// Messages are packets of a SOCK_SEQPACKET pair: one character of kind, the id in decimal, then
// arguments, separated by NUL. What the harness sent before it died is still read after its death,
// so no message needs an answer.
#include "vm/guardian.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"

namespace snapbed::vm {
namespace {

constexpr std::size_t kMessageLimit = 8192;  // two paths of PATH_MAX
enum Kind : char {
  kProcess = 'P',
  kMatching = 'M',
  kPath = 'U',
  kDirectory = 'D',
  kHeldOpen = 'H',
  kForget = 'F',
  kDisarm = 'X',
};

struct Message {
  char kind = 0;
  std::uint64_t id = 0;
  std::vector<std::string> words;
  base::UniqueFd fd;
};

std::string encode(char kind, std::uint64_t id, const std::vector<std::string>& words) {
  std::string text(1, kind);
  text += std::to_string(id);
  for (const auto& word : words) {
    text += '\0';
    text += word;
  }
  return text;
}

Message decode(const std::string& text) {
  Message message;
  std::size_t at = text.find('\0');
  message.kind = text.front();
  message.id = std::stoull(text.substr(1, at == text.npos ? at : at - 1));
  while (at != text.npos) {
    const std::size_t next = text.find('\0', at + 1);
    message.words.push_back(text.substr(at + 1, next == text.npos ? next : next - at - 1));
    at = next;
  }
  return message;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Dead, or dead and not yet collected by its parent.
bool is_zombie(pid_t pid) {
  const std::vector<std::string> stat = base::process_stat(pid);
  return stat.empty() || stat[0] == "Z" || stat[0] == "X";
}

std::string program_of(pid_t pid) {
  std::error_code error;
  const auto link = "/proc/" + std::to_string(pid) + "/exe";
  return std::filesystem::read_symlink(link, error).filename().string();
}

// The end of the guardian's work: nothing here may throw.
class Ward {
 public:
  explicit Ward(base::UniqueFd socket) : socket_(std::move(socket)) {}

  // True when the harness died and things must be cleared up.
  bool listen();
  void clear_up();

 private:
  std::optional<Message> receive();
  bool kill_all();
  void remove_all();

  base::UniqueFd socket_;
  std::map<std::uint64_t, Message> entries_;
};

std::optional<Message> Ward::receive() {
  std::array<char, kMessageLimit> buffer;
  alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  ::iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  ::msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  Message message = decode(std::string(buffer.data(), static_cast<std::size_t>(got)));
  const ::cmsghdr* attached = CMSG_FIRSTHDR(&header);
  if (attached != nullptr && attached->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(attached), sizeof fd);
    message.fd.reset(fd);
  }
  return message;
}

bool Ward::listen() {
  while (true) {
    std::optional<Message> message = receive();
    if (!message) return true;
    if (message->kind == kDisarm) return false;
    if (message->kind == kForget)
      entries_.erase(message->id);
    else
      entries_.insert_or_assign(message->id, std::move(*message));
  }
}

// Returns true when nothing was left to kill.
bool Ward::kill_all() {
  bool clean = true;
  for (const auto& [id, entry] : entries_) {
    std::vector<pid_t> targets;
    if (entry.kind == kMatching) targets = find_processes(entry.words[0], entry.words[1]);
    if (entry.kind == kProcess) {
      const auto pid = static_cast<pid_t>(std::stol(entry.words[0]));
      const auto started = base::process_start_time(pid);
      if (started && std::to_string(*started) == entry.words[1] && !is_zombie(pid))
        targets.push_back(pid);
    }
    for (const pid_t pid : targets) ::kill(pid, SIGKILL);
    clean = clean && targets.empty();
  }
  return clean;
}

void Ward::remove_all() {
  std::error_code ignored;  // nobody is left to tell
  for (const auto& [id, entry] : entries_) {
    if (entry.kind == kPath) std::filesystem::remove(entry.words[0], ignored);
    if (entry.kind == kDirectory) std::filesystem::remove_all(entry.words[0], ignored);
  }
}

void Ward::clear_up() {
  // A process may be between fork and exec when the harness dies, and match only later: look until
  // several looks in a row have found nothing.
  constexpr int kCleanLooks = 10;
  const auto interval = std::chrono::milliseconds(50);
  const auto deadline = base::Deadline::after(kGuardianLimit - std::chrono::milliseconds(500));
  int clean = 0;
  const bool matches = std::any_of(entries_.begin(), entries_.end(),
                                   [](const auto& e) { return e.second.kind == kMatching; });
  try {
    base::wait_until(
        "everything to be dead", deadline,
        [&] {
          clean = kill_all() ? clean + 1 : 0;
          return clean >= (matches ? kCleanLooks : 1);
        },
        interval);
  } catch (const base::TimedOut&) {
    // Stuck in the kernel: remove what can be removed all the same.
  }
  remove_all();
}

[[noreturn]] void be_guardian(base::UniqueFd socket) {
  ::setsid();
  ::prctl(PR_SET_NAME, "snapbed-guard");
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);
  // Whoever reads the harness's output must see its end with the harness, not with us; and a
  // descriptor held here would keep the harness's peers from seeing their end.
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  const auto kept = static_cast<unsigned>(socket.get());
  if (kept > 3) ::close_range(3, kept - 1, 0);
  ::close_range(kept + 1, ~0U, 0);
  try {
    Ward ward(std::move(socket));
    if (ward.listen()) ward.clear_up();
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

void require_absolute(const std::filesystem::path& path, std::ptrdiff_t least_parts) {
  const auto clean = path.lexically_normal();
  const auto parts = std::count_if(clean.begin(), clean.end(), [](const auto& part) {
    return !part.empty() && part != "/";  // "/tmp/" has an empty last part
  });
  if (!path.is_absolute() || parts < least_parts)
    throw std::runtime_error("the guardian refuses to remove " + path.string() +
                             ": not an absolute path of at least " + std::to_string(least_parts) +
                             " parts");
}

}  // namespace

std::vector<pid_t> find_processes(const std::string& program, const std::string& token) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (program_of(pid).compare(0, program.size(), program) != 0) continue;
    if (slurp("/proc/" + name + "/cmdline").find(token) == std::string::npos) continue;
    if (!is_zombie(pid)) found.push_back(pid);
  }
  return found;
}

class GuardianChannel {
 public:
  explicit GuardianChannel(base::UniqueFd socket) : socket_(std::move(socket)) {}

  std::uint64_t next_id() { return ++last_id_; }

  // Returns 0 or the positive errno. The socket keeps packets whole: any thread.
  int send(const std::string& text, int fd = -1) {
    ::iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
    ::msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (fd >= 0) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      ::cmsghdr* attached = CMSG_FIRSTHDR(&header);
      attached->cmsg_level = SOL_SOCKET;
      attached->cmsg_type = SCM_RIGHTS;
      attached->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(attached), &fd, sizeof fd);
    }
    while (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0)
      if (errno != EINTR) return errno;
    return 0;
  }

 private:
  base::UniqueFd socket_;
  std::atomic<std::uint64_t> last_id_{0};
};

namespace {

Guarded add(const std::shared_ptr<GuardianChannel>& channel, char kind,
            const std::vector<std::string>& words, int fd = -1) {
  const std::uint64_t id = channel->next_id();
  const std::string text = encode(kind, id, words);
  if (text.size() > kMessageLimit)
    throw std::runtime_error("the guardian takes at most " + std::to_string(kMessageLimit) +
                             " bytes, not " + std::to_string(text.size()));
  if (const int error = channel->send(text, fd); error != 0)
    base::throw_errno("telling the guardian what to clear up", error);
  return Guarded(channel, id);
}

}  // namespace

Guarded::Guarded(std::shared_ptr<GuardianChannel> channel, std::uint64_t id)
    : channel_(std::move(channel)), id_(id) {
}

Guarded::Guarded(Guarded&& other) noexcept
    : channel_(std::move(other.channel_)), id_(std::exchange(other.id_, 0)) {
}

Guarded& Guarded::operator=(Guarded&& other) noexcept {
  if (this != &other) {
    release();
    channel_ = std::move(other.channel_);
    id_ = std::exchange(other.id_, 0);
  }
  return *this;
}

void Guarded::release() noexcept {
  // A guardian that is gone has nothing to forget.
  if (channel_) channel_->send(encode(kForget, id_, {}));
  channel_.reset();
}

Guardian::Guardian(std::shared_ptr<GuardianChannel> channel, pid_t pid)
    : channel_(std::move(channel)), pid_(pid) {
}

Guardian Guardian::start() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) < 0)
    base::throw_errno("making the guardian's socket");
  base::UniqueFd ours(fds[0]);
  base::UniqueFd theirs(fds[1]);
  const pid_t pid = ::fork();
  if (pid < 0) base::throw_errno("forking the guardian");
  if (pid == 0) {
    ours.reset();
    be_guardian(std::move(theirs));
  }
  return Guardian(std::make_shared<GuardianChannel>(std::move(ours)), pid);
}

Guardian::~Guardian() {
  if (!channel_) return;
  channel_->send(encode(kDisarm, 0, {}));
  // It only has to read what is queued; one that was killed is collected all the same.
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Guarded Guardian::process(pid_t pid) {
  const auto started = base::process_start_time(pid);
  if (!started) throw std::runtime_error("no process " + std::to_string(pid) + " to guard");
  return add(channel_, kProcess, {std::to_string(pid), std::to_string(*started)});
}

Guarded Guardian::matching(const std::string& program, const std::string& token) {
  constexpr std::size_t kLeastToken = 8;  // shorter ones would match strangers
  if (program.empty() || token.size() < kLeastToken)
    throw std::runtime_error("the guardian refuses to kill every '" + program + "' with '" + token +
                             "' in its command line: too unspecific");
  return add(channel_, kMatching, {program, token});
}

Guarded Guardian::path(const std::filesystem::path& path) {
  require_absolute(path, 1);
  return add(channel_, kPath, {path.string()});
}

Guarded Guardian::directory(const std::filesystem::path& path) {
  require_absolute(path, 2);
  return add(channel_, kDirectory, {path.string()});
}

Guarded Guardian::held_open(int fd) {
  return add(channel_, kHeldOpen, {}, fd);
}

}  // namespace snapbed::vm
