// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/bench_systems.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

namespace snapbed::agent {
namespace {

constexpr auto kProgramLimit = std::chrono::seconds(60);
constexpr auto kImageLimit = std::chrono::seconds(10);

void check(int result, const char* what) {
  if (result < 0) base::throw_errno(what, -result);
}

std::string node_of(const abi::DeviceId& id) {
  const std::string text = base::read_file("/sys/dev/block/" + std::to_string(id.major) + ":" +
                                           std::to_string(id.minor) + "/uevent");
  const auto place = text.find("DEVNAME=");
  if (place == text.npos) throw std::runtime_error("an image has no name in sysfs");
  return "/dev/" + text.substr(place + 8, text.find('\n', place) - place - 8);
}

class Bare : public Setup {
 public:
  explicit Bare(std::string disk) : disk_(std::move(disk)) {}
  std::string device() const override { return disk_; }
  std::string image() const override { return disk_; }

 private:
  std::string disk_;
};

// A snapshot of blksnap, created and not taken.
class Created : public Setup {
 public:
  Created(const Control& control, const std::string& disk) : control_(control), disk_(disk) {
    const abi::DeviceId id = to_abi(device_below(disk));
    abi::SnapshotCreate argument{1, 0, &id, {}};
    check(control.call(abi::kSnapshotCreate, &argument), "SNAPSHOT_CREATE");
    id_ = argument.id;
  }
  ~Created() override {
    abi::SnapshotId argument{id_};
    if (const int result = control_.call(abi::kSnapshotDestroy, &argument); result < 0)
      std::fprintf(stderr, "snapbed-bench: SNAPSHOT_DESTROY: errno %d\n", -result);
  }
  std::string device() const override { return disk_; }
  std::string image() const override { return disk_; }

 protected:
  const Control& control_;
  std::string disk_;
  abi::Uuid id_{};
};

class Taken : public Created {
 public:
  Taken(const Control& control, const std::string& disk, const std::string& store)
      : Created(control, disk) {
    const abi::BlockRange range{0, BlockDevice(store, O_RDONLY).sectors()};
    abi::AppendStorage append{id_, to_abi(device_below(store)), 1, 0, &range};
    check(control.call(abi::kSnapshotAppendStorage, &append), "SNAPSHOT_APPEND_STORAGE");
    abi::SnapshotId take{id_};
    check(control.call(abi::kSnapshotTake, &take), "SNAPSHOT_TAKE");
    abi::ImageInfo info{};
    abi::CollectImages collect{id_, 1, 0, &info};
    check(control.call(abi::kSnapshotCollectImages, &collect), "SNAPSHOT_COLLECT_IMAGES");
    image_ = wait_for_device(node_of(info.image), base::Deadline::after(kImageLimit));
  }
  std::string image() const override { return image_; }

 private:
  std::string image_;
};

class DmSnapshot : public Setup {
 public:
  DmSnapshot(const std::string& disk, const std::string& store, const char* persistent,
             unsigned chunk_sectors) {
    const std::string sectors = std::to_string(BlockDevice(disk, O_RDONLY).sectors());
    create("bench-image", "0 " + sectors + " snapshot " + disk + " " + store + " " + persistent +
                              " " + std::to_string(chunk_sectors));
    create("bench-origin", "0 " + sectors + " snapshot-origin " + disk);
  }
  ~DmSnapshot() override {
    remove("bench-origin");
    remove("bench-image");
  }
  std::string device() const override { return "/dev/mapper/bench-origin"; }
  std::string image() const override { return "/dev/mapper/bench-image"; }

 private:
  static void create(const std::string& name, const std::string& table) {
    base::run_ok({.argv = {"dmsetup", "create", name, "--table", table}},
                 base::Deadline::after(kProgramLimit));
  }
  static void remove(const std::string& name) {
    try {
      base::run_ok({.argv = {"dmsetup", "remove", name}}, base::Deadline::after(kProgramLimit));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "snapbed-bench: %s\n", error.what());
    }
  }
};

// A persistent store begins with a header that an older one would be taken for.
void clear_header(const std::string& store) {
  const AlignedMemory zeroes(4096);
  const BlockDevice device(store, O_RDWR);
  if (const int error = write_at(device.fd(), zeroes.span(), 0); error != 0)
    base::throw_errno("clearing the header of " + store, error);
}

}  // namespace

void remove_tracker(const Control& control, const std::string& disk) {
  abi::TrackerRemove argument{to_abi(device_below(disk))};
  const int result = control.call(abi::kTrackerRemove, &argument);
  if (result != -ENODATA) check(result, "TRACKER_REMOVE");
}

std::unique_ptr<Setup> make_setup(bench::System system, const Control& control,
                                  const std::string& disk, const std::string& store) {
  if (system != bench::System::tracked && system != bench::System::blksnap)
    remove_tracker(control, disk);
  switch (system) {
    case bench::System::bare:
      return std::make_unique<Bare>(disk);
    case bench::System::tracked:
      // The tracker stays when the snapshot goes.
      Created(control, disk);
      return std::make_unique<Bare>(disk);
    case bench::System::blksnap:
      return std::make_unique<Taken>(control, disk, store);
    case bench::System::dm4:
      return std::make_unique<DmSnapshot>(disk, store, "N", 8);
    case bench::System::dm64:
      return std::make_unique<DmSnapshot>(disk, store, "N", 128);
    case bench::System::dm4_kept:
      clear_header(store);
      return std::make_unique<DmSnapshot>(disk, store, "P", 8);
  }
  throw std::runtime_error("a system that is not known");
}

}  // namespace snapbed::agent
