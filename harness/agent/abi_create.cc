// SPDX-License-Identifier: GPL-2.0-or-later
// SNAPSHOT_CREATE: what may be put into a snapshot, and that a refused one leaves nothing.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <thread>

#include "agent/abi.h"
#include "agent/partition.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

// A CREATE that must fail, and what is tracked afterwards.
void refused(AbiBench& bench, const std::string& with, std::initializer_list<std::int64_t> right,
             const std::vector<abi::DeviceId>& devices, std::size_t trackers = 0) {
  std::vector<abi::Uuid> before;
  bench.must("COLLECT", bench.snapshots(before));
  abi::Uuid id{};
  bench.cases.result("CREATE", with, right, bench.create(devices, id));
  std::vector<abi::CbtInfo> infos;
  bench.must("TRACKER_COLLECT", bench.trackers(infos));
  bench.cases.result("CREATE", with + ": trackers afterwards", static_cast<std::int64_t>(trackers),
                     static_cast<std::int64_t>(infos.size()));
  std::vector<abi::Uuid> after;
  bench.must("COLLECT", bench.snapshots(after));
  bench.cases.truth("CREATE", with + ": snapshots are the same afterwards", before == after);
}

void refused(AbiBench& bench, const std::string& with, std::int64_t right,
             const std::vector<abi::DeviceId>& devices, std::size_t trackers = 0) {
  refused(bench, with, {right}, devices, trackers);
}

void count_case(AbiBench& bench, std::uint32_t count, const std::vector<std::string>& right) {
  std::vector<abi::DeviceId> devices(2, bench.origins[0].id);
  abi::SnapshotCreate argument{count, 0, devices.data(), {}};
  bench.cases.add("CREATE", "count " + std::to_string(count), right,
                  result_text(bench.call(abi::kSnapshotCreate, &argument)));
}

void count_cases(AbiBench& bench) {
  refused(bench, "no device", -EINVAL, {});
  count_case(bench, 0, {"EINVAL"});
  count_case(bench, 1U << 20, {"EINVAL", "ENOMEM", "EFAULT"});
  count_case(bench, 1U << 31, {"EINVAL", "ENOMEM"});
  count_case(bench, 0xffffffff, {"EINVAL", "ENOMEM"});
  std::vector<abi::DeviceId> many;
  for (std::uint32_t minor = 0; minor < 1025; ++minor) many.push_back({kNoDevice.major, minor});
  // How many are absurd is the module's choice; that these are none, it may find first.
  refused(bench, "1025 devices that there are not", {-EINVAL, -ENOMEM, -ENXIO}, many);
  many.pop_back();
  refused(bench, "1024 devices that there are not", {-ENXIO, -EINVAL, -ENOMEM}, many);
}

void device_cases(AbiBench& bench) {
  const abi::DeviceId first = bench.origins[0].id;
  const abi::DeviceId second = bench.origins[1].id;
  refused(bench, "one device twice", -EINVAL, {first, first});
  refused(bench, "one device twice, another between", -EINVAL, {first, second, first});
  refused(bench, "a device that there is not", -ENXIO, {kNoDevice});
  refused(bench, "a good device, then one that there is not", -ENXIO, {first, kNoDevice});
  refused(bench, "one that there is not, then a good device", -ENXIO, {kNoDevice, first});
  refused(bench, "two good devices, then one that there is not", -ENXIO,
          {first, second, kNoDevice});
  refused(bench, "a major 2^12 too great", -ENXIO, {{first.major + (1U << 12), first.minor}});
  bench.must("DESTROY", bench.destroy(bench.must_create({second})));
  refused(bench, "a tracked device, a new one, one that there is not", -ENXIO,
          {second, first, kNoDevice}, 1);
  bench.clear();
}

void holder_cases(AbiBench& bench) {
  const abi::DeviceId first = bench.origins[0].id;
  const abi::DeviceId second = bench.origins[1].id;
  const abi::Uuid id = bench.must_create({first});
  bench.cases.truth("CREATE", "gives an id that is not all zeroes", id != abi::Uuid{});
  refused(bench, "a device of a created snapshot", -EBUSY, {first}, 1);
  refused(bench, "a new device, then one of a created snapshot", -EBUSY, {second, first}, 1);
  std::vector<abi::Uuid> ids;
  bench.must("COLLECT", bench.snapshots(ids));
  bench.cases.truth("COLLECT", "names the holder of a busy device",
                    ids == std::vector<abi::Uuid>{id});
  const abi::Uuid other = bench.must_create({second});
  bench.cases.truth("CREATE", "gives each snapshot an id of its own", other != id);
  bench.must("TAKE", bench.take(id));
  refused(bench, "a device of a taken snapshot", -EBUSY, {first}, 2);
  bench.must("DESTROY", bench.destroy(id));
  bench.must("DESTROY", bench.destroy(bench.must_create({first})));
  bench.clear();
}

void partition_cases(AbiBench& bench) {
  const Subject& disk = bench.origins[0];
  Partition one(disk, 1, 63, 2048);
  Partition two(disk, 2, 4097, 2048);
  const abi::DeviceId first = one.subject().id;
  const abi::DeviceId second = two.subject().id;
  refused(bench, "a disk and its partition", -EBUSY, {disk.id, first});
  refused(bench, "a partition and its disk", -EBUSY, {first, disk.id});
  bench.must("DESTROY", bench.destroy(bench.must_create({disk.id})));
  refused(bench, "a partition of a tracked disk", -EBUSY, {first}, 1);
  bench.clear();
  bench.must("DESTROY", bench.destroy(bench.must_create({first})));
  refused(bench, "the disk of a tracked partition", -EBUSY, {disk.id}, 1);
  bench.must("DESTROY", bench.destroy(bench.must_take({first, second})));
  const abi::Uuid id = bench.must_create({first});
  bench.cases.result("BLKPG", "removal of a partition in a snapshot", -EBUSY, -one.remove());
  bench.must("DESTROY", bench.destroy(id));
  bench.cases.result("BLKPG", "removal of a tracked partition", 0, -one.remove());
  bench.cases.truth("TRACKER_COLLECT", "lists a removed partition no more",
                    !bench.tracker(first).has_value());
  bench.clear();
}

void set_read_only(const std::string& path, int on) {
  const base::UniqueFd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!device || ::ioctl(device.get(), BLKROSET, &on) != 0)
    base::throw_errno("BLKROSET of " + path);
}

void kind_cases(AbiBench& bench) {
  const Subject& disk = bench.origins[0];
  set_read_only(disk.path, 1);
  refused(bench, "a read-only device", -EROFS, {disk.id});
  refused(bench, "a good device and a read-only one", -EROFS, {bench.origins[1].id, disk.id});
  refused(bench, "a read-only device and a good one", -EROFS, {disk.id, bench.origins[1].id});
  set_read_only(disk.path, 0);
  const abi::Uuid id = bench.must_take({disk.id});
  std::vector<abi::ImageInfo> infos;
  bench.must("COLLECT_IMAGES", bench.images(id, infos));
  refused(bench, "an image", -EINVAL, {infos.at(0).image}, 1);
  bench.clear();
  for (const Subject& subject : bench.origins) {
    // A single block of more than 2 GiB has a size that 32 bits do not hold.
    if (subject.sectors * kSectorBytes <= 1ULL << 31) continue;
    const ParameterSet set("tracking_block_maximum_count", "1");
    refused(bench, "a device whose block would be greater than 2 GiB", -EFBIG, {subject.id});
  }
}

// Of callers that want the same device one gets it; the others are told so, and the device is free
// when the one has let go.
void racing_callers(AbiBench& bench) {
  constexpr int kCallers = 4;
  constexpr int kRounds = 25;
  const abi::DeviceId device = bench.origins[0].id;
  std::barrier start(kCallers);
  std::array<std::array<std::int64_t, kCallers>, kRounds> results{};
  std::vector<std::thread> callers;
  std::barrier all_called(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (auto& round : results) {
        start.arrive_and_wait();
        abi::Uuid id{};
        const std::int64_t got = bench.create({device}, id);
        round.at(static_cast<std::size_t>(caller)) = got;
        all_called.arrive_and_wait();
        if (got == 0) bench.destroy(id);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  int one_each = 0;
  std::string other;
  for (const auto& round : results) {
    const auto winners = std::count(round.begin(), round.end(), 0);
    const auto losers = std::count(round.begin(), round.end(), -EBUSY);
    if (winners == 1 && losers == kCallers - 1)
      ++one_each;
    else
      other = std::to_string(winners) + " got it, " + std::to_string(losers) + " EBUSY";
  }
  bench.cases.truth("CREATE", "of four callers with one device exactly one gets it, 25 times",
                    one_each == kRounds, other);
  bench.clear();
}

}  // namespace

void abi_create(AbiBench& bench) {
  count_cases(bench);
  device_cases(bench);
  holder_cases(bench);
  partition_cases(bench);
  kind_cases(bench);
  racing_callers(bench);
}

}  // namespace snapbed::agent
