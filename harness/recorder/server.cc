// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a request: begin stamp, rules, hashes, lock on the range, moved stamp, data, unlock,
// marks, end stamp with the journal's record, reply. Hashing and copying happen outside of every
// lock that two requests on different sectors could share.
#include "recorder/server.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"
#include "journal/pattern.h"
#include "plan/mark.h"

namespace snapbed::recorder {

namespace {

using journal::kNever;
using journal::kSectorBytes;
using journal::Op;
using journal::Request;
using journal::Role;

// Judging a cycle takes a second or two; a harness that is alive and silent for this long has a
// bug.
constexpr auto kAnswerPatience = std::chrono::minutes(30);

bool changes_data(Op op) {
  return op == Op::write || op == Op::trim || op == Op::zero;
}

bool is_workload(Role role) {
  return role == Role::data || role == Role::storage || role == Role::scratch;
}

std::vector<journal::Disk> disks_of(const Config& config) {
  std::vector<journal::Disk> disks;
  for (const DiskConfig& disk : config.disks) disks.push_back(disk.disk);
  return disks;
}

SeenMark seen(const plan::Mark& mark) {
  const auto text = nlohmann::json::parse(mark.text, nullptr, false);
  const auto word = [&](const char* key) {
    const bool there = text.is_object() && text.contains(key) && text[key].is_string();
    return there ? text[key].get<std::string>() : std::string();
  };
  return {static_cast<std::uint16_t>(mark.kind), mark.step, mark.cycle, word("op"), word("label")};
}

}  // namespace

// Counts the requests whose threads are in here.
class Inside {
 public:
  explicit Inside(std::atomic<std::uint64_t>& count) : count_(count) { ++count_; }
  ~Inside() { --count_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  std::atomic<std::uint64_t>& count_;
};

// A request with its buffer: `in` of a write, `out` of a read.
struct Server::Work {
  Request request;
  std::span<const std::uint8_t> in;
  std::span<std::uint8_t> out;
};

Server::Server(Config config)
    : config_(std::move(config)),
      control_(config_.control_fd >= 0 ? std::make_unique<Control>(config_.control_fd) : nullptr),
      rules_(config_.rules, config_.seed, sequencer_, [this](const journal::RuleAction& action) {
        if (dead_.load() == 0 || off_.load()) journal_->append(action);
      }) {
  for (const DiskConfig& disk : config_.disks) {
    contents_.push_back(make_disk(disk, config_.seed, config_.dir));
    const bool forgets = config_.volatile_disks && is_workload(disk.disk.role);
    const std::uint64_t block = disk.logical_block / journal::kSectorBytes;
    caches_.push_back(forgets ? std::make_unique<VolatileCache>(VolatileCache::kLimit, block)
                              : nullptr);
  }
  journal::WriterOptions options;
  options.dir = config_.dir;
  options.seed = config_.seed;
  options.plan = config_.plan;
  options.disks = disks_of(config_);
  options.limit_bytes = config_.journal_limit_bytes;
  options.on_error = [this](const std::string& what) { tell_error(what); };
  journal_ = std::make_unique<journal::Writer>(std::move(options));
}

void Server::start(std::function<void()> exit, std::function<bool()> stopping) {
  exit_ = std::move(exit);
  if (!control_) return;
  Control::Handlers handlers;
  handlers.command = [this](const nlohmann::json& message) { command(message); };
  handlers.gone = [this] {
    finish();
    exit_();
  };
  handlers.stopping = std::move(stopping);
  control_->send({{"ev", "ready"}});
  control_->run(std::move(handlers));
}

void Server::tell_error(const std::string& what) {
  if (control_) control_->send({{"ev", "error"}, {"what", what}});
}

std::optional<std::uint16_t> Server::find(std::string_view name) const {
  for (const DiskConfig& config : config_.disks) {
    if (config.disk.name == name) return config.disk.id;
  }
  return std::nullopt;
}

int Server::read(std::uint16_t disk, std::uint64_t first, std::span<std::uint8_t> out) {
  Work work;
  work.request.disk = disk;
  work.request.op = Op::read;
  work.request.first = first;
  work.request.count = out.size() / kSectorBytes;
  work.out = out;
  return perform(work);
}

int Server::write(std::uint16_t disk, std::uint64_t first, std::span<const std::uint8_t> bytes,
                  bool fua) {
  Work work;
  work.request.disk = disk;
  work.request.op = Op::write;
  work.request.fua = fua;
  work.request.first = first;
  work.request.count = bytes.size() / kSectorBytes;
  work.in = bytes;
  return perform(work);
}

int Server::trim(std::uint16_t disk, std::uint64_t first, std::uint64_t count, bool fua) {
  Work work;
  work.request.disk = disk;
  work.request.op = Op::trim;
  work.request.fua = fua;
  work.request.first = first;
  work.request.count = count;
  return perform(work);
}

int Server::zero(std::uint16_t disk, std::uint64_t first, std::uint64_t count, bool fua) {
  Work work;
  work.request.disk = disk;
  work.request.op = Op::zero;
  work.request.fua = fua;
  work.request.first = first;
  work.request.count = count;
  return perform(work);
}

int Server::flush(std::uint16_t disk) {
  Work work;
  work.request.disk = disk;
  work.request.op = Op::flush;
  return perform(work);
}

int Server::perform(Work work) {
  const Inside inside(inside_);
  const std::uint64_t sectors = config_.disks[work.request.disk].disk.sectors;
  if (work.request.first > sectors || work.request.count > sectors - work.request.first) {
    return EINVAL;
  }
  InFlight::Lease lease(in_flight_);
  Slot& slot = lease.slot();
  {
    const std::lock_guard lock(slot.mutex);
    slot.open = dead_.load() == 0;
    if (slot.open) {
      work.request.begin = sequencer_.next();
      slot.request = work.request;
      slot.since = std::chrono::steady_clock::now();
      slot.held = false;
    }
  }
  if (work.request.begin == kNever) return gone();
  if (changes_data(work.request.op) && cut_is_due(work.request.disk)) cut_power();
  const Rules::Decision decision = rules_.on_begin(work.request);
  int error = 0;
  try {
    error = obey(slot, work, decision);
  } catch (const std::exception& failure) {
    tell_error(std::string("a request on ") + config_.disks[work.request.disk].disk.name +
               " at sector " + std::to_string(work.request.first) + ": " + failure.what());
    error = EIO;
  }
  if (decision.reordered) rules_.passed(*decision.reordered);
  if (decision.hold_reply) {
    set_held(slot, true);
    rules_.wait(*decision.hold_reply);
    set_held(slot, false);
    if (const int lost = rules_.caught(work.request).error; lost != 0) error = lost;
  }
  if (error == 0 && !slot.payload.empty()) obey_marks(slot);
  end(slot, error);
  return dead_.load() != 0 ? gone() : error;
}

// Rules first, before the range is locked, so that a held request keeps nobody else waiting.
int Server::obey(Slot& slot, Work& work, const Rules::Decision& begun) {
  Rules::Decision decision = begun;
  if (begun.hold_data || begun.delay_rule || begun.reordered) {
    set_held(slot, true);
    if (begun.hold_data) rules_.wait(*begun.hold_data);
    if (begun.delay_rule) rules_.delay(*begun.delay_rule, work.request);
    if (begun.reordered) rules_.wait_turn(*begun.reordered, work.request);
    set_held(slot, false);
    decision = rules_.caught(work.request);
  }
  if (decision.error != 0 && !decision.torn) return decision.error;
  take_in(slot, work);
  const int error = move(slot, work, decision.torn);
  return error != 0 ? error : decision.error;
}

// Hashes what is to be written. The vectors belong to this thread until the moved stamp is set.
void Server::take_in(Slot& slot, const Work& work) {
  slot.hashes.clear();
  slot.payload.clear();
  if (work.request.op != Op::write) return;
  slot.hashes.resize(work.request.count);
  for (std::uint64_t i = 0; i < work.request.count; ++i) {
    slot.hashes[i] = journal::sector_hash(work.in.subspan(i * kSectorBytes, kSectorBytes));
  }
  if (config_.disks[work.request.disk].disk.role == Role::marks) {
    slot.payload.assign(work.in.begin(), work.in.end());
  }
}

// What a torn write leaves behind: the old content where nothing moves.
std::vector<std::uint8_t> Server::tear(Slot& slot, Disk& disk, const Work& work,
                                       const Rules::Torn& moves) {
  std::vector<std::uint8_t> left(work.in.begin(), work.in.end());
  for (std::uint64_t i = 0; i < work.request.count; ++i) {
    if (moves[i]) continue;
    const std::span<std::uint8_t> sector(left.data() + i * kSectorBytes, kSectorBytes);
    disk.read(work.request.first + i, sector);
    slot.hashes[i] = journal::sector_hash(sector);
  }
  return left;
}

int Server::move(Slot& slot, Work& work, const std::optional<Rules::Torn>& torn) {
  Disk& disk = *contents_[work.request.disk];
  const bool changes = changes_data(work.request.op);
  const auto hold =
      disk.lock.acquire(work.request.first, work.request.count,
                        changes ? RangeLock::Mode::exclusive : RangeLock::Mode::shared);
  std::vector<std::uint8_t> left;
  if (torn) {
    left = tear(slot, disk, work, *torn);
    work.in = left;
  }
  VolatileCache* cache = changes ? caches_[work.request.disk].get() : nullptr;
  std::vector<std::uint8_t> replaced;
  if (cache != nullptr && cache->takes(work.request.count)) {
    replaced.resize(work.request.count * kSectorBytes);
    disk.read(work.request.first, replaced);
  }
  {
    const std::lock_guard lock(slot.mutex);
    if (const int dead = dead_.load(); dead != 0) return dead;
    slot.request.moved = sequencer_.next();
  }
  if (!replaced.empty()) cache->moving(work.request, std::move(replaced));
  switch (work.request.op) {
    case Op::read:
      return disk.read(work.request.first, work.out);
    case Op::write:
      return disk.write(work.request.first, work.in);
    case Op::trim:
    case Op::zero:
      return disk.zero(work.request.first, work.request.count);
    case Op::flush:
      return 0;
  }
  return EINVAL;
}

// Rules hear of a mark before the harness does, and the harness before the guest: what a mark sets
// off is in place when the guest goes on.
void Server::obey_marks(Slot& slot) {
  const std::span<const std::uint8_t> payload(slot.payload);
  for (std::uint64_t i = 0; i < slot.request.count; ++i) {
    const auto bytes = payload.subspan(i * kSectorBytes, kSectorBytes);
    const auto mark = plan::decode_mark(bytes);
    if (!mark) {
      tell_error("marks disk: what was written to sector " +
                 std::to_string(slot.request.first + i) + " is no mark");
      continue;
    }
    const SeenMark told = seen(*mark);
    rules_.on_mark(told);
    const bool waits =
        control_ && (mark->kind == plan::MarkKind::cycle_end || mark->kind == plan::MarkKind::done);
    if (waits) flush_journal();
    if (control_) {
      control_->send({{"ev", "mark"},
                      {"kind", static_cast<int>(mark->kind)},
                      {"sequence", mark->sequence},
                      {"step", mark->step},
                      {"cycle", mark->cycle},
                      {"text", mark->text},
                      {"stamp", slot.request.begin}});
    }
    if (mark->kind == plan::MarkKind::step_begin && told.op == "power_cut") {
      obey_power_cut(nlohmann::json::parse(mark->text, nullptr, false));
    }
    if (!waits) continue;
    set_held(slot, true);
    wait_for_answer(mark->sequence);
    set_held(slot, false);
  }
}

void Server::wait_for_answer(std::uint64_t sequence) {
  std::unique_lock lock(answer_mutex_);
  const bool answered = answered_.wait_for(
      lock, kAnswerPatience, [&] { return answer_all_ || answers_.contains(sequence); });
  answers_.erase(sequence);
  lock.unlock();
  if (!answered) {
    tell_error("mark " + std::to_string(sequence) + " was not answered within " +
               std::to_string(kAnswerPatience.count()) + " minutes");
  }
}

void Server::answer(std::uint64_t sequence) {
  {
    const std::lock_guard lock(answer_mutex_);
    answers_.insert(sequence);
  }
  answered_.notify_all();
}

void Server::set_held(Slot& slot, bool held) {
  const std::lock_guard lock(slot.mutex);
  slot.held = held;
}

void Server::end(Slot& slot, int error) {
  Request request;
  {
    const std::lock_guard lock(slot.mutex);
    if (dead_.load() != 0) {
      if (slot.open) seal(slot);
      return;
    }
    slot.open = false;
    slot.request.error = error;
    slot.request.end = sequencer_.next();
    append(slot);
    request = slot.request;
    remember(request);
  }
  rules_.on_end(request);
  count(request);
}

// The last that the journal hears of a request that the end of everything has caught, by whoever
// comes first: its own thread or whoever makes the end. What the power took ends by that. The
// slot's mutex is held.
void Server::seal(Slot& slot) {
  slot.open = false;
  bool off = false;
  {
    const std::lock_guard lock(power_mutex_);
    off = off_;
  }
  if (off) {
    slot.request.error = EIO;
    slot.request.end = sequencer_.next();
  }
  append(slot);
}

// To the journal, as far as it has come; the slot's mutex is held.
void Server::append(const Slot& slot) {
  const bool with_bytes = slot.request.moved != kNever && slot.request.op == Op::write;
  journal_->append(slot.request, with_bytes ? slot.hashes : std::span<const std::uint64_t>{},
                   with_bytes ? slot.payload : std::span<const std::uint8_t>{}, slot.index);
}

// What a cut of the power can no longer take back.
void Server::remember(const Request& request) {
  VolatileCache* cache = caches_[request.disk].get();
  if (cache == nullptr) return;
  if (changes_data(request.op)) cache->ended(request.begin, request.end, request.fua);
  if (request.op == Op::flush && request.error == 0) cache->flushed(request.begin);
}

void Server::count(const Request& request) {
  const auto add = [](std::atomic<std::uint64_t>& counter, std::uint64_t n) {
    counter.fetch_add(n, std::memory_order_relaxed);
  };
  const std::uint64_t bytes = request.count * kSectorBytes;
  add(counters_.all, 1);
  if (request.op == Op::write) add(counters_.all_bytes, bytes);
  if (config_.disks[request.disk].disk.role != Role::data) return;
  if (request.error != 0) {
    add(counters_.failed, 1);
  } else if (changes_data(request.op)) {
    add(counters_.writes, 1);
    add(counters_.bytes, bytes);
  } else if (request.op == Op::read) {
    add(counters_.reads, 1);
    add(counters_.read_bytes, bytes);
  } else {
    add(counters_.flushes, 1);
  }
}

bool Server::flush_journal() {
  in_flight_.for_each_open([this](Slot& slot) { append(slot); });
  return journal_->flush();
}

// The order matters: once dead_ is set no slot can pass a stamp any more, and once all are sealed
// nobody appends: what the flush finds is final.
void Server::cut() {
  int alive = 0;
  if (!dead_.compare_exchange_strong(alive, EIO)) return;
  in_flight_.for_each_open([this](Slot& slot) { seal(slot); });
  journal_->flush();
  rules_.release_all("cut");
}

void Server::finish() {
  int alive = 0;
  dead_.compare_exchange_strong(alive, ESHUTDOWN);
  in_flight_.for_each_open([this](Slot& slot) { seal(slot); });
  journal_->close();
  rules_.release_all("quit");
  {
    const std::lock_guard lock(answer_mutex_);
    answer_all_ = true;
  }
  answered_.notify_all();
  if (control_) control_->drain();
}

Stats Server::stats() {
  Stats stats;
  const auto now = std::chrono::steady_clock::now();
  in_flight_.for_each_open([&](const Slot& slot) {
    ++stats.in_flight;
    stats.held += slot.held;
    if (slot.held) return;
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - slot.since);
    stats.oldest_ms = std::max(stats.oldest_ms,
                               static_cast<std::uint64_t>(std::max<std::int64_t>(age.count(), 0)));
  });
  {
    const std::lock_guard lock(power_mutex_);
    stats.left = waiting_;
  }
  stats.writes = counters_.writes.load();
  stats.bytes = counters_.bytes.load();
  stats.reads = counters_.reads.load();
  stats.read_bytes = counters_.read_bytes.load();
  stats.flushes = counters_.flushes.load();
  stats.failed = counters_.failed.load();
  stats.all_requests = counters_.all.load();
  stats.all_bytes_written = counters_.all_bytes.load();
  for (const auto& disk : contents_) stats.store_bytes += disk->memory_bytes();
  stats.journal_bytes = journal_->bytes_written();
  return stats;
}

void Server::command(const nlohmann::json& message) {
  const auto name = message.value("cmd", nlohmann::json());
  if (name == "answer" && message.contains("sequence") &&
      message["sequence"].is_number_unsigned()) {
    answer(message["sequence"].get<std::uint64_t>());
  } else if (name == "stats") {
    const Stats now = stats();
    control_->send({{"ev", "stats"},
                    {"writes", now.writes},
                    {"bytes", now.bytes},
                    {"reads", now.reads},
                    {"read_bytes", now.read_bytes},
                    {"flushes", now.flushes},
                    {"failed", now.failed},
                    {"all_requests", now.all_requests},
                    {"all_bytes_written", now.all_bytes_written},
                    {"in_flight", now.in_flight},
                    {"held", now.held},
                    {"oldest_ms", now.oldest_ms},
                    {"store_bytes", now.store_bytes},
                    {"journal_bytes", now.journal_bytes}});
  } else if (name == "flush") {
    control_->send({{"ev", "flushed"}, {"ok", flush_journal()}});
  } else if (name == "cut") {
    cut();
    control_->send({{"ev", "cut"}});
  } else if (name == "power") {
    try {
      restore_power();
      control_->send({{"ev", "power"}});
    } catch (const std::exception& error) {
      tell_error(error.what());
    }
  } else if (name == "quit") {
    finish();
    exit_();
  } else {
    tell_error("control: unknown or incomplete command " + message.dump());
  }
}

}  // namespace snapbed::recorder
