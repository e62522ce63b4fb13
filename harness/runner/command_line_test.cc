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
  EXPECT_THAT(guest_command_line({"slub_debug=-", "quiet"}, vm::Accel::tcg),
              EndsWith(" slub_debug=- quiet"));
}

TEST(CommandLine, GuardsTheModulesObjectsUnlessTheirSpeedIsMeasured) {
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg), HasSubstr(" slub_debug=FZP,blksnap_*"));
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg, Caches::fast), Not(HasSubstr("slub_debug")));
}

TEST(CommandLine, TrustsTheCounterOfTheEmulatorOnly) {
  EXPECT_THAT(guest_command_line({}, vm::Accel::tcg), HasSubstr(" tsc=reliable clocksource=tsc"));
  EXPECT_THAT(guest_command_line({}, vm::Accel::kvm), Not(HasSubstr("tsc")));
}

}  // namespace
}  // namespace snapbed::runner
