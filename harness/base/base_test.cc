// SPDX-License-Identifier: GPL-2.0-or-later
// Units, seeded choice, descriptors and whole files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <system_error>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/little_endian.h"
#include "base/overlap.h"
#include "base/random.h"
#include "base/units.h"

namespace snapbed::base {
namespace {

TEST(Overlap, ShareAnElement) {
  EXPECT_TRUE(overlap(0, 8, 7, 1));
  EXPECT_TRUE(overlap(7, 1, 0, 8));
  EXPECT_TRUE(overlap(2, 3, 0, 100));
  EXPECT_FALSE(overlap(0, 8, 8, 8));
  EXPECT_FALSE(overlap(8, 8, 0, 8));
  EXPECT_FALSE(overlap(4, 0, 0, 8));
  EXPECT_FALSE(overlap(0, 8, 4, 0));
}

TEST(Units, ReadsSizesAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("256M"), 256U << 20);
  EXPECT_EQ(parse_bytes("3g"), std::uint64_t{3} << 30);
  EXPECT_EQ(parse_bytes("100TiB"), std::uint64_t{100} << 40);
  EXPECT_EQ(parse_bytes("15E"), std::uint64_t{15} << 60);
  EXPECT_EQ(parse_bytes("512B"), 512U);
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* text : {"", " 1", "1 ", "-1", "+1", "1.5G", "K", "1KK", "1X", "16E", "1kiBs",
                           "18446744073709551616"}) {
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
  }
}

TEST(Units, FormatsWhatItReadsBack) {
  for (std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{513},
                              std::uint64_t{4096}, std::uint64_t{3} << 40, ~std::uint64_t{0}}) {
    EXPECT_EQ(parse_bytes(format_bytes(bytes)), bytes);
  }
  EXPECT_EQ(format_bytes(256U << 20), "256M");
  EXPECT_EQ(describe_bytes(1536), "1.5 KiB");
  EXPECT_EQ(describe_bytes(1023), "1023 B");
  EXPECT_EQ(describe_bytes(std::uint64_t{100} << 40), "100.0 TiB");
}

TEST(Random, RepeatsItself) {
  Random a(7), b(7), c(8);
  const auto first = a();
  EXPECT_EQ(first, b());
  EXPECT_NE(first, c());
  Random forked = a.fork(1);
  const auto next = Random(a)();
  (void)forked();
  EXPECT_EQ(a(), next) << "a fork must not move its parent";
}

TEST(Random, StaysInBoundsAndReachesThem) {
  Random random(1);
  std::array<int, 5> seen{};
  for (int i = 0; i < 10000; ++i) seen[random.between(10, 14) - 10]++;
  for (int count : seen) EXPECT_NEAR(count, 2000, 250);
  EXPECT_FALSE(random.chance(0));
  EXPECT_TRUE(random.chance(1));
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  const auto before = values;
  random.shuffle(values);
  EXPECT_NE(values, before);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, before);
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  int raw = -1;
  {
    UniqueFd a(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = a.get();
    UniqueFd b(std::move(a));
    EXPECT_FALSE(a);  // NOLINT: moved from on purpose
    EXPECT_EQ(b.get(), raw);
    EXPECT_EQ(::fcntl(raw, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(File, RoundTripAndErrorsNameTheFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "snapbed-base-file";
  write_file(path, std::string(200000, 'x'));
  EXPECT_EQ(read_file(path).size(), 200000U);
  std::filesystem::remove(path);
  try {
    read_file(path);
    FAIL() << "a missing file was read";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
    EXPECT_EQ(error.code().value(), ENOENT);
  }
}

TEST(LittleEndian, LiesInMemoryLeastFirst) {
  unsigned char bytes[9] = {};
  store_le<std::uint32_t>(bytes + 1, 0x04030201);
  EXPECT_EQ(bytes[1], 1);
  EXPECT_EQ(bytes[4], 4);
  EXPECT_EQ(load_le<std::uint32_t>(bytes + 1), 0x04030201U);
}

}  // namespace
}  // namespace snapbed::base
