// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/sample.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace snapbed::bench {
namespace {

TEST(Sample, ComesBackFromItsLine) {
  const Sample sample{"mixed", System::dm64, 4, 20000, 81920000, 123, 456, 7, 8, 9, 10, 11, 12};
  const Memory memory{"state", -5, 3};
  const Results results = parse(to_line(sample) + to_line(memory) + done_line());
  ASSERT_EQ(results.samples.size(), 1u);
  EXPECT_EQ(results.samples[0], sample);
  ASSERT_EQ(results.memory.size(), 1u);
  EXPECT_EQ(results.memory[0], memory);
  EXPECT_TRUE(results.done);
  EXPECT_TRUE(results.error.empty());
}

TEST(Sample, ALineCutShortIsNotThereYet) {
  const std::string text = error_line("disk \xff full") + done_line();
  const Results results = parse(std::string_view(text).substr(0, text.size() - 1));
  EXPECT_FALSE(results.done);
  EXPECT_NE(results.error.find("full"), std::string::npos);
}

TEST(Sample, ALineOfAnotherKindIsRefused) {
  EXPECT_THROW(parse("{\"speed\":1}\n"), std::runtime_error);
  EXPECT_THROW(parse("nonsense\n"), std::runtime_error);
  EXPECT_THROW(parse("{\"row\":\"mixed\"}\n"), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::bench
