// SPDX-License-Identifier: GPL-2.0-or-later
// The client's own view of the blksnap interface, in literal numbers. It is written independently
// of the module's header on purpose: were both the same text, a changed number would agree with
// itself and no run would notice that old clients are lost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace snapbed::abi {

inline constexpr const char* kControlPath = "/dev/blksnap";
inline constexpr const char* kImagePrefix = "blksnap-image";

inline constexpr unsigned long kVersion = 0x40085600;
inline constexpr unsigned long kTrackerRemove = 0x40085601;
inline constexpr unsigned long kTrackerCollect = 0x40105602;
inline constexpr unsigned long kTrackerReadCbtMap = 0x80185603;
inline constexpr unsigned long kTrackerMarkDirtyBlocks = 0x80185604;
inline constexpr unsigned long kSnapshotCreate = 0x40205605;
inline constexpr unsigned long kSnapshotDestroy = 0x80105606;
inline constexpr unsigned long kSnapshotAppendStorage = 0x40285607;
inline constexpr unsigned long kSnapshotTake = 0x80105608;
inline constexpr unsigned long kSnapshotCollect = 0x40105609;
inline constexpr unsigned long kSnapshotCollectImages = 0x4020560a;
inline constexpr unsigned long kSnapshotWaitEvent = 0x5000560b;

// Bits 16..29 of a command are the size of its argument.
constexpr std::size_t argument_bytes(unsigned long command) {
  return (command >> 16) & 0x3fff;
}

using Uuid = std::array<std::uint8_t, 16>;

struct Version {
  std::uint16_t major;
  std::uint16_t minor;
  std::uint16_t revision;
  std::uint16_t build;
};

struct DeviceId {
  std::uint32_t major;
  std::uint32_t minor;
  bool operator==(const DeviceId&) const = default;
};

struct CbtInfo {
  DeviceId device;
  std::uint32_t block_bytes;
  std::uint32_t padding1;
  std::uint64_t capacity_bytes;
  std::uint32_t block_count;
  Uuid generation;
  std::uint8_t snap_number;
  std::uint8_t padding2[3];
};

struct TrackerRemove {
  DeviceId device;
};

struct TrackerCollect {
  std::uint32_t count;
  std::uint32_t padding;
  CbtInfo* infos;
};

struct ReadCbtMap {
  DeviceId device;
  std::uint32_t offset;
  std::uint32_t length;
  std::uint8_t* bytes;
};

struct BlockRange {
  std::uint64_t first;
  std::uint64_t count;
};

struct MarkDirtyBlocks {
  DeviceId device;
  std::uint32_t count;
  std::uint32_t padding;
  const BlockRange* ranges;
};

struct SnapshotCreate {
  std::uint32_t count;
  std::uint32_t padding;
  const DeviceId* devices;
  Uuid id;
};

// DESTROY and TAKE
struct SnapshotId {
  Uuid id;
};

struct AppendStorage {
  Uuid id;
  DeviceId device;
  std::uint32_t count;
  std::uint32_t padding;
  const BlockRange* ranges;
};

struct SnapshotCollect {
  std::uint32_t count;
  std::uint32_t padding;
  Uuid* ids;
};

struct ImageInfo {
  DeviceId origin;
  DeviceId image;
};

struct CollectImages {
  Uuid id;
  std::uint32_t count;
  std::uint32_t padding;
  ImageInfo* images;
};

struct Event {
  Uuid id;
  std::uint32_t timeout_ms;
  std::uint32_t code;
  std::int64_t time_label_ns;
  std::uint8_t data[4096 - 32];
};
inline constexpr std::uint32_t kEventLowFreeSpace = 0;
inline constexpr std::uint32_t kEventCorrupted = 1;

struct EventLowFreeSpace {
  std::uint64_t requested_sectors;
};

struct EventCorrupted {
  DeviceId origin;
  std::int32_t error;
};

static_assert(sizeof(Version) == 8 && argument_bytes(kVersion) == 8);
static_assert(sizeof(TrackerRemove) == 8 && argument_bytes(kTrackerRemove) == 8);
static_assert(sizeof(TrackerCollect) == 16 && argument_bytes(kTrackerCollect) == 16);
static_assert(sizeof(ReadCbtMap) == 24 && argument_bytes(kTrackerReadCbtMap) == 24);
static_assert(sizeof(MarkDirtyBlocks) == 24 && argument_bytes(kTrackerMarkDirtyBlocks) == 24);
static_assert(sizeof(SnapshotCreate) == 32 && argument_bytes(kSnapshotCreate) == 32);
static_assert(sizeof(SnapshotId) == 16 && argument_bytes(kSnapshotDestroy) == 16);
static_assert(sizeof(AppendStorage) == 40 && argument_bytes(kSnapshotAppendStorage) == 40);
static_assert(argument_bytes(kSnapshotTake) == 16);
static_assert(sizeof(SnapshotCollect) == 16 && argument_bytes(kSnapshotCollect) == 16);
static_assert(sizeof(CollectImages) == 32 && argument_bytes(kSnapshotCollectImages) == 32);
static_assert(sizeof(Event) == 4096 && argument_bytes(kSnapshotWaitEvent) == 4096);
static_assert(sizeof(CbtInfo) == 48 && sizeof(BlockRange) == 16 && sizeof(ImageInfo) == 16);
static_assert(sizeof(EventLowFreeSpace) == 8 && sizeof(EventCorrupted) == 12);
static_assert(offsetof(CbtInfo, capacity_bytes) == 16 && offsetof(CbtInfo, block_count) == 24 &&
              offsetof(CbtInfo, generation) == 28 && offsetof(CbtInfo, snap_number) == 44);
static_assert(offsetof(TrackerCollect, infos) == 8 && offsetof(ReadCbtMap, bytes) == 16 &&
              offsetof(MarkDirtyBlocks, ranges) == 16);
static_assert(offsetof(SnapshotCreate, devices) == 8 && offsetof(SnapshotCreate, id) == 16);
static_assert(offsetof(AppendStorage, device) == 16 && offsetof(AppendStorage, ranges) == 32);
static_assert(offsetof(CollectImages, count) == 16 && offsetof(CollectImages, images) == 24);
static_assert(offsetof(Event, timeout_ms) == 16 && offsetof(Event, code) == 20 &&
              offsetof(Event, time_label_ns) == 24 && offsetof(Event, data) == 32);

}  // namespace snapbed::abi
