// SPDX-License-Identifier: GPL-2.0-or-later
// A host that gives too little is told apart from a guest that asks for little.
#include "runner/starvation.h"

#include <gtest/gtest.h>

namespace snapbed::runner {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Samples each quarter of a second; of each second `ran` and `waited` are spent so.
class Host {
 public:
  void pass(int quarters, milliseconds ran, milliseconds waited) {
    for (int n = 0; n < quarters; ++n) {
      now_ += milliseconds(250);
      use_.ran += ran / 4;
      use_.waited += waited / 4;
      starvation.sample(now_, use_);
    }
  }
  void another_process() { use_ = {}; }

  Starvation starvation;

 private:
  Moment now_ = Moment() + seconds(1000);
  base::ProcessorUse use_;
};

TEST(Starvation, AMachineAloneIsNotStarved) {
  Host host;
  host.pass(400, milliseconds(1900), milliseconds(10));
  EXPECT_EQ(host.starvation.worst(), "");
}

TEST(Starvation, TwoMachinesSideBySideAreNotStarved) {
  Host host;
  host.pass(400, milliseconds(900), milliseconds(1100));
  EXPECT_EQ(host.starvation.worst(), "");
}

TEST(Starvation, TheWorstTenSecondsAreTold) {
  Host host;
  host.pass(100, milliseconds(1900), milliseconds(10));
  host.pass(60, milliseconds(140), milliseconds(1860));
  host.pass(100, milliseconds(1900), milliseconds(10));
  EXPECT_EQ(host.starvation.worst(),
            "for 10 s the host gave QEMU 7 % of the processor time it asked for");
}

TEST(Starvation, AFewSecondsAreNotEnough) {
  Host host;
  host.pass(100, milliseconds(1000), milliseconds(500));
  host.pass(20, milliseconds(0), milliseconds(2000));
  host.pass(100, milliseconds(1000), milliseconds(500));
  EXPECT_EQ(host.starvation.worst(), "");
}

TEST(Starvation, AGuestThatSleepsAsksForLittle) {
  Host host;
  host.pass(400, milliseconds(4), milliseconds(40));
  EXPECT_EQ(host.starvation.worst(), "");
}

TEST(Starvation, AStepOfMinutesIsNotLateForTenSecondsInIt) {
  Host host;
  host.pass(40, milliseconds(100), milliseconds(1900));
  host.starvation.begin_step();
  host.pass(400, milliseconds(900), milliseconds(1100));
  host.pass(60, milliseconds(140), milliseconds(1860));
  EXPECT_NE(host.starvation.worst(), "");
  EXPECT_EQ(host.starvation.of_step(), "");
}

TEST(Starvation, AStepThatIsStarvedAllTheTimeIsToldWhole) {
  Host host;
  host.pass(100, milliseconds(1900), milliseconds(10));
  host.starvation.begin_step();
  host.pass(400, milliseconds(200), milliseconds(1800));
  EXPECT_EQ(host.starvation.of_step(),
            "for 100 s the host gave QEMU 10 % of the processor time it asked for");
}

TEST(Starvation, OfAShortStepTheSecondsBeforeItTellToo) {
  Host host;
  host.pass(40, milliseconds(100), milliseconds(1900));
  host.pass(4, milliseconds(100), milliseconds(1900));
  host.starvation.begin_step();
  host.pass(8, milliseconds(100), milliseconds(1900));
  EXPECT_EQ(host.starvation.of_step(), host.starvation.worst());
  EXPECT_NE(host.starvation.of_step(), "");
}

TEST(Starvation, TheMachineAfterAPowerCutIsAnotherProcess) {
  Host host;
  host.pass(39, milliseconds(1900), milliseconds(1900));
  host.another_process();
  host.pass(39, milliseconds(100), milliseconds(1900));
  EXPECT_EQ(host.starvation.worst(), "");
  EXPECT_EQ(host.starvation.of_step(), "");
  host.pass(2, milliseconds(100), milliseconds(1900));
  EXPECT_NE(host.starvation.worst(), "");
}

}  // namespace
}  // namespace snapbed::runner
