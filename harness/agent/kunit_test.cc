// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/kunit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Kunit, CountsTheCasesOfAGoodSuite) {
  const KunitSuite suite =
      parse_kunit("maps",
                  "    # Subtest: maps\n    1..2\n    ok 1 - first\n    ok 2 - "
                  "second\n# maps: pass:2 fail:0 skip:0 total:2\nok 1 - maps\n");
  EXPECT_EQ(suite.cases, 2u);
  EXPECT_THAT(suite.failed, IsEmpty());
}

TEST(Kunit, NamesTheCaseThatFailed) {
  const KunitSuite suite = parse_kunit(
      "maps",
      "    1..2\n    # second: EXPECTATION FAILED at maps_test.c:3\n    Expected 1 == 2\n"
      "    ok 1 - first\n    not ok 2 - second\nnot ok 1 - maps\n");
  EXPECT_EQ(suite.cases, 2u);
  EXPECT_THAT(suite.failed, ElementsAre("maps.second"));
}

TEST(Kunit, ASkippedCaseIsNoGoodOne) {
  const KunitSuite suite =
      parse_kunit("maps", "    1..1\n    ok 1 - first # SKIP no device\nok 1 - maps\n");
  EXPECT_THAT(suite.failed, ElementsAre("maps.first"));
}

TEST(Kunit, MissingCasesAreAFailureOfTheSuite) {
  EXPECT_THAT(parse_kunit("maps", "    1..2\n    ok 1 - first\nok 1 - maps\n").failed,
              ElementsAre("maps"));
  EXPECT_THAT(parse_kunit("maps", "    1..1\n    ok 1 - first\n").failed, ElementsAre("maps"));
  EXPECT_THAT(parse_kunit("maps", "    1..0\nok 1 - maps\n").failed, ElementsAre("maps"));
  EXPECT_THAT(parse_kunit("maps", "    1..1\n    ok 1 - first\nok 1 - other\n").failed,
              ElementsAre("maps"));
  EXPECT_THAT(parse_kunit("maps", "").failed, ElementsAre("maps"));
}

}  // namespace
}  // namespace snapbed::agent
