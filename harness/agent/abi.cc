// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/abi.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "agent/snapshots.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr int kCollectAttempts = 8;  // the needed count may change between two calls
constexpr auto kNodeLimit = std::chrono::seconds(10);
constexpr const char* kParameterFolder = "/sys/module/blksnap/parameters/";

struct Part {
  const char* name;
  void (*run)(AbiBench& bench);
};
constexpr Part kParts[] = {
    {"numbers", abi_numbers},       {"memory", abi_memory},   {"trackers", abi_trackers},
    {"create", abi_create},         {"storage", abi_storage}, {"take", abi_take},
    {"images", abi_images},         {"map", abi_map},         {"events", abi_events},
    {"parameters", abi_parameters}, {"module", abi_module},
};

// Asks with a null array, then with one that fits.
template <typename Entry, typename Ask>
std::int64_t collect_all(std::vector<Entry>& entries, Ask ask) {
  for (int attempt = 0; attempt < kCollectAttempts; ++attempt) {
    std::uint32_t count = 0;
    if (const std::int64_t result = ask(count, static_cast<Entry*>(nullptr)); result != 0) {
      return result;
    }
    entries.assign(count, Entry{});
    if (count == 0) return 0;
    const std::int64_t result = ask(count, entries.data());
    if (result == -ENODATA) continue;
    entries.resize(std::min<std::size_t>(entries.size(), count));
    return result;
  }
  return -EPROTO;
}

}  // namespace

Subject subject_at(const std::string& path) {
  const BlockDevice device(path, O_RDONLY);
  return {path, to_abi(device.id()), device.sectors(),
          static_cast<std::uint32_t>(device.logical_sectors() * kSectorBytes)};
}

AbiBench::AbiBench(CaseLog& log, std::vector<Subject> devices, Subject store, Loader load)
    : cases(log), origins(std::move(devices)), storage(std::move(store)), loader(std::move(load)) {
  open_control();
}

void AbiBench::open_control() {
  control_.reset(::open(abi::kControlPath, O_RDWR | O_CLOEXEC));
  if (!control_) base::throw_errno(std::string("open of ") + abi::kControlPath);
}

std::int64_t AbiBench::call(unsigned long command, const void* argument) const {
  const int result = ::ioctl(control_.get(), command, argument);
  return result < 0 ? -errno : result;
}

std::int64_t AbiBench::create(const std::vector<abi::DeviceId>& devices, abi::Uuid& id) const {
  abi::SnapshotCreate argument{};
  argument.count = static_cast<std::uint32_t>(devices.size());
  argument.devices = devices.data();
  const std::int64_t result = call(abi::kSnapshotCreate, &argument);
  id = argument.id;
  return result;
}

std::int64_t AbiBench::append(const abi::Uuid& id, abi::DeviceId device,
                              const std::vector<abi::BlockRange>& ranges) const {
  const abi::AppendStorage argument{id, device, static_cast<std::uint32_t>(ranges.size()), 0,
                                    ranges.data()};
  return call(abi::kSnapshotAppendStorage, &argument);
}

std::int64_t AbiBench::take(const abi::Uuid& id) const {
  const abi::SnapshotId argument{id};
  return call(abi::kSnapshotTake, &argument);
}

std::int64_t AbiBench::destroy(const abi::Uuid& id) const {
  const abi::SnapshotId argument{id};
  return call(abi::kSnapshotDestroy, &argument);
}

std::int64_t AbiBench::remove(abi::DeviceId device) const {
  const abi::TrackerRemove argument{device};
  return call(abi::kTrackerRemove, &argument);
}

std::int64_t AbiBench::read_map(abi::DeviceId device, std::uint32_t offset, std::uint32_t length,
                                std::uint8_t* bytes) const {
  const abi::ReadCbtMap argument{device, offset, length, bytes};
  return call(abi::kTrackerReadCbtMap, &argument);
}

std::int64_t AbiBench::mark(abi::DeviceId device,
                            const std::vector<abi::BlockRange>& ranges) const {
  const abi::MarkDirtyBlocks argument{device, static_cast<std::uint32_t>(ranges.size()), 0,
                                      ranges.data()};
  return call(abi::kTrackerMarkDirtyBlocks, &argument);
}

std::int64_t AbiBench::wait(const abi::Uuid& id, std::uint32_t timeout_ms,
                            abi::Event& event) const {
  event.id = id;
  event.timeout_ms = timeout_ms;
  return call(abi::kSnapshotWaitEvent, &event);
}

std::int64_t AbiBench::trackers(std::vector<abi::CbtInfo>& infos) const {
  return collect_all(infos, [this](std::uint32_t& count, abi::CbtInfo* to) {
    abi::TrackerCollect argument{count, 0, to};
    const std::int64_t result = call(abi::kTrackerCollect, &argument);
    count = argument.count;
    return result;
  });
}

std::int64_t AbiBench::snapshots(std::vector<abi::Uuid>& ids) const {
  return collect_all(ids, [this](std::uint32_t& count, abi::Uuid* to) {
    abi::SnapshotCollect argument{count, 0, to};
    const std::int64_t result = call(abi::kSnapshotCollect, &argument);
    count = argument.count;
    return result;
  });
}

std::int64_t AbiBench::images(const abi::Uuid& id, std::vector<abi::ImageInfo>& infos) const {
  return collect_all(infos, [&](std::uint32_t& count, abi::ImageInfo* to) {
    abi::CollectImages argument{id, count, 0, to};
    const std::int64_t result = call(abi::kSnapshotCollectImages, &argument);
    count = argument.count;
    return result;
  });
}

void AbiBench::must(const std::string& what, std::int64_t result) const {
  if (cases.result(what, "as other cases need it", 0, result)) return;
  throw CannotGoOn(what + " gave " + result_text(result));
}

abi::Uuid AbiBench::must_create(const std::vector<abi::DeviceId>& devices) const {
  abi::Uuid id{};
  must("CREATE", create(devices, id));
  return id;
}

abi::Uuid AbiBench::must_take(const std::vector<abi::DeviceId>& devices) const {
  const abi::Uuid id = must_create(devices);
  must("TAKE", take(id));
  return id;
}

std::optional<abi::CbtInfo> AbiBench::tracker(abi::DeviceId device) const {
  std::vector<abi::CbtInfo> infos;
  must("TRACKER_COLLECT", trackers(infos));
  const auto found = std::find_if(infos.begin(), infos.end(),
                                  [&](const auto& info) { return info.device == device; });
  if (found == infos.end()) return std::nullopt;
  return *found;
}

std::string AbiBench::image_path(const abi::Uuid& id, abi::DeviceId origin) const {
  std::vector<abi::ImageInfo> infos;
  must("COLLECT_IMAGES", images(id, infos));
  for (const abi::ImageInfo& info : infos) {
    if (!(info.origin == origin)) continue;
    return wait_for_device(
        std::string("/dev/") + abi::kImagePrefix + std::to_string(info.image.minor),
        base::Deadline::after(kNodeLimit));
  }
  throw CannotGoOn("COLLECT_IMAGES lists no image of the origin");
}

void AbiBench::clear() const {
  std::vector<abi::Uuid> ids;
  must("COLLECT", snapshots(ids));
  for (const abi::Uuid& id : ids) must("DESTROY", destroy(id));
  std::vector<abi::CbtInfo> infos;
  must("TRACKER_COLLECT", trackers(infos));
  for (const abi::CbtInfo& info : infos) must("TRACKER_REMOVE", remove(info.device));
}

bool has_parameter(const std::string& name) {
  return std::filesystem::exists(kParameterFolder + name);
}

std::string read_parameter(const std::string& name) {
  std::string value = base::read_file(kParameterFolder + name);
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

std::int64_t write_parameter(const std::string& name, const std::string& value) {
  const std::string path = kParameterFolder + name;
  const base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file ? -base::write_all(file.get(), value) : -errno;
}

ParameterSet::ParameterSet(std::string name, const std::string& value)
    : name_(std::move(name)), before_(read_parameter(name_)) {
  if (const std::int64_t result = write_parameter(name_, value); result != 0) {
    throw CannotGoOn("parameter " + name_ + " = " + value + " gave " + result_text(result));
  }
}

ParameterSet::~ParameterSet() {
  write_parameter(name_, before_);
}

void run_abi_part(AbiBench& bench, const std::string& part) {
  bool known = false;
  for (const Part& one : kParts) {
    if (part != "all" && part != one.name) continue;
    known = true;
    try {
      bench.clear();
      one.run(bench);
      bench.clear();
    } catch (const CannotGoOn& error) {
      bench.cases.truth(one.name, "the cases can be tried to their end", false, error.what());
    }
  }
  if (!known) throw std::runtime_error("abi has no part \"" + part + "\"");
}

}  // namespace snapbed::agent
