// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/qmp.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/error.h"
#include "base/file.h"

namespace snapbed::vm {

using nlohmann::json;

Qmp::Qmp(const std::filesystem::path& socket, const std::function<bool()>& alive,
         const base::Deadline& deadline) {
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket.string();
  if (path.size() >= sizeof address.sun_path)
    throw std::runtime_error("QMP socket path " + path + ": longer than the kernel takes");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_) base::throw_errno("making a socket for QMP");
  const auto* target = reinterpret_cast<const ::sockaddr*>(&address);
  base::wait_until("QEMU to listen on " + path, deadline, [&] {
    if (::connect(socket_.get(), target, sizeof address) == 0) return true;
    if (errno != ENOENT && errno != ECONNREFUSED) base::throw_errno("connecting to QMP on " + path);
    if (!alive()) throw std::runtime_error("QEMU ended before it listened on " + path);
    return false;
  });
  if (!receive("QEMU's greeting", deadline).contains("QMP"))
    throw std::runtime_error("what listens on " + path + " does not speak QMP");
  execute("qmp_capabilities", json::object(), deadline);
}

json Qmp::receive(const std::string& what, const base::Deadline& deadline) {
  while (true) {
    if (const auto end = buffer_.find('\n'); end != buffer_.npos) {
      json message = json::parse(buffer_.substr(0, end));
      buffer_.erase(0, end + 1);
      return message;
    }
    if (deadline.passed()) throw deadline.error(what);
    ::pollfd watched{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&watched, 1, deadline.poll_ms()) <= 0) continue;
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(socket_.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw std::runtime_error("QEMU closed its control socket before " + what);
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

json Qmp::execute(const std::string& command, const json& arguments,
                  const base::Deadline& deadline) {
  const json request = {{"execute", command}, {"arguments", arguments}};
  if (const int error = base::write_all(socket_.get(), request.dump() + "\n"); error != 0)
    base::throw_errno("sending " + command + " to QEMU", error);
  while (true) {
    json message = receive("QEMU's answer to " + command, deadline);
    if (message.contains("return")) return message["return"];
    if (message.contains("error"))
      throw std::runtime_error("QEMU refused " + request.dump() + ": " +
                               message["error"].value("desc", message["error"].dump()));
    if (message.contains("event")) events_.push_back(std::move(message));
  }
}

json Qmp::wait_event(const std::string& name, const std::function<bool(const json&)>& wanted,
                     const base::Deadline& deadline) {
  while (true) {
    if (events_.empty()) events_.push_back(receive("QEMU's event " + name, deadline));
    json event = std::move(events_.front());
    events_.pop_front();
    if (event.value("event", "") != name) continue;
    json data = event.value("data", json::object());
    if (wanted(data)) return data;
  }
}

}  // namespace snapbed::vm
