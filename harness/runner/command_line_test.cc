// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::runner {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CommandLine, EndsInWhatWasAskedForSoThatItWins) {
  EXPECT_THAT(guest_command_line({"slub_debug=-", "quiet"}, vm::Accel::tcg, 0),
              EndsWith(" slub_debug=- quiet"));
}

TEST(CommandLine, GuardsTheModulesObjectsUnlessTheirSpeedIsMeasured) {
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, 0), HasSubstr(" slub_debug=FZP,blksnap_*"));
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, 0, Caches::fast),
              Not(HasSubstr("slub_debug")));
}

TEST(CommandLine, TrustsTheCounterOfTheEmulatorOnly) {
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, 0),
              HasSubstr(" tsc=reliable clocksource=tsc"));
  EXPECT_THAT(guest_command_line({}, vm::Accel::kvm, 2300000), Not(HasSubstr("tsc")));
}

TEST(CommandLine, TellsHowFastTheCounterGoesWhereThatIsKnown) {
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, 2300000), HasSubstr(" tsc_early_khz=2300000"));
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, 0), Not(HasSubstr("early")));
}

}  // namespace
}  // namespace snapbed::runner
