// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/call_storm.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "agent/abi_memory.h"
#include "agent/aligned_memory.h"
#include "base/random.h"

namespace snapbed::agent {
namespace {

// Kinds of calls, and what each may answer when it is called with anything at any time.
enum Kind : std::size_t {
  kVersion,
  kRemove,
  kCollectTrackers,
  kReadMap,
  kMark,
  kCreate,
  kDestroy,
  kAppend,
  kTake,
  kCollect,
  kCollectImages,
  kWait,
  kReadImage,
  kWriteImage,
  kKinds,
};

struct KindRule {
  const char* name;
  std::vector<std::int64_t> right;  // beside 0
  std::uint32_t weight;
};

const std::array<KindRule, kKinds>& rules() {
  static const std::array<KindRule, kKinds> table = {{
      {"VERSION", {-EFAULT}, 1},
      {"TRACKER_REMOVE", {-EFAULT, -ENXIO, -ENODATA, -EBUSY}, 6},
      {"TRACKER_COLLECT", {-EFAULT, -ENODATA}, 4},
      {"READ_CBT_MAP", {-EFAULT, -ENODEV, -EPERM}, 8},
      {"MARK_DIRTY_BLOCKS", {-EFAULT, -EINVAL, -ENODEV}, 8},
      {"CREATE", {-EFAULT, -EINVAL, -EBUSY, -ENXIO}, 20},
      {"DESTROY", {-EFAULT, -ENODEV}, 24},
      {"APPEND_STORAGE", {-EFAULT, -ESRCH, -EINVAL, -ENXIO}, 10},
      {"TAKE", {-EFAULT, -ESRCH, -EALREADY}, 24},
      {"COLLECT", {-EFAULT, -ENODATA}, 3},
      {"COLLECT_IMAGES", {-EFAULT, -ESRCH, -ENODATA}, 5},
      {"WAIT_EVENT", {-EFAULT, -ESRCH, -ENOENT}, 8},
      // An image may go at any moment: no node, no device behind it, or errors.
      {"image read", {-ENOENT, -ENXIO, -ENODEV, -EIO}, 12},
      {"image write", {-ENOENT, -ENXIO, -ENODEV, -EIO, -ENOSPC}, 6},
  }};
  return table;
}

constexpr std::size_t kIds = 6;              // ids that threads share
constexpr std::uint32_t kBadOneIn = 24;      // calls with bad memory
constexpr std::uint32_t kUnknownOneIn = 12;  // calls with an id or a device that there is not
constexpr std::size_t kStormBlock = 4096;
// A storm goes on until it has taken so many snapshots, but not for more than so many times its
// calls: on a slow kernel few of the calls find a snapshot that can be taken.
constexpr std::uint64_t kLeastTakes = 5;
constexpr std::uint64_t kLongest = 4;

// Ids and images that any thread may use while any other ends them.
class Shared {
 public:
  abi::Uuid id(base::Random& random) {
    const std::scoped_lock lock(mutex_);
    return random.below(kUnknownOneIn) == 0 ? kNoId : ids_.at(random.below(kIds));
  }
  void put(base::Random& random, const abi::Uuid& id) {
    const std::scoped_lock lock(mutex_);
    ids_.at(random.below(kIds)) = id;
  }
  abi::DeviceId image(base::Random& random) {
    const std::scoped_lock lock(mutex_);
    return images_.empty() ? kNoDevice : images_.at(random.below(images_.size()));
  }
  void put_images(const std::vector<abi::ImageInfo>& infos) {
    const std::scoped_lock lock(mutex_);
    images_.clear();
    for (const abi::ImageInfo& info : infos) images_.push_back(info.image);
  }

  void note_take() { ++takes_; }
  bool taken_enough() const { return takes_ >= kLeastTakes; }

 private:
  std::mutex mutex_;
  std::atomic<std::uint64_t> takes_ = 0;
  std::array<abi::Uuid, kIds> ids_{};
  std::vector<abi::DeviceId> images_;
};

// One thread's calls.
class Caller {
 public:
  Caller(AbiBench& bench, Shared& shared, std::uint64_t seed)
      : bench_(bench), shared_(shared), random_(seed), block_(kStormBlock) {}

  void run(std::uint64_t calls) {
    std::uint32_t weights = 0;
    for (const KindRule& rule : rules()) weights += rule.weight;
    for (std::uint64_t i = 0; i < calls || (i < calls * kLongest && !shared_.taken_enough()); ++i) {
      auto at = static_cast<std::uint32_t>(random_.below(weights));
      std::size_t kind = 0;
      while (at >= rules().at(kind).weight) at -= rules().at(kind++).weight;
      note(kind, one(static_cast<Kind>(kind)));
    }
  }

  StormCounts counts;
  std::array<std::uint64_t, kKinds> called{};
  std::array<std::set<std::int64_t>, kKinds> unknown{};  // results that no rule knows

 private:
  void note(std::size_t kind, std::int64_t result) {
    ++called.at(kind);
    ++counts.calls;
    if (result == 0 && kind == kCreate) ++counts.creates;
    if (result == 0 && kind == kTake) {
      ++counts.takes;
      shared_.note_take();
    }
    if (result == 0 && kind == kDestroy) ++counts.destroys;
    const auto& right = rules().at(kind).right;
    const bool known = result >= 0 || std::find(right.begin(), right.end(), result) != right.end();
    if (!known) unknown.at(kind).insert(result);
  }

  bool bad() { return random_.below(kBadOneIn) == 0; }
  std::uint32_t some(std::uint32_t most) { return static_cast<std::uint32_t>(random_.below(most)); }

  abi::DeviceId device() {
    if (random_.below(kUnknownOneIn) == 0) return kNoDevice;
    if (random_.below(kUnknownOneIn) == 0) return shared_.image(random_);
    return bench_.origins.at(random_.below(bench_.origins.size())).id;
  }

  // The argument, or memory where there is none.
  std::int64_t call(unsigned long command, void* argument) {
    return bench_.call(command, bad() ? memory_.forbidden() : argument);
  }
  template <typename Entry>
  Entry* array(std::vector<Entry>& entries) {
    const std::uint32_t which = some(kBadOneIn);
    if (which == 0) return static_cast<Entry*>(memory_.unmapped());
    return which == 1 ? nullptr : entries.data();
  }

  std::int64_t one(Kind kind) {
    switch (kind) {
      case kVersion: {
        abi::Version argument{};
        return call(abi::kVersion, &argument);
      }
      case kRemove: {
        abi::TrackerRemove argument{device()};
        return call(abi::kTrackerRemove, &argument);
      }
      case kCollectTrackers: {
        std::vector<abi::CbtInfo> infos(some(5) + 1);
        abi::TrackerCollect argument{some(static_cast<std::uint32_t>(infos.size()) + 1), 0,
                                     array(infos)};
        return call(abi::kTrackerCollect, &argument);
      }
      case kReadMap:
        return read_map();
      case kMark:
        return mark();
      case kCreate:
        return create();
      case kDestroy: {
        abi::SnapshotId argument{shared_.id(random_)};
        return call(abi::kSnapshotDestroy, &argument);
      }
      case kAppend:
        return append();
      case kTake: {
        abi::SnapshotId argument{shared_.id(random_)};
        return call(abi::kSnapshotTake, &argument);
      }
      case kCollect: {
        std::vector<abi::Uuid> ids(some(5) + 1);
        abi::SnapshotCollect argument{some(static_cast<std::uint32_t>(ids.size()) + 1), 0,
                                      array(ids)};
        return call(abi::kSnapshotCollect, &argument);
      }
      case kCollectImages:
        return collect_images();
      case kWait: {
        abi::Event argument{};
        argument.id = shared_.id(random_);
        argument.timeout_ms = some(10);
        return call(abi::kSnapshotWaitEvent, &argument);
      }
      case kReadImage:
        return use_image(false);
      case kWriteImage:
        return use_image(true);
      case kKinds:
        break;
    }
    return -EPROTO;
  }

  std::int64_t read_map() {
    std::vector<std::uint8_t> bytes(some(4096) + 1);
    abi::ReadCbtMap argument{device(), some(2048), static_cast<std::uint32_t>(bytes.size()),
                             array(bytes)};
    return call(abi::kTrackerReadCbtMap, &argument);
  }

  // Ranges on `device`, now and then past its end or empty.
  std::vector<abi::BlockRange> ranges(const Subject& device) {
    std::vector<abi::BlockRange> list(some(4) + 1);
    for (abi::BlockRange& range : list) {
      range = {random_.below(device.sectors / 8) * 8, (some(64) + 1) * 8ULL};
      if (random_.below(kUnknownOneIn) == 0) range.count = random_.below(2) == 0 ? 0 : ~0ULL;
    }
    return list;
  }

  std::int64_t mark() {
    auto list = ranges(bench_.origins.front());
    abi::MarkDirtyBlocks argument{device(), static_cast<std::uint32_t>(list.size()), 0,
                                  array(list)};
    return call(abi::kTrackerMarkDirtyBlocks, &argument);
  }

  std::int64_t create() {
    std::vector<abi::DeviceId> devices(some(2) + 1);
    for (abi::DeviceId& one : devices) one = device();
    abi::SnapshotCreate argument{static_cast<std::uint32_t>(devices.size()), 0, array(devices), {}};
    const std::int64_t result = call(abi::kSnapshotCreate, &argument);
    if (result == 0) shared_.put(random_, argument.id);
    return result;
  }

  std::int64_t append() {
    auto list = ranges(bench_.storage);
    const abi::DeviceId on = random_.below(kUnknownOneIn) == 0 ? device() : bench_.storage.id;
    abi::AppendStorage argument{shared_.id(random_), on, static_cast<std::uint32_t>(list.size()), 0,
                                array(list)};
    return call(abi::kSnapshotAppendStorage, &argument);
  }

  std::int64_t collect_images() {
    std::vector<abi::ImageInfo> infos(bench_.origins.size());
    abi::CollectImages argument{shared_.id(random_), static_cast<std::uint32_t>(infos.size()), 0,
                                array(infos)};
    const std::int64_t result = call(abi::kSnapshotCollectImages, &argument);
    if (result == 0 && argument.images == infos.data() && argument.count <= infos.size()) {
      infos.resize(argument.count);
      shared_.put_images(infos);
    }
    return result;
  }

  std::int64_t use_image(bool write) {
    const std::string path =
        std::string("/dev/") + abi::kImagePrefix + std::to_string(shared_.image(random_).minor);
    const base::UniqueFd image(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (!image) return -errno;
    const std::uint64_t at = random_.below(1024) * kStormBlock;
    return write ? -write_at(image.get(), block_.span(), at)
                 : -read_at(image.get(), block_.span(), at);
  }

  AbiBench& bench_;
  Shared& shared_;
  base::Random random_;
  BadMemory memory_;
  AlignedMemory block_;
};

}  // namespace

StormCounts storm_calls(AbiBench& bench, const StormPlan& plan) {
  Shared shared;
  std::vector<std::unique_ptr<Caller>> callers;
  for (std::uint32_t i = 0; i < plan.threads; ++i) {
    callers.push_back(std::make_unique<Caller>(bench, shared, plan.seed + i));
  }
  std::vector<std::thread> threads;
  for (const auto& caller : callers) {
    threads.emplace_back([&caller = *caller, &plan] { caller.run(plan.calls); });
  }
  for (std::thread& thread : threads) thread.join();
  StormCounts sum;
  for (const auto& caller : callers) {
    sum.calls += caller->counts.calls;
    sum.creates += caller->counts.creates;
    sum.takes += caller->counts.takes;
    sum.destroys += caller->counts.destroys;
  }
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    std::uint64_t called = 0;
    std::string unknown;
    for (const auto& caller : callers) {
      called += caller->called.at(kind);
      for (const std::int64_t result : caller->unknown.at(kind)) {
        unknown += (unknown.empty() ? "" : ", ") + result_text(result);
      }
    }
    bench.cases.truth(rules().at(kind).name,
                      std::to_string(called) + " random calls by " + std::to_string(plan.threads) +
                          " threads give only results that the interface knows",
                      unknown.empty(), unknown);
  }
  return sum;
}

}  // namespace snapbed::agent
