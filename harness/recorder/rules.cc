// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/rules.h"

#include <algorithm>
#include <utility>

#include "journal/pattern.h"
#include "plan/mark.h"

namespace snapbed::recorder {

namespace {

using journal::Request;

bool intersects(std::uint64_t first, std::uint64_t end, const Request& request) {
  return request.first < end && first < request.first + request.count;
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
      states_(rules_.size()) {
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
      journal::mix(journal::mix(seed_ ^ 0x72756c65) ^ (std::uint64_t{index} << 32) ^ state.drawn++);
  return static_cast<double>(draw >> 11) * 0x1.0p-53 < rule.probability;
}

bool Rules::admits(std::uint16_t disk) const {
  const auto there = std::count_if(held_.begin(), held_.end(),
                                   [&](const Held& held) { return held.request.disk == disk; });
  return there < static_cast<std::ptrdiff_t>(kHeldPerDiskLimit);
}

void Rules::note(std::uint32_t rule, const Request& request, const char* how) {
  record_({rule, request.disk, request.begin, sequencer_.next(), how});
}

Rules::Decision Rules::on_begin(const Request& request) {
  Decision decision;
  if (rules_.empty()) return decision;
  std::optional<std::uint32_t> acting;
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    for (Held& held : held_) {
      const Release& release = rules_[held.rule].release;
      if (!held.how.empty()) continue;
      if (release.by_match && release.at_begin && matches(release.match, request) &&
          shares_chunk(request, held.request, release.same_chunk_bytes)) {
        held.how = "match";
      } else if (release.count != 0 && request.disk == held.request.disk &&
                 ++held.arrivals >= release.count) {
        held.how = "count";
      }
    }
    for (std::uint32_t i = 0; i < rules_.size() && released_all_.empty(); ++i) {
      if (!states_[i].armed || !matches(rules_[i].match, request)) continue;
      if (turn_of(i) && !acting) acting = i;
    }
    if (acting && rules_[*acting].action == Action::hold) {
      full = !admits(request.disk);
      if (!full) {
        const Ticket ticket = held_.insert(held_.end(), {*acting, request, 0, ""});
        (rules_[*acting].what == HoldWhat::data ? decision.hold_data : decision.hold_reply) =
            ticket;
      }
    }
  }
  changed_.notify_all();
  if (full) note(*acting, request, "full");
  if (acting && rules_[*acting].action == Action::delay) decision.delay_rule = acting;
  if (acting && rules_[*acting].action == Action::fail) {
    decision.error = rules_[*acting].error;
    note(*acting, request, "fail");
  }
  return decision;
}

void Rules::wait(Ticket ticket) {
  journal::RuleAction action;
  {
    std::unique_lock lock(mutex_);
    const auto time = std::chrono::milliseconds(rules_[ticket->rule].release.time_ms);
    changed_.wait_for(lock, time, [&] { return !ticket->how.empty(); });
    action = {ticket->rule, ticket->request.disk, ticket->request.begin, sequencer_.next(),
              ticket->how.empty() ? "time" : ticket->how};
    held_.erase(ticket);
  }
  record_(action);
}

void Rules::delay(std::uint32_t rule, const Request& request) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(rules_[rule].delay_ms),
                      [&] { return !released_all_.empty(); });
  }
  note(rule, request, "delay");
}

void Rules::on_end(const Request& request) {
  if (rules_.empty()) return;
  bool any = false;
  {
    const std::lock_guard lock(mutex_);
    for (Held& held : held_) {
      const Release& release = rules_[held.rule].release;
      if (!held.how.empty() || !release.by_match || release.at_begin) continue;
      if (matches(release.match, request) &&
          shares_chunk(request, held.request, release.same_chunk_bytes)) {
        held.how = "match";
        any = true;
      }
    }
  }
  if (any) changed_.notify_all();
}

bool Rules::meets(const MarkFilter& filter, const SeenMark& mark) const {
  if (filter.kind == 0 || filter.kind != mark.kind) return false;
  if (filter.cycle != 0 && filter.cycle != mark.cycle) return false;
  if (filter.op.empty()) return true;
  if (!mark.op.empty()) return filter.op == mark.op;
  const auto step = step_ops_.find(mark.step);
  return step != step_ops_.end() && step->second == filter.op;
}

void Rules::on_mark(const SeenMark& mark) {
  if (rules_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (mark.kind == static_cast<std::uint16_t>(plan::MarkKind::step_begin)) {
      step_ops_[mark.step] = mark.op;
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (meets(rules_[i].until, mark)) states_[i].armed = false;
      if (meets(rules_[i].after, mark)) {
        states_[i].armed = true;
        states_[i].matched = 0;
      }
    }
    for (Held& held : held_) {
      if (held.how.empty() && meets(rules_[held.rule].release.mark, mark)) held.how = "mark";
    }
  }
  changed_.notify_all();
}

void Rules::release_all(const std::string& how) {
  {
    const std::lock_guard lock(mutex_);
    released_all_ = how;
    for (Held& held : held_) {
      if (held.how.empty()) held.how = how;
    }
  }
  changed_.notify_all();
}

std::uint32_t Rules::held() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint32_t>(held_.size());
}

}  // namespace snapbed::recorder
