// SPDX-License-Identifier: GPL-2.0-or-later
// Marks come back as written, and nothing else is taken for a mark.
#include "plan/mark.h"

#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdexcept>

#include "plan/bytes.h"

namespace snapbed::plan {
namespace {

Mark example() {
  return {MarkKind::step_end, 0x0102030405060708ULL, 7, 3, 123456789012345ULL, R"({"result":0})"};
}

// Corrects the checksum, so that only the field under test is wrong.
void seal(std::array<std::uint8_t, 512>& bytes) {
  put_le<std::uint64_t>(bytes, 504, XXH3_64bits(bytes.data(), 504));
}

TEST(Mark, ComesBackAsWritten) {
  const Mark mark = example();
  const auto decoded = decode_mark(encode_mark(mark));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->kind, mark.kind);
  EXPECT_EQ(decoded->sequence, mark.sequence);
  EXPECT_EQ(decoded->step, mark.step);
  EXPECT_EQ(decoded->cycle, mark.cycle);
  EXPECT_EQ(decoded->guest_ns, mark.guest_ns);
  EXPECT_EQ(decoded->text, mark.text);
}

TEST(Mark, LayoutIsTheDocumentedOne) {
  const auto bytes = encode_mark(example());
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 8), "SNAPMARK");
  EXPECT_EQ(bytes[8], kMarkVersion);
  EXPECT_EQ(bytes[12], static_cast<std::uint8_t>(MarkKind::step_end));
  EXPECT_EQ(bytes[14], example().text.size());
  EXPECT_EQ(bytes[16], 0x08);
  EXPECT_EQ(bytes[23], 0x01);
  EXPECT_EQ(bytes[24], 7);
  EXPECT_EQ(bytes[28], 3);
  EXPECT_EQ(bytes[40], '{');
}

TEST(Mark, TextOfTheLimitFitsAndOneMoreIsRefused) {
  Mark mark = example();
  mark.text.assign(kMarkTextLimit, 'x');
  const auto decoded = decode_mark(encode_mark(mark));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->text.size(), kMarkTextLimit);
  mark.text += 'x';
  EXPECT_THROW(encode_mark(mark), std::runtime_error);
}

TEST(Mark, EveryFlippedBitIsNoticed) {
  const auto good = encode_mark(example());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_FALSE(decode_mark(bytes).has_value()) << "bit " << bit;
  }
}

TEST(Mark, WrongFieldsUnderARightChecksumAreRefused) {
  const auto good = encode_mark(example());
  const struct {
    const char* what;
    std::size_t at;
    std::uint8_t value;
  } cases[] = {{"magic", 0, 'X'},           {"version", 8, 2},   {"kind 0", 12, 0},
               {"kind 14", 12, 14},         {"kind 258", 13, 1}, {"length 65292", 15, 255},
               {"padding not zero", 503, 1}};
  for (const auto& one : cases) {
    auto bytes = good;
    bytes[one.at] = one.value;
    seal(bytes);
    EXPECT_FALSE(decode_mark(bytes).has_value()) << one.what;
  }
  auto same = good;
  seal(same);
  EXPECT_TRUE(decode_mark(same).has_value());
}

TEST(Mark, OnlyWholeSectorsAreMarks) {
  const auto bytes = encode_mark(example());
  EXPECT_FALSE(decode_mark(std::span(bytes).first(511)).has_value());
  EXPECT_FALSE(decode_mark({}).has_value());
  EXPECT_FALSE(decode_mark(std::array<std::uint8_t, 512>{}).has_value());
}

TEST(Mark, EveryKindHasAName) {
  for (std::uint16_t kind = 1; kind <= 13; ++kind) {
    EXPECT_STRNE(to_string(static_cast<MarkKind>(kind)), "unknown") << kind;
  }
}

}  // namespace
}  // namespace snapbed::plan
