// SPDX-License-Identifier: GPL-2.0-or-later
// The boot sector really boots, and a guest that says nothing is not taken for one that works.
#include "vm/accel_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "vm/probe_image.h"

namespace snapbed::vm {
namespace {

using testing::HasSubstr;

TEST(AccelProbe, TheBootSectorRunsUnderTcg) {
  const AccelProbe probe = boot_probe(Accel::tcg);
  EXPECT_TRUE(probe.works) << probe.reason;
  EXPECT_THAT(probe.reason, HasSubstr("booted"));
}

TEST(AccelProbe, ADeadlineTooShortForFirmwareIsAHang) {
  const AccelProbe probe = boot_probe(Accel::tcg, std::chrono::milliseconds(1));
  EXPECT_FALSE(probe.works);
  EXPECT_THAT(probe.reason, HasSubstr("hangs"));
}

TEST(AccelProbe, TheImageIsABootSectorWithItsAnswerInside) {
  const auto image = probe_image();
  EXPECT_EQ(image[510], 0x55);
  EXPECT_EQ(image[511], 0xaa);
  const std::string text(image.begin(), image.end());
  EXPECT_NE(text.find(kProbeAnswer), text.npos);
}

TEST(AccelProbe, KvmIsChosenOnlyWhenItWorks) {
  const AccelProbe good{true, "booted", false, {}};
  const AccelProbe bad{false, "the guest hangs", false, {}};
  EXPECT_EQ(choose_accel(AccelChoice::automatic, good), Accel::kvm);
  EXPECT_EQ(choose_accel(AccelChoice::automatic, bad), Accel::tcg);
  EXPECT_EQ(choose_accel(AccelChoice::tcg, good), Accel::tcg);
  EXPECT_EQ(choose_accel(AccelChoice::kvm, good), Accel::kvm);
  try {
    choose_accel(AccelChoice::kvm, bad);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the guest hangs"));
  }
}

TEST(AccelProbe, TheAnswerIsRemembered) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return;  // nothing to remember: never asked
  const std::string file = testing::TempDir() + "snapbed-kvm-probe.json";
  ::unlink(file.c_str());
  const AccelProbe first = probe_kvm(file, "7.2", false);
  EXPECT_FALSE(first.remembered);
  const AccelProbe second = probe_kvm(file, "7.2", false);
  EXPECT_TRUE(second.remembered);
  EXPECT_EQ(second.works, first.works);
  EXPECT_EQ(second.reason, first.reason);
  ::unlink(file.c_str());
}

}  // namespace
}  // namespace snapbed::vm
