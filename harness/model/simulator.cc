// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/simulator.h"

#include <algorithm>
#include <coroutine>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/random.h"
#include "plan/ledger.h"

namespace snapbed::model::test {

namespace {

using journal::Op;
using journal::Role;

// A thread of the guest or a request on its way: a coroutine that others may await.
class Task {
 public:
  struct promise_type {
    std::coroutine_handle<> waiting;
    bool detached = false;
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> done) noexcept {
        const std::coroutine_handle<> next =
            done.promise().waiting ? done.promise().waiting : std::noop_coroutine();
        if (done.promise().detached) done.destroy();
        return next;
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }
  // Gives the coroutine to the scheduler, which runs it to its end.
  std::coroutine_handle<> detach() {
    handle_.promise().detached = true;
    return std::exchange(handle_, {});
  }
  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) {
    handle_.promise().waiting = waiting;
    return handle_;
  }
  void await_resume() const {}

 private:
  std::coroutine_handle<promise_type> handle_;
};

// Of all that may go on, one is drawn at random.
class Scheduler {
 public:
  explicit Scheduler(base::Random random) : random_(random) {}

  struct Wait {
    Scheduler& scheduler;
    std::function<bool()> ready;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      scheduler.waiting_.push_back({handle, std::move(ready)});
    }
    void await_resume() const {}
  };
  Wait pause() { return {*this, {}}; }
  Wait until(std::function<bool()> ready) { return {*this, std::move(ready)}; }
  void spawn(Task task) { waiting_.push_back({task.detach(), {}}); }

  void run() {
    std::vector<std::size_t> runnable;
    while (!waiting_.empty()) {
      runnable.clear();
      for (std::size_t i = 0; i < waiting_.size(); ++i) {
        if (!waiting_[i].ready || waiting_[i].ready()) runnable.push_back(i);
      }
      if (runnable.empty()) throw std::logic_error("the simulated guest is stuck");
      const std::size_t chosen = runnable[random_.below(runnable.size())];
      const std::coroutine_handle<> handle = waiting_[chosen].handle;
      std::swap(waiting_[chosen], waiting_.back());
      waiting_.pop_back();
      handle.resume();
    }
  }

 private:
  struct Entry {
    std::coroutine_handle<> handle;
    std::function<bool()> ready;
  };
  base::Random random_;
  std::vector<Entry> waiting_;
};

constexpr std::uint64_t kUnit = 8;           // sectors of a unit of copy
constexpr std::uint64_t kBlock = 8;          // sectors of a map block (shift 12)
constexpr std::uint64_t kStorage = 1 << 16;  // sectors of the storage disk
constexpr std::uint16_t kEio = 5;
constexpr std::uint64_t kLedgerBlocks = 256;

enum class Save : std::uint8_t { none, claimed, saved };

struct Origin {
  std::string name;
  std::uint16_t disk = 0;
  std::vector<std::uint64_t> content;  // what the host's disk holds
  bool gate_open = true;
  int in_flight = 0;
  bool tracked = false;
  bool held = false;
  std::uint8_t active_number = 1;
  std::vector<std::uint8_t> active, readable;
  std::vector<Save> save;
  std::map<std::uint64_t, std::uint64_t> saved;  // image sector -> content
};

class Simulation {
 public:
  explicit Simulation(const SimulatorOptions& options)
      : options_(options),
        random_(options.seed * 977 + 5),
        scheduler_(random_.fork(1)),
        builder_(options.seed) {}

  JournalBuilder run() {
    builder_.plan.module_parameters["tracking_block_minimum_shift"] = "12";
    builder_.disk("marks", Role::marks, 64);
    evidence_ = builder_.disk("evidence", Role::evidence, 1 << 20);
    for (int i = 0; i < 2; ++i) {
      Origin origin;
      origin.name = "data" + std::to_string(i);
      origin.disk = builder_.disk(origin.name, Role::data, options_.sectors,
                                  i == 0 ? journal::Initial::zero : journal::Initial::seeded);
      origin.content = initial(origin.disk, i == 1);
      origin.active.resize(options_.sectors / kBlock, 0);
      origins_.push_back(std::move(origin));
    }
    storage_ = builder_.disk("store0", Role::storage, kStorage);
    scratch_ = builder_.disk("scratch", Role::scratch, 512);
    scheduler_.spawn(agent());
    scheduler_.run();
    return std::move(builder_);
  }

 private:
  bool bug(Bug bug) const { return options_.bug == bug; }

  std::vector<std::uint64_t> initial(std::uint16_t disk, bool seeded) const {
    std::vector<std::uint64_t> hashes;
    journal::SectorBytes bytes{};
    for (std::uint64_t s = 0; s < options_.sectors; ++s) {
      if (seeded) journal::fill_sector(journal::initial_key(options_.seed, disk), s, bytes);
      hashes.push_back(journal::sector_hash(bytes));
    }
    return hashes;
  }
  std::uint64_t zero() const { return journal::sector_hash(journal::SectorBytes{}); }

  // ---- the host ----

  // A stage of a request: mostly short, now and then long enough for others to overtake.
  Task stage() {
    co_await scheduler_.pause();
    if (!random_.chance(0.05)) co_return;
    const std::uint64_t turns = random_.between(1, 40);
    for (std::uint64_t i = 0; i < turns; ++i) co_await scheduler_.pause();
  }

  Task host_read(Origin& origin, std::uint64_t first, std::uint64_t count,
                 std::vector<std::uint64_t>& out) {
    co_await stage();
    const std::size_t request = builder_.begin(origin.disk, Op::read, first, count);
    co_await stage();
    builder_.move(request);
    const auto from = origin.content.begin() + static_cast<std::ptrdiff_t>(first);
    out.assign(from, from + static_cast<std::ptrdiff_t>(count));
    co_await stage();
    builder_.end(request);
    co_await scheduler_.pause();
  }

  Task host_change(Origin& origin, Op op, std::uint64_t first, std::vector<std::uint64_t> data,
                   bool& failed) {
    co_await stage();
    const std::size_t request = builder_.begin(origin.disk, op, first, data.size());
    co_await stage();
    failed = options_.errors && random_.chance(0.03);
    const bool torn = failed && op == Op::write && random_.chance(0.5);
    if (!failed || torn) {
      const std::size_t reached = torn ? random_.below(data.size()) : data.size();
      for (std::size_t i = 0; i < data.size(); ++i) {
        if (i < reached) origin.content[first + i] = data[i];
        data[i] = origin.content[first + i];
      }
      builder_.move(request, op == Op::write ? data : std::vector<std::uint64_t>{});
    }
    co_await stage();
    builder_.end(request, failed ? kEio : 0);
    co_await scheduler_.pause();
  }

  Task host_write_elsewhere(std::uint16_t disk, std::uint64_t first,
                            std::vector<std::uint64_t> data) {
    co_await stage();
    const std::size_t request = builder_.begin(disk, Op::write, first, data.size());
    co_await stage();
    builder_.move(request, data);
    co_await stage();
    builder_.end(request);
    co_await scheduler_.pause();
  }

  // ---- the module ----

  void mark(Origin& origin, std::uint8_t number, std::uint64_t first, std::uint64_t count) {
    if (!origin.tracked) return;
    if (bug(Bug::lost_mark) && random_.chance(0.2)) return;
    if (bug(Bug::over_reports) && random_.chance(0.05)) {
      for (auto& byte : origin.active) byte = number;
    }
    for (std::uint64_t b = first / kBlock; b <= (first + count - 1) / kBlock; ++b) {
      // An old number never replaces a newer one, whatever else is wrong.
      origin.active[b] = std::max(origin.active[b], number);
    }
  }

  // Counted from here on: a task runs when its turn comes, and DESTROY must not overtake it.
  void begin_store(std::map<std::uint64_t, std::uint64_t> data) {
    ++stores_;
    scheduler_.spawn(store(std::move(data)));
  }

  Task store(std::map<std::uint64_t, std::uint64_t> data) {
    std::vector<std::uint64_t> hashes;
    for (const auto& [sector, hash] : data) hashes.push_back(hash);
    std::uint64_t at = next_storage_;
    next_storage_ += hashes.size();
    if (bug(Bug::store_outside)) at += kStorage / 2;
    if (bug(Bug::store_overlap)) at = 0;
    if (bug(Bug::stores_new_data)) {
      for (auto& hash : hashes) {
        if (random_.chance(0.3)) hash = random_();
      }
    }
    co_await host_write_elsewhere(storage_, at, hashes);
    --stores_;
  }

  Task save_unit(Origin& origin, std::uint64_t unit) {
    const std::uint64_t first = unit * kUnit;
    const std::uint64_t count = std::min(kUnit, options_.sectors - first);
    std::uint64_t from = first;
    if (bug(Bug::copies_wrong_sector) && first >= kUnit) from -= kUnit;
    const std::uint32_t cycle = builder_.cycle;
    std::vector<std::uint64_t> data;
    co_await host_read(origin, from, count, data);
    if (!origin.held || builder_.cycle != cycle) co_return;
    std::map<std::uint64_t, std::uint64_t> piece;
    for (std::uint64_t i = 0; i < count; ++i) piece[first + i] = data[i];
    origin.saved.insert(piece.begin(), piece.end());
    origin.save[unit] = Save::saved;
    begin_store(std::move(piece));
  }

  // Returns when every touched unit is safe.
  Task make_safe(Origin& origin, std::uint64_t first, std::uint64_t count) {
    const std::uint64_t from = first / kUnit;
    const std::uint64_t to = (first + count - 1) / kUnit;
    for (std::uint64_t unit = from; unit <= to; ++unit) {
      if (!origin.held) co_return;
      if (origin.save[unit] == Save::claimed && bug(Bug::second_writer_passes)) continue;
      if (origin.save[unit] == Save::claimed) {
        co_await scheduler_.until(
            [&origin, unit] { return !origin.held || origin.save[unit] == Save::saved; });
        continue;
      }
      if (origin.save[unit] == Save::saved) continue;
      origin.save[unit] = Save::claimed;
      if (bug(Bug::release_on_submit)) {
        scheduler_.spawn(save_unit(origin, unit));
      } else {
        co_await save_unit(origin, unit);
      }
    }
  }

  // A change that nobody waits for.
  Task forgotten_change(Origin& origin, Op op, std::uint64_t first,
                        std::vector<std::uint64_t> data) {
    bool failed = false;
    co_await host_change(origin, op, first, std::move(data), failed);
  }

  Task guest_change(Origin& origin, Op op, std::uint64_t first, std::vector<std::uint64_t> data,
                    bool& failed) {
    co_await scheduler_.pause();
    const std::uint8_t early = origin.active_number;
    for (int i = 0; bug(Bug::mark_outside_gate) && i < 40; ++i) co_await scheduler_.pause();
    co_await scheduler_.until([&origin] { return origin.gate_open; });
    ++origin.in_flight;
    mark(origin, bug(Bug::mark_outside_gate) ? early : origin.active_number, first, data.size());
    if (origin.held) co_await make_safe(origin, first, data.size());
    if (bug(Bug::loses_write) && random_.chance(0.05)) {
      --origin.in_flight;
      co_return;
    }
    if (bug(Bug::ends_early) && random_.chance(0.05)) {
      scheduler_.spawn(forgotten_change(origin, op, first, std::move(data)));
      --origin.in_flight;
      co_return;
    }
    if (bug(Bug::doubles_write) && random_.chance(0.05)) {
      scheduler_.spawn(forgotten_change(origin, op, first, data));
    }
    if (bug(Bug::moves_write) && random_.chance(0.05)) {
      first += first + data.size() < options_.sectors ? 1 : 0;
    }
    if (data.size() > 1 && random_.chance(0.2)) {  // split below the hook
      const std::size_t half = data.size() / 2;
      const std::vector<std::uint64_t> front(data.begin(), data.begin() + static_cast<long>(half));
      const std::vector<std::uint64_t> back(data.begin() + static_cast<long>(half), data.end());
      bool also = false;
      co_await host_change(origin, op, first, front, failed);
      co_await host_change(origin, op, first + half, back, also);
      failed = failed || also;
    } else {
      co_await host_change(origin, op, first, std::move(data), failed);
    }
    if (bug(Bug::swallows_error)) failed = false;
    --origin.in_flight;
  }

  Task flip(Origin& origin) {
    origin.gate_open = false;
    co_await scheduler_.pause();
    const bool drain = options_.drains && !bug(Bug::no_drain);
    if (drain) co_await scheduler_.until([&origin] { return origin.in_flight == 0; });
  }

  void capture(Origin& origin) {
    origin.held = true;
    origin.save.assign((options_.sectors + kUnit - 1) / kUnit, Save::none);
    origin.saved.clear();
    origin.readable = origin.active;
    ++origin.active_number;
    if (bug(Bug::lost_map_byte)) {
      for (auto& byte : origin.readable) {
        if (byte == origin.active_number - 1) {
          byte = 0;
          break;
        }
      }
    }
    origin.gate_open = true;
  }

  Task take() {
    if (bug(Bug::flip_one_by_one)) {
      for (Origin& origin : origins_) {
        co_await flip(origin);
        capture(origin);
        for (int i = 0; i < 60; ++i) co_await scheduler_.pause();
      }
      co_return;
    }
    for (Origin& origin : origins_) co_await flip(origin);
    for (Origin& origin : origins_) {
      if (options_.drains && !bug(Bug::no_drain)) {
        co_await scheduler_.until([&origin] { return origin.in_flight == 0; });
      }
    }
    for (Origin& origin : origins_) capture(origin);
  }

  Task read_image_unit(Origin& origin, std::uint64_t first, std::uint64_t count,
                       std::vector<std::uint64_t>& out) {
    const std::uint64_t unit = first / kUnit;
    if (bug(Bug::drops_saved) && copies_ > 2 && origin.save[unit] == Save::saved &&
        random_.chance(0.3)) {
      co_await host_read(origin, first, count, out);
      co_return;
    }
    if (origin.save[unit] == Save::none) {
      co_await host_read(origin, first, count, out);
      if (origin.save[unit] == Save::none || bug(Bug::no_recheck)) co_return;
    }
    co_await scheduler_.until([&origin, unit] { return origin.save[unit] == Save::saved; });
    out.clear();
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(origin.saved.at(first + i));
  }

  // ---- the agent and its load ----

  plan::LedgerEntry ledger_entry(const Origin& origin, Op op, std::uint64_t first,
                                 std::uint64_t count) {
    plan::LedgerEntry entry;
    entry.number = ++issued_;
    entry.begin = ++guest_;
    entry.first = first;
    entry.count = static_cast<std::uint32_t>(count);
    entry.device = static_cast<std::uint8_t>(&origin - origins_.data());
    entry.op = op == Op::write  ? plan::LedgerOp::write
               : op == Op::trim ? plan::LedgerOp::discard
                                : plan::LedgerOp::zero;
    return entry;
  }
  std::vector<std::uint64_t> ledger_contents(const plan::LedgerEntry& entry) const {
    std::vector<std::uint64_t> hashes;
    journal::SectorBytes bytes;
    for (std::uint32_t i = 0; i < entry.count; ++i) {
      plan::fill_ledger_sector(ledger_key_, entry.device, entry.first + i, entry.number, entry.seen,
                               bytes);
      hashes.push_back(journal::sector_hash(bytes));
    }
    return hashes;
  }

  Task begin_ledger() {
    std::uint32_t id = 0;
    ledger_base_ = builder_.put(std::vector<std::uint8_t>(kLedgerBlocks * plan::kLedgerBlockBytes));
    const Json args = Json::object({{"name", "storm"}, {"devices", {"data0", "data1"}}});
    co_await begin_step("ledger_start", args, id);
    ledger_key_ = plan::ledger_key(options_.seed, id);
    running_ = static_cast<int>(options_.writers);
    for (std::uint32_t i = 0; i < options_.writers; ++i) scheduler_.spawn(writer());
    const Json answer = Json::object({{"base", ledger_base_}, {"blocks_limit", kLedgerBlocks}});
    co_await end_step(id, answer);
  }

  Task end_ledger() {
    std::uint32_t id = 0;
    const Json args = Json::object({{"name", "storm"}});
    co_await begin_step("ledger_stop", args, id);
    stop_ = true;
    co_await scheduler_.until([this] { return running_ == 0; });
    const Json answer =
        Json::object({{"blocks", put_ledger()}, {"issued", issued_}, {"errors", 0}});
    co_await end_step(id, answer);
  }

  std::uint64_t put_ledger() {
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < entries_.size() || number == 0; ++number) {
      const std::size_t count = std::min(plan::kLedgerBlockEntries, entries_.size() - at);
      const auto from = entries_.begin() + static_cast<std::ptrdiff_t>(at);
      const plan::LedgerBlock block{
          ledger_key_, number, issued_, {from, from + static_cast<std::ptrdiff_t>(count)}};
      const auto bytes = plan::encode_ledger_block(block);
      if (number == kLedgerBlocks) throw std::logic_error("the simulated ledger is full");
      std::copy(bytes.begin(), bytes.end(),
                builder_.files.begin() +
                    static_cast<std::ptrdiff_t>(ledger_base_ + number * bytes.size()));
      at += count;
    }
    return number;
  }

  Task writer() {
    while (!stop_) {
      co_await scheduler_.pause();
      for (std::uint32_t i = 0; i < options_.idle && !stop_; ++i) co_await scheduler_.pause();
      Origin& origin = origins_[random_.below(origins_.size())];
      const std::uint64_t count = random_.between(1, 12);
      const std::uint64_t first = random_.below(options_.sectors - count);
      if (!options_.ledger && random_.chance(0.02) && origin.tracked && origin.gate_open) {
        mark(origin, origin.active_number, first, count);  // refused for NOWAIT after the mark
        continue;
      }
      const Op op = random_.chance(0.1) ? (random_.chance(0.5) ? Op::trim : Op::zero) : Op::write;
      std::vector<std::uint64_t> data(count, zero());
      plan::LedgerEntry entry;
      if (options_.ledger) {
        entry = ledger_entry(origin, op, first, count);
        if (op == Op::write) data = ledger_contents(entry);
      } else if (op == Op::write) {
        const std::uint64_t same = random_.chance(0.1) ? random_.below(3) + 1 : 0;
        for (auto& hash : data) hash = same != 0 ? same : random_();
      }
      bool failed = false;
      co_await guest_change(origin, op, first, std::move(data), failed);
      if (options_.ledger) {
        entry.end = ++guest_;
        if (failed) entry.result = kEio;
        entries_.push_back(entry);
      }
      if (op == Op::write && !failed) told_ += count * journal::kSectorBytes;
    }
    --running_;
  }

  Task put_mark(plan::MarkKind kind, std::uint32_t step, Json text) {
    co_await scheduler_.until([this] { return !mark_busy_; });
    mark_busy_ = true;
    const std::size_t mark = builder_.begin_mark(kind, step, text);
    co_await scheduler_.pause();
    builder_.end_mark(mark);
    mark_busy_ = false;
    co_await scheduler_.pause();
  }
  Task begin_step(const char* op, Json args, std::uint32_t& id) {
    id = builder_.step(op, std::move(args));
    const Json json1 = Json::object({{"op", op}});
    co_await put_mark(plan::MarkKind::step_begin, id, json1);
    called_[id] = ++guest_;
  }
  Task end_step(std::uint32_t id, Json answer) {
    answer["result"] = 0;
    answer["guest"].push_back(called_[id]);
    answer["guest"].push_back(++guest_);
    co_await put_mark(plan::MarkKind::step_end, id, std::move(answer));
  }

  Task copy_image(Origin& origin, bool shuffled) {
    std::uint32_t id = 0;
    const std::uint64_t base = next_evidence_;
    next_evidence_ += options_.sectors;
    ++copies_;
    const Json json2 = Json::object({{"snapshot", "s"},
                                     {"device", origin.name},
                                     {"base", base},
                                     {"mode", shuffled ? "shuffled" : "sequential"},
                                     {"threads", 1},
                                     {"block_bytes", 4096}});
    co_await begin_step("copy_image", json2, id);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pieces;
    for (std::uint64_t s = 0; s < options_.sectors;) {
      const std::uint64_t room = std::min(kUnit - s % kUnit, options_.sectors - s);
      const std::uint64_t count = shuffled ? random_.between(1, room) : room;
      pieces.emplace_back(s, count);
      s += count;
    }
    if (shuffled) random_.shuffle(pieces);
    for (const auto& [first, count] : pieces) {
      std::vector<std::uint64_t> data;
      co_await read_image_unit(origin, first, count, data);
      co_await host_write_elsewhere(evidence_, base + first, std::move(data));
    }
    const Json json3 = Json::object({{"sectors", options_.sectors}, {"bad", 0}});
    co_await end_step(id, json3);
  }

  Task write_image(Origin& origin) {
    std::uint32_t id = 0;
    const Json json4 = Json::object(
        {{"snapshot", "s"}, {"device", origin.name}, {"writes", 3}, {"max_sectors", 12}});
    co_await begin_step("write_image", json4, id);
    for (const plan::Range& range :
         plan::scattered_ranges(options_.seed, id, options_.sectors, 3, 12)) {
      co_await make_safe(origin, range.first, range.count);
      std::map<std::uint64_t, std::uint64_t> piece;
      for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
        piece[s] = origin.saved[s] = builder_.pattern(id, s);
      }
      for (std::uint64_t b = range.first / kBlock; b <= (range.first + range.count - 1) / kBlock;
           ++b) {
        origin.active[b] = origin.active_number;
        origin.readable[b] = static_cast<std::uint8_t>(origin.active_number - 1);
      }
      begin_store(std::move(piece));
      co_await scheduler_.pause();
    }
    const Json json5 = Json::object({{"sectors", 3}});
    co_await end_step(id, json5);
  }

  Task read_map(Origin& origin) {
    std::uint32_t id = 0;
    const Json json6 =
        Json::object({{"snapshot", "s"}, {"device", origin.name}, {"window_bytes", 64}});
    co_await begin_step("read_map", json6, id);
    const std::uint64_t base = builder_.put(origin.readable);
    const Json json7 = Json::object({{"base", base},
                                     {"bytes", origin.readable.size()},
                                     {"blk_size", kBlock * journal::kSectorBytes},
                                     {"blk_count", origin.readable.size()},
                                     {"capacity", options_.sectors * journal::kSectorBytes},
                                     {"generation", "11-" + origin.name},
                                     {"snap_number", origin.active_number - 1}});
    co_await end_step(id, json7);
  }

  Task low_event(std::uint32_t step) {
    const Json json8 = Json::object({{"snapshot", "s"}, {"code", "low"}, {"sectors", 2097152}});
    co_await put_mark(plan::MarkKind::event, step, json8);
    const std::uint64_t first = next_storage_;
    const Json json9 =
        Json::object({{"snapshot", "s"}, {"device", "store0"}, {"ranges", {{first, 8192}}}});
    co_await put_mark(plan::MarkKind::append_begin, step, json9);
    const Json json10 = Json::object({{"snapshot", "s"}, {"result", 0}});
    co_await put_mark(plan::MarkKind::append_end, step, json10);
    appended_ = true;
  }

  Task run_cycle() {
    std::uint32_t id = 0;
    appended_ = false;
    copies_ = 0;
    next_storage_ = (builder_.cycle - 1) * 8192;
    const Json json11 = Json::object({{"snapshot", "s"}, {"devices", {"data0", "data1"}}});
    co_await begin_step("create", json11, id);
    for (Origin& origin : origins_) origin.tracked = true;
    scheduler_.spawn(low_event(id));
    const Json json12 = Json::object({{"id", "00"}});
    co_await end_step(id, json12);
    co_await scheduler_.until([this] { return appended_; });
    for (int i = 0; i < 40; ++i) co_await scheduler_.pause();

    const Json json13 = Json::object({{"snapshot", "s"}});
    co_await begin_step("take", json13, id);
    co_await take();
    co_await end_step(id, Json::object());

    for (Origin& origin : origins_) co_await read_map(origin);
    for (int i = 0; i < 20; ++i) co_await scheduler_.pause();
    for (Origin& origin : origins_) co_await copy_image(origin, false);
    for (int i = 0; i < 200; ++i) co_await scheduler_.pause();
    if (options_.image_writes) co_await write_image(origins_[0]);
    for (Origin& origin : origins_) co_await copy_image(origin, true);
    for (Origin& origin : origins_) co_await read_map(origin);
    co_await destroy();
    co_await put_mark(plan::MarkKind::cycle_end, 0, Json::object());
  }

  Task destroy() {
    std::uint32_t id = 0;
    const Json json14 = Json::object({{"snapshot", "s"}});
    co_await begin_step("destroy", json14, id);
    for (Origin& origin : origins_) origin.held = false;
    co_await scheduler_.until([this] { return stores_ == 0; });
    co_await end_step(id, Json::object());
  }

  Task begin_fio() {
    const std::string job =
        "[global]\nioengine=io_uring\niodepth=8\nbs=6k\n[a]\nfilename=/dev/snapbed/data0\n"
        "[b]\nfilename=/dev/snapbed/data1\n";
    const Json json15 = Json::object({{"name", "storm"}, {"job", job}});
    std::uint32_t fio = 0;
    co_await begin_step("fio_start", json15, fio);
    running_ = static_cast<int>(options_.writers);
    for (std::uint32_t i = 0; i < options_.writers; ++i) scheduler_.spawn(writer());
    co_await end_step(fio, Json::object());
  }

  Task end_fio() {
    std::uint32_t id = 0;
    const Json json16 = Json::object({{"name", "storm"}});
    co_await begin_step("fio_stop", json16, id);
    stop_ = true;
    co_await scheduler_.until([this] { return running_ == 0; });
    const Json json17 = Json::object({{"bytes_written", told_}, {"writes", 1}, {"errors", 0}});
    co_await end_step(id, json17);
  }

  Task agent() {
    builder_.selftest("scratch", scratch_);
    std::uint32_t id = 0;
    co_await begin_step("insmod", Json::object(), id);
    co_await end_step(id, Json::object());
    if (options_.ledger) {
      co_await begin_ledger();
    } else {
      co_await begin_fio();
    }
    for (std::uint32_t cycle = 1; cycle <= options_.cycles; ++cycle) {
      builder_.cycle = cycle;
      co_await run_cycle();
    }
    if (options_.ledger) {
      co_await end_ledger();
    } else {
      co_await end_fio();
    }
    co_await put_mark(plan::MarkKind::done, 0, Json::object());
  }

  SimulatorOptions options_;
  base::Random random_;
  Scheduler scheduler_;
  JournalBuilder builder_;
  std::vector<Origin> origins_;
  std::uint16_t evidence_ = 0;
  std::uint16_t storage_ = 0;
  std::uint16_t scratch_ = 0;
  std::uint64_t next_evidence_ = 0;
  std::uint64_t next_storage_ = 0;
  std::uint64_t told_ = 0;
  int stores_ = 0;
  int running_ = 0;
  int copies_ = 0;
  bool stop_ = false;
  bool mark_busy_ = false;
  bool appended_ = false;
  std::uint64_t guest_ = 0;                        // the guest counter
  std::map<std::uint32_t, std::uint64_t> called_;  // it, when a step was called
  std::uint64_t ledger_key_ = 0;
  std::uint64_t ledger_base_ = 0;
  std::uint64_t issued_ = 0;
  std::vector<plan::LedgerEntry> entries_;
};

}  // namespace

JournalBuilder simulate(const SimulatorOptions& options) {
  return Simulation(options).run();
}

}  // namespace snapbed::model::test
