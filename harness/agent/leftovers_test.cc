// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel says of modules and of lost memory, read from its own words.
#include "agent/leftovers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "agent/case_log.h"

namespace snapbed::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ModulePlace, IsReadFromTheModulesOwnLine) {
  const std::string modules =
      "other 4096 0 - Live 0xffffffffc0000000\n"
      "blksnap 98304 1 - Live 0xffffffffc0210000 (O)\n";
  const ModulePlace place = module_place(modules, "blksnap");
  EXPECT_EQ(place.first, 0xffffffffc0210000U);
  EXPECT_EQ(place.end, 0xffffffffc0210000U + 98304);
  EXPECT_EQ(module_place(modules, "blk").end, 0U);
}

TEST(Kmemleak, ObjectsOfTheModuleAndOfOthersAreToldApart) {
  const std::string text =
      "unreferenced object 0xffff888004512400 (size 96):\n"
      "  comm \"snapbed-agent\", pid 77, jiffies 4294938291 (age 9.100s)\n"
      "  backtrace:\n"
      "    [<000000006ae5b1b7>] kmalloc_trace+0x25/0xb0\n"
      "    [<000000000b1d2f4e>] 0xffffffffc0211234\n"
      "unreferenced object 0xffff888004512800 (size 512):\n"
      "  backtrace:\n"
      "    [<000000006ae5b1b7>] ext4_fill_super+0x25/0xb0\n"
      "unreferenced object 0xffff888004512c00 (size 64):\n"
      "  backtrace:\n"
      "    [<000000006ae5b1b7>] blkfilter_attach+0x25/0xb0\n";
  LostMemory lost;
  read_kmemleak(text, {0xffffffffc0210000, 0xffffffffc0228000}, lost);
  EXPECT_EQ(lost.foreign, 1U);
  EXPECT_THAT(lost.found, ElementsAre(HasSubstr("(size 96)"), HasSubstr("(size 64)")));
}

TEST(Kmemleak, WhatTheKernelLosesByItselfIsNotTheModules) {
  LostMemory lost;
  read_kmemleak(
      "unreferenced object 0xffff888007bd3e18 (size 8):\n"
      "  backtrace:\n"
      "    [<0>] kobject_set_name_vargs+0x3f/0x110\n"
      "    [<0>] sysfs_slab_add+0x199/0x210\n"
      "    [<0>] bioset_init+0x476/0x6e0\n"
      "    [<0>] 0xffffffffc0211234\n",
      {0xffffffffc0210000, 0xffffffffc0228000}, lost);
  EXPECT_EQ(lost.foreign, 1U);
  EXPECT_TRUE(lost.found.empty());
}

TEST(Kmemleak, AnAddressBesideTheModuleIsAnothers) {
  LostMemory lost;
  read_kmemleak("unreferenced object 0xffff888004512400 (size 96):\n    [<0>] 0xffffffffc0228000\n",
                {0xffffffffc0210000, 0xffffffffc0228000}, lost);
  EXPECT_EQ(lost.foreign, 1U);
  EXPECT_TRUE(lost.found.empty());
}

TEST(UnnamedMemory, IsWhatNoOtherLineCounts) {
  const std::string text =
      "MemTotal:         229916 kB\nMemFree:          100000 kB\nMemAvailable:     150000 kB\n"
      "Buffers:            1000 kB\nCached:            20000 kB\nAnonPages:         30000 kB\n"
      "Mapped:            12345 kB\nShmem:              5000 kB\nKReclaimable:       4000 kB\n"
      "Slab:              10000 kB\nSReclaimable:       4000 kB\nSUnreclaim:         6000 kB\n"
      "KernelStack:        1000 kB\nPageTables:         1000 kB\nVmallocUsed:        2000 kB\n"
      "Percpu:              500 kB\nHugePages_Total:       0\n";
  EXPECT_EQ(unnamed_memory(text), std::uint64_t{229916 - 165500} << 10U);
  EXPECT_EQ(unnamed_memory("MemTotal: 10 kB\nMemFree: 20 kB\n"), 0U);
  EXPECT_THROW(unnamed_memory("MemFree: 20 kB\n"), std::runtime_error);
  EXPECT_THROW(unnamed_memory(""), std::runtime_error);
}

TEST(ObjectMemory, IsThatOfCachesThatAnybodyAllocatesFrom) {
  EXPECT_EQ(object_memory("slabinfo - version: 2.1\n"
                          "# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n"
                          "xfs_inode            100    128    1024   16    4 : tunables 0 0 0\n"
                          "bio-192               10     64     192   21    1 : tunables 0 0 0\n"
                          "biovec-max             2      8    4096    8    8 : tunables 0 0 0\n"
                          "kmalloc-rcl-96        50     84      96   42    1 : tunables 0 0 0\n"
                          "kmalloc-cg-1k          3     16    1024   16    4 : tunables 0 0 0\n"
                          "kmalloc-64           100    128      64   64    1 : tunables 0 0 0\n"),
            10 * 192 + 2 * 4096 + 3 * 1024 + 100 * 64);
  EXPECT_EQ(object_memory(""), 0U);
}

TEST(ResultText, NamesErrorsAndShowsValues) {
  EXPECT_EQ(result_text(0), "0");
  EXPECT_EQ(result_text(17), "17");
  EXPECT_EQ(result_text(-EOPNOTSUPP), "EOPNOTSUPP");
  EXPECT_EQ(result_text(-5000), "-5000");
}

}  // namespace
}  // namespace snapbed::agent
