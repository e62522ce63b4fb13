// SPDX-License-Identifier: GPL-2.0-or-later
// Rules, as clients and the journal see them.
#include <algorithm>
#include <set>

#include "journal/pattern.h"
#include "recorder/server_fixture.h"

namespace snapbed::recorder {
namespace {

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

// By which the harness frees what QEMU keeps; the guest has not moved.
TEST(Rules, AReadOfTheFirstSectorAloneCountsForNoneWhileSomethingIsHeld) {
  Fixture f(hold_first_read({{"count", 1}, {"time_ms", 60000}}));
  auto reading = held_read(f);
  Bytes out(512);
  ASSERT_EQ(f.server->read(kData, 0, out), 0);
  EXPECT_EQ(f.server->stats().held, 1U);
  ASSERT_EQ(f.write(kData, 0, 1, 1), 0);
  reading.get();
  EXPECT_EQ(f.finish().rule_actions.at(0).how, "count");
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

std::size_t count_how(const Journal& journal, const std::string& how) {
  return static_cast<std::size_t>(
      std::count_if(journal.rule_actions.begin(), journal.rule_actions.end(),
                    [&](const auto& action) { return action.how == how; }));
}

// Writes of one sector each to sectors 0.. at the same time; their results.
std::vector<int> write_together(Fixture& f, std::uint64_t count) {
  std::vector<std::future<int>> writes;
  for (std::uint64_t i = 0; i < count; ++i) {
    writes.push_back(std::async(std::launch::async, [&f, i] { return f.write(kData, i, 1, 1); }));
    f.wait_held(i + 1 < count ? i + 1 : 0);  // one arrives after the other; the last lets all go
  }
  std::vector<int> results;
  for (auto& write : writes) results.push_back(write.get());
  return results;
}

json reorder(std::uint64_t window, std::uint64_t time_ms) {
  return json::array({{{"action", "reorder"},
                       {"disk", "data0"},
                       {"op", "write"},
                       {"window", window},
                       {"release", {{"time_ms", time_ms}}}}});
}

TEST(Rules, ReorderedRequestsMoveInTheSeedsOrderAndNoOtherTheSameEveryTime) {
  std::vector<std::uint64_t> orders[2];
  for (auto& order : orders) {
    Fixture f(reorder(6, 60000));
    EXPECT_EQ(write_together(f, 6), std::vector<int>(6, 0));
    Journal journal = f.finish();
    EXPECT_EQ(count_how(journal, "moved") + count_how(journal, "kept"), 6U);
    EXPECT_GE(count_how(journal, "moved"), 2U);
    std::sort(journal.requests.begin(), journal.requests.end(),
              [](const auto& a, const auto& b) { return a.moved < b.moved; });
    for (const auto& request : journal.requests) order.push_back(request.first);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  }
  EXPECT_EQ(orders[0], orders[1]);
}

TEST(Rules, ALonelyRequestIsNotReorderedAndNotKept) {
  Fixture f(reorder(4, 20));
  EXPECT_EQ(f.write(kData, 0, 1, 1), 0);
  EXPECT_EQ(count_how(f.finish(), "alone"), 1U);
}

TEST(Rules, ATornWriteLeavesWhatTheJournalSays) {
  Fixture f(
      json::array({{{"action", "tear"}, {"disk", "data0"}, {"op", "write"}, {"occurrence", 1}}}));
  EXPECT_EQ(f.write(kData, 9, 1, 7), 0) << "a single sector cannot be torn: not counted";
  EXPECT_EQ(f.write(kData, 0, 16, 7), EIO);
  EXPECT_EQ(f.write(kData, 32, 16, 7), 0) << "only the first";
  Bytes left(16 * 512);
  ASSERT_EQ(f.server->read(kData, 0, left), 0);
  const Journal journal = f.finish();
  const auto& torn = journal.requests[1];
  EXPECT_EQ(torn.error, EIO);
  ASSERT_NE(torn.moved, kNever);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    const std::span<const std::uint8_t> sector(left.data() + i * 512, 512);
    EXPECT_EQ(journal.hashes_of(torn)[i], journal::sector_hash(sector));
    if (i != 9) moved += sector[0] == 7 && sector[511] == 7;
  }
  EXPECT_GT(moved, 0U);
  EXPECT_LT(moved, 15U);
  EXPECT_EQ(count_how(journal, "tear"), 1U);
}

TEST(Rules, ATearOfSoManySectorsMovesTheFirst) {
  Fixture f(
      json::array({{{"action", "tear"}, {"disk", "data0"}, {"op", "write"}, {"sectors", 3}}}));
  EXPECT_EQ(f.write(kData, 0, 3, 7), 0) << "no more than shall move: whole";
  EXPECT_EQ(f.write(kData, 8, 4, 7), EIO);
  Bytes left(4 * 512);
  ASSERT_EQ(f.server->read(kData, 8, left), 0);
  EXPECT_EQ(left[2 * 512], 7);
  EXPECT_FALSE(std::all_of(left.begin() + 3 * 512, left.end(), [](auto b) { return b == 7; }));
}

json disconnect(const std::string& fate, json release) {
  return json::array({{{"action", "disconnect"},
                       {"disk", "data0"},
                       {"op", "write"},
                       {"occurrence", 2},
                       {"fate", fate},
                       {"release", std::move(release)}}});
}

TEST(Rules, ADisconnectedDiskFailsEverythingUntilAMark) {
  Fixture f(disconnect("lost", {{"mark", {{"kind", "step_end"}, {"op", "take"}}}}));
  EXPECT_EQ(f.write(kData, 0, 1, 7), 0);
  EXPECT_EQ(f.write(kData, 1, 1, 7), EIO);
  Bytes out(512);
  EXPECT_EQ(f.server->read(kData, 0, out), EIO);
  EXPECT_EQ(f.server->flush(kData), EIO);
  EXPECT_EQ(f.write(kStorage, 0, 1, 7), 0) << "another disk";
  ASSERT_EQ(f.mark(plan::MarkKind::step_begin, 0, R"({"op":"take"})"), 0);
  ASSERT_EQ(f.mark(plan::MarkKind::step_end, 0, R"({"result":0})"), 0);
  EXPECT_EQ(f.server->read(kData, 1, out), 0);
  EXPECT_NE(out, Bytes(512, 7)) << "the write was lost";
  const Journal journal = f.finish();
  EXPECT_EQ(count_how(journal, "disconnect"), 1U);
  EXPECT_EQ(count_how(journal, "back by mark"), 1U);
  EXPECT_EQ(journal.requests[1].moved, kNever);
}

TEST(Rules, ADisconnectMayMoveOrTearTheWriteWhoseReplyItEats) {
  for (const std::string fate : {"moved", "torn"}) {
    Fixture f(disconnect(fate, {{"count", 1}}));
    EXPECT_EQ(f.write(kData, 0, 8, 6), 0);
    EXPECT_EQ(f.write(kData, 0, 8, 7), EIO);
    Bytes out(8 * 512);
    EXPECT_EQ(f.server->read(kData, 0, out), EIO);
    EXPECT_EQ(f.server->read(kData, 0, out), 0) << "back after one refused";
    const auto changed = std::count(out.begin(), out.end(), 7);
    EXPECT_EQ(changed == 8 * 512, fate == "moved") << fate;
    EXPECT_GT(changed, 0) << fate;
    const Journal journal = f.finish();
    EXPECT_EQ(count_how(journal, "back by count"), 1U);
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(journal.hashes_of(journal.requests[1])[i],
                journal::sector_hash(std::span(out).subspan(i * 512, 512)));
    }
  }
}

// A request that was held when the disk went loses its reply, also when the disk is back by then.
TEST(Rules, ADisconnectCatchesWhatIsHeld) {
  json rules = hold_first_read({{"time_ms", 60000}});
  rules[0]["op"] = "write";
  rules.push_back(disconnect("lost", {{"count", 1}})[0]);
  rules[1]["occurrence"] = 1;
  rules[1]["first"] = 0;
  rules[1]["count"] = 1;
  Fixture f(rules);
  auto held = std::async(std::launch::async, [&f] { return f.write(kData, 103, 1, 7); });
  f.wait_held(1);
  EXPECT_EQ(f.write(kData, 0, 1, 7), EIO);
  EXPECT_EQ(held.get(), EIO);
  const Journal journal = f.finish();
  EXPECT_EQ(count_how(journal, "disconnect"), 2U) << "the disk, and the held request";
  EXPECT_EQ(journal.requests[0].moved, kNever);
}

}  // namespace
}  // namespace snapbed::recorder
