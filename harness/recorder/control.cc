// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"

namespace snapbed::recorder {

namespace {

constexpr std::size_t kOutgoingLimit = 16U << 20;
constexpr std::size_t kLineLimit = 1U << 20;
constexpr int kLookAgainMilliseconds = 200;

}  // namespace

Control::Control(int fd) : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) base::throw_errno("eventfd for the control channel");
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) {
    base::throw_errno("control_fd " + std::to_string(fd) + " is no connected stream socket",
                      errno != 0 ? errno : ENOTSOCK);
  }
  socket_.reset(fd);
}

Control::~Control() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
}

void Control::run(Handlers handlers) {
  handlers_ = std::move(handlers);
  thread_ = std::thread([this] { loop(); });
}

void Control::wake() {
  const std::uint64_t one = 1;
  // A full counter means that the thread is awake already.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof(one));
}

void Control::send(const nlohmann::json& message) {
  // Marks may hold any bytes; a text that is no UTF-8 must not throw on the I/O path.
  std::string line = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  {
    const std::lock_guard lock(mutex_);
    overflow_ = overflow_ || outgoing_.size() + line.size() > kOutgoingLimit;
    if (!overflow_) outgoing_ += line;
  }
  wake();
}

// False when the harness is gone.
bool Control::write_some() {
  const std::lock_guard lock(mutex_);
  while (!outgoing_.empty()) {
    const ssize_t n =
        ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    outgoing_.erase(0, static_cast<std::size_t>(n));
  }
  return !overflow_;
}

void Control::drain() {
  const auto deadline = base::Deadline::after(std::chrono::seconds(1));
  for (;;) {
    if (!write_some()) return;
    {
      const std::lock_guard lock(mutex_);
      if (outgoing_.empty() || deadline.passed()) return;
    }
    pollfd item{socket_.get(), POLLOUT, 0};
    ::poll(&item, 1, deadline.poll_ms());
  }
}

bool Control::read_some() {
  std::array<char, 4096> buffer;
  const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  incoming_.append(buffer.data(), static_cast<std::size_t>(n));
  return n > 0 && incoming_.size() <= kLineLimit;
}

void Control::handle_lines() {
  for (std::size_t end; (end = incoming_.find('\n')) != std::string::npos;) {
    const std::string line = incoming_.substr(0, end);
    incoming_.erase(0, end + 1);
    const auto message = nlohmann::json::parse(line, nullptr, false);
    if (message.is_object()) {
      handlers_.command(message);
    } else {
      send({{"ev", "error"}, {"what", "control: no JSON object: " + line.substr(0, 200)}});
    }
  }
}

void Control::loop() {
  for (;;) {
    bool pending = false;
    {
      const std::lock_guard lock(mutex_);
      if (quit_) return;
      pending = !outgoing_.empty();
    }
    std::array<pollfd, 2> items = {
        {{socket_.get(), static_cast<short>(pending ? POLLIN | POLLOUT : POLLIN), 0},
         {wake_.get(), POLLIN, 0}}};
    ::poll(items.data(), items.size(), kLookAgainMilliseconds);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(wake_.get(), &count, sizeof(count));
    const bool alive = (items[0].revents == 0 || read_some()) && write_some();
    handle_lines();
    if (!alive || (handlers_.stopping && handlers_.stopping())) {
      handlers_.gone();
      return;
    }
  }
}

}  // namespace snapbed::recorder
