// SPDX-License-Identifier: GPL-2.0-or-later
// Power cuts: when the power goes, what the disks lose, and the power's return for the next
// machine.
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/deadline.h"
#include "base/random.h"
#include "journal/pattern.h"
#include "recorder/server.h"

namespace snapbed::recorder {

namespace {

// From the end of the machine: whoever is still inside only moves memory.
constexpr auto kDrain = std::chrono::seconds(20);

}  // namespace

// A power_cut step begins. Whoever counts down to 0 cuts; no step before it has left a count.
void Server::obey_power_cut(const nlohmann::json& step) {
  const std::string device = step.value("device", std::string());
  const auto disk = device.empty() ? std::nullopt : find(device);
  if (!config_.volatile_disks || (!device.empty() && !disk)) {
    tell_error("power_cut: the disks are not volatile, or none is called \"" + device + "\"");
    return;
  }
  cut_disk_.store(disk ? static_cast<int>(*disk) : kEveryDisk);
  const auto writes = step.value("writes", std::uint64_t{0});
  if (writes == 0) {
    cut_power();
  } else {
    cut_after_.store(static_cast<std::int64_t>(writes));
  }
}

bool Server::cut_is_due(std::uint16_t disk) {
  if (cut_after_.load(std::memory_order_relaxed) <= 0) return false;
  const int wanted = cut_disk_.load();
  const bool counts =
      wanted == kEveryDisk ? config_.disks[disk].disk.role == journal::Role::data : wanted == disk;
  return counts && cut_after_.fetch_sub(1) == 1;
}

// As in cut(): once dead_ is set no slot can pass a stamp any more.
void Server::cut_power() {
  {
    const std::lock_guard lock(power_mutex_);
    int alive = 0;
    if (off_ || !dead_.compare_exchange_strong(alive, EIO)) return;
    off_ = true;
  }
  in_flight_.for_each_open([this](Slot& slot) { seal(slot); });
  cut_at_ = sequencer_.next();
  journal_->flush();
  rules_.release_all("cut");
  {
    const std::lock_guard lock(answer_mutex_);
    answer_all_ = true;
  }
  answered_.notify_all();
  if (control_) control_->send({{"ev", "cut"}, {"stamp", cut_at_}});
}

// What a request is told that comes, or comes back, after the end. Of a machine without power:
// nothing, ever. A guest that hears of errors does more than one that is dead, and nbdkit dies
// itself when several of its threads answer a client that has gone.
int Server::gone() {
  std::unique_lock lock(power_mutex_);
  if (!off_) return dead_.load();
  ++waiting_;
  powered_.wait(lock, [this] { return over_; });
  return EIO;
}

Server::~Server() {
  {
    const std::lock_guard lock(power_mutex_);
    over_ = true;
  }
  powered_.notify_all();
  while (inside_.load() > 0) std::this_thread::yield();
  control_.reset();  // its thread calls back into this object
}

void Server::restore_power() {
  {
    const std::lock_guard lock(power_mutex_);
    if (!off_) throw std::runtime_error("power: it is on");
  }
  base::wait_until("the requests of the machine that lost its power to end",
                   base::Deadline::after(kDrain), [this] {
                     const std::lock_guard lock(power_mutex_);
                     return inside_.load() == waiting_;
                   });
  ++cuts_;
  for (std::uint16_t disk = 0; disk < config_.disks.size(); ++disk) lose(disk);
  journal_->append(journal::PowerCut{cut_at_, sequencer_.next()});
  journal_->flush();
  rules_.go_on();
  {
    const std::lock_guard lock(answer_mutex_);
    answer_all_ = false;
  }
  const std::lock_guard lock(power_mutex_);
  off_ = false;
  int cut = EIO;
  dead_.compare_exchange_strong(cut, 0);
}

// A run of neighbours becomes one write of the server's own.
void Server::lose(std::uint16_t disk) {
  if (!caches_[disk]) return;
  base::Random random = base::Random(config_.seed).fork((std::uint64_t{cuts_} << 16U) | disk);
  Disk& contents = *contents_[disk];
  const auto lost = caches_[disk]->lose(random, [&](std::uint64_t sector) {
    VolatileCache::Sector bytes(journal::kSectorBytes);
    contents.read(sector, bytes);
    return bytes;
  });
  for (auto at = lost.begin(); at != lost.end();) {
    journal::Request request;
    request.disk = disk;
    request.op = journal::Op::write;
    request.first = at->first;
    std::vector<std::uint64_t> hashes;
    request.begin = sequencer_.next();
    for (; at != lost.end() && at->first == request.first + hashes.size(); ++at) {
      hashes.push_back(journal::sector_hash(at->second));
      contents.write(at->first, at->second);
    }
    request.count = hashes.size();
    request.moved = sequencer_.next();
    request.end = sequencer_.next();
    journal_->append(request, hashes, {}, 0);
  }
}

}  // namespace snapbed::recorder
