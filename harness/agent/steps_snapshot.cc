// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that call the module: snapshots, storage, trackers, maps, events.
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "agent/agent.h"
#include "agent/fatal.h"
#include "agent/killed_call.h"
#include "agent/text.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr auto kEventEndLimit = std::chrono::seconds(30);
constexpr auto kEventLimit = std::chrono::seconds(30);
constexpr auto kKilledLimit = std::chrono::seconds(30);
constexpr auto kImageLimit = std::chrono::seconds(10);
constexpr int kCollectAttempts = 8;  // the needed count may change between two calls

std::string device_node(abi::DeviceId id) {
  const std::filesystem::path link =
      "/sys/dev/block/" + std::to_string(id.major) + ":" + std::to_string(id.minor);
  std::error_code error;
  return std::filesystem::read_symlink(link, error).filename();
}

}  // namespace

std::vector<abi::BlockRange> ranges_argument(const plan::Step& step) {
  std::vector<abi::BlockRange> ranges;
  for (const auto& range : step.args.at("ranges")) {
    ranges.push_back({range.at(0).get<std::uint64_t>(), range.at(1).get<std::uint64_t>()});
  }
  return ranges;
}

Control& Agent::control() {
  if (!control_) control_ = std::make_unique<Control>();
  return *control_;
}

abi::DeviceId Agent::device_id(const std::string& name) {
  return to_abi(device_below(device_path(name)));
}

Agent::Result Agent::create(const Step& step) {
  const std::vector<std::string> names = step.args.at("devices");
  std::vector<abi::DeviceId> ids;
  for (const std::string& name : names) ids.push_back(device_id(name));
  abi::SnapshotCreate argument{};
  argument.count = static_cast<std::uint32_t>(ids.size());
  argument.devices = ids.data();
  const int result = control().call(abi::kSnapshotCreate, &argument);
  if (result < 0) return {{"result", -result}};
  Snapshot created{argument.id, names, {}, nullptr, false};
  if (step.args.value("events", "yes") == "yes") start_events(step, created, names, ids);
  snapshots_.created(step.args.at("snapshot"), std::move(created));
  return {{"result", 0}, {"id", hex(argument.id)}};
}

void Agent::start_events(const Step& step, Snapshot& created, const std::vector<std::string>& names,
                         const std::vector<abi::DeviceId>& ids) {
  EventThread::Setup setup;
  setup.snapshot = step.args.at("snapshot");
  setup.id = created.id;
  setup.step = step.id;
  setup.cycle = step.cycle;
  for (std::size_t i = 0; i < names.size(); ++i) {
    setup.names[{ids[i].major, ids[i].minor}] = names[i];
  }
  if (const auto low = step.args.find("low"); low != step.args.end() && !low->is_null()) {
    const std::string device = low->at("device");
    setup.low = LowAnswer{device,           device_id(device), low->at("first"),
                          low->at("piece"), low->at("pieces"), low->at("limit")};
  }
  created.events = std::make_unique<EventThread>(std::move(setup), control(), marks_);
}

Agent::Result Agent::append(const Step& step) {
  const auto ranges = ranges_argument(step);
  abi::AppendStorage argument{};
  argument.id = snapshots_.id(step.args.at("snapshot"));
  argument.device = device_id(step.args.at("device"));
  argument.count = static_cast<std::uint32_t>(ranges.size());
  argument.ranges = ranges.data();
  return {{"result", -control().call(abi::kSnapshotAppendStorage, &argument)}};
}

Agent::Result Agent::take(const Step& step) {
  abi::SnapshotId argument{snapshots_.id(step.args.at("snapshot"))};
  if (step.args.value("killed", "no") == "yes") {
    return {{"result", call_and_kill(control(), abi::kSnapshotTake, &argument,
                                     step_deadline(step, kKilledLimit))}};
  }
  return {{"result", -control().call(abi::kSnapshotTake, &argument)}};
}

Agent::Result Agent::collect_images(const Step& step) {
  const std::string snapshot = step.args.at("snapshot");
  const std::vector<std::string> devices = snapshots_.devices(snapshot);
  std::vector<abi::ImageInfo> found(plan_.devices.size());
  abi::CollectImages argument{snapshots_.id(snapshot), static_cast<std::uint32_t>(found.size()), 0,
                              found.data()};
  const int result = control().call(abi::kSnapshotCollectImages, &argument);
  if (result < 0) return {{"result", -result}};
  if (argument.count > found.size()) return {{"result", EPROTO}};
  found.resize(argument.count);
  Result images = Result::array();
  // Another lane may destroy it now: the images are gone, or never come.
  const bool may_vanish =
      std::find(step.expect.begin(), step.expect.end(), ESRCH) != step.expect.end();
  int pairing = 0;
  std::map<std::string, std::string> paths;
  for (const std::string& name : devices) {
    const abi::DeviceId origin = device_id(name);
    const auto image = std::find_if(found.begin(), found.end(),
                                    [&](const auto& info) { return info.origin == origin; });
    const std::string node = image == found.end() ? "" : device_node(image->image);
    if (!node.starts_with(abi::kImagePrefix) || found.size() != devices.size()) {
      pairing = may_vanish ? ESRCH : EPROTO;
    } else {
      if (may_vanish && !std::filesystem::exists("/dev/" + node)) return {{"result", ESRCH}};
      paths[name] = wait_for_device("/dev/" + node, step_deadline(step, kImageLimit));
    }
    images.push_back({{"device", name}, {"image", node}});
  }
  snapshots_.imaged(snapshot, std::move(paths));
  return {{"result", pairing}, {"images", images}};
}

std::vector<abi::CbtInfo> Agent::trackers(int& error) {
  std::vector<abi::CbtInfo> infos;
  for (int attempt = 0; attempt < kCollectAttempts; ++attempt) {
    abi::TrackerCollect argument{static_cast<std::uint32_t>(infos.size()), 0,
                                 infos.empty() ? nullptr : infos.data()};
    error = -control().call(abi::kTrackerCollect, &argument);
    if (error != 0 && error != ENODATA) return {};
    const bool complete = error == 0 && (argument.count == 0 || !infos.empty());
    infos.resize(argument.count);
    if (complete) return infos;
  }
  error = EPROTO;
  return {};
}

Agent::Result Agent::collect_trackers(const Step&) {
  int error = 0;
  Result names = Result::array();
  std::uint64_t foreign = 0;
  for (const abi::CbtInfo& info : trackers(error)) {
    const auto device = std::find_if(plan_.devices.begin(), plan_.devices.end(), [&](auto& entry) {
      std::error_code missing;
      return std::filesystem::exists(entry.second.path, missing) &&
             to_abi(device_below(entry.second.path)) == info.device;
    });
    if (device == plan_.devices.end()) {
      ++foreign;
    } else {
      names.push_back(device->first);
    }
  }
  // With no room for them the answer is how many there are.
  abi::SnapshotCollect argument{};
  const int counted = control().call(abi::kSnapshotCollect, &argument);
  if (error == 0 && counted < 0 && counted != -ENODATA) error = -counted;
  return {
      {"result", error}, {"trackers", names}, {"foreign", foreign}, {"snapshots", argument.count}};
}

Agent::Result Agent::read_map(const Step& step) {
  const abi::DeviceId id = device_id(step.args.at("device"));
  int error = 0;
  const auto infos = trackers(error);
  const auto info =
      std::find_if(infos.begin(), infos.end(), [&](const auto& one) { return one.device == id; });
  if (error != 0 || info == infos.end()) return {{"result", error != 0 ? error : ENODEV}};
  const auto window = step.args.at("window_bytes").get<std::uint32_t>();
  std::vector<std::uint8_t> map(info->block_count);
  for (std::uint32_t offset = 0; offset < info->block_count;) {
    abi::ReadCbtMap argument{id, offset, window, map.data() + offset};
    const std::uint32_t wanted = std::min(window, info->block_count - offset);
    // The module must not write past the count it was asked for, nor past the map's end.
    argument.length = wanted;
    const int got = control().call(abi::kTrackerReadCbtMap, &argument);
    if (got < 0) return {{"result", -got}};
    if (static_cast<std::uint32_t>(got) != wanted) return {{"result", EPROTO}};
    offset += wanted;
  }
  Result result = files_.put(map);
  result.update({{"result", 0},
                 {"blk_size", info->block_bytes},
                 {"blk_count", info->block_count},
                 {"capacity", info->capacity_bytes},
                 {"generation", hex(info->generation)},
                 {"snap_number", info->snap_number}});
  return result;
}

Agent::Result Agent::mark_dirty(const Step& step) {
  const auto ranges = ranges_argument(step);
  abi::MarkDirtyBlocks argument{};
  argument.device = device_id(step.args.at("device"));
  argument.count = static_cast<std::uint32_t>(ranges.size());
  argument.ranges = ranges.data();
  return {{"result", -control().call(abi::kTrackerMarkDirtyBlocks, &argument)}};
}

Agent::Result Agent::destroy(const Step& step) {
  const std::string snapshot = step.args.at("snapshot");
  abi::SnapshotId argument{snapshots_.id(snapshot)};
  auto images = snapshots_.dying(snapshot);
  const int result = -control().call(abi::kSnapshotDestroy, &argument);
  if (result != 0) {
    // Another lane's call may be the one that destroys it.
    if (result != ENODEV) snapshots_.spared(snapshot, std::move(images));
    return {{"result", result}};
  }
  EventCounts seen;
  if (const auto events = snapshots_.destroyed(snapshot)) {
    events->join(step_deadline(step, kEventEndLimit));
    seen = events->seen();
  }
  return {{"result", 0}, {"low", seen.low}, {"corrupted", seen.corrupted}};
}

Agent::Result Agent::remove_tracker(const Step& step) {
  abi::TrackerRemove argument{device_id(step.args.at("device"))};
  return {{"result", -control().call(abi::kTrackerRemove, &argument)}};
}

Agent::Result Agent::wait_event(const Step& step) {
  const std::string snapshot = step.args.at("snapshot");
  const std::string code = step.args.at("code");
  const auto wanted = step.args.at("count").get<std::uint64_t>();
  if (!snapshots_.seen(snapshot))
    throw Fatal("wait_event: " + step.args.dump() + ": no such snapshot is live");
  std::uint64_t seen = 0;
  base::wait_until(std::to_string(wanted) + " events \"" + code + "\"",
                   step_deadline(step, kEventLimit), [&] {
                     const EventCounts counts = snapshots_.seen(snapshot).value_or(EventCounts{});
                     seen = code == "low" ? counts.low : counts.corrupted;
                     return seen >= wanted;
                   });
  return {{"result", 0}, {"seen", seen}};
}

Agent::Result Agent::cycle_end(const Step& step) {
  marks_.write(plan::MarkKind::cycle_end, {step.id, step.cycle}, Result::object());
  return {{"result", 0}};
}

}  // namespace snapbed::agent
