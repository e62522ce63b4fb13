// SPDX-License-Identifier: GPL-2.0-or-later
// The runner's own two kinds of findings at length, against golden files as in model/story_test.cc.
#include "runner/explain.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;

void expect_golden(const std::string& name, const std::string& told) {
  const fs::path file = fs::path(SNAPBED_RUNNER_TESTDATA) / name;
  if (std::getenv("SNAPBED_WRITE_GOLDEN") != nullptr) base::write_file(file, told);
  EXPECT_EQ(told, base::read_file(file));
}

void add_mark(journal::Journal& journal, plan::MarkKind kind, const std::string& text) {
  plan::Mark mark;
  mark.kind = kind;
  mark.sequence = journal.marks.size();
  mark.step = 3;
  mark.cycle = 1;
  mark.text = text;
  const auto bytes = plan::encode_mark(mark);
  const journal::Stamp begin = 10 * (journal.marks.size() + 1);
  journal.marks.push_back({begin, begin + 1, {bytes.begin(), bytes.end()}});
}

// A guest in the middle of TAKE, one write of which never came back.
journal::Journal in_the_middle() {
  journal::Journal journal;
  journal.version = 1;
  journal.disks.push_back({0, "data0", journal::Role::data, journal::Initial::zero, 1024});
  journal.disks.push_back({1, "evidence", journal::Role::evidence, journal::Initial::zero, 1024});
  add_mark(journal, plan::MarkKind::boot, "{}");
  add_mark(journal, plan::MarkKind::step_begin, R"({"op":"take"})");
  journal.requests.push_back({0, journal::Op::read, false, 0, 64, 8, 21, 22, 23, 0});
  journal.requests.push_back(
      {0, journal::Op::trim, false, 0, 64, 8, 25, journal::kNever, journal::kNever, 0});
  return journal;
}

TEST(Explain, AKernelMessage) {
  vm::ConsoleParser parser;
  parser.feed(
      "[    1.000000] BUG: KASAN: use-after-free in tracker_submit_bio+0x1f3/0x420 [blksnap]\n"
      "[    1.000010] Write of size 8 at addr ffff888007a3c0a8 by task fio/231\n"
      "[    1.000020] Call Trace:\n"
      "[    1.000030]  tracker_submit_bio+0x1f3/0x420 [blksnap]\n");
  parser.finish();
  ASSERT_EQ(parser.findings().size(), 1U);
  expect_golden("log-kernel-message.txt", tell_console(parser.findings().front(), in_the_middle()));
}

TEST(Explain, AGuestThatStandsStill) {
  expect_golden("watchdog-stuck.txt",
                tell_watchdog("no mark and no request for 61 s; the oldest request the server owes "
                              "is 0 ms old (take)",
                              in_the_middle()));
}

}  // namespace
}  // namespace snapbed::runner
