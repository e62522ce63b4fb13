// SPDX-License-Identifier: GPL-2.0-or-later
// SNAPSHOT_APPEND_STORAGE: which ranges are taken, and that a call is taken whole or not at all.
#include "agent/abi.h"
#include "agent/loop_device.h"
#include "agent/partition.h"

namespace snapbed::agent {
namespace {

using Ranges = std::vector<abi::BlockRange>;

constexpr std::uint64_t kOffsetBit63 = 1ULL << 63;
constexpr std::uint64_t kAll = ~std::uint64_t{0};

class Storage {
 public:
  Storage(AbiBench& bench, const abi::Uuid& id) : bench_(bench), id_(id) {}

  void is(const std::string& with, std::int64_t right, const Ranges& ranges) {
    on(bench_.storage.id, with, right, ranges);
  }
  void on(abi::DeviceId device, const std::string& with, std::int64_t right, const Ranges& ranges) {
    bench_.cases.result("APPEND_STORAGE", with, right, bench_.append(id_, device, ranges));
  }

 private:
  AbiBench& bench_;
  const abi::Uuid& id_;
};

void range_cases(AbiBench& bench, Storage& storage) {
  const std::uint64_t end = bench.storage.sectors;
  storage.is("no range", 0, {});
  storage.is("a range of zero length", -EINVAL, {{0, 0}});
  storage.is("a range of zero length in the middle", -EINVAL, {{8, 0}});
  storage.is("a range that begins at the end", -EINVAL, {{end, 8}});
  storage.is("a range that begins past the end", -EINVAL, {{end + 8, 8}});
  storage.is("a range one block too long", -EINVAL, {{end - 8, 16}});
  storage.is("a range longer than the device", -EINVAL, {{0, end + 8}});
  storage.is("offset 2^63", -EINVAL, {{kOffsetBit63, 8}});
  storage.is("length 2^63", -EINVAL, {{0, kOffsetBit63}});
  storage.is("offset and length 2^63", -EINVAL, {{kOffsetBit63, kOffsetBit63}});
  storage.is("length 2^64-1", -EINVAL, {{0, kAll}});
  storage.is("offset 2^64-8, length 16: the sum wraps", -EINVAL, {{kAll - 7, 16}});
  storage.is("offset 8, length 2^64-8: the sum is 0", -EINVAL, {{8, kAll - 7}});
  storage.is("the last block", 0, {{end - 8, 8}});
}

void overlap_cases(AbiBench& bench, Storage& storage, Storage& other) {
  storage.is("a range twice in one call", -EINVAL, {{1024, 64}, {1024, 64}});
  storage.is("two ranges of one call that share a block", -EINVAL, {{1024, 64}, {1080, 64}});
  storage.is("one range inside another of the call", -EINVAL, {{1024, 64}, {1040, 8}});
  storage.is("three good ranges and a bad last one", -EINVAL,
             {{1024, 64}, {2048, 64}, {4096, 64}, {8192, 0}});
  // Nothing of the calls above was applied, or this would overlap.
  storage.is("the same ranges without the bad one", 0, {{1024, 64}, {2048, 64}, {4096, 64}});
  storage.is("a range of an earlier call", -EINVAL, {{1024, 64}});
  storage.is("the last block of an earlier range", -EINVAL, {{1080, 8}});
  storage.is("a range around an earlier one", -EINVAL, {{1000, 256}});
  storage.is("right before and right behind an earlier one", 0, {{1016, 8}, {1088, 8}});
  other.is("a range of another snapshot", -EINVAL, {{2048, 8}});
  other.is("a good range and one of another snapshot", -EINVAL, {{16384, 64}, {4096, 8}});
  other.is("the good one alone", 0, {{16384, 64}});
  storage.is("a range of that other snapshot", -EINVAL, {{16384, 8}});
  // One place under two names.
  const Partition part(bench.storage, 1, 2041, 4096);
  storage.on(part.subject().id, "a partition's range that is another's on the disk", -EINVAL,
             {{7, 8}});
  storage.on(part.subject().id, "past the end of a partition", -EINVAL, {{4096, 8}});
  storage.on(part.subject().id, "a partition's free range", 0, {{1024, 8}});
  storage.is("a disk's range that is another's on its partition", -EINVAL, {{2041 + 1024, 8}});
  // The partition is held open until the snapshot goes.
  bench.clear();
}

void storage_device_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  const abi::Uuid id = bench.must_take({origin});
  Storage storage(bench, id);
  storage.on(kNoDevice, "a device that there is not", -ENXIO, {{0, 8}});
  storage.on({origin.major + (1U << 12), origin.minor}, "a major 2^12 too great", -ENXIO, {{0, 8}});
  storage.on(origin, "the captured device itself", 0, {{0, 64}});
  storage.on(bench.origins[1].id, "another device", 0, {{0, 64}});
  std::vector<abi::ImageInfo> infos;
  bench.must("COLLECT_IMAGES", bench.images(id, infos));
  storage.on(infos.at(0).image, "an image of ours", -EINVAL, {{0, 8}});
  LoopDevice loop(1 << 20);
  storage.on(loop.id(), "a loop device", 0, {{0, 2048}});
  storage.on(loop.id(), "past the end of a loop device", -EINVAL, {{2048, 8}});
  bench.clear();
}

// Devices whose logical block is greater than a sector.
void alignment_cases(AbiBench& bench) {
  const abi::Uuid id = bench.must_create({bench.origins[0].id});
  Storage storage(bench, id);
  for (const Subject& device : bench.origins) {
    if (device.logical_bytes == kSectorBytes) continue;
    const std::uint64_t block = device.logical_bytes / kSectorBytes;
    storage.on(device.id, "offset of one sector, blocks of 4 KiB", -EINVAL, {{1, block}});
    storage.on(device.id, "offset of half a block", -EINVAL, {{block / 2, block}});
    storage.on(device.id, "length of one sector, blocks of 4 KiB", -EINVAL, {{0, 1}});
    storage.on(device.id, "length of one block and a sector", -EINVAL, {{block, block + 1}});
    storage.on(device.id, "a good range and one that is not aligned", -EINVAL,
               {{0, block}, {block + 1, block}});
    storage.on(device.id, "whole blocks", 0, {{0, block}, {block, 2 * block}});
  }
  bench.clear();
}

void range_count_cases(AbiBench& bench) {
  const abi::Uuid id = bench.must_create({bench.origins[0].id});
  const abi::BlockRange range{0, 8};
  const auto append = [&](std::uint32_t count, const abi::BlockRange* ranges) {
    const abi::AppendStorage argument{id, bench.storage.id, count, 0, ranges};
    return bench.call(abi::kSnapshotAppendStorage, &argument);
  };
  bench.cases.result("APPEND_STORAGE", "count 0, ranges null", 0, append(0, nullptr));
  bench.cases.result("APPEND_STORAGE", "count 2^31", {-EINVAL, -ENOMEM}, append(1U << 31, &range));
  bench.cases.result("APPEND_STORAGE", "count 2^32-1", {-EINVAL, -ENOMEM},
                     append(0xffffffff, &range));
  Ranges many;
  for (std::uint64_t i = 0; i < 1000; ++i) many.push_back({i * 16, 8});
  bench.cases.result("APPEND_STORAGE", "1000 ranges", 0, bench.append(id, bench.storage.id, many));
  many = {{8, 8}, {16 * 999, 8}};
  bench.cases.result("APPEND_STORAGE", "a free range and the last of a thousand", -EINVAL,
                     bench.append(id, bench.storage.id, many));
  bench.clear();
}

void id_cases(AbiBench& bench) {
  const Ranges range = {{0, 64}};
  const auto append = [&](const std::string& with, std::int64_t right, const abi::Uuid& id) {
    bench.cases.result("APPEND_STORAGE", with, right, bench.append(id, bench.storage.id, range));
  };
  append("an id of zeroes", -ESRCH, {});
  append("an id that nobody has", -ESRCH, kNoId);
  abi::Uuid id = bench.must_create({bench.origins[0].id});
  abi::Uuid near = id;
  near[15] ^= 1;
  append("an id with one bit wrong", -ESRCH, near);
  append("before TAKE", 0, id);
  bench.must("DESTROY", bench.destroy(id));
  append("the id of a destroyed snapshot", -ESRCH, id);
  id = bench.must_take({bench.origins[0].id});
  append("after TAKE, ranges that a destroyed snapshot had", 0, id);
  bench.clear();
}

}  // namespace

void abi_storage(AbiBench& bench) {
  id_cases(bench);
  range_count_cases(bench);
  alignment_cases(bench);
  const abi::Uuid one = bench.must_create({bench.origins[0].id});
  const abi::Uuid two = bench.must_create({bench.origins[1].id});
  Storage storage(bench, one);
  Storage other(bench, two);
  range_cases(bench, storage);
  overlap_cases(bench, storage, other);
  storage_device_cases(bench);
}

}  // namespace snapbed::agent
