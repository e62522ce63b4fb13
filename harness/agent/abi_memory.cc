// SPDX-License-Identifier: GPL-2.0-or-later
// Bad memory in every argument and every array: -EFAULT, and nothing is lost or left behind.
#include "agent/abi_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <functional>

#include "agent/abi.h"
#include "base/error.h"

namespace snapbed::agent {

namespace {

std::uint8_t* map(std::size_t pages, int protection) {
  void* at = ::mmap(nullptr, pages * BadMemory::kPageBytes, protection, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
  if (at == MAP_FAILED) base::throw_errno("mmap of " + std::to_string(pages) + " pages");
  return static_cast<std::uint8_t*>(at);
}

}  // namespace

BadMemory::BadMemory() {
  pages_ = map(3, PROT_READ | PROT_WRITE);
  if (::mprotect(pages_ + kPageBytes, kPageBytes, PROT_NONE) != 0) base::throw_errno("mprotect");
  unmapped_ = map(1, PROT_NONE);
  if (::munmap(unmapped_, kPageBytes) != 0) base::throw_errno("munmap");
}

BadMemory::~BadMemory() {
  ::munmap(pages_, 3 * kPageBytes);
}

void* BadMemory::read_only(const void* bytes, std::size_t count) const {
  std::uint8_t* const page = pages_ + 2 * kPageBytes;
  if (::mprotect(page, kPageBytes, PROT_READ | PROT_WRITE) != 0) base::throw_errno("mprotect");
  std::memcpy(page, bytes, count);
  if (::mprotect(page, kPageBytes, PROT_READ) != 0) base::throw_errno("mprotect");
  return page;
}

namespace {

// Bad places for an argument or an array of `bytes` bytes.
void bad_places(AbiBench& bench, const BadMemory& memory, const std::string& call,
                const std::string& what, std::size_t bytes, bool null_is_bad,
                const std::function<std::int64_t(void*)>& try_it) {
  const auto faults = [&](const std::string& where, void* at) {
    bench.cases.result(call, what + " " + where, -EFAULT, try_it(at));
  };
  if (null_is_bad) faults("null", nullptr);
  faults("unmapped", memory.unmapped());
  faults("forbidden", memory.forbidden());
  faults("in the kernel", BadMemory::kernel());
  faults("at the end of memory", reinterpret_cast<void*>(~std::uintptr_t{0} - 7));
  std::memset(memory.half(BadMemory::kPageBytes), 0, BadMemory::kPageBytes);
  for (const std::size_t mapped : {std::size_t{1}, std::size_t{4}, bytes / 2, bytes - 1}) {
    if (mapped == 0 || mapped >= bytes) continue;
    faults("mapped for " + std::to_string(mapped) + " of " + std::to_string(bytes) + " bytes",
           memory.half(mapped));
  }
}

template <typename Argument>
void bad_argument(AbiBench& bench, const BadMemory& memory, const char* call,
                  unsigned long command) {
  bad_places(bench, memory, call, "argument", sizeof(Argument), true,
             [&](void* at) { return bench.call(command, at); });
}

void bad_arguments(AbiBench& bench, const BadMemory& memory) {
  bad_argument<abi::Version>(bench, memory, "VERSION", abi::kVersion);
  bad_argument<abi::TrackerRemove>(bench, memory, "TRACKER_REMOVE", abi::kTrackerRemove);
  bad_argument<abi::TrackerCollect>(bench, memory, "TRACKER_COLLECT", abi::kTrackerCollect);
  bad_argument<abi::ReadCbtMap>(bench, memory, "READ_CBT_MAP", abi::kTrackerReadCbtMap);
  bad_argument<abi::MarkDirtyBlocks>(bench, memory, "MARK_DIRTY_BLOCKS",
                                     abi::kTrackerMarkDirtyBlocks);
  bad_argument<abi::SnapshotCreate>(bench, memory, "CREATE", abi::kSnapshotCreate);
  bad_argument<abi::SnapshotId>(bench, memory, "DESTROY", abi::kSnapshotDestroy);
  bad_argument<abi::AppendStorage>(bench, memory, "APPEND_STORAGE", abi::kSnapshotAppendStorage);
  bad_argument<abi::SnapshotId>(bench, memory, "TAKE", abi::kSnapshotTake);
  bad_argument<abi::SnapshotCollect>(bench, memory, "COLLECT", abi::kSnapshotCollect);
  bad_argument<abi::CollectImages>(bench, memory, "COLLECT_IMAGES", abi::kSnapshotCollectImages);
}

// What the call writes back has to go somewhere.
void answers_without_room(AbiBench& bench, const BadMemory& memory, const abi::Uuid& taken) {
  const auto faults = [&](const char* call, unsigned long command, void* at) {
    bench.cases.result(call, "read-only argument", -EFAULT, bench.call(command, at));
  };
  faults("VERSION", abi::kVersion, memory.read_only(abi::Version{}));
  faults("TRACKER_COLLECT", abi::kTrackerCollect, memory.read_only(abi::TrackerCollect{}));
  faults("COLLECT", abi::kSnapshotCollect, memory.read_only(abi::SnapshotCollect{}));
  faults("COLLECT_IMAGES", abi::kSnapshotCollectImages,
         memory.read_only(abi::CollectImages{taken, 0, 0, nullptr}));
}

// Arguments that are only read may lie in memory that can only be read.
void arguments_only_read(AbiBench& bench, const BadMemory& memory, const abi::Uuid& taken) {
  const abi::DeviceId origin = bench.origins[0].id;
  bench.cases.result("TRACKER_REMOVE", "read-only argument", -EBUSY,
                     bench.call(abi::kTrackerRemove, memory.read_only(abi::TrackerRemove{origin})));
  bench.cases.result("TAKE", "read-only argument", -EALREADY,
                     bench.call(abi::kSnapshotTake, memory.read_only(abi::SnapshotId{taken})));
  std::uint8_t byte = 0;
  bench.cases.result(
      "READ_CBT_MAP", "read-only argument", 1,
      bench.call(abi::kTrackerReadCbtMap, memory.read_only(abi::ReadCbtMap{origin, 0, 1, &byte})));
  const abi::BlockRange range{0, 8};
  bench.cases.result("MARK_DIRTY_BLOCKS", "read-only argument", 0,
                     bench.call(abi::kTrackerMarkDirtyBlocks,
                                memory.read_only(abi::MarkDirtyBlocks{origin, 1, 0, &range})));
  bench.cases.result(
      "APPEND_STORAGE", "read-only argument", 0,
      bench.call(abi::kSnapshotAppendStorage,
                 memory.read_only(abi::AppendStorage{taken, bench.storage.id, 1, 0, &range})));
  const abi::BlockRange next{8, 8};
  bench.cases.result("APPEND_STORAGE", "read-only ranges", 0,
                     bench.call(abi::kSnapshotAppendStorage,
                                std::array{abi::AppendStorage{taken, bench.storage.id, 1, 0,
                                                              memory.read_only(next)}}
                                    .data()));
  bench.cases.result(
      "MARK_DIRTY_BLOCKS", "read-only ranges", 0,
      bench.call(abi::kTrackerMarkDirtyBlocks,
                 std::array{abi::MarkDirtyBlocks{origin, 1, 0, memory.read_only(range)}}.data()));
}

void bad_arrays_read(AbiBench& bench, const BadMemory& memory, const abi::Uuid& taken) {
  const abi::DeviceId origin = bench.origins[0].id;
  bad_places(bench, memory, "CREATE", "devices", 2 * sizeof(abi::DeviceId), true, [&](void* at) {
    abi::SnapshotCreate argument{2, 0, static_cast<abi::DeviceId*>(at), {}};
    return bench.call(abi::kSnapshotCreate, &argument);
  });
  bad_places(bench, memory, "APPEND_STORAGE", "ranges", 2 * sizeof(abi::BlockRange), true,
             [&](void* at) {
               const abi::AppendStorage argument{taken, bench.storage.id, 2, 0,
                                                 static_cast<abi::BlockRange*>(at)};
               return bench.call(abi::kSnapshotAppendStorage, &argument);
             });
  bad_places(bench, memory, "MARK_DIRTY_BLOCKS", "ranges", 2 * sizeof(abi::BlockRange), true,
             [&](void* at) {
               const abi::MarkDirtyBlocks argument{origin, 2, 0, static_cast<abi::BlockRange*>(at)};
               return bench.call(abi::kTrackerMarkDirtyBlocks, &argument);
             });
}

void bad_arrays_written(AbiBench& bench, const BadMemory& memory, const abi::Uuid& taken) {
  const auto infos = [&](void* at) {
    abi::TrackerCollect argument{2, 0, static_cast<abi::CbtInfo*>(at)};
    return bench.call(abi::kTrackerCollect, &argument);
  };
  bad_places(bench, memory, "TRACKER_COLLECT", "array", 2 * sizeof(abi::CbtInfo), false, infos);
  bench.cases.result("TRACKER_COLLECT", "read-only array", -EFAULT,
                     infos(memory.read_only(std::array<abi::CbtInfo, 2>{})));
  const auto ids = [&](void* at) {
    abi::SnapshotCollect argument{1, 0, static_cast<abi::Uuid*>(at)};
    return bench.call(abi::kSnapshotCollect, &argument);
  };
  bad_places(bench, memory, "COLLECT", "array", sizeof(abi::Uuid), false, ids);
  bench.cases.result("COLLECT", "read-only array", -EFAULT, ids(memory.read_only(abi::Uuid{})));
  const auto images = [&](void* at) {
    abi::CollectImages argument{taken, 2, 0, static_cast<abi::ImageInfo*>(at)};
    return bench.call(abi::kSnapshotCollectImages, &argument);
  };
  bad_places(bench, memory, "COLLECT_IMAGES", "array", 2 * sizeof(abi::ImageInfo), false, images);
  bench.cases.result("COLLECT_IMAGES", "read-only array", -EFAULT,
                     images(memory.read_only(std::array<abi::ImageInfo, 2>{})));
}

// The map is a stream: what fits is copied and counted; only nothing at all is a fault.
void map_into_bad_memory(AbiBench& bench, const BadMemory& memory) {
  const abi::DeviceId origin = bench.origins[0].id;
  const auto read = [&](void* to, std::uint32_t length) {
    return bench.read_map(origin, 0, length, static_cast<std::uint8_t*>(to));
  };
  bench.cases.result("READ_CBT_MAP", "buffer null", -EFAULT, read(nullptr, 64));
  bench.cases.result("READ_CBT_MAP", "buffer unmapped", -EFAULT, read(memory.unmapped(), 64));
  bench.cases.result("READ_CBT_MAP", "buffer forbidden", -EFAULT, read(memory.forbidden(), 64));
  bench.cases.result("READ_CBT_MAP", "buffer in the kernel", -EFAULT, read(memory.kernel(), 64));
  const std::array<std::uint8_t, 64> zeroes{};
  bench.cases.result("READ_CBT_MAP", "buffer read-only", -EFAULT,
                     read(memory.read_only(zeroes), 64));
  for (const std::uint32_t mapped : {1U, 16U, 63U}) {
    std::memset(memory.half(mapped), 0xee, mapped);
    const std::int64_t got = read(memory.half(mapped), 64);
    bench.cases.truth("READ_CBT_MAP",
                      "a buffer mapped for " + std::to_string(mapped) +
                          " of 64 bytes gets between 1 and that many",
                      got >= 1 && got <= mapped, result_text(got));
  }
}

// CREATE whose answer cannot be written: no snapshot that nobody knows, no tracker that was not
// there before.
void create_without_room(AbiBench& bench, const BadMemory& memory) {
  const std::vector<abi::DeviceId> devices = {bench.origins[0].id, bench.origins[1].id};
  abi::SnapshotCreate argument{2, 0, devices.data(), {}};
  const auto left = [&](const std::string& with, std::size_t trackers) {
    std::vector<abi::Uuid> ids;
    bench.must("COLLECT", bench.snapshots(ids));
    bench.cases.result("COLLECT", "after " + with, 0, static_cast<std::int64_t>(ids.size()));
    std::vector<abi::CbtInfo> infos;
    bench.must("TRACKER_COLLECT", bench.trackers(infos));
    bench.cases.result("TRACKER_COLLECT", "after " + with, static_cast<std::int64_t>(trackers),
                       static_cast<std::int64_t>(infos.size()));
  };
  bench.cases.result("CREATE", "read-only argument", -EFAULT,
                     bench.call(abi::kSnapshotCreate, memory.read_only(argument)));
  left("a CREATE with a read-only argument", 0);
  bench.must("DESTROY", bench.destroy(bench.must_create({devices[1]})));
  bench.cases.result("CREATE", "read-only argument, one device tracked before", -EFAULT,
                     bench.call(abi::kSnapshotCreate, memory.read_only(argument)));
  left("that, one device tracked before", 1);
}

// An event whose copy failed waits for the next call, unchanged.
void event_without_room(AbiBench& bench, const BadMemory& memory, const abi::Uuid& id) {
  abi::Event event{};
  event.id = id;
  event.timeout_ms = 0;
  bad_places(bench, memory, "WAIT_EVENT", "argument's id", sizeof event.id, true,
             [&](void* at) { return bench.call(abi::kSnapshotWaitEvent, at); });
  bench.cases.result("WAIT_EVENT", "read-only argument, an event waits", -EFAULT,
                     bench.call(abi::kSnapshotWaitEvent, memory.read_only(event)));
  for (const std::size_t mapped :
       {std::size_t{20}, std::size_t{32}, std::size_t{40}, std::size_t{2048}, sizeof event - 1}) {
    bench.cases.result("WAIT_EVENT",
                       "an event waits, argument mapped for " + std::to_string(mapped) + " bytes",
                       -EFAULT, bench.call(abi::kSnapshotWaitEvent, memory.half_of(event, mapped)));
  }
  bench.cases.result("WAIT_EVENT", "after failed copies the event is still there", 0,
                     bench.wait(id, 0, event));
  bench.cases.result("WAIT_EVENT", "and once only", -ENOENT, bench.wait(id, 0, event));
}

}  // namespace

void abi_memory(AbiBench& bench) {
  const BadMemory memory;
  create_without_room(bench, memory);
  bench.clear();
  const abi::Uuid id = bench.must_take({bench.origins[0].id, bench.origins[1].id});
  bad_arguments(bench, memory);
  event_without_room(bench, memory, id);
  answers_without_room(bench, memory, id);
  arguments_only_read(bench, memory, id);
  bad_arrays_read(bench, memory, id);
  bad_arrays_written(bench, memory, id);
  map_into_bad_memory(bench, memory);
}

FencedMemory::FencedMemory(std::size_t most)
    : fence_((most + BadMemory::kPageBytes - 1) / BadMemory::kPageBytes * BadMemory::kPageBytes),
      pages_(map(fence_ / BadMemory::kPageBytes + 1, PROT_READ | PROT_WRITE)) {
  if (::mprotect(pages_ + fence_, BadMemory::kPageBytes, PROT_NONE) != 0)
    base::throw_errno("mprotect");
}

FencedMemory::~FencedMemory() {
  ::munmap(pages_, fence_ + BadMemory::kPageBytes);
}

std::span<std::uint8_t> FencedMemory::last(std::size_t count, std::uint8_t byte) {
  if (count > fence_) throw std::out_of_range("more than the fenced memory has");
  const std::span<std::uint8_t> bytes(pages_ + fence_ - count, count);
  std::fill(bytes.begin(), bytes.end(), byte);
  return bytes;
}

}  // namespace snapbed::agent
