// SPDX-License-Identifier: GPL-2.0-or-later
// The server as many clients see it, and the journal it leaves.
#include "recorder/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <future>
#include <thread>

#include "base/deadline.h"
#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "journal/pattern.h"
#include "journal/reader.h"
#include "plan/mark.h"

namespace snapbed::recorder {
namespace {

using journal::Journal;
using journal::kNever;
using journal::Op;
using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint16_t kData = 0;
constexpr std::uint16_t kStorage = 1;
constexpr std::uint16_t kMarks = 2;
constexpr std::uint16_t kEvidence = 3;
constexpr std::uint16_t kFiles = 4;

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

json config_json(const fs::path& dir) {
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
  explicit Fixture(json rules = json::array(), bool control = false) {
    json config = config_json(dir.path());
    config["rules"] = std::move(rules);
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

TEST(Server, KeepsWhatItsRolesPromise) {
  Fixture f;
  Bytes out(1024), seeded(512);
  journal::fill_sector(journal::initial_key(7, kData), 5, seeded);
  ASSERT_EQ(f.server->read(kData, 5, out), 0);
  EXPECT_TRUE(std::equal(seeded.begin(), seeded.end(), out.begin()));
  ASSERT_EQ(f.write(kData, 5, 1, 9), 0);
  ASSERT_EQ(f.server->read(kData, 5, out), 0);
  EXPECT_EQ(out[0], 9);
  EXPECT_NE(out[512], 9);
  ASSERT_EQ(f.server->trim(kData, 5, 1, false), 0);
  ASSERT_EQ(f.server->zero(kData, 6, 1, true), 0);
  ASSERT_EQ(f.server->read(kData, 5, out), 0);
  EXPECT_EQ(out, Bytes(1024, 0));
  ASSERT_EQ(f.server->flush(kData), 0);
  ASSERT_EQ(f.write(kEvidence, 0, 1, 4), 0);
  ASSERT_EQ(f.server->read(kEvidence, 0, out), 0);
  EXPECT_EQ(out, Bytes(1024, 0));
  ASSERT_EQ(f.write(kFiles, 3, 2, 8), 0);
  ASSERT_EQ(f.server->read(kFiles, 3, out), 0);
  EXPECT_EQ(out, Bytes(1024, 8));
  EXPECT_EQ(base::read_file(f.dir.path() / "files.img").substr(3 * 512, 1024),
            std::string(1024, 8));
  EXPECT_EQ(f.write(kData, 32767, 2, 1), EINVAL);

  const Journal journal = f.finish();
  EXPECT_TRUE(journal.complete) << journal.trouble;
  std::vector<Op> ops;
  for (const auto& request : journal.requests) {
    ops.push_back(request.op);
    EXPECT_LT(request.begin, request.moved);
    EXPECT_LT(request.moved, request.end);
    if (request.op == Op::write && request.disk == kEvidence) {
      EXPECT_EQ(journal.hashes_of(request)[0], journal::sector_hash(Bytes(512, 4)));
    }
  }
  EXPECT_THAT(ops, testing::ElementsAre(Op::read, Op::write, Op::read, Op::trim, Op::zero, Op::read,
                                        Op::flush, Op::write, Op::read, Op::write, Op::read));
  EXPECT_TRUE(journal.requests[4].fua);
}

// The promise that the model rests on: replaying the journal in the order of `moved` gives what
// every read saw in stamps and what is on the disk at the end.
TEST(Server, MovedOrdersTheVersionsOfEverySector) {
  constexpr std::uint64_t kSectors = 64;
  Fixture f;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&f, t] {
      base::Random random(t);
      Bytes bytes(kSectors * 512);
      for (int i = 0; i < 2000; ++i) {
        const std::uint64_t first = random.below(kSectors);
        const std::uint64_t count = 1 + random.below(kSectors - first);
        if (random.chance(0.1)) {
          ASSERT_EQ(f.server->zero(kData, first, count, false), 0);
          continue;
        }
        const auto part = std::span(bytes).first(count * 512);
        for (std::uint64_t s = 0; s < count; ++s) {
          journal::fill_sector(random(), s, part.subspan(s * 512, 512));
        }
        ASSERT_EQ(f.server->write(kData, first, part, false), 0);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  Bytes last(kSectors * 512);
  ASSERT_EQ(f.server->read(kData, 0, last), 0);
  Journal journal = f.finish();
  ASSERT_EQ(journal.requests.size(), 16001U);
  std::sort(journal.requests.begin(), journal.requests.end(),
            [](const auto& a, const auto& b) { return a.moved < b.moved; });
  const std::uint64_t zero_hash = journal::sector_hash(Bytes(512, 0));
  std::vector<std::uint64_t> versions(kSectors, 0);
  for (const auto& request : journal.requests) {
    for (std::uint64_t i = 0; request.op != Op::read && i < request.count; ++i) {
      versions[request.first + i] =
          request.op == Op::write ? journal.hashes_of(request)[i] : zero_hash;
    }
  }
  for (std::uint64_t s = 0; s < kSectors; ++s) {
    EXPECT_EQ(versions[s], journal::sector_hash(std::span(last).subspan(s * 512, 512))) << s;
  }
}

json hold_first_read(json release) {
  return {{{"action", "hold"},
           {"disk", "data0"},
           {"op", "read"},
           {"first", 100},
           {"count", 8},
           {"occurrence", 1},
           {"release", std::move(release)}}};
}

// Starts a read of sector 103, which the rule of hold_first_read() holds.
std::future<Bytes> held_read(Fixture& f) {
  auto result = std::async(std::launch::async, [&f] {
    Bytes out(512);
    EXPECT_EQ(f.server->read(kData, 103, out), 0);
    return out;
  });
  f.wait_held(1);
  return result;
}

TEST(Rules, AHeldReadIsOvertakenAndReleasedByTheWriteOfItsChunk) {
  Fixture f(
      hold_first_read({{"match", {{"disk", "data0"}, {"op", "write"}, {"same_chunk_bytes", 4096}}},
                       {"time_ms", 60000}}));
  auto reading = held_read(f);
  ASSERT_EQ(f.write(kData, 112, 1, 1), 0);  // the next chunk: no match
  EXPECT_EQ(f.server->stats().held, 1U);
  ASSERT_EQ(f.write(kData, 96, 8, 2), 0);  // its chunk
  EXPECT_EQ(reading.get(), Bytes(512, 2)) << "the data must move after the release";
  const Journal journal = f.finish();
  ASSERT_EQ(journal.rule_actions.size(), 1U);
  EXPECT_EQ(journal.rule_actions[0].how, "match");
  EXPECT_EQ(journal.rule_actions[0].begin, journal.requests[0].begin);
  EXPECT_GT(journal.rule_actions[0].released, journal.requests[2].end);
  EXPECT_GT(journal.requests[0].moved, journal.rule_actions[0].released);
}

TEST(Rules, AHeldReplyHasMovedBefore) {
  json rules =
      hold_first_read({{"match", {{"disk", "data0"}, {"op", "write"}}}, {"time_ms", 60000}});
  rules[0]["what"] = "reply";
  Fixture f(rules);
  auto reading = held_read(f);
  ASSERT_EQ(f.write(kData, 96, 8, 2), 0);
  EXPECT_NE(reading.get(), Bytes(512, 2));
}

TEST(Rules, AMarkReleases) {
  Fixture f(
      hold_first_read({{"mark", {{"kind", "step_begin"}, {"op", "take"}}}, {"time_ms", 60000}}));
  auto reading = held_read(f);
  ASSERT_EQ(f.mark(plan::MarkKind::step_begin, 0, R"({"op":"create"})"), 0);
  EXPECT_EQ(f.server->stats().held, 1U);
  ASSERT_EQ(f.mark(plan::MarkKind::step_begin, 1, R"({"op":"take"})"), 0);
  reading.get();
  EXPECT_EQ(f.finish().rule_actions.at(0).how, "mark");
}

TEST(Rules, ACountReleases) {
  Fixture f(hold_first_read({{"count", 2}, {"time_ms", 60000}}));
  auto reading = held_read(f);
  ASSERT_EQ(f.write(kStorage, 0, 1, 1), 0);
  ASSERT_EQ(f.write(kData, 0, 1, 1), 0);
  EXPECT_EQ(f.server->stats().held, 1U);
  ASSERT_EQ(f.write(kData, 0, 1, 1), 0);
  reading.get();
  EXPECT_EQ(f.finish().rule_actions.at(0).how, "count");
}

TEST(Rules, TimeAlwaysReleases) {
  Fixture f(hold_first_read({{"time_ms", 50}}));
  Bytes out(512);
  const auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(f.server->read(kData, 103, out), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 50ms);
  EXPECT_EQ(f.finish().rule_actions.at(0).how, "time");
}

TEST(Rules, OccurrenceCountsFromTheArmingMark) {
  Fixture f(json::array({{{"action", "fail"},
                          {"disk", "data0"},
                          {"op", "write"},
                          {"first", 10},
                          {"count", 10},
                          {"occurrence", 2},
                          {"after", {{"kind", "step_begin"}, {"op", "take"}}},
                          {"until", {{"kind", "step_end"}, {"op", "take"}}}}}));
  const auto write = [&f] { return f.write(kData, 19, 4, 1); };
  EXPECT_EQ(write(), 0);
  EXPECT_EQ(write(), 0);
  for (std::uint64_t round = 0; round < 2; ++round) {
    ASSERT_EQ(f.mark(plan::MarkKind::step_begin, 3 + round, R"({"op":"take"})"), 0);
    EXPECT_EQ(write(), 0);
    EXPECT_EQ(f.write(kData, 20, 4, 1), 0) << "out of range: not counted";
    EXPECT_EQ(write(), EIO);
    EXPECT_EQ(write(), 0);
  }
  ASSERT_EQ(f.mark(plan::MarkKind::step_begin, 7, R"({"op":"take"})"), 0);
  ASSERT_EQ(f.mark(plan::MarkKind::step_end, 7, R"({"result":0})"), 0);
  EXPECT_EQ(write(), 0);
  EXPECT_EQ(write(), 0);
  const Journal journal = f.finish();
  EXPECT_EQ(journal.rule_actions.size(), 2U);
  EXPECT_EQ(std::count_if(journal.requests.begin(), journal.requests.end(),
                          [](const auto& r) { return r.error == EIO && r.moved == kNever; }),
            2);
}

TEST(Rules, ProbabilityIsTheSeeds) {
  const json rule = {{{"action", "fail"}, {"disk", "data0"}, {"probability", 0.3}}};
  std::vector<int> results[2];
  for (auto& result : results) {
    Fixture f(rule);
    for (std::uint64_t i = 0; i < 1000; ++i) result.push_back(f.write(kData, i, 1, 1));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_NEAR(static_cast<double>(std::count(results[0].begin(), results[0].end(), EIO)), 300, 60);
}

TEST(Rules, AtMostTwelveHeldPerDisk) {
  Fixture f(
      json::array({{{"action", "hold"}, {"disk", "data0"}, {"release", {{"time_ms", 60000}}}}}));
  std::vector<std::future<int>> writes;
  for (std::uint64_t i = 0; i < 12; ++i) {
    writes.push_back(std::async(std::launch::async, [&f, i] { return f.write(kData, i, 1, 1); }));
  }
  f.wait_held(12);
  EXPECT_EQ(f.write(kData, 20, 1, 1), 0);
  EXPECT_EQ(f.server->stats().held, 12U);
  f.server->cut();
  for (auto& write : writes) EXPECT_EQ(write.get(), EIO);
}

TEST(Control, CycleEndIsAnsweredOnlyWhenTold) {
  Fixture f(json::array(), true);
  EXPECT_EQ(f.receive()["ev"], "ready");
  ASSERT_EQ(f.write(kData, 0, 4, 1), 0);
  ASSERT_EQ(f.mark(plan::MarkKind::boot, 0, R"({"kernel":"k"})", 0), 0);
  EXPECT_EQ(f.receive()["text"], R"({"kernel":"k"})");
  auto marking =
      std::async(std::launch::async, [&f] { return f.mark(plan::MarkKind::cycle_end, 1); });
  const json told = f.receive();
  EXPECT_EQ(told["kind"], 8);
  EXPECT_EQ(told["cycle"], 1);

  // What the harness judges now: everything up to the mark, the mark itself still open.
  const Journal now = journal::read_journal(f.dir.path());
  ASSERT_EQ(now.requests.size(), 3U);
  ASSERT_EQ(now.marks.size(), 2U);
  EXPECT_EQ(now.marks[1].end, kNever);
  EXPECT_EQ(now.marks[1].begin, told["stamp"].get<std::uint64_t>());
  // The mark is told first and held then.
  const auto limit = std::chrono::steady_clock::now() + 5s;
  while (f.server->stats().held != 1 && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_EQ(f.server->stats().oldest_ms, 0U) << "a held mark is not a stuck request";
  EXPECT_EQ(marking.wait_for(20ms), std::future_status::timeout);

  f.send({{"cmd", "stats"}});
  const json stats = f.receive();
  EXPECT_EQ(stats["ev"], "stats");
  EXPECT_EQ(stats["writes"], 1);
  EXPECT_EQ(stats["bytes"], 2048);
  EXPECT_EQ(stats["held"], 1);
  f.send({{"cmd", "answer"}, {"sequence", 1}});
  EXPECT_EQ(marking.get(), 0);
  f.send({{"cmd", "nonsense"}});
  EXPECT_EQ(f.receive()["ev"], "error");
  f.send({{"cmd", "quit"}});
  EXPECT_EQ(f.exited.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(journal::read_journal(f.dir.path()).complete);
  EXPECT_EQ(f.write(kData, 0, 1, 1), ESHUTDOWN);
}

TEST(Control, TheEndOfTheHarnessReleasesAndClosesEverything) {
  Fixture f(hold_first_read({{"time_ms", 60000}}), true);
  auto reading = std::async(std::launch::async, [&f] {
    Bytes out(512);
    return f.server->read(kData, 103, out);
  });
  auto marking = std::async(std::launch::async, [&f] { return f.mark(plan::MarkKind::done, 0); });
  f.wait_held(2);
  f.harness.reset();
  EXPECT_EQ(f.exited.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_EQ(reading.get(), ESHUTDOWN);
  EXPECT_EQ(marking.get(), ESHUTDOWN);
  const Journal journal = journal::read_journal(f.dir.path());
  EXPECT_TRUE(journal.complete) << journal.trouble;
  ASSERT_EQ(journal.requests.size(), 2U);
  EXPECT_EQ(journal.requests[0].end, kNever);
  EXPECT_EQ(journal.marks.size(), 1U);
}

TEST(Server, ACutStopsStoringAndJournalling) {
  Fixture f;
  std::vector<std::thread> threads;
  std::atomic<bool> stop = false;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint8_t i = 0; !stop; ++i) f.write(kStorage, t * 8, 8, i);
    });
  }
  base::wait_until("some writes", base::Deadline::after(10s),
                   [&] { return f.server->stats().all_requests > 1000; });
  f.server->cut();
  const Journal at_cut = journal::read_journal(f.dir.path());
  EXPECT_EQ(f.write(kStorage, 0, 1, 1), EIO);
  stop = true;
  for (auto& thread : threads) thread.join();
  const Journal after = f.finish();
  EXPECT_EQ(after.requests.size(), at_cut.requests.size());
  EXPECT_TRUE(after.complete);
}

TEST(Server, AFullJournalIsToldOnceAndLeavesAnHonestPrefix) {
  TemporaryDir dir;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  base::UniqueFd harness(ends[0]);
  json config = config_json(dir.path());
  config["control_fd"] = ends[1];
  config["journal_limit_bytes"] = 1U << 20;
  Server server(parse_config(config.dump()));
  server.start([] {});
  for (std::uint64_t i = 0; i < 400; ++i) {
    ASSERT_EQ(server.write(kEvidence, i, Bytes(512 * 512, 1), false), 0);
  }
  server.finish();
  char buffer[4096] = {};
  ASSERT_GT(::recv(harness.get(), buffer, sizeof(buffer) - 1, 0), 0);
  EXPECT_THAT(buffer, HasSubstr("limit of 1048576 bytes"));
  const Journal journal = journal::read_journal(dir.path());
  EXPECT_FALSE(journal.complete);
  EXPECT_GT(journal.requests.size(), 100U);
}

// A file size limit stands for a full disk: the same error path, without needing a disk to fill.
TEST(Server, AHostWithoutSpaceIsOneClearLineAtStart) {
  TemporaryDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{8U << 20, 8U << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Server server(parse_config(config_json(dir.path()).dump()));
    } catch (const std::exception& error) {
      const std::string what = error.what();
      ::_exit(what.find("preallocate") != std::string::npos && what.find('\n') == std::string::npos
                  ? 42
                  : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

struct WrongConfig {
  const char* path;  // JSON pointer
  json value;
  const char* expected;
};

class ConfigRefuses : public testing::TestWithParam<WrongConfig> {};

TEST_P(ConfigRefuses, InOneClearLine) {
  json config = config_json("/tmp");
  config["rules"] = {{{"action", "hold"}, {"disk", "data0"}}};
  EXPECT_NO_THROW(parse_config(config.dump()));
  config[json::json_pointer(GetParam().path)] = GetParam().value;
  try {
    parse_config(config.dump());
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr(GetParam().expected));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
  }
}
INSTANTIATE_TEST_SUITE_P(
    Config, ConfigRefuses,
    testing::Values(WrongConfig{"/disks/0/bytes", 0, "disks[0].bytes: a disk of 0 bytes"},
                    WrongConfig{"/disks/0/bytes", 1000, "not a multiple"},
                    WrongConfig{"/disks/0/bytes", std::uint64_t{1} << 60, "more than the limit"},
                    WrongConfig{"/disks/0/bytes", -5, "must be a number"},
                    WrongConfig{"/disks/0/name", "a/b", "disks[0].name"},
                    WrongConfig{"/disks/0/name", "marks", "is there twice"},
                    WrongConfig{"/disks/0/role", "dta", "disks[0].role"},
                    WrongConfig{"/disks/0/colour", 1, "disks[0].colour: unknown key"},
                    WrongConfig{"/disks/3/role", "files", "at most one files disk"},
                    WrongConfig{"/disks/3/role", "plan", "disks[3].content"},
                    WrongConfig{"/disks/0/logical_block", 1024, "512 or 4096"},
                    WrongConfig{"/rules/0/disk", "marks", "only data, storage and scratch disks"},
                    WrongConfig{"/rules/0/disk", "data9", "no disk \"data9\""},
                    WrongConfig{"/rules/0/op", "wirte", "rules[0].op"},
                    WrongConfig{"/rules/0/action", "delay", "rules[0].delay_ms"},
                    WrongConfig{"/rules/0/first", 40000, "rules[0].first"},
                    WrongConfig{"/rules/0/probability", 2, "rules[0].probability"},
                    WrongConfig{"/rules/0/after", {{"kind", "tkae"}}, "no kind of mark"},
                    WrongConfig{"/disks", json::array(), "1 to 256 disks"}));

}  // namespace
}  // namespace snapbed::recorder
