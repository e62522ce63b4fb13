// SPDX-License-Identifier: GPL-2.0-or-later
// Encoding and strict decoding of marks. A record that is not exactly what encode_mark() would
// have written is not a mark: a torn or forged one must show as a gap, never as a wrong step.
#include "plan/mark.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "plan/bytes.h"

namespace snapbed::plan {
namespace {

constexpr std::string_view kMagic = "SNAPMARK";
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kKindAt = 12;
constexpr std::size_t kLengthAt = 14;
constexpr std::size_t kSequenceAt = 16;
constexpr std::size_t kStepAt = 24;
constexpr std::size_t kCycleAt = 28;
constexpr std::size_t kGuestNsAt = 32;
constexpr std::size_t kTextAt = 40;
constexpr std::size_t kChecksumAt = 504;
static_assert(kTextAt + kMarkTextLimit == kChecksumAt);

bool is_kind(std::uint16_t kind) {
  return kind >= static_cast<std::uint16_t>(MarkKind::boot) &&
         kind <= static_cast<std::uint16_t>(MarkKind::leak);
}

}  // namespace

std::array<std::uint8_t, 512> encode_mark(const Mark& mark) {
  if (mark.text.size() > kMarkTextLimit) {
    throw std::runtime_error("mark " + std::to_string(mark.sequence) + ": text of " +
                             std::to_string(mark.text.size()) + " bytes, at most " +
                             std::to_string(kMarkTextLimit) + " fit");
  }
  std::array<std::uint8_t, 512> bytes{};
  const std::span<std::uint8_t> out(bytes);
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  put_le<std::uint32_t>(out, kVersionAt, kMarkVersion);
  put_le<std::uint16_t>(out, kKindAt, static_cast<std::uint16_t>(mark.kind));
  put_le<std::uint16_t>(out, kLengthAt, static_cast<std::uint16_t>(mark.text.size()));
  put_le<std::uint64_t>(out, kSequenceAt, mark.sequence);
  put_le<std::uint32_t>(out, kStepAt, mark.step);
  put_le<std::uint32_t>(out, kCycleAt, mark.cycle);
  put_le<std::uint64_t>(out, kGuestNsAt, mark.guest_ns);
  std::copy(mark.text.begin(), mark.text.end(), bytes.begin() + kTextAt);
  put_le<std::uint64_t>(out, kChecksumAt, XXH3_64bits(bytes.data(), kChecksumAt));
  return bytes;
}

std::optional<Mark> decode_mark(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != 512 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0 ||
      get_le<std::uint32_t>(bytes, kVersionAt) != kMarkVersion ||
      get_le<std::uint64_t>(bytes, kChecksumAt) != XXH3_64bits(bytes.data(), kChecksumAt)) {
    return std::nullopt;
  }
  const std::uint16_t kind = get_le<std::uint16_t>(bytes, kKindAt);
  const std::uint16_t length = get_le<std::uint16_t>(bytes, kLengthAt);
  if (!is_kind(kind) || length > kMarkTextLimit) return std::nullopt;
  const std::span<const std::uint8_t> padding =
      bytes.subspan(kTextAt + length, kMarkTextLimit - length);
  if (std::any_of(padding.begin(), padding.end(), [](std::uint8_t b) { return b != 0; })) {
    return std::nullopt;
  }
  Mark mark;
  mark.kind = static_cast<MarkKind>(kind);
  mark.sequence = get_le<std::uint64_t>(bytes, kSequenceAt);
  mark.step = get_le<std::uint32_t>(bytes, kStepAt);
  mark.cycle = get_le<std::uint32_t>(bytes, kCycleAt);
  mark.guest_ns = get_le<std::uint64_t>(bytes, kGuestNsAt);
  mark.text.assign(bytes.begin() + kTextAt, bytes.begin() + kTextAt + length);
  return mark;
}

std::string mark_words(std::span<const std::uint8_t> bytes) {
  const auto mark = decode_mark(bytes);
  if (!mark) return "not a mark";
  return std::to_string(mark->sequence) + " " + to_string(mark->kind) + " step " +
         std::to_string(mark->step) + " cycle " + std::to_string(mark->cycle) + " " + mark->text;
}

const char* to_string(MarkKind kind) {
  switch (kind) {
    case MarkKind::boot:
      return "boot";
    case MarkKind::step_begin:
      return "step_begin";
    case MarkKind::step_end:
      return "step_end";
    case MarkKind::event:
      return "event";
    case MarkKind::read_error:
      return "read_error";
    case MarkKind::append_begin:
      return "append_begin";
    case MarkKind::append_end:
      return "append_end";
    case MarkKind::cycle_end:
      return "cycle_end";
    case MarkKind::done:
      return "done";
    case MarkKind::fatal:
      return "fatal";
    case MarkKind::note:
      return "note";
    case MarkKind::abi_case:
      return "abi_case";
    case MarkKind::leak:
      return "leak";
  }
  return "unknown";
}

}  // namespace snapbed::plan
