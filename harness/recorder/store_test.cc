// SPDX-License-Identifier: GPL-2.0-or-later
// The sparse store against a plain array, and where it must not cost memory; range locks.
#include "recorder/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/random.h"
#include "journal/pattern.h"
#include "recorder/range_lock.h"

namespace snapbed::recorder {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes sectors_of(std::uint64_t count, std::uint8_t fill) {
  return Bytes(count * 512, fill);
}

class StoreTwin : public testing::TestWithParam<bool> {};

TEST_P(StoreTwin, BehavesLikeAnArray) {
  constexpr std::uint64_t kSectors = 1000;
  Store store({GetParam(), 99});
  Bytes twin(kSectors * 512);
  for (std::uint64_t s = 0; GetParam() && s < kSectors; ++s) {
    journal::fill_sector(99, s, std::span(twin).subspan(s * 512, 512));
  }
  base::Random random(5);
  for (int round = 0; round < 20000; ++round) {
    const std::uint64_t first = random.below(kSectors);
    const std::uint64_t count = 1 + random.below(std::min<std::uint64_t>(kSectors - first, 400));
    const auto at = twin.begin() + static_cast<std::ptrdiff_t>(first * 512);
    const auto size = static_cast<std::ptrdiff_t>(count * 512);
    const auto action = random.below(4);
    if (action == 0) {
      const auto bytes = sectors_of(count, static_cast<std::uint8_t>(random.below(256)));
      store.write(first, bytes);
      std::copy(bytes.begin(), bytes.end(), at);
    } else if (action == 1) {
      store.zero(first, count);
      std::fill(at, at + size, std::uint8_t{0});
    } else {
      Bytes out(count * 512);
      store.read(first, out);
      ASSERT_TRUE(std::equal(out.begin(), out.end(), at)) << first << "+" << count;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Initial, StoreTwin, testing::Bool());

TEST(Store, HundredTerabytesCostWhatIsTouched) {
  constexpr std::uint64_t kSectors = (std::uint64_t{100} << 40) / 512;
  Store store({true, 7});
  store.write(0, sectors_of(1, 1));
  store.write(kSectors - 1, sectors_of(1, 2));
  EXPECT_EQ(store.chunks(), 2U);
  Bytes out(1024), expected(512);
  store.read(kSectors - 2, out);
  journal::fill_sector(7, kSectors - 2, expected);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.begin()));
  EXPECT_EQ(out[512], 2);
  store.zero(1, kSectors - 2);  // all but both ends
  EXPECT_EQ(store.chunks(), 2U);
  store.read(kSectors / 2, out);
  EXPECT_EQ(out, sectors_of(2, 0));
  store.read(kSectors - 2, out);
  EXPECT_EQ(out[511], 0);
  EXPECT_EQ(out[512], 2);
  store.write(kSectors / 2, sectors_of(1, 3));  // into what one entry says is zero
  store.read(kSectors / 2, out);
  EXPECT_EQ(out[511], 3);
  EXPECT_EQ(out[512], 0);
}

TEST(Store, ZeroingGivesMemoryBack) {
  Store store({false, 0});
  for (std::uint64_t chunk = 0; chunk < 100; ++chunk) store.write(chunk * 128, sectors_of(1, 1));
  EXPECT_EQ(store.chunks(), 100U);
  store.zero(0, 100 * 128);
  EXPECT_EQ(store.chunks(), 0U);
}

TEST(Store, NeighboursInOneChunkAtTheSameTime) {
  Store store({true, 3});
  std::vector<std::thread> threads;
  for (std::uint8_t t = 0; t < 4; ++t) {
    threads.emplace_back([&store, t] {
      for (std::uint64_t s = t; s < 128 * 64; s += 4) store.write(s, sectors_of(1, t));
    });
  }
  for (auto& thread : threads) thread.join();
  Bytes out(512);
  for (std::uint64_t s = 0; s < 128 * 64; ++s) {
    store.read(s, out);
    ASSERT_EQ(out, sectors_of(1, static_cast<std::uint8_t>(s % 4))) << s;
  }
}

TEST(RangeLock, ExcludesOverlapOnly) {
  using namespace std::chrono_literals;
  RangeLock lock;
  const auto held = lock.acquire(10, 10, RangeLock::Mode::exclusive);
  EXPECT_NO_THROW(lock.acquire(0, 10, RangeLock::Mode::exclusive, 0ms));
  EXPECT_NO_THROW(lock.acquire(20, 1, RangeLock::Mode::exclusive, 0ms));
  EXPECT_THROW(lock.acquire(19, 1, RangeLock::Mode::shared, 1ms), base::TimedOut);
  EXPECT_THROW(lock.acquire(0, 100, RangeLock::Mode::exclusive, 1ms), base::TimedOut);
  const auto reader = lock.acquire(30, 5, RangeLock::Mode::shared);
  EXPECT_NO_THROW(lock.acquire(30, 5, RangeLock::Mode::shared, 0ms));
  EXPECT_THROW(lock.acquire(34, 5, RangeLock::Mode::exclusive, 1ms), base::TimedOut);
}

TEST(RangeLock, AWaitingWriterIsNotStarvedByReaders) {
  using namespace std::chrono_literals;
  RangeLock lock;
  std::optional<RangeLock::Hold> reader(lock.acquire(0, 10, RangeLock::Mode::shared));
  std::atomic<bool> wrote = false;
  std::thread writer([&] {
    const auto hold = lock.acquire(5, 1, RangeLock::Mode::exclusive);
    wrote = true;
  });
  // Once the writer stands in the queue, a later reader of its sector must not pass it.
  base::wait_until("the writer to queue up", base::Deadline::after(10s), [&] {
    try {
      lock.acquire(5, 1, RangeLock::Mode::shared, 0ms);
      return false;
    } catch (const base::TimedOut&) {
      return true;
    }
  });
  EXPECT_FALSE(wrote);
  reader.reset();
  writer.join();
  EXPECT_TRUE(wrote);
}

}  // namespace
}  // namespace snapbed::recorder
