// SPDX-License-Identifier: GPL-2.0-or-later
// The server as many clients see it, and the journal it leaves.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <future>

#include "base/deadline.h"
#include "base/process.h"
#include "base/random.h"
#include "journal/pattern.h"
#include "journal/reader.h"
#include "recorder/server_fixture.h"

namespace snapbed::recorder {
namespace {

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
