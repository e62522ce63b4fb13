// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <stdexcept>

namespace snapbed::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::map<std::string, plan::Device> devices() {
  return {{"data0", {"/dev/snapbed/data0", "data0", 0, 100}},
          {"data1", {"/dev/snapbed/data1", "data1", 0, 100}}};
}

TEST(SubstituteDevices, PutsPathsForNames) {
  EXPECT_EQ(substitute_devices("0 20480 linear %data0% 2048", devices()),
            "0 20480 linear /dev/snapbed/data0 2048");
  EXPECT_EQ(substitute_devices("0 8 linear %data0% 0\n8 8 linear %data1% 0", devices()),
            "0 8 linear /dev/snapbed/data0 0\n8 8 linear /dev/snapbed/data1 0");
  EXPECT_EQ(substitute_devices("0 8 zero", devices()), "0 8 zero");
  EXPECT_EQ(substitute_devices("", devices()), "");
}

TEST(SubstituteDevices, RefusesWhatItCannotReplace) {
  EXPECT_THROW(substitute_devices("0 8 linear %data2% 0", devices()), std::runtime_error);
  EXPECT_THROW(substitute_devices("0 8 linear %data0 0", devices()), std::runtime_error);
  EXPECT_THROW(substitute_devices("0 8 linear %% 0", devices()), std::runtime_error);
}

TEST(BlockMajor, IsOneUnderTheHeadingOfBlockDevices) {
  const std::string devices =
      "Character devices:\n  1 mem\n254 rtc\n\nBlock devices:\n  7 loop\n253 blksnap-image\n";
  EXPECT_TRUE(is_block_major(devices, 7));
  EXPECT_TRUE(is_block_major(devices, 253));
  for (const unsigned long other : {1UL, 25UL, 53UL, 254UL}) {
    EXPECT_FALSE(is_block_major(devices, other)) << other;
  }
  EXPECT_FALSE(is_block_major("", 7));
}

TEST(Words, SplitAtBlanks) {
  EXPECT_THAT(words("  -b 4096\t-O ^64bit\n"), ElementsAre("-b", "4096", "-O", "^64bit"));
  EXPECT_THAT(words(""), IsEmpty());
}

TEST(Hex, IsTwoLowerCaseDigitsAByte) {
  EXPECT_EQ(hex(std::vector<std::uint8_t>{0x00, 0x0f, 0xa5, 0xff}), "000fa5ff");
}

TEST(FioTargets, AreTheFilesAndFoldersNamed) {
  const std::string job =
      "; filename=/dev/comment\n[global]\ndirect=1\n[a]\nfilename=/dev/snapbed/data0\n"
      "[b]\n  filename = /dev/snapbed/data1:/dev/snapbed/data0 \n[c]\ndirectory=/mnt/a\n"
      "[d]\nfilename=/dev/disk\\:0\nfilename_format=x\n# filename=/no\n";
  EXPECT_THAT(fio_targets(job),
              ElementsAre("/dev/snapbed/data0", "/dev/snapbed/data1", "/mnt/a", "/dev/disk:0"));
  EXPECT_THAT(fio_targets("[a]\nrw=write\n"), IsEmpty());
}

TEST(FioUsesThreads, FollowsTheOption) {
  EXPECT_FALSE(fio_uses_threads("[a]\nrw=write\n"));
  EXPECT_TRUE(fio_uses_threads("[a]\nthread\n"));
  EXPECT_TRUE(fio_uses_threads("[a]\nthread=1\n"));
  EXPECT_FALSE(fio_uses_threads("[a]\nthread=0\n"));
  EXPECT_FALSE(fio_uses_threads("[a]\nthreads=1\n"));
}

TEST(MountOptions, AreFlagsAndTheRest) {
  const MountOptions options = parse_mount_options("ro,noatime,discard,data=journal");
  EXPECT_EQ(options.flags, static_cast<unsigned long>(MS_RDONLY | MS_NOATIME));
  EXPECT_EQ(options.data, "discard,data=journal");
  EXPECT_EQ(parse_mount_options("").flags, 0u);
  EXPECT_EQ(parse_mount_options("defaults,rw").data, "");
}

}  // namespace
}  // namespace snapbed::agent
