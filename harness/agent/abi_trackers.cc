// SPDX-License-Identifier: GPL-2.0-or-later
// TRACKER_REMOVE and TRACKER_COLLECT: who is tracked, and what is said of it.
#include <algorithm>
#include <cstring>

#include "agent/abi.h"
#include "agent/loop_device.h"

namespace snapbed::agent {
namespace {

void remove_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  const auto remove = [&](const std::string& with, std::int64_t right, abi::DeviceId device) {
    bench.cases.result("TRACKER_REMOVE", with, right, bench.remove(device));
  };
  remove("a device that there is not", -ENXIO, kNoDevice);
  remove("device 2^32-1:2^32-1", -ENXIO, {0xffffffff, 0xffffffff});
  remove("a major 2^12 too great", -ENXIO, {origin.major + (1U << 12), origin.minor});
  remove("a minor 2^20 too great", -ENXIO, {origin.major, origin.minor + (1U << 20)});
  remove("a device that is not tracked", -ENODATA, origin);
  const abi::Uuid id = bench.must_create({origin});
  remove("a device of a created snapshot", -EBUSY, origin);
  bench.must("TAKE", bench.take(id));
  remove("a device of a taken snapshot", -EBUSY, origin);
  remove("a major 2^12 too great, the device is tracked", -ENXIO,
         {origin.major + (1U << 12), origin.minor});
  bench.must("DESTROY", bench.destroy(id));
  remove("a tracked device", 0, origin);
  remove("the same again", -ENODATA, origin);
}

bool untouched(const std::vector<abi::CbtInfo>& infos) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(infos.data());
  return std::all_of(bytes, bytes + infos.size() * sizeof(abi::CbtInfo),
                     [](std::uint8_t byte) { return byte == 0xee; });
}

// TRACKER_COLLECT with room for `room` entries of which it is told `told`; `there` are tracked.
void collect_case(AbiBench& bench, std::uint32_t told, std::uint32_t there,
                  const std::vector<std::int64_t>& right) {
  std::vector<abi::CbtInfo> infos(there + 2);
  std::memset(static_cast<void*>(infos.data()), 0xee, infos.size() * sizeof(abi::CbtInfo));
  abi::TrackerCollect argument{told, 0, infos.data()};
  const std::int64_t got = bench.call(abi::kTrackerCollect, &argument);
  const std::string with =
      "count " + std::to_string(told) + " for " + std::to_string(there) + " trackers";
  std::vector<std::string> texts;
  for (const std::int64_t one : right) texts.push_back(result_text(one));
  bench.cases.add("TRACKER_COLLECT", with, texts, result_text(got));
  if (got == 0 || got == -ENODATA) {
    bench.cases.result("TRACKER_COLLECT", with + ": count comes back as", there, argument.count);
  }
  if (got == 0) infos.erase(infos.begin(), infos.begin() + there);
  bench.cases.truth("TRACKER_COLLECT", with + ": leaves the rest of the array alone",
                    untouched(infos));
}

void collect_cases(AbiBench& bench) {
  collect_case(bench, 0, 0, {0});
  collect_case(bench, 1, 0, {0});
  const abi::Uuid first = bench.must_create({bench.origins[0].id});
  collect_case(bench, 0, 1, {-ENODATA});
  collect_case(bench, 1, 1, {0});
  const abi::Uuid second = bench.must_create({bench.origins[1].id});
  collect_case(bench, 1, 2, {-ENODATA});
  collect_case(bench, 2, 2, {0});
  collect_case(bench, 3, 2, {0});
  // More room than there can be trackers is no mistake, but may also be refused.
  collect_case(bench, 1U << 31, 2, {0, -EINVAL, -ENOMEM});
  collect_case(bench, 0xffffffff, 2, {0, -EINVAL, -ENOMEM});
  bench.must("DESTROY", bench.destroy(first));
  bench.must("DESTROY", bench.destroy(second));
  collect_case(bench, 2, 2, {0});
}

std::uint64_t blocks(std::uint64_t bytes, std::uint64_t block) {
  return (bytes + block - 1) / block;
}

// What TRACKER_COLLECT must say of a device under the two parameters, by the formula.
void info_case(AbiBench& bench, const Subject& subject, unsigned shift, std::uint64_t most) {
  const std::uint64_t bytes = subject.sectors * kSectorBytes;
  std::uint64_t block = 1ULL << shift;
  while (blocks(bytes, block) > most) block *= 2;
  bench.must("DESTROY", bench.destroy(bench.must_create({subject.id})));
  const auto info = bench.tracker(subject.id);
  const std::string with =
      ", minimum shift " + std::to_string(shift) + ", maximum count " + std::to_string(most);
  bench.cases.truth("TRACKER_COLLECT", "lists the device" + with, info.has_value());
  if (!info) return;
  const auto is = [&](const std::string& field, std::uint64_t right, std::uint64_t got) {
    bench.cases.result("TRACKER_COLLECT", field + with, static_cast<std::int64_t>(right),
                       static_cast<std::int64_t>(got));
  };
  is("blk_size", block, info->block_bytes);
  is("blk_count", blocks(bytes, block), info->block_count);
  is("device_capacity", bytes, info->capacity_bytes);
  is("snap_number before any take", 0, info->snap_number);
  bench.must("TRACKER_REMOVE", bench.remove(subject.id));
}

void info_cases(AbiBench& bench) {
  for (const Subject& subject : bench.origins) info_case(bench, subject, 16, 2097152);
  for (const unsigned shift : {9U, 12U, 17U, 20U, 31U}) {
    const ParameterSet set("tracking_block_minimum_shift", std::to_string(shift));
    info_case(bench, bench.origins[0], shift, 2097152);
  }
  for (const std::uint64_t most : {1ULL, 2ULL, 3ULL, 1023ULL, 1024ULL, 1025ULL}) {
    const ParameterSet set("tracking_block_maximum_count", std::to_string(most));
    info_case(bench, bench.origins[0], 16, most);
  }
}

void padding_cases(AbiBench& bench) {
  const abi::Uuid id = bench.must_take({bench.origins[0].id, bench.origins[1].id});
  std::vector<abi::CbtInfo> infos(2);
  std::memset(static_cast<void*>(infos.data()), 0xee, infos.size() * sizeof(abi::CbtInfo));
  abi::TrackerCollect argument{2, 0, infos.data()};
  bench.must("TRACKER_COLLECT", bench.call(abi::kTrackerCollect, &argument));
  for (const abi::CbtInfo& info : infos) {
    bench.cases.result("TRACKER_COLLECT", "padding before the capacity", 0, info.padding1);
    bench.cases.truth("TRACKER_COLLECT", "padding at the end is zero",
                      (info.padding2[0] | info.padding2[1] | info.padding2[2]) == 0);
    bench.cases.result("TRACKER_COLLECT", "snap_number after one take", 1, info.snap_number);
    bench.cases.truth("TRACKER_COLLECT", "a generation is not all zeroes",
                      info.generation != abi::Uuid{});
  }
  bench.cases.truth("TRACKER_COLLECT", "two devices have two generations",
                    infos[0].generation != infos[1].generation);
  bench.must("DESTROY", bench.destroy(id));
  const abi::Uuid before = infos[0].generation;
  bench.must("DESTROY", bench.destroy(bench.must_take({infos[0].device})));
  const auto kept = bench.tracker(infos[0].device);
  bench.cases.truth("TRACKER_COLLECT", "a second take keeps the generation and is number 2",
                    kept && kept->generation == before && kept->snap_number == 2);
  bench.must("TRACKER_REMOVE", bench.remove(infos[0].device));
  bench.must("DESTROY", bench.destroy(bench.must_take({infos[0].device})));
  const auto anew = bench.tracker(infos[0].device);
  bench.cases.truth("TRACKER_COLLECT", "tracked anew it has another generation and number 1",
                    anew && anew->generation != before && anew->snap_number == 1);
}

// A device that has lost its contents is not tracked any more, whoever has its number next.
void vanished_cases(AbiBench& bench) {
  LoopDevice loop(4 << 20);
  const abi::DeviceId id = loop.id();
  bench.must("DESTROY", bench.destroy(bench.must_create({id})));
  bench.cases.truth("TRACKER_COLLECT", "lists a loop device", bench.tracker(id).has_value());
  loop.detach();
  const bool gone = !bench.tracker(id).has_value();
  bench.cases.truth("TRACKER_COLLECT", "lists it no more when it has lost its file", gone);
  bench.cases.result("TRACKER_REMOVE", "a loop device without its file", {-ENODATA, -ENXIO},
                     bench.remove(id));
  // Whoever keeps the device open keeps its file too: no other can be attached.
  if (!gone) return;
  loop.attach(8 << 20);
  bench.must("DESTROY", bench.destroy(bench.must_create({id})));
  const auto info = bench.tracker(id);
  bench.cases.result("TRACKER_COLLECT", "device_capacity with another file", 8 << 20,
                     info ? static_cast<std::int64_t>(info->capacity_bytes) : -ENODATA);
  bench.must("TRACKER_REMOVE", bench.remove(id));
}

}  // namespace

void abi_trackers(AbiBench& bench) {
  remove_cases(bench);
  collect_cases(bench);
  bench.clear();
  info_cases(bench);
  padding_cases(bench);
  bench.clear();
  vanished_cases(bench);
}

}  // namespace snapbed::agent
