// SPDX-License-Identifier: GPL-2.0-or-later
// A recording server in a folder of its own, for the tests of this library.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/file.h"
#include "journal/reader.h"
#include "plan/mark.h"
#include "recorder/server.h"

namespace snapbed::recorder {

using journal::Journal;
using journal::kNever;
using journal::Op;
using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint16_t kData = 0;
inline constexpr std::uint16_t kStorage = 1;
inline constexpr std::uint16_t kMarks = 2;
inline constexpr std::uint16_t kEvidence = 3;
inline constexpr std::uint16_t kFiles = 4;

class TemporaryDir {
 public:
  TemporaryDir() {
    std::string name = testing::TempDir() + "snapbed-recorder-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TemporaryDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline json config_json(const fs::path& dir) {
  return {{"seed", 7},
          {"dir", dir.string()},
          {"control_fd", -1},
          {"disks",
           {{{"name", "data0"}, {"role", "data"}, {"initial", "seeded"}, {"bytes", 16U << 20}},
            {{"name", "store0"}, {"role", "storage"}, {"bytes", 16U << 20}},
            {{"name", "marks"}, {"role", "marks"}, {"bytes", 1U << 20}},
            {{"name", "evidence"}, {"role", "evidence"}, {"bytes", 16U << 20}},
            {{"name", "files"}, {"role", "files"}, {"bytes", 1U << 20}}}}};
}

// A server with the harness's end of the control channel.
class Fixture {
 public:
  explicit Fixture(json rules = json::array(), bool control = false,
                   const json& more = json::object()) {
    json config = config_json(dir.path());
    config["rules"] = std::move(rules);
    config.update(more);
    if (control) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw errno;
      harness.reset(ends[0]);
      config["control_fd"] = ends[1];
    }
    server = std::make_unique<Server>(parse_config(config.dump()));
    server->start([this] { exited.set_value(); });
  }

  Journal finish() {
    server->finish();
    return journal::read_journal(dir.path());
  }

  json receive() {
    const auto deadline = base::Deadline::after(10s);
    while (lines_.find('\n') == std::string::npos) {
      pollfd item{harness.get(), POLLIN, 0};
      if (::poll(&item, 1, deadline.poll_ms()) != 1) throw deadline.error("a control line");
      char buffer[4096];
      const ssize_t n = ::recv(harness.get(), buffer, sizeof(buffer), 0);
      if (n <= 0) throw std::runtime_error("the server closed the control channel");
      lines_.append(buffer, static_cast<std::size_t>(n));
    }
    const auto end = lines_.find('\n');
    const json message = json::parse(lines_.substr(0, end));
    lines_.erase(0, end + 1);
    return message;
  }
  void send(const json& message) {
    ASSERT_EQ(base::write_all(harness.get(), message.dump() + "\n"), 0);
  }

  int write(std::uint16_t disk, std::uint64_t first, std::uint64_t count, std::uint8_t fill) {
    return server->write(disk, first, Bytes(count * 512, fill), false);
  }
  int mark(plan::MarkKind kind, std::uint64_t sequence, const std::string& text = "{}",
           std::uint32_t cycle = 1) {
    plan::Mark mark;
    mark.kind = kind;
    mark.sequence = sequence;
    mark.step = static_cast<std::uint32_t>(sequence);
    mark.cycle = cycle;
    mark.text = text;
    return server->write(kMarks, sequence % 2048, plan::encode_mark(mark), false);
  }
  void wait_held(std::uint64_t count) {
    base::wait_until(std::to_string(count) + " held requests", base::Deadline::after(10s),
                     [&] { return server->stats().held == count; });
  }

  TemporaryDir dir;
  base::UniqueFd harness;
  std::promise<void> exited;
  std::unique_ptr<Server> server;

 private:
  std::string lines_;
};

// A rule that holds the first read of sectors [100, 108).
inline json hold_first_read(json release) {
  return {{{"action", "hold"},
           {"disk", "data0"},
           {"op", "read"},
           {"first", 100},
           {"count", 8},
           {"occurrence", 1},
           {"release", std::move(release)}}};
}

// Starts a read of sector 103, which the rule of hold_first_read() holds.
inline std::future<Bytes> held_read(Fixture& f) {
  auto result = std::async(std::launch::async, [&f] {
    Bytes out(512);
    EXPECT_EQ(f.server->read(kData, 103, out), 0);
    return out;
  });
  f.wait_held(1);
  return result;
}

}  // namespace snapbed::recorder
