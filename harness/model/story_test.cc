// SPDX-License-Identifier: GPL-2.0-or-later
// The story of every kind of finding against a golden file, testdata/story/CHECK-KIND.txt. After a
// change that is meant: SNAPBED_WRITE_GOLDEN=1 snapbed_model_test --gtest_filter='*Story*', and
// read the difference.
#include "model/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "model/test_ledger.h"
#include "model/test_power.h"
#include "model/test_story.h"
#include "model/timeline.h"

namespace snapbed::model::test {
namespace {

using testing::Each;
using testing::HasSubstr;

struct Case {
  Kind kind;
  std::function<void(Story&)> tell;  // bends the story and runs it to its end
  Expectations expectations = {};
};

void corrupted(Story& story, const std::string& device, int error) {
  story.b.mark(plan::MarkKind::event, 0,
               {{"snapshot", "s"}, {"code", "corrupted"}, {"device", device}, {"error", error}});
}

void wait_corrupted(Story& story) {
  story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
}

void lost_change(Story& story) {
  story.start();
  story.hold(1);
  story.number = 2;
  story.map = {1, 0, 0, 0};
  story.hold(2);
  story.stop();
}

void store_twice_at_once(Story& story) {
  const std::size_t one = story.b.begin(story.store, Op::write, 100, 1);
  const std::size_t two = story.b.begin(story.store, Op::write, 100, 1);
  for (const std::size_t request : {one, two}) {
    story.b.move(request, {story.image[8]});
    story.b.end(request);
  }
}

// A case whose story needs nothing but bent hooks.
std::function<void(Story&)> bent(const std::function<void(Story&)>& bend) {
  return [bend](Story& story) {
    bend(story);
    story.run();
  };
}

std::vector<Case> cut_cases() {
  return {
      {Kind::cut_no_drain, bent([](Story& s) {
         auto request = std::make_shared<std::size_t>();
         s.before_take = [&s, request] { *request = s.b.begin(s.data, Op::write, 300, 1); };
         s.after_take = [&s, request] {
           s.b.move(*request, {0x77});
           s.b.end(*request);
         };
       })},
      {Kind::cut_younger,
       bent([](Story& s) { s.before_copy_2 = [&s] { s.image[8] = s.content[8]; }; })},
      {Kind::cut_older, bent([](Story& s) {
         s.in_take = [&s] { s.image[0] = journal::sector_hash(journal::SectorBytes{}); };
       })},
      {Kind::cut_unknown, bent([](Story& s) { s.image_lies_at = s.copy_2_lies_at = 9; })},
      {Kind::cut_no_common_instant, bent([](Story& s) {
         s.in_take = [&s] {
           s.write(100, 1, 0x41);
           s.write(200, 1, 0x42);
           s.image[200] = 0x42;
         };
       })},
      {Kind::cut_read_error, bent([](Story& s) { s.before_destroy = [&s] { s.short_copy(); }; })},
      {Kind::cut_image_size, bent([](Story& s) {
         s.before_destroy = [&s] {
           const std::uint32_t id = s.b.call(
               "copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", s.evidence_base}});
           s.b.write(s.evidence, s.evidence_base, s.image);
           s.b.done(id, {{"image_sectors", 2 * kSectors}});
         };
       })},
      {Kind::twice_moved,
       bent([](Story& s) { s.before_copy_2 = [&s] { s.image[8] = s.content[8]; }; })},
  };
}

std::vector<Case> map_cases() {
  return {
      {Kind::map_numbers, bent([](Story& s) {
         s.map_answer = {{"snap_number", 2}};
       })},
      {Kind::map_lost_change, lost_change},
      {Kind::map_too_much, bent([](Story& s) {
         s.map = {1, 0, 1, 0};
       })},
      {Kind::map_unstable, bent([](Story& s) {
         s.before_destroy = [&s] {
           s.map = {0, 0, 0, 0};
           s.read_map();
         };
       })},
      {Kind::map_generation,
       [](Story& s) {
         s.start();
         s.hold(1);
         s.number = 2;
         s.map = {2, 0, 0, 0};
         s.map_answer = {{"generation", "bb"}};
         s.hold(2);
         s.stop();
       }},
      {Kind::chain_lost_change, lost_change},
  };
}

std::vector<Case> order_and_store_cases() {
  Expectations frugal;
  frugal.budget_bytes = 8 * 512 - 1;
  return {
      {Kind::order_overtaken, bent([](Story& s) {
         s.reads_first = false;
         auto read = std::make_shared<std::size_t>();
         s.before_write = [&s, read] {
           *read = s.b.begin(s.data, Op::read, 8, 8);
           s.b.move(*read);
         };
         s.before_copy_2 = [&s, read] { s.b.end(*read); };
       })},
      {Kind::store_in_flight_together,
       bent([](Story& s) { s.before_copy_2 = [&s] { store_twice_at_once(s); }; })},
      {Kind::store_outside, bent([](Story& s) { s.stored_at = 2000; })},
      {Kind::store_after_destroy,
       bent([](Story& s) { s.after_destroy = [&s] { s.b.write(s.store, 40, {s.image[8]}); }; })},
      {Kind::store_after_corrupted, bent([](Story& s) {
         s.before_destroy = [&s] {
           corrupted(s, "data0", 28);
           wait_corrupted(s);
           s.b.write(s.store, 40, {s.image[8]});
         };
       })},
      {Kind::store_foreign_content, bent([](Story& s) { s.stored = 0x34; })},
      {Kind::store_budget, bent([](Story&) {}), frugal},
  };
}

std::vector<Case> second_cases() {
  std::vector<Case> cases{{Kind::second_image, {}}, {Kind::second_map, {}}};
  for (Case& example : cases) {
    const Kind kind = example.kind;
    auto witnesses = std::make_shared<std::unique_ptr<Witnesses>>();
    example.tell = [witnesses, kind](Story& s) {
      *witnesses = std::make_unique<Witnesses>(s);
      if (kind == Kind::second_image) {
        s.copy_2_lies_at = 9;
        s.run();
      } else {
        lost_change(s);
      }
    };
    example.expectations.opinion = [witnesses](std::uint32_t cycle) {
      return (*witnesses)->expectations().opinion(cycle);
    };
  }
  return cases;
}

std::vector<Case> origin_cases() {
  return {
      {Kind::origin_outside_disk, bent([](Story& s) {
         s.before_destroy = [&s] { s.b.write(s.data, kSectors, {1, 2}); };
       })},
      {Kind::origin_plan_disk, bent([](Story& s) {
         const std::uint16_t plan = s.b.disk("plan", Role::plan, 64);
         s.before_destroy = [&s, plan] { s.b.write(plan, 1, {5}); };
       })},
      {Kind::origin_unlicensed,
       [](Story& s) {
         s.start();
         s.hold(1);
         s.stop();
         s.write(0, 1, 5);
       }},
      {Kind::origin_never_arrived, bent([](Story& s) {
         s.before_destroy = [&s] {
           s.b.done(s.b.call("write", {{"device", "data0"}, {"writes", 2}, {"max_sectors", 4}}));
         };
       })},
      {Kind::origin_told_more,
       [](Story& s) {
         s.start();
         s.hold(1);
         s.stop(1 << 20);
       }},
  };
}

// A ledger's run in place of the story's.
Case booked(Kind kind, const std::function<void(Book&)>& what) {
  return {kind, [what](Story& s) {
            Book book;
            what(book);
            book.run();
            s.b = book.b;
          }};
}

// TAKE captures a write that was submitted after another, which it leaves out, had arrived.
void take_out_of_order(Book& book) {
  const std::uint16_t evidence = book.b.disk("evidence", Role::evidence, 1024);
  book.b.done(book.b.call("insmod"));
  book.b.done(book.b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
  const std::uint32_t take = book.b.call("take", {{"snapshot", "s"}});
  book.whole(40, 1);
  const LedgerEntry later = book.write(8, 1);
  book.arrive(later);
  book.told(later);
  book.b.done(take);
  const std::uint32_t copy =
      book.b.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", 0}});
  std::vector<std::uint64_t> shown(kSectors, journal::sector_hash(journal::SectorBytes{}));
  shown[8] = book.contents(later)[0];
  book.b.write(evidence, 0, shown);
  book.b.done(copy);
  book.b.done(book.b.call("destroy", {{"snapshot", "s"}}));
}

std::vector<Case> ledger_cases() {
  Case bound = booked(Kind::cut_ledger_bound, take_out_of_order);
  bound.expectations.strict = false;
  return {
      bound,
      booked(Kind::origin_told_early, [](Book& book) { book.tell_early(); }),
      booked(Kind::origin_invented_error,
             [](Book& book) {
               const LedgerEntry entry = book.write(8, 4);
               book.arrive(entry);
               book.told(entry, 5);
             }),
      booked(Kind::origin_stray,
             [](Book& book) {
               const LedgerEntry entry = book.write(8, 1);
               book.arrive(entry);
               book.b.write(book.disks[1], 8, book.contents(entry));
               book.told(entry);
             }),
      booked(Kind::origin_foreign_content,
             [](Book& book) {
               book.whole(8, 1);
               book.b.write(book.disks[0], 40, {0xbad});
             }),
  };
}

std::vector<Case> event_cases() {
  const auto before_destroy = [](const std::function<void(Story&)>& what) {
    return bent([what](Story& s) { s.before_destroy = [&s, what] { what(s); }; });
  };
  return {
      {Kind::events_low_missing, bent([](Story& s) { s.low = false; })},
      {Kind::events_low_size, bent([](Story& s) { s.low_sectors = 5; })},
      {Kind::events_low_count, before_destroy([](Story& s) {
         for (int i = 0; i < 2; ++i) {
           s.b.mark(plan::MarkKind::event, 0,
                    {{"snapshot", "s"}, {"code", "low"}, {"sectors", 2097152}});
         }
       })},
      {Kind::events_low_early, before_destroy([](Story& s) {
         s.b.mark(plan::MarkKind::event, 0,
                  {{"snapshot", "s"}, {"code", "low"}, {"sectors", 2097152}});
       })},
      {Kind::events_overflow_unannounced, before_destroy([](Story& s) {
         corrupted(s, "data0", 28);
         wait_corrupted(s);
       })},
      {Kind::events_corrupted_missing, bent([](Story& s) {
         s.before_copy_2 = [&s] { s.b.end(s.b.begin(s.store, Op::write, 200, 8), 5); };
       })},
      {Kind::events_corrupted_device, before_destroy([](Story& s) {
         corrupted(s, "data9", 28);
         wait_corrupted(s);
       })},
      {Kind::events_corrupted_errno, before_destroy([](Story& s) {
         corrupted(s, "data0", -28);
         wait_corrupted(s);
       })},
      {Kind::events_corrupted_twice, before_destroy([](Story& s) {
         corrupted(s, "data0", 28);
         corrupted(s, "data0", 28);
         wait_corrupted(s);
       })},
      {Kind::events_corrupted_unexpected,
       before_destroy([](Story& s) { corrupted(s, "data0", 28); })},
      {Kind::errno_result, before_destroy([](Story& s) {
         s.b.done(s.b.call("take", {{"snapshot", "s"}}, {114}), {{"result", 0}});
       })},
  };
}

std::vector<Case> late_cases() {
  Expectations must_meet;
  must_meet.met = {1};
  return {
      {Kind::cut_image_write, bent([](Story& s) {
         s.before_copy_2 = [&s] {
           s.b.done(s.b.call(
               "write_image",
               {{"snapshot", "s"}, {"device", "data0"}, {"writes", 200}, {"max_sectors", 8}}));
         };
       })},
      {Kind::order_flush, bent([](Story& s) {
         s.job += "direct=1\n";
         s.before_copy_2 = [&s] { s.b.other(s.store, Op::flush, 0, 0); };
       })},
      {Kind::order_hold_missed, bent([](Story& s) {
         s.before_write = [&s] {
           s.b.journal.rule_actions.push_back({1, s.data, s.b.stamp, s.b.stamp, "time"});
         };
       }),
       must_meet},
      {Kind::abi_case, bent([](Story& s) {
         s.before_destroy = [&s] {
           s.b.mark(plan::MarkKind::abi_case, 0,
                    {{"call", "SNAPSHOT_TAKE"},
                     {"with", "an unknown id"},
                     {"got", "0"},
                     {"expected", {"ENOENT"}}});
         };
       })},
      {Kind::leak_left, bent([](Story& s) {
         s.before_destroy = [&s] {
           s.b.mark(plan::MarkKind::leak, 0, {{"what", "/dev/blksnap-control"}});
         };
       })},
  };
}

// The story of a cut is another one: it takes the place of the story's journal.
Case cut_case(Kind kind, const std::function<void(CutStory&)>& bend) {
  return {kind, [bend](Story& story) {
            CutStory cut;
            bend(cut);
            cut.run();
            story.b = std::move(cut.b);
          }};
}

std::vector<Case> power_cases() {
  const auto forget = [](CutStory& s, std::uint64_t first) {
    s.lose = [&s, first] {
      s.b.write(s.data, first, std::vector<std::uint64_t>(2, 0x10));
      s.show(first, 2, 0x10);
    };
  };
  return {
      cut_case(Kind::power_lost_promise,
               [forget](CutStory& s) {
                 s.passes_down = false;
                 s.before_flush = [&s] {
                   s.write(2, 2, 0x10);
                   s.write(2, 2, 0x12);
                 };
                 forget(s, 2);
               }),
      cut_case(Kind::power_foreign,
               [](CutStory& s) { s.before_copy = [&s] { s.show(300, 2, 0xbad); }; }),
      cut_case(Kind::power_read_error,
               [](CutStory& s) {
                 s.unread = 8;
                 s.in_copy = [&s](std::uint32_t copy) {
                   s.b.mark(plan::MarkKind::read_error, copy,
                            {{"device", "data0"}, {"first", 504}, {"count", 8}, {"error", 5}});
                 };
               }),
      cut_case(Kind::power_stale, [](CutStory& s) { s.knowledge["trackers"] = {"data0"}; }),
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& some :
       {cut_cases(), map_cases(), order_and_store_cases(), second_cases(), origin_cases(),
        ledger_cases(), power_cases(), event_cases(), late_cases()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

// The chapter of the first finding of the kind; empty when there is none.
std::string chapter(const Case& example) {
  Story story;
  example.tell(story);
  story.b.judge(example.expectations);  // puts the plan into the journal
  const Explained told = explain(story.b.journal, example.expectations, story.b.reader(), Scope{});
  EXPECT_EQ(told.report.broken, "");
  std::size_t nth = 0;
  for (const auto& [name, check] : told.report.checks) {
    for (const Finding& finding : check.findings) {
      EXPECT_STREQ(check_of(finding.kind), name.c_str());
      if (finding.kind == example.kind) return told.chapters.at(nth);
      ++nth;
    }
  }
  return "";
}

std::filesystem::path golden_file(Kind kind) {
  return std::filesystem::path(SNAPBED_MODEL_TESTDATA) / "story" /
         (std::string(check_of(kind)) + "-" + name_of(kind) + ".txt");
}

class StoryOf : public testing::TestWithParam<Kind> {};

TEST_P(StoryOf, EveryKindIsAsInItsGoldenFile) {
  const Kind kind = GetParam();
  for (const Case& example : all_cases()) {
    if (example.kind != kind) continue;
    const std::string told = chapter(example);
    ASSERT_NE(told, "") << "the story has no such finding";
    if (std::getenv("SNAPBED_WRITE_GOLDEN") != nullptr) base::write_file(golden_file(kind), told);
    EXPECT_EQ(told, base::read_file(golden_file(kind)));
    return;
  }
  // The runner's own two are told in runner/explain_test.cc.
  EXPECT_TRUE(kind == Kind::log_kernel || kind == Kind::watchdog_stuck)
      << check_of(kind) << "-" << name_of(kind) << " has no example";
}

std::string test_name(const testing::TestParamInfo<Kind>& info) {
  std::string name = std::string(check_of(info.param)) + "_" + name_of(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Judge, StoryOf, testing::ValuesIn(all_kinds().begin(), all_kinds().end()),
                         test_name);

TEST(Story, OfABrokenRecordIsEmpty) {
  Story story;
  story.self = false;
  story.run();
  const Explained told = explain(story.b.journal, {}, story.b.reader(), Scope{});
  EXPECT_TRUE(told.chapters.empty());
  EXPECT_THAT(told.report.broken, HasSubstr("no selftest"));
}

TEST(Story, ProseIsBrokenAtBlanks) {
  EXPECT_EQ(wrapped("one two", 2), "  one two\n");
  const std::string text = wrapped(std::string(60, 'a') + " " + std::string(60, 'b'), 1);
  EXPECT_EQ(text, " " + std::string(60, 'a') + "\n " + std::string(60, 'b') + "\n");
  EXPECT_EQ(wrapped(std::string(200, 'a'), 0), std::string(200, 'a') + "\n");
  EXPECT_EQ(wrapped("", 2), "  \n");
}

TEST(Timeline, SmallerStampsStandFurtherLeft) {
  const std::string text = draw({{"take", {{{{1, '['}, {9, ']'}}, '-'}}, "x"},
                                 {"a", {{{{2, 'b'}, {5, 'e'}}, '-'}}, ""},
                                 {"b", {{{{5, 'b'}, {journal::kNever, '>'}}, '-'}}, ""}});
  EXPECT_EQ(text,
            "take                      [-----------]                             x\n"
            "a                             b---e\n"
            "b                                 b------->\n");
}

TEST(Timeline, ManyStampsFitTheWidth) {
  std::vector<TimelineRow> rows;
  for (journal::Stamp s = 0; s < 1000; ++s) rows.push_back({"r", {{{{s, 'b'}}, '-'}}, ""});
  const std::string text = draw(rows);
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    EXPECT_LE(text.find('\n', at) - at, kTimelineLabel + 1 + kTimelineColumns);
  }
}

}  // namespace
}  // namespace snapbed::model::test
