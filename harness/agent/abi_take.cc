// SPDX-License-Identifier: GPL-2.0-or-later
// TAKE, DESTROY, COLLECT, COLLECT_IMAGES: what they answer in each state of a snapshot.
#include <algorithm>
#include <cstring>

#include "agent/abi.h"

namespace snapbed::agent {
namespace {

void id_cases(AbiBench& bench) {
  const auto all = [&](const std::string& with, const abi::Uuid& id) {
    bench.cases.result("TAKE", with, -ESRCH, bench.take(id));
    bench.cases.result("DESTROY", with, -ENODEV, bench.destroy(id));
    abi::CollectImages argument{id, 0, 0, nullptr};
    bench.cases.result("COLLECT_IMAGES", with, -ESRCH,
                       bench.call(abi::kSnapshotCollectImages, &argument));
    abi::Event event{};
    bench.cases.result("WAIT_EVENT", with, -ESRCH, bench.wait(id, 0, event));
  };
  all("an id of zeroes", {});
  all("an id that nobody has", kNoId);
  abi::Uuid id = bench.must_create({bench.origins[0].id});
  abi::Uuid near = id;
  near[0] ^= 0x80;
  all("an id with one bit wrong", near);
  bench.must("DESTROY", bench.destroy(id));
  all("the id of a snapshot destroyed before TAKE", id);
  id = bench.must_take({bench.origins[0].id});
  bench.cases.result("TAKE", "twice", -EALREADY, bench.take(id));
  bench.cases.result("TAKE", "three times", -EALREADY, bench.take(id));
  const auto info = bench.tracker(bench.origins[0].id);
  bench.cases.result("TRACKER_COLLECT", "snap_number after one take and two refused ones", 1,
                     info ? info->snap_number : -ENODATA);
  bench.must("DESTROY", bench.destroy(id));
  all("the id of a snapshot destroyed after TAKE", id);
  bench.clear();
}

// One of the collects, called with `told` for `there` entries of `Entry`.
template <typename Entry>
class Collect {
 public:
  using Call = std::function<std::int64_t(std::uint32_t& count, Entry* to)>;
  Collect(AbiBench& bench, std::string name, Call call)
      : bench_(bench), name_(std::move(name)), call_(std::move(call)) {}

  void is(std::uint32_t told, std::uint32_t there, const std::vector<std::int64_t>& right) {
    std::vector<Entry> entries(there + 2);
    std::memset(static_cast<void*>(entries.data()), 0xee, entries.size() * sizeof(Entry));
    std::uint32_t count = told;
    const std::int64_t got = call_(count, entries.data());
    const std::string with =
        "count " + std::to_string(told) + " for " + std::to_string(there) + " entries";
    std::vector<std::string> texts;
    for (const std::int64_t one : right) texts.push_back(result_text(one));
    bench_.cases.add(name_, with, texts, result_text(got));
    if (got == 0 || got == -ENODATA) {
      bench_.cases.result(name_, with + ": count comes back as", there, count);
    }
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(entries.data());
    const std::size_t written = got == 0 ? there * sizeof(Entry) : 0;
    bench_.cases.truth(name_, with + ": leaves the rest of the array alone",
                       std::all_of(bytes + written, bytes + entries.size() * sizeof(Entry),
                                   [](std::uint8_t byte) { return byte == 0xee; }));
  }
  void null(std::uint32_t told, std::uint32_t there) {
    std::uint32_t count = told;
    const std::string with = "null array, count " + std::to_string(told);
    bench_.cases.result(name_, with, 0, call_(count, nullptr));
    bench_.cases.result(name_, with + ": count comes back as", there, count);
  }
  // Every count there is a rule for, and the absurd ones.
  void all(std::uint32_t there) {
    null(0, there);
    null(7, there);
    for (std::uint32_t told = 0; told <= there + 1; ++told) {
      is(told, there, {told < there ? -ENODATA : 0});
    }
    is(1U << 31, there, {0, -EINVAL, -ENOMEM});
    is(0xffffffff, there, {0, -EINVAL, -ENOMEM});
  }

 private:
  AbiBench& bench_;
  std::string name_;
  Call call_;
};

void collect_cases(AbiBench& bench) {
  Collect<abi::Uuid> snapshots(bench, "COLLECT", [&](std::uint32_t& count, abi::Uuid* to) {
    abi::SnapshotCollect argument{count, 0, to};
    const std::int64_t result = bench.call(abi::kSnapshotCollect, &argument);
    count = argument.count;
    return result;
  });
  snapshots.all(0);
  const abi::Uuid one = bench.must_create({bench.origins[0].id});
  snapshots.all(1);
  const abi::Uuid two = bench.must_take({bench.origins[1].id});
  snapshots.all(2);
  std::vector<abi::Uuid> ids;
  bench.must("COLLECT", bench.snapshots(ids));
  bench.cases.truth("COLLECT", "lists both snapshots, created and taken",
                    ids.size() == 2 && std::count(ids.begin(), ids.end(), one) == 1 &&
                        std::count(ids.begin(), ids.end(), two) == 1);
  bench.must("DESTROY", bench.destroy(one));
  snapshots.all(1);
  bench.clear();
}

void image_cases(AbiBench& bench) {
  const std::vector<abi::DeviceId> devices = {bench.origins[1].id, bench.origins[0].id};
  const abi::Uuid id = bench.must_create(devices);
  Collect<abi::ImageInfo> images(
      bench, "COLLECT_IMAGES", [&](std::uint32_t& count, abi::ImageInfo* to) {
        abi::CollectImages argument{id, count, 0, to};
        const std::int64_t result = bench.call(abi::kSnapshotCollectImages, &argument);
        count = argument.count;
        return result;
      });
  images.all(0);
  bench.must("TAKE", bench.take(id));
  images.all(2);
  std::vector<abi::ImageInfo> infos;
  bench.must("COLLECT_IMAGES", bench.images(id, infos));
  for (const abi::DeviceId& device : devices) {
    bench.cases.result("COLLECT_IMAGES", "entries with each origin", 1,
                       std::count_if(infos.begin(), infos.end(),
                                     [&](const auto& info) { return info.origin == device; }));
  }
  bench.cases.truth("COLLECT_IMAGES", "each origin has an image of its own",
                    infos.size() == 2 && !(infos[0].image == infos[1].image));
  bench.clear();
}

// The rest of a structure that calls write to stays as it is.
void unchanged_cases(AbiBench& bench) {
  const abi::DeviceId device = bench.origins[0].id;
  abi::SnapshotCreate create{1, 0x5a5a5a5a, &device, {}};
  bench.must("CREATE", bench.call(abi::kSnapshotCreate, &create));
  bench.cases.truth("CREATE", "changes nothing of its argument but the id",
                    create.count == 1 && create.padding == 0x5a5a5a5a && create.devices == &device);
  abi::CollectImages images{create.id, 0, 0x5a5a5a5a, nullptr};
  bench.must("COLLECT_IMAGES", bench.call(abi::kSnapshotCollectImages, &images));
  bench.cases.truth(
      "COLLECT_IMAGES", "changes nothing of its argument but the count",
      images.id == create.id && images.padding == 0x5a5a5a5a && images.images == nullptr);
  bench.clear();
}

}  // namespace

void abi_take(AbiBench& bench) {
  id_cases(bench);
  collect_cases(bench);
  image_cases(bench);
  unchanged_cases(bench);
}

}  // namespace snapbed::agent
