// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/progress.h"

#include <gtest/gtest.h>

#include "runner/live_line.h"

namespace snapbed::runner {
namespace {

using std::chrono::seconds;

class ProgressTest : public ::testing::Test {
 protected:
  Moment at(int second) const { return start_ + seconds(second); }
  Moment start_{};
  Progress progress_{start_, seconds(30), seconds(60)};
};

TEST_F(ProgressTest, BootHasItsOwnDeadlineThatRequestsDoNotMove) {
  progress_.health(at(29), {100, seconds(0)});
  EXPECT_EQ(progress_.look(at(30)), std::nullopt);
  EXPECT_EQ(progress_.look(at(31)), Stall::boot);
}

TEST_F(ProgressTest, ABootThatTalksHasMoreTimeButNotForEver) {
  for (int second = 20; second < 200; second += 20) progress_.console(at(second));
  EXPECT_EQ(progress_.look(at(140)), std::nullopt);
  EXPECT_EQ(progress_.look(at(171)), Stall::boot);
  EXPECT_EQ(progress_.describe(at(171)),
            "no mark of the agent within 171 s of power-on, and nothing on the console for 31 s");
}

TEST_F(ProgressTest, MarksAndRequestsAreProgress) {
  progress_.mark(at(10));
  EXPECT_EQ(progress_.look(at(70)), std::nullopt);
  EXPECT_EQ(progress_.look(at(71)), Stall::guest);
  progress_.health(at(69), {5, seconds(0)});
  EXPECT_EQ(progress_.look(at(120)), std::nullopt);
  progress_.health(at(128), {5, seconds(0)});
  EXPECT_EQ(progress_.look(at(130)), Stall::guest) << "the same count is no progress";
}

TEST_F(ProgressTest, ARequestTheServerOwesIsTheServersFault) {
  progress_.mark(at(10));
  progress_.health(at(20), {5, seconds(1)});
  progress_.health(at(27), {5, seconds(7)});
  EXPECT_EQ(progress_.look(at(27)), Stall::server);
}

TEST_F(ProgressTest, AServerThatDoesNotAnswerIsToBlame) {
  progress_.mark(at(10));
  progress_.asked(at(11));
  progress_.health(at(12), {5, seconds(0)});
  progress_.asked(at(13));
  progress_.asked(at(60));
  EXPECT_EQ(progress_.look(at(70)), std::nullopt);
  EXPECT_EQ(progress_.look(at(73)), Stall::server);
  EXPECT_EQ(progress_.describe(at(73)),
            "no mark and no request for 61 s; the server does not answer for 60 s");
  progress_.health(at(73), {5, seconds(0)});
  EXPECT_EQ(progress_.look(at(73)), Stall::guest);
}

TEST_F(ProgressTest, ASlowRequestWhileOthersEndIsNoStall) {
  progress_.mark(at(10));
  progress_.health(at(20), {5, seconds(7)});
  progress_.health(at(21), {6, seconds(8)});
  EXPECT_EQ(progress_.look(at(22)), std::nullopt);
}

TEST_F(ProgressTest, JudgingIsForgiven) {
  progress_.mark(at(10));
  progress_.forgive(at(100));
  EXPECT_EQ(progress_.look(at(150)), std::nullopt);
}

// A suspended host, or one whose processors are taken: neither is the guest's time.
TEST_F(ProgressTest, TimeThatTheHarnessDidNotHaveEitherIsForgiven) {
  progress_.mark(at(10));
  progress_.lag(at(65), seconds(50));
  EXPECT_EQ(progress_.look(at(120)), std::nullopt);
  EXPECT_EQ(progress_.look(at(121)), Stall::guest);
  progress_.lag(at(121), seconds(500));
  EXPECT_EQ(progress_.look(at(181)), std::nullopt) << "a gap moves nothing beyond the present";
  EXPECT_EQ(progress_.look(at(182)), Stall::guest);
}

TEST(LiveLineTest, NeverWraps) {
  EXPECT_EQ(fitted("abcdef", 6), "abcde");
  EXPECT_EQ(fitted("abc", 6), "abc");
  EXPECT_EQ(fitted(std::string(200, 'x'), 0).size(), 79U);
}

}  // namespace
}  // namespace snapbed::runner
