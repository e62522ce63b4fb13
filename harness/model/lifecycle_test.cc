// SPDX-License-Identifier: GPL-2.0-or-later
// Devices that change their size or go away, and storage that runs low: journals made by hand, in
// both verdicts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/journal_builder.h"

namespace snapbed::model::test {
namespace {

using journal::Op;
using journal::Role;
using testing::HasSubstr;

std::string all(const Report& report) {
  std::string text = report.broken;
  for (const auto& [name, check] : report.checks) {
    for (const Finding& finding : check.findings) text += name + ": " + finding.text + "\n";
  }
  return text;
}

// A linear device of 256 sectors (two map blocks) on a disk of 1024, and a storage disk.
class Story {
 public:
  Story() {
    data = b.disk("data0", Role::data, 1024);
    store = b.disk("store0", Role::storage, 65536);
    evidence = b.disk("evidence", Role::evidence, 1 << 16);
    scratch = b.disk("scratch", Role::scratch, 512);
    b.plan.devices["lin"] = {"/dev/mapper/lin", "data0", 64, 256};
    b.plan.module_parameters["diff_storage_minimum"] = "1024";
    b.selftest("scratch", scratch);
    b.done(b.call("insmod"));
    b.done(b.call("dm_create", {{"name", "lin"}, {"table", ""}}));
  }

  void resize(std::uint64_t sectors) {
    b.done(b.call("dm_reload", {{"name", "lin"}, {"table", ""}, {"sectors", sectors}}));
    size = sectors;
  }

  void create() {
    creates = b.call("create", {{"snapshot", "s"}, {"devices", devices}});
    b.done(creates);
    low();
  }
  void take(std::int32_t result = 0) {
    b.done(b.call("take", {{"snapshot", "s"}}, {result}), {{"result", result}});
    if (result == 0) image = size;
  }
  void destroy() { b.done(b.call("destroy", {{"snapshot", "s"}})); }

  void low(std::uint64_t sectors = 1024) {
    b.mark(plan::MarkKind::event, creates,
           {{"snapshot", "s"}, {"code", "low"}, {"sectors", sectors}});
  }
  void corrupted(int error, const std::string& device = "lin") {
    b.mark(plan::MarkKind::event, creates,
           {{"snapshot", "s"}, {"code", "corrupted"}, {"device", device}, {"error", error}});
    b.done(b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
  }
  void append(std::uint64_t first, std::uint64_t count) {
    b.done(
        b.call("append", {{"snapshot", "s"}, {"device", "store0"}, {"ranges", {{first, count}}}}));
  }
  // Old data of the linear device is read and stored.
  void save(std::uint64_t first, std::uint64_t count) {
    b.read(data, 64, count);
    b.write(store, first, std::vector<std::uint64_t>(count, zero()));
  }

  // The image, of which the sectors from `bad` on cannot be read.
  void copy(std::uint64_t bad, const Json& answer = Json::object()) {
    const std::uint32_t id =
        b.call("copy_image", {{"snapshot", "s"}, {"device", "lin"}, {"base", base}});
    b.write(evidence, base, std::vector<std::uint64_t>(std::min(bad, image), zero()));
    if (bad < image) {
      b.mark(plan::MarkKind::read_error, id,
             {{"device", "lin"}, {"first", bad}, {"count", image - bad}, {"error", 5}});
    }
    base += image;
    b.done(id, answer);
  }

  void read_map(const std::vector<std::uint8_t>& map, std::uint64_t number,
                const std::string& generation) {
    const std::uint32_t id =
        b.call("read_map", {{"snapshot", "s"}, {"device", "lin"}, {"window_bytes", 64}});
    b.done(id, {{"base", b.put(map)},
                {"bytes", map.size()},
                {"blk_size", 65536},
                {"blk_count", map.size()},
                {"capacity", image * 512},
                {"generation", generation},
                {"snap_number", number}});
  }

  Report judge() {
    b.mark(plan::MarkKind::done, 0);
    return b.judge();
  }

  static std::uint64_t zero() { return journal::sector_hash(journal::SectorBytes{}); }

  JournalBuilder b;
  std::uint16_t data = 0, store = 0, evidence = 0, scratch = 0;
  std::uint64_t size = 256, image = 256, base = 0;
  std::uint32_t creates = 0;
  std::vector<std::string> devices{"lin"};  // of the snapshot
};

// Too small, right, too large, and what its device has become during the hold.
TEST(Images, AreAsLargeAsTheirDeviceWasAtTake) {
  for (const std::uint64_t sectors : {64U, 256U, 512U}) {
    for (const std::uint64_t bad : {sectors, sectors - 8}) {
      Story story;
      story.create();
      story.append(0, 1024);
      story.take();
      if (sectors == 512) story.resize(512);
      story.image = sectors;
      if (bad != sectors) story.b.fail(story.data, Op::read, 64 + bad, 8);
      story.copy(bad, {{"image_sectors", sectors}});
      story.destroy();
      const Report report = story.judge();
      EXPECT_EQ(report.broken, "");
      if (sectors == 256) {
        EXPECT_EQ(all(report), "");
      } else {
        EXPECT_EQ(report.checks.at("cut").findings.size(), 1U) << all(report);
        EXPECT_THAT(all(report), HasSubstr("has " + std::to_string(sectors) + " sectors in"));
      }
    }
  }
}

// Take 1, another size, take 2 with the map that it shows.
Report resized(std::uint64_t number, const std::string& generation) {
  Story story;
  story.create();
  story.take();
  story.read_map({0, 0}, 1, "aa");
  story.resize(512);
  story.destroy();
  story.create();
  story.take();
  story.read_map({0, 0, 0, 0}, number, generation);
  story.destroy();
  return story.judge();
}

TEST(Resize, TheNextTakeBeginsANewGeneration) {
  const Report report = resized(1, "bb");
  EXPECT_EQ(report.checks.at("map").outcome, Outcome::pass) << all(report);
  EXPECT_EQ(report.checks.at("map").exercised.at("maps"), 2U);
}

TEST(Resize, AnOldNumberOrNameInTheNewSizeIsFound) {
  EXPECT_THAT(all(resized(2, "bb")), HasSubstr("snap_number is 2"));
  EXPECT_THAT(all(resized(1, "aa")), HasSubstr("is the name of an older generation"));
}

TEST(Resize, AFailedTakeAndTheOldSizeAgainAreNoNewGeneration) {
  for (const std::uint64_t number : {std::uint64_t{2}, std::uint64_t{1}}) {
    Story story;
    story.create();
    story.take();
    story.read_map({0, 0}, 1, "aa");
    story.destroy();
    story.resize(512);
    story.create();
    story.take(27);
    story.destroy();
    story.resize(256);
    story.create();
    story.take();
    story.read_map({0, 0}, number, "aa");
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("map").outcome, number == 2 ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

TEST(Resize, SmallerForAWhileMayBeANewGenerationInTheOldSize) {
  const std::vector<std::tuple<std::uint64_t, std::string, Outcome>> tries = {
      {1, "bb", Outcome::pass}, {2, "aa", Outcome::pass}, {1, "aa", Outcome::fail}};
  for (const auto& [number, generation, outcome] : tries) {
    Story story;
    story.create();
    story.take();
    story.read_map({0, 0}, 1, "aa");
    story.destroy();
    story.resize(128);
    story.resize(256);
    story.create();
    story.take();
    story.read_map({0, 0}, number, generation);
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("map").outcome, outcome) << number << generation << all(report);
  }
}

TEST(Resize, WhatLiesBeyondTheEndOfAShrunkDeviceMayFailToRead) {
  for (const std::uint64_t bad : {std::uint64_t{128}, std::uint64_t{120}}) {
    Story story;
    story.create();
    story.take();
    story.resize(128);
    story.copy(bad);
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("cut").outcome, bad == 128 ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

TEST(Resize, ASizeThatTheDiskDoesNotHaveIsBroken) {
  Story story;
  story.resize(1024);
  EXPECT_THAT(story.judge().broken, HasSubstr("larger than its disk"));
}

TEST(RemovedDevice, TheNextOfItsNameBeginsANewGeneration) {
  for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{2}}) {
    Story story;
    story.create();
    story.take();
    story.read_map({0, 0}, 1, "aa");
    story.destroy();
    story.b.done(story.b.call("dm_remove", {{"name", "lin"}}));
    story.b.done(story.b.call("dm_create", {{"name", "lin"}, {"table", ""}}));
    story.create();
    story.take();
    story.read_map({0, 0}, number, "bb");
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("map").outcome, number == 1 ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

// A TAKE that begins a generation clears the maps in its middle: what is marked beside it may be
// gone, what is marked after it is not.
TEST(Resize, AMarkBesideTheTakeThatBeginsAGenerationMayBeGone) {
  for (const bool beside : {true, false}) {
    for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{2}}) {
      Story story;
      const auto mark = [&] {
        story.b.done(story.b.call("mark_dirty", {{"device", "lin"}, {"ranges", {{400, 8}}}}));
      };
      story.create();
      story.take();
      story.destroy();
      story.resize(512);
      story.create();
      const std::uint32_t take = story.b.call("take", {{"snapshot", "s"}});
      if (beside) mark();
      story.b.done(take);
      if (!beside) mark();
      story.image = 512;
      if (number == 2) {
        story.destroy();
        story.create();
        story.take();
      }
      story.read_map({0, 0, 0, 0}, number, "bb");
      story.destroy();
      const Report report = story.judge();
      EXPECT_EQ(report.checks.at("map").outcome, beside ? Outcome::pass : Outcome::fail)
          << number << all(report);
    }
  }
}

// However the tracker went: what stops an array, and what tries the interface and removes every
// tracker when it has done.
TEST(RemovedTracker, TheNextGenerationBeginsAtOne) {
  const Json abi = {{"devices", {"scratch"}}, {"storage", "scratch"}};
  const std::pair<const char*, Json> steps[] = {{"remove_tracker", {{"device", "lin"}}},
                                                {"md_stop", {{"name", "lin"}}},
                                                {"abi", abi},
                                                {"call_storm", abi},
                                                {"fail_allocations", abi}};
  for (const auto& [op, args] : steps) {
    Story story;
    story.create();
    story.take();
    story.read_map({0, 0}, 1, "aa");
    story.destroy();
    story.b.done(story.b.call(op, args), {{"cases", 0}});
    story.create();
    story.take();
    story.read_map({0, 0}, 1, "bb");
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.broken, "") << op;
    EXPECT_EQ(report.checks.at("map").outcome, Outcome::pass) << op << all(report);
  }
}

// What lies behind the old end of a device that has grown can be storage, dirty, and read.
TEST(Resize, WhatAGrownDeviceHasWonCountsAsItsOwn) {
  Story story;
  story.b.cycle = 1;
  story.resize(512);
  story.b.done(story.b.call("create", {{"snapshot", "s"}, {"devices", {"scratch"}}}));
  story.b.done(
      story.b.call("append", {{"snapshot", "s"}, {"device", "lin"}, {"ranges", {{300, 64}}}}));
  story.b.done(story.b.call("take", {{"snapshot", "s"}}));
  story.b.read(story.scratch, 0, 8);
  story.b.write(story.data, 64 + 300, std::vector<std::uint64_t>(8, Story::zero()));
  story.destroy();
  story.create();
  story.take();
  story.b.done(story.b.call("mark_dirty", {{"device", "lin"}, {"ranges", {{400, 8}}}}));
  story.read_map({0, 0, 0, 1}, 1, "aa");
  story.destroy();
  const std::uint32_t copy = story.b.call("copy_origin", {{"device", "lin"}, {"base", 0}});
  story.b.write(story.evidence, 0, std::vector<std::uint64_t>(512, Story::zero()));
  story.b.done(copy);
  EXPECT_EQ(all(story.judge()), "");
}

// 2048 sectors appended, `used` of them saved, then LOW: due below 512.
Report low_after(std::uint64_t used) {
  Story story;
  story.create();
  story.append(0, 2048);
  story.take();
  for (std::uint64_t at = 0; at < used; at += 8) story.save(at, 8);
  story.low();
  story.destroy();
  return story.judge();
}

TEST(Low, IsEarlyWhileEnoughIsFree) {
  EXPECT_EQ(low_after(1544).checks.at("events").outcome, Outcome::pass);
  EXPECT_THAT(all(low_after(1536)), HasSubstr("came early: 512 sectors or more were free"));
}

// A small refill: 1800 of 2048 used, 256 more, LOW is due below half of what is free then.
TEST(Low, AfterASmallRefillIsDueBelowHalfOfWhatIsFree) {
  for (const std::uint64_t more : {std::uint64_t{200}, std::uint64_t{264}}) {
    Story story;
    story.create();
    story.append(0, 2048);
    story.take();
    for (std::uint64_t at = 0; at < 1800; at += 8) story.save(at, 8);
    story.low();
    story.append(2048, 256);
    for (std::uint64_t at = 1800; at < 1800 + more; at += 8) story.save(at, 8);
    story.low();
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("events").outcome, more == 264 ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

// An append that no LOW had used before may have armed one long ago: nothing is said.
TEST(Low, IsNotCalledEarlyWhereAnOlderAppendMayHaveArmedIt) {
  Story story;
  story.creates = story.b.call("create", {{"snapshot", "s"}, {"devices", {"lin"}}});
  story.b.done(story.creates);
  story.append(0, 64);
  story.low();
  story.append(64, 65472);
  story.take();
  story.low();
  story.destroy();
  EXPECT_EQ(story.judge().checks.at("events").outcome, Outcome::pass);
}

TEST(Low, IsMissedWhenTheStorageOverflowedWithoutIt) {
  for (const bool told : {true, false}) {
    Story story;
    story.create();
    story.append(0, 64);
    story.take();
    story.save(0, 64);
    if (told) story.low();
    story.corrupted(28);
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("events").outcome, told ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

TEST(Corrupted, IsDueAfterAFailedStore) {
  for (const bool told : {true, false}) {
    Story story;
    story.create();
    story.append(0, 64);
    story.take();
    story.b.read(story.data, 64, 8);
    const std::size_t request = story.b.begin(story.store, Op::write, 0, 8);
    story.b.end(request, 5);
    if (told) story.corrupted(5);
    story.copy(256);
    story.destroy();
    const Report report = story.judge();
    EXPECT_EQ(report.checks.at("events").outcome, told ? Outcome::pass : Outcome::fail)
        << all(report);
  }
}

// Whatever corrupted it, the listener has the time of a whole copy to fetch what is told of the
// other devices.
TEST(Corrupted, IsToldOfEveryDeviceOfTheSnapshot) {
  for (const bool both : {true, false}) {
    for (const bool time : {true, false}) {
      Story story;
      story.b.disk("data1", Role::data, 256);
      story.devices = {"lin", "data1"};
      story.create();
      story.append(0, 64);
      story.take();
      story.save(0, 64);
      story.low();
      if (!time) story.copy(256);
      story.corrupted(28);
      if (both) story.corrupted(28, "data1");
      if (time) story.copy(256);
      story.destroy();
      const std::string said = all(story.judge());
      if (both || !time) {
        EXPECT_EQ(said, "");
      } else {
        EXPECT_THAT(said, HasSubstr("no CORRUPTED of data1 ever came"));
      }
    }
  }
}

}  // namespace
}  // namespace snapbed::model::test
