// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/resume.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/fatal.h"

namespace snapbed::agent {
namespace {

// A marks disk of 64 sectors in memory, read four sectors at a time.
struct Disk {
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(64 * 512);
  std::uint64_t next = 0;

  void mark(plan::MarkKind kind, std::uint32_t step, const std::string& text) {
    plan::Mark mark;
    mark.kind = kind;
    mark.sequence = next;
    mark.step = step;
    mark.text = text;
    const auto sector = plan::encode_mark(mark);
    std::copy(sector.begin(), sector.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(next++ * 512));
  }
  Resume read() const {
    std::vector<std::uint8_t> buffer(4 * 512);
    return read_marks(64, buffer, [this](std::uint64_t first, std::span<std::uint8_t> out) {
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(first * 512), out.size(),
                  out.begin());
    });
  }
};

TEST(Resume, TheFirstMachineFindsNothing) {
  const Resume resume = Disk().read();
  EXPECT_EQ(resume.boots, 0U);
  EXPECT_EQ(resume.marks, 0U);
  EXPECT_FALSE(resume.cut);
}

TEST(Resume, TheNextMachineGoesOnBehindTheCut) {
  Disk disk;
  disk.mark(plan::MarkKind::boot, 0, "{}");
  disk.mark(plan::MarkKind::step_begin, 0, R"({"op":"create"})");
  disk.mark(plan::MarkKind::step_end, 0, R"({"result":0,"id":"00ff"})");
  disk.mark(plan::MarkKind::step_begin, 1, R"({"op":"power_cut"})");
  disk.mark(plan::MarkKind::event, 0, "{}");
  const Resume resume = disk.read();
  EXPECT_EQ(resume.boots, 1U);
  EXPECT_EQ(resume.marks, 5U);
  EXPECT_EQ(resume.cut, 1U);
  ASSERT_EQ(resume.ended.size(), 1U);
  EXPECT_EQ(resume.ended[0].step, 0U);
}

TEST(Resume, AMachineThatDidNotLoseItsPowerIsNotFollowed) {
  Disk disk;
  disk.mark(plan::MarkKind::boot, 0, "{}");
  disk.mark(plan::MarkKind::step_begin, 0, R"({"op":"power_cut"})");
  disk.mark(plan::MarkKind::step_begin, 1, R"({"op":"create"})");
  EXPECT_THROW(disk.read(), Fatal);
}

TEST(Resume, AFullDiskOfMarksIsRefused) {
  Disk disk;
  while (disk.next < 64) disk.mark(plan::MarkKind::note, 0, "");
  EXPECT_THROW(disk.read(), Fatal);
}

}  // namespace
}  // namespace snapbed::agent
