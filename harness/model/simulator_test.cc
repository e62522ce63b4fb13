// SPDX-License-Identifier: GPL-2.0-or-later
// Journals of a simulated snapshotter: correct ones are never flagged, each wrong one is flagged
// by the check that is named for its bug. SNAPBED_SEEDS=n sets the number of seeds per form.
#include "model/simulator.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace snapbed::model::test {
namespace {

std::uint64_t seeds(std::uint64_t otherwise) {
  const char* given = std::getenv("SNAPBED_SEEDS");
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

std::string text_of(const Report& report) {
  std::string text = report.broken.empty() ? "" : "broken: " + report.broken + "\n";
  for (const auto& [name, check] : report.checks) {
    if (check.outcome == Outcome::not_run) text += name + " not run: " + check.reason + "\n";
    for (const Finding& finding : check.findings) text += name + ": " + finding.text + "\n";
  }
  return text;
}

bool sound(const Report& report) {
  return report.broken.empty() &&
         std::all_of(report.checks.begin(), report.checks.end(),
                     [](const auto& check) { return check.second.outcome == Outcome::pass; });
}

void expect_never_flagged(SimulatorOptions options, std::uint64_t count) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    options.seed = seed;
    JournalBuilder journal = simulate(options);
    Expectations expectations;
    expectations.strict = options.drains;
    const Report report = journal.judge(expectations);
    ASSERT_TRUE(sound(report)) << "seed " << seed << "\n" << text_of(report);
  }
}

TEST(CorrectSnapshotter, IsNeverFlagged) {
  expect_never_flagged({}, seeds(250));
}

TEST(CorrectSnapshotter, WithFailedAndTornWritesIsNeverFlagged) {
  SimulatorOptions options;
  options.errors = true;
  expect_never_flagged(options, seeds(120));
}

TEST(CorrectSnapshotter, WithoutADrainIsNeverFlaggedInCausalMode) {
  SimulatorOptions options;
  options.drains = false;
  expect_never_flagged(options, seeds(120));
}

TEST(CorrectSnapshotter, UnderALedgerIsNeverFlagged) {
  SimulatorOptions options;
  options.ledger = true;
  expect_never_flagged(options, seeds(80));
  options.errors = true;
  expect_never_flagged(options, seeds(80));
  options.drains = false;
  expect_never_flagged(options, seeds(80));
}

TEST(CorrectSnapshotter, OfManyTakesIsNeverFlagged) {
  SimulatorOptions options;
  options.cycles = 6;
  expect_never_flagged(options, seeds(40));
}

TEST(CorrectSnapshotter, WithIdleWritersIsNeverFlagged) {
  SimulatorOptions options;
  options.idle = 300;
  expect_never_flagged(options, seeds(40));
}

TEST(CorrectSnapshotter, GivesEveryCheckWork) {
  SimulatorOptions options;
  options.idle = 300;  // else every block changes between two takes, and the chain compares none
  JournalBuilder journal = simulate(options);
  const Report report = journal.judge();
  for (const char* name :
       {"cut", "twice", "map", "chain", "order", "store", "origin", "events", "errno"}) {
    ASSERT_TRUE(report.checks.contains(name)) << name;
    EXPECT_EQ(report.checks.at(name).outcome, Outcome::pass) << name;
    EXPECT_FALSE(report.checks.at(name).exercised.empty()) << name;
  }
  EXPECT_GT(report.checks.at("cut").exercised.at("writes_across_take"), 0U);
  EXPECT_GT(report.checks.at("twice").exercised.at("sectors_overwritten"), 0U);
  EXPECT_GT(report.checks.at("map").exercised.at("blocks_must"), 0U);
  EXPECT_GT(report.checks.at("chain").exercised.at("sectors_compared"), 0U);
  EXPECT_GT(report.checks.at("order").exercised.at("reads_proven"), 0U);
  EXPECT_GT(report.checks.at("store").exercised.at("requests"), 0U);
  EXPECT_EQ(report.snapshots, 2U);
}

// What an origin may do to its writers shows in every ledger, with the writers' own checks silent.
TEST(WrongOrigin, IsFlaggedByTheLedger) {
  struct Case {
    Bug bug;
    const char* words;
    bool errors = false;
  };
  for (const Case& wrong :
       {Case{Bug::loses_write, "never reached"}, Case{Bug::ends_early, "told to be done"},
        Case{Bug::doubles_write, "came a second time"}, Case{Bug::moves_write, "came to sector"},
        Case{Bug::swallows_error, "its error was swallowed", true}}) {
    std::uint64_t flagged = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SimulatorOptions options;
      options.seed = seed;
      options.ledger = true;
      options.bug = wrong.bug;
      options.errors = wrong.errors;
      const Report report = simulate(options).judge();
      ASSERT_EQ(report.broken, "");
      if (text_of(report).find(wrong.words) != std::string::npos) ++flagged;
    }
    EXPECT_EQ(flagged, 10U) << wrong.words;
  }
}

// In causal mode the host's stamps bound P from above; only a ledger bounds it from below.
TEST(WrongSnapshotter, WithoutADrainFlipsOneByOneUnderTheEyesOfALedger) {
  std::uint64_t flagged = 0;
  const std::uint64_t count = seeds(30);
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    SimulatorOptions options;
    options.seed = seed;
    options.ledger = true;
    options.drains = false;
    options.bug = Bug::flip_one_by_one;
    Expectations expectations;
    expectations.strict = false;
    const Report report = simulate(options).judge(expectations);
    ASSERT_EQ(report.broken, "");
    if (text_of(report).find("so P lies behind stamp") != std::string::npos) ++flagged;
  }
  EXPECT_GE(flagged * 100, 50 * count) << flagged << " of " << count;
}

struct Wrong {
  Bug bug;
  const char* name;
  const char* check;      // named for the bug
  std::uint64_t percent;  // of the seeds, at least
  std::uint64_t sectors = 384;
  std::uint32_t writers = 4;
  std::uint32_t idle = 0;
  std::uint32_t cycles = 2;
};

class WrongSnapshotter : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSnapshotter, IsFlaggedByTheCheckNamedForItsBug) {
  const Wrong wrong = GetParam();
  const std::uint64_t count = seeds(30);
  std::uint64_t flagged = 0;
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    SimulatorOptions options;
    options.seed = seed;
    options.bug = wrong.bug;
    options.sectors = wrong.sectors;
    options.writers = wrong.writers;
    options.idle = wrong.idle;
    options.cycles = wrong.cycles;
    JournalBuilder journal = simulate(options);
    const Report report = journal.judge();
    ASSERT_EQ(report.broken, "");
    if (report.checks.at(wrong.check).outcome != Outcome::fail) continue;
    ++flagged;
    EXPECT_GT(report.checks.at(wrong.check).findings.front().text.size(), 80U);
  }
  EXPECT_GE(flagged * 100, wrong.percent * count) << flagged << " of " << count;
}

INSTANTIATE_TEST_SUITE_P(
    Bugs, WrongSnapshotter,
    testing::Values(Wrong{Bug::flip_one_by_one, "FlipOneByOne", "cut", 80},
                    Wrong{Bug::release_on_submit, "ReleaseOnSubmit", "order", 80},
                    Wrong{Bug::second_writer_passes, "SecondWriterPasses", "order", 50},
                    Wrong{Bug::no_recheck, "NoRecheck", "cut", 8, 768, 8, 20},
                    Wrong{Bug::no_drain, "NoDrain", "cut", 80},
                    Wrong{Bug::lost_mark, "LostMark", "map", 80, 2048, 4, 60},
                    Wrong{Bug::mark_outside_gate, "MarkOutsideGate", "map", 20, 1024, 24, 400, 5},
                    Wrong{Bug::lost_map_byte, "LostMapByte", "chain", 50},
                    Wrong{Bug::store_outside, "StoreOutside", "store", 90},
                    Wrong{Bug::store_overlap, "StoreOverlap", "store", 90},
                    Wrong{Bug::drops_saved, "DropsSaved", "twice", 80},
                    Wrong{Bug::copies_wrong_sector, "CopiesWrongSector", "cut", 90},
                    Wrong{Bug::stores_new_data, "StoresNewData", "store", 90},
                    Wrong{Bug::loses_write, "LosesWrite", "origin", 30},
                    Wrong{Bug::over_reports, "OverReports", "map", 30, 2048, 4, 400}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace snapbed::model::test
