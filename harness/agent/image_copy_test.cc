// SPDX-License-Identifier: GPL-2.0-or-later
// The copy against an image and an evidence disk in memory.
#include "agent/image_copy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>

#include "agent/block_device.h"
#include "agent/copy_order.h"
#include "agent/fatal.h"

namespace snapbed::agent {
namespace {

constexpr std::uint64_t kSectors = 4096;
constexpr std::uint64_t kBase = 10000;

// An image whose sector s is filled with byte s * 7, some sectors unreadable; and evidence.
class Disks {
 public:
  std::set<std::uint64_t> bad;
  std::set<std::uint64_t> fails_once;  // a read that begins here
  std::uint64_t unit = 1;
  std::uint64_t evidence_fails_at = ~std::uint64_t{0};

  CopyPorts ports() {
    return {[this](plan::Range range, std::span<std::uint8_t> bytes) { return read(range, bytes); },
            [this](plan::Range range, std::span<const std::uint8_t> bytes) {
              return write(range, bytes);
            },
            unit};
  }
  bool correct(std::uint64_t sector) const {
    const auto written = evidence_.find(kBase + sector);
    return written != evidence_.end() && written->second == value(sector);
  }
  std::size_t written() const { return evidence_.size(); }
  bool twice() const { return twice_; }

 private:
  static std::uint8_t value(std::uint64_t sector) { return static_cast<std::uint8_t>(sector * 7); }

  int read(plan::Range range, std::span<std::uint8_t> bytes) {
    if (bytes.size() != range.count * kSectorBytes || range.first % unit != 0) return EINVAL;
    {
      const std::scoped_lock lock(mutex_);
      if (fails_once.erase(range.first) != 0) return EIO;
    }
    for (std::uint64_t i = 0; i < range.count; ++i) {
      if (bad.contains(range.first + i)) return EIO;
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * kSectorBytes), kSectorBytes,
                  value(range.first + i));
    }
    return 0;
  }
  int write(plan::Range range, std::span<const std::uint8_t> bytes) {
    const std::scoped_lock lock(mutex_);
    for (std::uint64_t i = 0; i < range.count; ++i) {
      if (range.first + i == evidence_fails_at) return ENOSPC;
      twice_ |= !evidence_.emplace(range.first + i, bytes[i * kSectorBytes]).second;
    }
    return 0;
  }

  std::mutex mutex_;
  std::map<std::uint64_t, std::uint8_t> evidence_;
  bool twice_ = false;
};

std::vector<AlignedMemory> make_buffers() {
  std::vector<AlignedMemory> buffers;
  for (int i = 0; i < 4; ++i) buffers.emplace_back(64 * kSectorBytes);
  return buffers;
}

struct Outcome {
  CopyCounts counts;
  std::map<std::uint64_t, std::uint64_t> bad_runs;
  std::map<std::uint64_t, std::uint64_t> read_again;
};

Outcome copy(Disks& disks, const std::vector<plan::Range>& pieces, std::size_t workers) {
  auto buffers = make_buffers();
  Outcome outcome;
  outcome.counts = copy_image(
      disks.ports(), kBase, pieces, buffers, workers, [&](plan::Range run, int error, bool again) {
        EXPECT_EQ(error, EIO);
        (again ? outcome.read_again : outcome.bad_runs)[run.first] = run.count;
      });
  return outcome;
}

TEST(ImageCopy, EverySectorArrivesOnceAtItsPlace) {
  for (const std::size_t workers : {1u, 2u, 4u}) {
    Disks disks;
    const Outcome outcome = copy(disks, shuffled_pieces(1, 1, kSectors, 64, 1), workers);
    EXPECT_EQ(outcome.counts.sectors, kSectors);
    EXPECT_EQ(outcome.counts.bad, 0u);
    EXPECT_FALSE(disks.twice());
    for (std::uint64_t s = 0; s < kSectors; ++s) ASSERT_TRUE(disks.correct(s)) << s;
  }
}

TEST(ImageCopy, BadSectorsAreReportedAsRunsAndTheOthersCopied) {
  Disks disks;
  disks.bad = {0, 5, 6, 7, 63, 64, 4095};
  const Outcome outcome = copy(disks, sequential_pieces(kSectors, 64), 2);
  EXPECT_EQ(outcome.counts.bad, 7u);
  EXPECT_EQ(outcome.counts.sectors, kSectors - 7);
  const std::map<std::uint64_t, std::uint64_t> expected = {
      {0, 1}, {5, 3}, {63, 1}, {64, 1}, {4095, 1}};
  EXPECT_EQ(outcome.bad_runs, expected);
  EXPECT_FALSE(disks.twice());
  for (std::uint64_t s = 0; s < kSectors; ++s) {
    ASSERT_EQ(disks.correct(s), !disks.bad.contains(s)) << s;
  }
}

// What a reader of the image was refused stays on record, though the copy is whole.
TEST(ImageCopy, APieceThatFailsOnceIsCopiedAndReported) {
  Disks disks;
  disks.unit = 8;
  disks.fails_once = {64, 256};
  disks.bad = {300};
  const Outcome outcome = copy(disks, sequential_pieces(kSectors, 64), 2);
  EXPECT_EQ(outcome.counts.bad, 8u);
  EXPECT_EQ(outcome.counts.sectors, kSectors - 8);
  EXPECT_EQ(outcome.bad_runs, (std::map<std::uint64_t, std::uint64_t>{{296, 8}}));
  EXPECT_EQ(outcome.read_again, (std::map<std::uint64_t, std::uint64_t>{{64, 64}}));
  for (std::uint64_t s = 64; s < 128; ++s) ASSERT_TRUE(disks.correct(s)) << s;
}

TEST(ImageCopy, LogicalBlocksAreTheSmallestReads) {
  Disks disks;
  disks.unit = 8;
  disks.bad = {17};
  const Outcome outcome = copy(disks, sequential_pieces(kSectors, 64), 1);
  EXPECT_EQ(outcome.counts.bad, 8u);
  EXPECT_EQ(outcome.bad_runs, (std::map<std::uint64_t, std::uint64_t>{{16, 8}}));
}

TEST(ImageCopy, AnImageThatDoesNotReadAtAllIsAllRuns) {
  Disks disks;
  for (std::uint64_t s = 0; s < kSectors; ++s) disks.bad.insert(s);
  const Outcome outcome = copy(disks, sequential_pieces(kSectors, 64), 4);
  EXPECT_EQ(outcome.counts.bad, kSectors);
  EXPECT_EQ(outcome.counts.sectors, 0u);
  EXPECT_EQ(outcome.bad_runs.size(), kSectors / 64);
  EXPECT_EQ(disks.written(), 0u);
}

TEST(ImageCopy, AFailingEvidenceDiskIsFatal) {
  Disks disks;
  disks.evidence_fails_at = kBase + 1000;
  EXPECT_THROW(copy(disks, sequential_pieces(kSectors, 64), 4), Fatal);
}

}  // namespace
}  // namespace snapbed::agent
