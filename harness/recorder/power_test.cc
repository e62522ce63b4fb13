// SPDX-License-Identifier: GPL-2.0-or-later
// Cuts of the power: what a volatile cache may lose, and the server over a cut.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <set>

#include "journal/pattern.h"
#include "recorder/server_fixture.h"
#include "recorder/volatile_cache.h"

namespace snapbed::recorder {
namespace {

using Contents = std::map<std::uint64_t, std::uint8_t>;  // sector -> fill, 0 at first

// A disk of fills before a cache, whose stamps are counted here.
class Medium {
 public:
  journal::Stamp begin(std::uint64_t first, std::uint64_t count, std::uint8_t fill) {
    journal::Request request;
    request.begin = ++stamp_;
    request.first = first;
    request.count = count;
    std::vector<std::uint8_t> old;
    for (std::uint64_t s = first; s < first + count; ++s) {
      old.insert(old.end(), 512, now[s]);
      now[s] = fill;
    }
    cache.moving(request, std::move(old));
    return request.begin;
  }
  void end(journal::Stamp begin, bool fua = false) { cache.ended(begin, ++stamp_, fua); }
  void write(std::uint64_t first, std::uint64_t count, std::uint8_t fill) {
    end(begin(first, count, fill));
  }
  void flush() { cache.flushed(++stamp_); }
  void lose(std::uint64_t seed) {
    base::Random random(seed);
    const auto lost =
        cache.lose(random, [this](std::uint64_t s) { return VolatileCache::Sector(512, now[s]); });
    for (const auto& [sector, bytes] : lost) now[sector] = bytes[0];
  }

  VolatileCache cache;
  Contents now;

 private:
  journal::Stamp stamp_ = 0;
};

// All that a sector is seen to hold over many seeds.
std::set<std::uint8_t> seen(const std::function<void(Medium&)>& tell, std::uint64_t sector) {
  std::set<std::uint8_t> fills;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Medium medium;
    tell(medium);
    medium.lose(seed);
    fills.insert(medium.now[sector]);
  }
  return fills;
}

TEST(VolatileCache, WhatWasNotFlushedShowsAnyOfItsVersions) {
  const auto tell = [](Medium& m) {
    m.write(0, 4, 1);
    m.write(2, 4, 2);
    m.write(3, 1, 3);
  };
  EXPECT_EQ(seen(tell, 0), (std::set<std::uint8_t>{0, 1}));
  EXPECT_EQ(seen(tell, 3), (std::set<std::uint8_t>{0, 1, 2, 3}));
  EXPECT_EQ(seen(tell, 5), (std::set<std::uint8_t>{0, 2}));
}

TEST(VolatileCache, AFlushKeepsWhatHadEndedBeforeIt) {
  const auto tell = [](Medium& m) {
    m.write(0, 2, 1);
    m.flush();
    m.write(1, 1, 2);
  };
  EXPECT_EQ(seen(tell, 0), (std::set<std::uint8_t>{1}));
  EXPECT_EQ(seen(tell, 1), (std::set<std::uint8_t>{1, 2}));
}

TEST(VolatileCache, AFlushSaysNothingOfWhatIsInFlight) {
  const auto tell = [](Medium& m) {
    const auto one = m.begin(0, 1, 1);
    m.flush();
    m.end(one);
  };
  EXPECT_EQ(seen(tell, 0), (std::set<std::uint8_t>{0, 1}));
}

// The older one cannot come back from under the one that is safe.
TEST(VolatileCache, ASafeWriteCoversAnOlderOneInFlight) {
  const auto tell = [](Medium& m) {
    m.begin(0, 2, 1);
    m.write(1, 1, 2);
    m.flush();
  };
  EXPECT_EQ(seen(tell, 0), (std::set<std::uint8_t>{0, 1}));
  EXPECT_EQ(seen(tell, 1), (std::set<std::uint8_t>{2}));
}

TEST(VolatileCache, FuaIsSafeByItself) {
  const auto tell = [](Medium& m) { m.end(m.begin(0, 1, 1), true); };
  EXPECT_EQ(seen(tell, 0), (std::set<std::uint8_t>{1}));
}

TEST(VolatileCache, WritesAreTorn) {
  bool torn = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Medium medium;
    medium.write(0, 8, 1);
    medium.lose(seed);
    std::uint64_t there = 0;
    for (std::uint64_t s = 0; s < 8; ++s) there += medium.now[s];
    torn = torn || (there > 0 && there < 8);
  }
  EXPECT_TRUE(torn);
}

TEST(VolatileCache, LogicalBlocksAreNotTorn) {
  std::set<std::uint64_t> there;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    VolatileCache cache(VolatileCache::kLimit, 8);
    journal::Request request;
    request.first = 8;
    request.count = 24;
    cache.moving(request, std::vector<std::uint8_t>(24 * 512, 0));
    base::Random random(seed);
    const auto lost = cache.lose(random, [](auto) { return VolatileCache::Sector(512, 1); });
    for (std::uint64_t block = 8; block < 32; block += 8) {
      std::uint64_t gone = 0;
      for (std::uint64_t s = block; s < block + 8; ++s) gone += lost.contains(s);
      EXPECT_TRUE(gone == 0 || gone == 8) << gone;
    }
    there.insert(lost.size());
  }
  EXPECT_EQ(there, (std::set<std::uint64_t>{0, 8, 16, 24}));
}

TEST(VolatileCache, HoldsNoMoreThanItsLimit) {
  VolatileCache cache(1024);
  journal::Request request;
  for (request.begin = 1; request.begin <= 5; ++request.begin) {
    request.first = request.begin;
    request.count = 1;
    ASSERT_TRUE(cache.takes(1));
    cache.moving(request, std::vector<std::uint8_t>(512));
  }
  EXPECT_EQ(cache.changes(), 2U);
  EXPECT_FALSE(cache.takes(3));
  EXPECT_EQ(cache.changes(), 0U);
}

json power_cut(const json& arguments = json::object()) {
  json text = {{"op", "power_cut"}};
  text.update(arguments);
  return text;
}

// A server whose disks are volatile.
struct Volatile : Fixture {
  explicit Volatile(json rules = json::array())
      : Fixture(std::move(rules), true, {{"volatile_disks", true}}) {
    EXPECT_EQ(receive()["ev"], "ready");
  }
  // Of the mark that begins the step; its write is never answered.
  void cut_at_mark(std::uint64_t sequence, const json& arguments = json::object()) {
    call([this, sequence, arguments] {
      return mark(plan::MarkKind::step_begin, sequence, power_cut(arguments).dump());
    });
    EXPECT_EQ(receive()["ev"], "mark");
  }
  void power() {
    EXPECT_EQ(receive()["ev"], "cut");
    send({{"cmd", "power"}});
    EXPECT_EQ(receive()["ev"], "power");
  }
  ~Volatile() { server.reset(); }
  // A call by a thread of its own, whose answer perhaps never comes.
  void call(std::function<int()> what) {
    calls.push_back(std::async(std::launch::async, std::move(what)));
  }
  // The answers to all of them; ends the server.
  std::vector<int> answers() {
    server.reset();
    std::vector<int> all;
    for (auto& one : calls) all.push_back(one.get());
    return all;
  }
  std::vector<std::future<int>> calls;
  Bytes sector(std::uint64_t at) {
    Bytes bytes(512);
    EXPECT_EQ(server->read(kData, at, bytes), 0);
    return bytes;
  }
};

TEST(PowerCut, ServesTheNextMachineFromWhatIsLeft) {
  Volatile f;
  ASSERT_EQ(f.write(kData, 0, 8, 1), 0);
  ASSERT_EQ(f.server->flush(kData), 0);
  for (std::uint8_t i = 0; i < 20; ++i) ASSERT_EQ(f.write(kData, 8 + 8U * i, 8, 2), 0);
  f.cut_at_mark(0);
  f.power();
  EXPECT_EQ(f.sector(0), Bytes(512, 1));
  std::set<Bytes> left;
  for (std::uint64_t s = 8; s < 168; ++s) left.insert(f.sector(s));
  EXPECT_TRUE(left.contains(Bytes(512, 2)));
  EXPECT_GT(left.size(), 1U);  // the rest shows what the seed had put there
  ASSERT_EQ(f.mark(plan::MarkKind::boot, 1), 0);
  // A dead machine hears nothing.
  EXPECT_NE(f.calls[0].wait_for(0s), std::future_status::ready);

  const Journal journal = f.finish();
  EXPECT_EQ(f.answers(), std::vector<int>{EIO});
  EXPECT_TRUE(journal.complete) << journal.trouble;
  ASSERT_EQ(journal.power.size(), 1U);
  EXPECT_EQ(journal.marks.size(), 2U);
  std::size_t losses = 0;
  for (const auto& request : journal.requests) {
    EXPECT_NE(request.end, kNever);
    if (request.begin < journal.power[0].cut) {
      EXPECT_LT(request.end, journal.power[0].cut);
    }
    losses += journal.is_loss(request);
  }
  EXPECT_GT(losses, 0U);
}

TEST(PowerCut, ComesAtTheWriteThatWasAskedFor) {
  Volatile f;
  f.cut_at_mark(0, {{"device", "store0"}, {"writes", 3}});
  EXPECT_EQ(f.calls[0].get(), 0);
  f.calls.clear();
  for (std::uint8_t i = 0; i < 9; ++i) ASSERT_EQ(f.write(kData, 8U * i, 8, 1), 0);
  ASSERT_EQ(f.write(kStorage, 0, 8, 1), 0);
  ASSERT_EQ(f.server->trim(kStorage, 8, 8, false), 0);
  f.call([&] { return f.write(kStorage, 16, 8, 1); });
  f.power();
  const Journal journal = f.finish();
  EXPECT_EQ(f.answers(), std::vector<int>{EIO});
  const auto last = std::find_if(journal.requests.rbegin(), journal.requests.rend(),
                                 [&](const auto& r) { return r.begin < journal.power[0].cut; });
  EXPECT_EQ(last->first, 16U);
  EXPECT_EQ(last->moved, kNever);
  EXPECT_EQ(last->error, EIO);
}

// A request that ends while the power goes is on record, by the hand that comes first: its own
// thread's or that of the cut. What a sector holds is the newest version that the record knows.
TEST(PowerCut, WhatEndsBesideItIsOnRecord) {
  constexpr std::uint64_t kShown = 32;
  constexpr int kWriters = 4;
  for (std::uint64_t round = 0; round < 150; ++round) {
    std::atomic<std::uint64_t> fill = 0;
    Volatile f;
    f.cut_at_mark(0, {{"device", "data0"}, {"writes", 20 + round % 7}});
    EXPECT_EQ(f.calls[0].get(), 0);
    f.calls.clear();
    for (int thread = 0; thread < kWriters; ++thread) {
      f.call([&] {
        for (;;) {
          Bytes bytes(4 * 512);
          const std::uint64_t mine = ++fill;
          for (std::size_t s = 0; s < 4; ++s) std::memcpy(&bytes[s * 512], &mine, sizeof(mine));
          const int error = f.server->write(kData, mine * 4 % kShown, bytes, false);
          if (error != 0) return error;
        }
      });
    }
    base::wait_until("the writers to be left alone", base::Deadline::after(10s),
                     [&] { return f.server->stats().left == kWriters; });
    f.power();
    std::vector<std::uint64_t> shown;
    for (std::uint64_t s = 0; s < kShown; ++s) shown.push_back(journal::sector_hash(f.sector(s)));
    const Journal journal = f.finish();
    f.answers();
    ASSERT_TRUE(journal.complete) << journal.trouble;
    std::map<std::uint64_t, std::pair<journal::Stamp, std::uint64_t>> newest;
    for (const auto& request : journal.requests) {
      if (request.disk != kData || request.op != Op::write || request.moved == kNever) continue;
      ASSERT_NE(request.end, kNever);
      if (!journal.is_loss(request)) {
        ASSERT_LT(request.end, journal.power[0].cut);
      }
      for (std::uint64_t i = 0; i < request.count; ++i) {
        auto& [moved, hash] = newest[request.first + i];
        if (request.moved < moved) continue;
        moved = request.moved;
        hash = journal.hashes_of(request)[i];
      }
    }
    for (const auto& [sector, version] : newest)
      ASSERT_EQ(shown[sector], version.second) << "sector " << sector << ", round " << round;
  }
}

TEST(PowerCut, EndsHoldsAndRulesGoOnAfterIt) {
  const json hold = {{"action", "hold"}, {"disk", "data0"}, {"op", "write"},
                     {"first", 100},     {"count", 8},      {"release", {{"time_ms", 60000}}}};
  Volatile f(json::array({hold}));
  f.call([&] { return f.write(kData, 100, 1, 1); });
  f.wait_held(1);
  f.cut_at_mark(0);
  f.power();
  f.call([&] { return f.write(kData, 100, 1, 1); });
  f.wait_held(1);
  const Journal journal = f.finish();
  EXPECT_EQ(f.answers(), (std::vector<int>{EIO, EIO, ESHUTDOWN}));
  ASSERT_FALSE(journal.rule_actions.empty());
  EXPECT_EQ(journal.rule_actions[0].how, "cut");
}

TEST(PowerCut, IsRefusedWhereNothingIsVolatile) {
  Fixture f(json::array(), true);
  EXPECT_EQ(f.receive()["ev"], "ready");
  EXPECT_EQ(f.mark(plan::MarkKind::step_begin, 0, power_cut().dump()), 0);
  EXPECT_EQ(f.receive()["ev"], "mark");
  EXPECT_EQ(f.receive()["ev"], "error");
  f.send({{"cmd", "power"}});
  EXPECT_EQ(f.receive()["ev"], "error");
}

}  // namespace
}  // namespace snapbed::recorder
