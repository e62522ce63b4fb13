// SPDX-License-Identifier: GPL-2.0-or-later
// READ_CBT_MAP in windows of every kind, and MARK_DIRTY_BLOCKS: all ranges of a call or none, in
// both maps.
#include <fcntl.h>

#include <algorithm>

#include "agent/abi.h"
#include "agent/abi_memory.h"

namespace snapbed::agent {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kTwoTo63 = 1ULL << 63;
constexpr std::uint32_t kMost = 0xffffffff;
constexpr std::size_t kGuardBytes = 64;

// The whole readable map of a device.
Bytes whole_map(AbiBench& bench, abi::DeviceId device) {
  const auto info = bench.tracker(device);
  if (!info) throw CannotGoOn("the origin is not tracked");
  Bytes map(info->block_count);
  bench.cases.result("READ_CBT_MAP", "the whole map", info->block_count,
                     bench.read_map(info->device, 0, info->block_count, map.data()));
  return map;
}

// That of the first origin.
Bytes whole_map(AbiBench& bench) {
  return whole_map(bench, bench.origins[0].id);
}

std::uint32_t blocks_of(AbiBench& bench) {
  return bench.tracker(bench.origins[0].id).value_or(abi::CbtInfo{}).block_count;
}

// One window: how much is returned, that it is that part of the map, and that nothing behind it is
// touched.
void window_case(AbiBench& bench, FencedMemory& memory, abi::DeviceId device, const Bytes& map,
                 std::uint32_t offset, std::uint32_t length) {
  const auto count = static_cast<std::uint32_t>(map.size());
  const std::uint32_t right = offset >= count ? 0 : std::min(length, count - offset);
  const std::span<std::uint8_t> bytes = memory.last(right + kGuardBytes, 0xee);
  const std::int64_t got = bench.read_map(device, offset, length, bytes.data());
  const std::string with = "offset " + std::to_string(offset) + ", length " +
                           std::to_string(length) + " of " + std::to_string(count);
  bench.cases.result("READ_CBT_MAP", with, right, got);
  const bool part =
      std::equal(bytes.begin(), bytes.begin() + right, map.begin() + std::min(offset, count));
  const bool guarded = std::all_of(bytes.begin() + right, bytes.end(),
                                   [](std::uint8_t byte) { return byte == 0xee; });
  bench.cases.truth("READ_CBT_MAP", with + ": is that part of the map and no byte more",
                    part && guarded, part ? "wrote behind it" : "other bytes");
}

// A map that is longer than what a module may copy at once.
void long_map_cases(AbiBench& bench) {
  const abi::DeviceId device = bench.origins[1].id;
  const Bytes map = whole_map(bench, device);
  const auto count = static_cast<std::uint32_t>(map.size());
  FencedMemory memory(map.size() + kGuardBytes);
  for (const std::uint32_t length : {4095U, 4096U, 4097U, 8193U, count - 1, count, kMost}) {
    for (const std::uint32_t offset : {0U, 1U, 4096U, count - 4097}) {
      window_case(bench, memory, device, map, offset, length);
    }
  }
}

void window_cases(AbiBench& bench) {
  const abi::DeviceId device = bench.origins[0].id;
  const Bytes map = whole_map(bench);
  const auto count = static_cast<std::uint32_t>(map.size());
  FencedMemory memory(map.size() + kGuardBytes);
  for (const std::uint32_t length : {0U, 1U, 7U, 4096U, count - 1, count, count + 1, kMost}) {
    for (const std::uint32_t offset :
         {0U, 1U, 13U, count / 2, count - 1, count, count + 1, 1U << 31, kMost - 6, kMost}) {
      window_case(bench, memory, device, map, offset, length);
    }
  }
  for (const std::uint32_t window : {1U, 7U, 4096U}) {
    Bytes pieces(map.size());
    for (std::uint32_t at = 0; at < count;) {
      const std::int64_t got =
          bench.read_map(device, at, std::min(window, count - at), pieces.data() + at);
      if (got <= 0) break;
      at += static_cast<std::uint32_t>(got);
    }
    bench.cases.truth("READ_CBT_MAP",
                      "windows of " + std::to_string(window) + " bytes give the whole map",
                      pieces == map);
  }
}

void state_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  std::uint8_t byte = 0;
  const auto read = [&](const std::string& with, std::int64_t right, abi::DeviceId device) {
    bench.cases.result("READ_CBT_MAP", with, right, bench.read_map(device, 0, 1, &byte));
  };
  read("a device that is not tracked", -ENODEV, origin);
  read("a device that there is not", -ENODEV, kNoDevice);
  read("a major 2^12 too great", -ENODEV, {origin.major + (1U << 12), origin.minor});
  const abi::Uuid id = bench.must_create({origin});
  read("a device of a snapshot that is not taken", -EPERM, origin);
  bench.must("TAKE", bench.take(id));
  read("a device of a taken snapshot", 1, origin);
  bench.must("DESTROY", bench.destroy(id));
  read("a tracked device that no snapshot holds", -EPERM, origin);
  bench.clear();
}

void refused_marks(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  const std::uint64_t end = bench.origins[0].sectors;
  const auto mark = [&](const std::string& with, std::int64_t right,
                        const std::vector<abi::BlockRange>& ranges) {
    bench.cases.result("MARK_DIRTY_BLOCKS", with, right, bench.mark(origin, ranges));
  };
  mark("a range of zero length", -EINVAL, {{0, 0}});
  mark("a range at the end", -EINVAL, {{end, 1}});
  mark("a range one sector too long", -EINVAL, {{end - 1, 2}});
  mark("a range longer than the device", -EINVAL, {{0, end + 1}});
  mark("offset 2^63", -EINVAL, {{kTwoTo63, 1}});
  mark("length 2^63", -EINVAL, {{0, kTwoTo63}});
  mark("offset 1, length 2^64-1: the sum is 0", -EINVAL, {{1, ~std::uint64_t{0}}});
  mark("three disjoint ranges, the last too long", -EINVAL, {{0, 1}, {1280, 1}, {end - 128, 129}});
  mark("three disjoint ranges, the last empty", -EINVAL, {{0, 1}, {1280, 1}, {2560, 0}});
  const abi::BlockRange range{0, 8};
  for (const std::uint32_t count : {1U << 31, kMost}) {
    const abi::MarkDirtyBlocks argument{origin, count, 0, &range};
    bench.cases.result("MARK_DIRTY_BLOCKS", "count " + std::to_string(count), {-EINVAL, -ENOMEM},
                       bench.call(abi::kTrackerMarkDirtyBlocks, &argument));
  }
  mark("no range", 0, {});
}

// The map with blocks set to `number`, of 128 sectors each.
Bytes with_blocks(Bytes map, std::initializer_list<std::size_t> blocks, std::uint8_t number) {
  for (const std::size_t block : blocks) map.at(block) = number;
  return map;
}

void marks_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  constexpr std::uint64_t kBlock = 128;  // sectors: 64 KiB, the default
  bench.cases.result("MARK_DIRTY_BLOCKS", "a device that is not tracked", -ENODEV,
                     bench.mark(origin, {{0, 1}}));
  abi::Uuid id = bench.must_create({origin});
  bench.cases.result("MARK_DIRTY_BLOCKS", "before the first take", 0,
                     bench.mark(origin, {{3 * kBlock, 1}}));
  bench.must("TAKE", bench.take(id));
  const Bytes first = whole_map(bench);
  bench.cases.truth("MARK_DIRTY_BLOCKS", "a mark before the first take shows in its map",
                    first == with_blocks(Bytes(blocks_of(bench)), {3}, 1));
  refused_marks(bench);
  bench.cases.truth("MARK_DIRTY_BLOCKS", "refused calls have marked nothing",
                    whole_map(bench) == first);
  bench.cases.result(
      "MARK_DIRTY_BLOCKS", "three disjoint ranges", 0,
      bench.mark(origin, {{5 * kBlock + 127, 2}, {10 * kBlock, 1}, {20 * kBlock, 128}}));
  const std::uint64_t end = bench.origins[0].sectors;
  const std::size_t last = blocks_of(bench) - 1;
  bench.cases.result("MARK_DIRTY_BLOCKS", "a range up to the end", 0,
                     bench.mark(origin, {{end - 1, 1}}));
  const Bytes second = with_blocks(first, {5, 6, 10, 20, last}, 1);
  bench.cases.truth("MARK_DIRTY_BLOCKS", "marks exactly their blocks, with the newest number",
                    whole_map(bench) == second);
  std::vector<abi::ImageInfo> infos;
  bench.must("COLLECT_IMAGES", bench.images(id, infos));
  bench.cases.result("MARK_DIRTY_BLOCKS", "the image's number", 0,
                     bench.mark(infos.at(0).image, {{30 * kBlock, 1}}));
  bench.cases.truth("MARK_DIRTY_BLOCKS", "by the image's number marks the origin's map",
                    whole_map(bench) == with_blocks(second, {30}, 1));
  const abi::DeviceId image = infos.at(0).image;
  bench.must("DESTROY", bench.destroy(id));
  bench.cases.result("MARK_DIRTY_BLOCKS", "the number of an image that is gone", -ENODEV,
                     bench.mark(image, {{0, 1}}));
  bench.cases.result("MARK_DIRTY_BLOCKS", "a tracked device without a snapshot", 0,
                     bench.mark(origin, {{40 * kBlock, 1}}));
  id = bench.must_take({origin});
  bench.cases.truth("MARK_DIRTY_BLOCKS", "marks of a hold and after it are in the next map",
                    whole_map(bench) == with_blocks(with_blocks(Bytes(blocks_of(bench)), {3}, 1),
                                                    {5, 6, 10, 20, 30, 40, last}, 2));
  bench.must("DESTROY", bench.destroy(id));
  bench.clear();
}

}  // namespace

void abi_map(AbiBench& bench) {
  state_cases(bench);
  marks_cases(bench);
  const abi::DeviceId longer = bench.origins[1].id;
  const abi::Uuid id = bench.must_create({bench.origins[0].id, longer});
  bench.must("MARK_DIRTY_BLOCKS", bench.mark(bench.origins[0].id, {{0, 1}, {777 * 2, 300}}));
  // Around the end of its first 4096 blocks of 64 KiB.
  bench.must("MARK_DIRTY_BLOCKS", bench.mark(longer, {{1, 1}, {4095 * 128, 129}, {6000 * 128, 1}}));
  bench.must("TAKE", bench.take(id));
  window_cases(bench);
  long_map_cases(bench);
}

}  // namespace snapbed::agent
