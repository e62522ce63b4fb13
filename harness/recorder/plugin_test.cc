// SPDX-License-Identifier: GPL-2.0-or-later
// The plugin in a real nbdkit, spoken to by QEMU's NBD client, down to the journal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/deadline.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "journal/pattern.h"
#include "journal/reader.h"

namespace snapbed::recorder {
namespace {

using journal::Journal;
using journal::Op;
using nlohmann::json;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Nbdkit : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "snapbed-plugin-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
    base::write_file(dir_ / "plan.img", std::string(1024, 'p'));
    base::write_file(dir_ / "plan.json", "{}");
    config_ = {{"seed", 7},
               {"dir", dir_.string()},
               {"plan", (dir_ / "plan.json").string()},
               {"disks",
                {{{"name", "data0"}, {"role", "data"}, {"bytes", 16U << 20}},
                 {{"name", "plan"},
                  {"role", "plan"},
                  {"bytes", 4096},
                  {"content", (dir_ / "plan.img").string()}}}}};
  }
  void TearDown() override { fs::remove_all(dir_); }

  base::Command command() {
    base::write_file(dir_ / "server.json", config_.dump());
    return {.argv = {"nbdkit", "--foreground", "--exit-with-parent", "--unix",
                     (dir_ / "socket").string(), "--threads=16", SNAPBED_PLUGIN,
                     "config=" + (dir_ / "server.json").string()},
            .output = dir_ / "nbdkit.log"};
  }
  base::Process start(base::Command with) {
    auto process = base::Process::start(with);
    base::wait_until("nbdkit's socket", base::Deadline::after(10s),
                     [&] { return fs::exists(dir_ / "socket") || process.poll(); });
    return process;
  }
  std::string qemu_io(const std::string& disk, std::vector<std::string> commands,
                      bool read_only = false) {
    base::Command call{.argv = {"qemu-io", "-f", "raw"}};
    if (read_only) call.argv.push_back("-r");
    for (auto& each : commands) call.argv.insert(call.argv.end(), {"-c", each});
    call.argv.push_back("nbd+unix:///" + disk + "?socket=" + (dir_ / "socket").string());
    return base::run_ok(call, base::Deadline::after(30s));
  }

  fs::path dir_;
  json config_;
};

TEST_F(Nbdkit, JournalsWhatQemuAsksFor) {
  auto nbdkit = start(command());
  qemu_io("data0", {"write -P 5 0 4k", "write -f -P 6 1M 64k", "discard 4k 8k", "write -z 1M 4k",
                    "read -P 0 1M 4k", "read -P 6 1028k 60k", "flush"});
  EXPECT_THAT(qemu_io("plan", {"read -P 112 0 1k", "read -P 0 1k 3k"}, true),
              testing::Not(testing::HasSubstr("failed")));
  EXPECT_EQ(nbdkit.terminate(10s).code, 0);
  const Journal journal = journal::read_journal(dir_);
  EXPECT_TRUE(journal.complete) << journal.trouble;
  EXPECT_EQ(journal.plan, "{}");
  std::vector<std::tuple<Op, std::uint64_t, std::uint64_t>> seen;
  for (const auto& r : journal.requests) {
    if (r.disk == 0 && r.op != Op::read && r.op != Op::flush) {
      seen.emplace_back(r.op, r.first, r.count);
    }
    EXPECT_EQ(r.error, 0);
  }
  using T = std::tuple<Op, std::uint64_t, std::uint64_t>;
  EXPECT_THAT(seen, testing::ElementsAre(T{Op::write, 0, 8}, T{Op::write, 2048, 128},
                                         T{Op::trim, 8, 16}, T{Op::zero, 2048, 8}));
  const std::vector<std::uint8_t> fives(512, 5);
  const auto write = std::find_if(journal.requests.begin(), journal.requests.end(),
                                  [](const auto& r) { return r.op == Op::write; });
  EXPECT_EQ(journal.hashes_of(*write)[7], journal::sector_hash(fives));
}

TEST_F(Nbdkit, EndsWhenTheHarnessDies) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  base::UniqueFd harness(ends[0]);
  base::UniqueFd theirs(ends[1]);
  config_["control_fd"] = theirs.get();
  auto with = command();
  with.inherited_fds = {theirs.get()};
  auto nbdkit = start(with);
  theirs.reset();
  qemu_io("data0", {"write -P 5 0 4k"});
  harness.reset();
  EXPECT_EQ(nbdkit.wait(base::Deadline::after(10s)).code, 0);
  EXPECT_TRUE(journal::read_journal(dir_).complete);
}

TEST_F(Nbdkit, ASignalEndsItInTheMiddleOfAHold) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  base::UniqueFd harness(ends[0]);
  base::UniqueFd theirs(ends[1]);
  config_["control_fd"] = theirs.get();
  config_["rules"] = {
      {{"action", "hold"}, {"disk", "data0"}, {"op", "write"}, {"release", {{"time_ms", 600000}}}}};
  auto with = command();
  with.inherited_fds = {theirs.get()};
  auto nbdkit = start(with);
  theirs.reset();
  std::thread client(
      [this] { EXPECT_THROW(qemu_io("data0", {"write -P 5 0 4k"}), std::runtime_error); });
  base::wait_until("the write to be held", base::Deadline::after(10s), [&] {
    std::string got(4096, '\0');
    base::write_all(harness.get(), "{\"cmd\":\"stats\"}\n");
    const ssize_t n = ::recv(harness.get(), got.data(), got.size(), 0);
    return n > 0 && got.find("\"held\":1") != std::string::npos;
  });
  EXPECT_TRUE(nbdkit.terminate(10s).ok());
  client.join();
  const Journal journal = journal::read_journal(dir_);
  EXPECT_TRUE(journal.complete) << journal.trouble;
  EXPECT_EQ(journal.requests.back().end, journal::kNever);
}

TEST_F(Nbdkit, RefusesADiskOfNothingInOneLine) {
  config_["disks"][0]["bytes"] = 0;
  const auto ended = base::run(command(), base::Deadline::after(10s));
  EXPECT_FALSE(ended.exit.ok());
  EXPECT_EQ(ended.err,
            "nbdkit: error: recorder configuration: disks[0].bytes: a disk of 0 bytes cannot be "
            "served\n");
}

}  // namespace
}  // namespace snapbed::recorder
