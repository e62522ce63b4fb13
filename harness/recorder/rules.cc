// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/rules.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "journal/pattern.h"
#include "plan/mark.h"

namespace snapbed::recorder {

namespace {

using journal::Request;
using Clock = std::chrono::steady_clock;

// Set draws of different kinds apart.
constexpr std::uint64_t kDrawAct = 0x72756c65;
constexpr std::uint64_t kDrawTear = 0x74656172;
constexpr std::uint64_t kDrawFate = 0x66617465;

bool intersects(std::uint64_t first, std::uint64_t end, const Request& request) {
  return request.first < end && first < request.first + request.count;
}

// A single sector cannot be torn, nor a write of no more sectors than shall move.
bool can_act(const Rule& rule, const Request& request) {
  return rule.action != Action::tear || request.count > std::max<std::uint64_t>(rule.sectors, 1);
}

}  // namespace

bool matches(const RequestFilter& filter, const Request& request) {
  if (request.disk != filter.disk) return false;
  if (filter.ops != 0 && (filter.ops >> static_cast<unsigned>(request.op) & 1) == 0) return false;
  return filter.count == 0 || intersects(filter.first, filter.first + filter.count, request);
}

bool shares_chunk(const Request& request, const Request& held, std::uint64_t chunk_bytes) {
  if (chunk_bytes == 0) return true;
  const std::uint64_t chunk = chunk_bytes / journal::kSectorBytes;
  const std::uint64_t first = held.first / chunk * chunk;
  const std::uint64_t end = (held.first + held.count + chunk - 1) / chunk * chunk;
  return intersects(first, end, request);
}

Rules::Rules(std::vector<Rule> rules, std::uint64_t seed, Sequencer& sequencer, Recorder record)
    : rules_(std::move(rules)),
      seed_(seed),
      sequencer_(sequencer),
      record_(std::move(record)),
      states_(rules_.size()),
      batches_(seed) {
  for (std::size_t i = 0; i < rules_.size(); ++i) states_[i].armed = rules_[i].after.kind == 0;
}

// Counts a match of an armed rule and says whether it acts on this one. The draw depends on seed,
// rule and number of the draw only, so the same sequence of requests is treated alike.
bool Rules::turn_of(std::uint32_t index) {
  const Rule& rule = rules_[index];
  State& state = states_[index];
  ++state.matched;
  if (rule.occurrence != 0 && state.matched != rule.occurrence) return false;
  if (rule.probability >= 1) return true;
  const std::uint64_t draw =
      journal::mix(journal::mix(seed_ ^ kDrawAct) ^ (std::uint64_t{index} << 32) ^ state.drawn++);
  return static_cast<double>(draw >> 11) * 0x1.0p-53 < rule.probability;
}

bool Rules::admits(std::uint16_t disk) const {
  const auto there = std::count_if(held_.begin(), held_.end(),
                                   [&](const Held& held) { return held.request.disk == disk; });
  return static_cast<std::uint32_t>(there) + batches_.waiting(disk) < kHeldPerDiskLimit;
}

journal::RuleAction Rules::action(std::uint32_t rule, const Request& request, std::string how) {
  return {rule, request.disk, request.begin, sequencer_.next(), std::move(how)};
}

void Rules::record(const Actions& actions) {
  for (const journal::RuleAction& action : actions) record_(action);
}

// What the arrival (or else the end) of a request lets go.
void Rules::release_for(const Request& request, bool beginning, Actions& actions) {
  if (is_nudge(request)) return;
  const auto met = [&](const Release& release, const Request& by) {
    return release.by_match && release.at_begin == beginning && matches(release.match, request) &&
           shares_chunk(request, by, release.same_chunk_bytes);
  };
  for (Held& held : held_) {
    const Release& release = rules_[held.rule].release;
    if (!held.how.empty()) continue;
    if (met(release, held.request)) {
      held.how = "match";
    } else if (beginning && release.count != 0 && request.disk == held.request.disk &&
               ++held.arrivals >= release.count) {
      held.how = "count";
    }
  }
  std::vector<std::uint16_t> back;
  for (const auto& [disk, gone] : gone_) {
    if (met(rules_[gone.rule].release, gone.trigger)) back.push_back(disk);
  }
  for (const std::uint16_t disk : back) reconnect(disk, "back by match", actions);
}

// Whether the request's disk is disconnected; the one after the last that may be refused, and the
// first after its time, find it back.
bool Rules::refuses(const Request& request, Actions& actions) {
  const auto gone = gone_.find(request.disk);
  if (gone == gone_.end()) return false;
  const Release& release = rules_[gone->second.rule].release;
  if (release.time_ms != 0 &&
      Clock::now() - gone->second.since >= std::chrono::milliseconds(release.time_ms)) {
    reconnect(request.disk, "back by time", actions);
    return false;
  }
  if (release.count != 0 && gone->second.refused >= release.count) {
    reconnect(request.disk, "back by count", actions);
    return false;
  }
  ++gone->second.refused;
  return true;
}

void Rules::reconnect(std::uint16_t disk, const char* how, Actions& actions) {
  const auto gone = gone_.find(disk);
  actions.push_back(action(gone->second.rule, gone->second.trigger, how));
  gone_.erase(gone);
}

std::optional<std::uint32_t> Rules::acting_rule(const Request& request) {
  std::optional<std::uint32_t> acting;
  if (!released_all_.empty()) return acting;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (!states_[i].armed || !matches(rules_[i].match, request)) continue;
    if (can_act(rules_[i], request) && turn_of(i) && !acting) acting = i;
  }
  return acting;
}

void Rules::act(std::uint32_t index, const Request& request, Decision& decision, Actions& actions) {
  const Rule& rule = rules_[index];
  const bool waits = rule.action == Action::hold || rule.action == Action::reorder;
  if (waits && !admits(request.disk)) {
    actions.push_back(action(index, request, "full"));
    return;
  }
  switch (rule.action) {
    case Action::hold:
      (rule.what == HoldWhat::data ? decision.hold_data : decision.hold_reply) =
          held_.insert(held_.end(), {index, request, 0, ""});
      return;
    case Action::reorder:
      decision.reordered =
          Reordered{index, batches_.join(index, request.disk, rule.window,
                                         std::chrono::milliseconds(rule.release.time_ms))};
      return;
    case Action::delay:
      decision.delay_rule = index;
      return;
    case Action::fail:
      decision.error = rule.error;
      actions.push_back(action(index, request, "fail"));
      return;
    case Action::tear:
      decision.error = rule.error;
      decision.torn = torn_by(
          rule, request,
          journal::mix(seed_ ^ kDrawTear ^ (std::uint64_t{index} << 32) ^ states_[index].torn++));
      actions.push_back(action(index, request, "tear"));
      return;
    case Action::disconnect:
      disconnect(index, request, decision, actions);
      return;
  }
}

// At least one sector moves and at least one does not.
Rules::Torn Rules::torn_by(const Rule& rule, const Request& request, std::uint64_t key) const {
  Torn moves(request.count);
  std::uint64_t moving = 0;
  for (std::uint64_t i = 0; i < request.count; ++i) {
    moves[i] = rule.sectors != 0 ? i < rule.sectors : (journal::mix(key + i) & 1) != 0;
    moving += moves[i];
  }
  if (moving == 0 || moving == request.count) moves[key % request.count].flip();
  return moves;
}

void Rules::disconnect(std::uint32_t rule, const Request& request, Decision& decision,
                       Actions& actions) {
  gone_[request.disk] = Gone{rule, request, Clock::now(), 0};
  cut_off_[request.disk] = {rule, request.begin};
  actions.push_back(action(rule, request, "disconnect"));
  for (Held& held : held_) {
    if (held.request.disk == request.disk && held.how.empty()) held.how = "disconnect";
  }
  batches_.release(request.disk);
  decision = fate_of(rule, request);
}

Rules::Decision Rules::fate_of(std::uint32_t index, const Request& request) const {
  const Rule& rule = rules_[index];
  Decision decision;
  decision.error = EIO;
  if (request.op != journal::Op::write) return decision;
  const std::uint64_t key = journal::mix(seed_ ^ kDrawFate ^ (request.first << 20) ^ request.count);
  Fate fate = rule.fate;
  if (fate == Fate::seeded) {
    constexpr Fate kFates[] = {Fate::lost, Fate::torn, Fate::moved};
    fate = kFates[key % std::size(kFates)];
  }
  if (fate == Fate::moved) decision.torn = Torn(request.count, true);
  if (fate == Fate::torn && request.count > 1) decision.torn = torn_by(rule, request, key);
  return decision;
}

// While a request of a disk is held a read of the disk's first sector alone is taken for QEMU's
// own, by which the harness frees what QEMU keeps (runner/nudge.h).
bool Rules::is_nudge(const Request& request) const {
  return request.op == journal::Op::read && request.first == 0 && request.count == 1 &&
         std::any_of(held_.begin(), held_.end(), [&](const Held& held) {
           return held.request.disk == request.disk && held.request.begin != request.begin;
         });
}

Rules::Decision Rules::on_begin(const Request& request) {
  Decision decision;
  if (rules_.empty()) return decision;
  Actions actions;
  {
    const std::lock_guard lock(mutex_);
    release_for(request, true, actions);
    if (refuses(request, actions)) {
      decision.error = EIO;
    } else if (const auto acting = is_nudge(request) ? std::nullopt : acting_rule(request)) {
      act(*acting, request, decision, actions);
    }
  }
  changed_.notify_all();
  record(actions);
  return decision;
}

Rules::Decision Rules::caught(const Request& request) {
  const std::lock_guard lock(mutex_);
  const auto cut = cut_off_.find(request.disk);
  if (cut == cut_off_.end() || cut->second.second < request.begin) return {};
  return fate_of(cut->second.first, request);
}

void Rules::wait(Ticket ticket) {
  journal::RuleAction done;
  {
    std::unique_lock lock(mutex_);
    const auto time = std::chrono::milliseconds(rules_[ticket->rule].release.time_ms);
    changed_.wait_for(lock, time, [&] { return !ticket->how.empty(); });
    done = action(ticket->rule, ticket->request, ticket->how.empty() ? "time" : ticket->how);
    held_.erase(ticket);
  }
  record_(done);
}

void Rules::delay(std::uint32_t rule, const Request& request) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(rules_[rule].delay_ms),
                      [&] { return !released_all_.empty() || gone_.contains(request.disk); });
  }
  record_(action(rule, request, "delay"));
}

void Rules::wait_turn(const Reordered& reordered, const Request& request) {
  const char* how = batches_.wait(reordered.ticket);
  record_(action(reordered.rule, request, how));
}

void Rules::on_end(const Request& request) {
  if (rules_.empty()) return;
  Actions actions;
  {
    const std::lock_guard lock(mutex_);
    release_for(request, false, actions);
  }
  changed_.notify_all();
  record(actions);
}

bool Rules::meets(const MarkFilter& filter, const SeenMark& mark) const {
  if (filter.kind == 0 || filter.kind != mark.kind) return false;
  if (filter.cycle != 0 && filter.cycle != mark.cycle) return false;
  if (filter.op.empty()) return true;
  const auto begun = begun_.find(mark.step);
  const SeenMark& named = mark.op.empty() && begun != begun_.end() ? begun->second : mark;
  return named.op == filter.op && (filter.label.empty() || named.label == filter.label);
}

void Rules::on_mark(const SeenMark& mark) {
  if (rules_.empty()) return;
  Actions actions;
  {
    const std::lock_guard lock(mutex_);
    if (mark.kind == static_cast<std::uint16_t>(plan::MarkKind::step_begin)) {
      begun_[mark.step] = mark;
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      // What a hold of one request waits for may come before the request does.
      const bool early = rules_[i].occurrence == 1 && states_[i].matched == 0 &&
                         meets(rules_[i].release.mark, mark);
      if (early || meets(rules_[i].until, mark)) states_[i].armed = false;
      if (meets(rules_[i].after, mark)) {
        states_[i].armed = true;
        states_[i].matched = 0;
      }
    }
    for (Held& held : held_) {
      if (held.how.empty() && meets(rules_[held.rule].release.mark, mark)) held.how = "mark";
    }
    std::vector<std::uint16_t> back;
    for (const auto& [disk, gone] : gone_) {
      if (meets(rules_[gone.rule].release.mark, mark)) back.push_back(disk);
    }
    for (const std::uint16_t disk : back) reconnect(disk, "back by mark", actions);
  }
  changed_.notify_all();
  record(actions);
}

void Rules::release_all(const std::string& how) {
  {
    const std::lock_guard lock(mutex_);
    released_all_ = how;
    for (Held& held : held_) {
      if (held.how.empty()) held.how = how;
    }
  }
  batches_.release_all();
  changed_.notify_all();
}

void Rules::go_on() {
  const std::lock_guard lock(mutex_);
  released_all_.clear();
}

std::uint32_t Rules::held() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint32_t>(held_.size());
}

}  // namespace snapbed::recorder
