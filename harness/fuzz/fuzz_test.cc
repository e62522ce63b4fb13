// SPDX-License-Identifier: GPL-2.0-or-later
// The fuzz targets without a fuzzer: seeds, what once did harm (found/TARGET/*), seeds cut short,
// and seeds with a few bytes changed at random. SNAPBED_SEEDS=20000 makes it thorough.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "fuzz/targets.h"

namespace snapbed::fuzz {
namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

std::uint64_t rounds() {
  const char* wanted = std::getenv("SNAPBED_SEEDS");
  return wanted == nullptr ? 300 : std::strtoull(wanted, nullptr, 10);
}

class Rubbish : public testing::TestWithParam<std::size_t> {
 protected:
  const Target& target() const { return targets()[GetParam()]; }
};

// What a fuzzer found once, mended since: found/TARGET/*. There need not be any.
std::vector<Input> found(const Target& target) {
  std::vector<Input> inputs;
  const fs::path folder = fs::path(SNAPBED_FOUND) / target.name;
  if (!fs::exists(folder)) return inputs;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string text = base::read_file(entry.path());
    inputs.emplace_back(text.begin(), text.end());
  }
  return inputs;
}

TEST_P(Rubbish, SeedsAndWhatOnceDidHarmAreRead) {
  const auto seeds = target().seeds();
  ASSERT_FALSE(seeds.empty());
  for (const Input& seed : seeds) target().run(seed);
  for (const Input& input : found(target())) target().run(input);
}

TEST_P(Rubbish, CutShort) {
  base::Random random(5);
  for (const Input& seed : target().seeds()) {
    target().run({});
    for (std::uint64_t i = 0; i < rounds() / 10; ++i)
      target().run(Bytes(seed).first(static_cast<std::size_t>(random.below(seed.size() + 1))));
  }
}

// What a damaged disk, an editor or a joker does to a file.
void damage(Input& bytes, base::Random& random) {
  const std::uint64_t changes = random.between(1, 6);
  for (std::uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const auto at = static_cast<std::size_t>(random.below(bytes.size()));
    switch (random.below(5)) {
      case 0:
        bytes[at] ^= static_cast<std::uint8_t>(1U << random.below(8));
        break;
      case 1:
        bytes[at] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        bytes[at] = 0xff;
        break;
      case 3:
        for (std::size_t k = at; k < bytes.size() && k < at + 8; ++k)
          bytes[k] = static_cast<std::uint8_t>(random());
        break;
      default: {
        // A piece from elsewhere: fields in the wrong place, digits where words were.
        const auto from = static_cast<std::size_t>(random.below(bytes.size()));
        for (std::size_t k = 0; k < 8 && at + k < bytes.size() && from + k < bytes.size(); ++k)
          bytes[at + k] = bytes[from + k];
      }
    }
  }
}

TEST_P(Rubbish, Damaged) {
  const auto seeds = target().seeds();
  for (std::uint64_t i = 0; i < rounds(); ++i) {
    base::Random random(i);
    Input bytes = seeds[static_cast<std::size_t>(random.below(seeds.size()))];
    damage(bytes, random);
    SCOPED_TRACE("round " + std::to_string(i));
    ASSERT_NO_THROW(target().run(bytes));
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Rubbish, testing::Range<std::size_t>(0, 4),
                         [](const auto& one) { return targets()[one.param].name; });

}  // namespace
}  // namespace snapbed::fuzz
