// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/snapshots.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/fatal.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

// Short, so that the thread notices soon that the agent ends; the module wakes it for events.
constexpr std::uint32_t kWaitMs = 500;
// Ranges whose JSON surely fits into one mark, at 22 characters each.
constexpr std::size_t kRangesPerAppend = 16;

nlohmann::json to_json(std::span<const abi::BlockRange> ranges) {
  nlohmann::json list = nlohmann::json::array();
  for (const abi::BlockRange& range : ranges) list.push_back({range.first, range.count});
  return list;
}

template <typename Data>
Data event_data(const abi::Event& event) {
  Data data;
  std::memcpy(&data, event.data, sizeof data);
  return data;
}

}  // namespace

abi::DeviceId to_abi(dev_t id) {
  return {major(id), minor(id)};
}

std::vector<abi::BlockRange> next_answer(LowAnswer& answer) {
  std::vector<abi::BlockRange> ranges;
  while (ranges.size() < answer.pieces && answer.first + answer.piece <= answer.limit) {
    ranges.push_back({answer.first, answer.piece});
    answer.first += answer.piece;
  }
  return ranges;
}

Control::Control() : node_(::open(abi::kControlPath, O_RDWR | O_CLOEXEC)) {
  if (!node_) base::throw_errno(std::string("open of ") + abi::kControlPath);
}

int Control::call(unsigned long command, void* argument) const {
  const int result = ::ioctl(node_.get(), command, argument);
  return result < 0 ? -errno : result;
}

EventThread::EventThread(Setup setup, const Control& control, Marks& marks)
    : setup_(std::move(setup)), control_(control), marks_(marks), thread_([this] { run(); }) {
}

EventThread::~EventThread() {
  stop_ = true;
  thread_.join();
}

EventCounts EventThread::seen() {
  const std::scoped_lock lock(mutex_);
  if (!failure_.empty()) throw Fatal(failure_, true);
  return counts_;
}

void EventThread::join(const base::Deadline& deadline) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, deadline.remaining(), [this] { return ended_; })) {
    throw deadline.error("WAIT_EVENT of the destroyed snapshot " + setup_.snapshot + " to return");
  }
  if (!failure_.empty()) throw Fatal(failure_, true);
}

void EventThread::run() {
  try {
    while (!stop_ && fetch_one()) {
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void EventThread::fail(const std::string& what) {
  const std::scoped_lock lock(mutex_);
  failure_ = "events of snapshot " + setup_.snapshot + ": " + what;
}

bool EventThread::fetch_one() {
  abi::Event event{};
  event.id = setup_.id;
  event.timeout_ms = kWaitMs;
  const int result = control_.call(abi::kSnapshotWaitEvent, &event);
  if (result == -ESRCH) return false;
  if (result == -ENOENT || result == -EINTR) return true;
  if (result != 0) throw Fatal("WAIT_EVENT gave " + base::errno_text(-result), true);
  if (event.id != setup_.id || event.timeout_ms != kWaitMs) {
    throw Fatal("WAIT_EVENT changed the id or the timeout of its argument", true);
  }
  handle(event);
  return true;
}

void EventThread::handle(const abi::Event& event) {
  switch (event.code) {
    case abi::kEventLowFreeSpace:
      return handle_low(event);
    case abi::kEventCorrupted:
      return handle_corrupted(event);
    default:
      throw Fatal("event code " + std::to_string(event.code), true);
  }
}

void EventThread::handle_low(const abi::Event& event) {
  const auto data = event_data<abi::EventLowFreeSpace>(event);
  marks_.write(
      plan::MarkKind::event, {setup_.step, setup_.cycle},
      {{"snapshot", setup_.snapshot}, {"code", "low"}, {"sectors", data.requested_sectors}});
  if (setup_.low) append(next_answer(*setup_.low));
  const std::scoped_lock lock(mutex_);
  ++counts_.low;
}

void EventThread::handle_corrupted(const abi::Event& event) {
  const auto data = event_data<abi::EventCorrupted>(event);
  const auto name = setup_.names.find({data.origin.major, data.origin.minor});
  marks_.write(plan::MarkKind::event, {setup_.step, setup_.cycle},
               {{"snapshot", setup_.snapshot},
                {"code", "corrupted"},
                {"device", name == setup_.names.end() ? std::to_string(data.origin.major) + ":" +
                                                            std::to_string(data.origin.minor)
                                                      : name->second},
                {"error", data.error}});
  const std::scoped_lock lock(mutex_);
  ++counts_.corrupted;
}

void EventThread::append(const std::vector<abi::BlockRange>& ranges) {
  for (std::size_t done = 0; done < ranges.size(); done += kRangesPerAppend) {
    const auto part =
        std::span(ranges).subspan(done, std::min(kRangesPerAppend, ranges.size() - done));
    marks_.write(
        plan::MarkKind::append_begin, {setup_.step, setup_.cycle},
        {{"snapshot", setup_.snapshot}, {"device", setup_.low->device}, {"ranges", to_json(part)}});
    abi::AppendStorage argument{};
    argument.id = setup_.id;
    argument.device = setup_.low->id;
    argument.count = static_cast<std::uint32_t>(part.size());
    argument.ranges = part.data();
    const int result = -control_.call(abi::kSnapshotAppendStorage, &argument);
    marks_.write(plan::MarkKind::append_end, {setup_.step, setup_.cycle},
                 {{"snapshot", setup_.snapshot}, {"result", result}});
  }
}

abi::Uuid SnapshotBook::id(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = snapshots_.find(name);
  return found == snapshots_.end() ? abi::Uuid{} : found->second.id;
}

std::vector<std::string> SnapshotBook::devices(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = snapshots_.find(name);
  return found == snapshots_.end() ? std::vector<std::string>{} : found->second.devices;
}

std::optional<std::string> SnapshotBook::image(const std::string& name,
                                               const std::string& device) const {
  const std::scoped_lock lock(mutex_);
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end()) return std::nullopt;
  const auto image = found->second.images.find(device);
  if (image == found->second.images.end()) return std::nullopt;
  return image->second;
}

std::optional<EventCounts> SnapshotBook::seen(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end() || !found->second.events) return std::nullopt;
  return found->second.events->seen();
}

bool SnapshotBook::any_events() const {
  const std::scoped_lock lock(mutex_);
  return std::any_of(snapshots_.begin(), snapshots_.end(),
                     [](const auto& entry) { return entry.second.events != nullptr; });
}

void SnapshotBook::created(const std::string& name, Snapshot snapshot) {
  const std::scoped_lock lock(mutex_);
  snapshots_[name] = std::move(snapshot);
}

void SnapshotBook::imaged(const std::string& name, std::map<std::string, std::string> images) {
  const std::scoped_lock lock(mutex_);
  Snapshot& snapshot = snapshots_[name];
  if (!snapshot.dying) snapshot.images = std::move(images);
}

std::map<std::string, std::string> SnapshotBook::dying(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  Snapshot& snapshot = snapshots_[name];
  snapshot.dying = true;
  return std::exchange(snapshot.images, {});
}

void SnapshotBook::spared(const std::string& name, std::map<std::string, std::string> images) {
  const std::scoped_lock lock(mutex_);
  Snapshot& snapshot = snapshots_[name];
  snapshot.dying = false;
  snapshot.images = std::move(images);
}

std::unique_ptr<EventThread> SnapshotBook::destroyed(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return std::move(snapshots_[name].events);
}

}  // namespace snapbed::agent
