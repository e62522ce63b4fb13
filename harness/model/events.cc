// SPDX-License-Identifier: GPL-2.0-or-later
// Check `events`: LOW_FREE_SPACE comes right after CREATE and then at most once per APPEND, asks
// for diff_storage_minimum sectors; CORRUPTED comes once per device, with an errno, and only where
// the plan waits for it or a rule made a request fail.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model/checks.h"

namespace snapbed::model {

namespace {

class Events {
 public:
  Events(const Facts& facts, const Snapshot& snapshot, CheckResult& result)
      : facts_(facts), snapshot_(snapshot), result_(result) {}

  void judge() {
    std::uint64_t low = 0;
    std::map<std::string, int> corrupted;
    for (const Event& event : snapshot_.events) {
      if (event.low) {
        judge_low(event, ++low);
      } else {
        judge_corrupted(event, ++corrupted[event.device]);
      }
    }
    const std::uint64_t minimum = storage_minimum();
    // A snapshot destroyed at once may go before anybody fetched its event: a whole copy is time
    // enough.
    const bool lived = std::any_of(snapshot_.copies.begin(), snapshot_.copies.end(),
                                   [](const Copy& copy) { return copy.finished; });
    if (low == 0 && minimum > 1 && lived && snapshot_.destroyed != kNever) {
      add(snapshot_.destroyed,
          "no LOW_FREE_SPACE ever came, though a new snapshot has no storage and its first one "
          "waits "
          "right after CREATE");
    }
  }

 private:
  std::uint64_t storage_minimum() const {
    const auto found = facts_.history.plan.module_parameters.find("diff_storage_minimum");
    constexpr std::uint64_t kDefault = 2097152;
    return found == facts_.history.plan.module_parameters.end()
               ? kDefault
               : std::stoull(found->second, nullptr, 0);
  }

  void judge_low(const Event& event, std::uint64_t nth) {
    ++result_.exercised["low"];
    const std::uint64_t minimum = storage_minimum();
    if (event.value < 0 || static_cast<std::uint64_t>(event.value) != minimum) {
      add(event.seen, fmt::format("LOW_FREE_SPACE asks for {} sectors, diff_storage_minimum is {}",
                                  event.value, minimum));
    }
    const auto appended = static_cast<std::uint64_t>(
        std::count_if(snapshot_.appends.begin(), snapshot_.appends.end(),
                      [&](Stamp called) { return called < event.seen; }));
    if (nth > appended + 1) {
      add(event.seen, fmt::format("LOW_FREE_SPACE number {} came after only {} calls of "
                                  "APPEND_STORAGE: one after CREATE and one per append are right",
                                  nth, appended));
    }
  }

  void judge_corrupted(const Event& event, int nth) {
    ++result_.exercised["corrupted"];
    if (snapshot_.place_of(event.device) == kNoIndex) {
      add(event.seen, "CORRUPTED names device \"" + event.device + "\", which is no member");
    }
    if (event.value <= 0) {
      add(event.seen, fmt::format("CORRUPTED of {} carries {}, a positive errno is due",
                                  event.device, event.value));
    }
    if (nth > 1) {
      add(event.seen, fmt::format("CORRUPTED of {} came {} times", event.device, nth));
    }
    if (!expected(event)) {
      add(event.seen,
          fmt::format("CORRUPTED of {} with errno {}, though no step waits for it and no "
                      "request had failed",
                      event.device, event.value));
    }
  }

  bool expected(const Event& event) const {
    for (const plan::Step& step : facts_.history.plan.steps) {
      if (step.op == "wait_event" && step.args.value("code", std::string()) == "corrupted" &&
          step.args.value("snapshot", std::string()) == snapshot_.name) {
        return true;
      }
    }
    return std::any_of(facts_.journal.requests.begin(), facts_.journal.requests.end(),
                       [&](const journal::Request& request) {
                         return request.error != 0 && request.begin < event.seen &&
                                request.end > snapshot_.create_called;
                       });
  }

  void add(Stamp stamp, const std::string& what) {
    add_finding(result_, "events", snapshot_.places.front().device, snapshot_.cycle,
                fmt::format("Snapshot {}: {}. {}", snapshot_.name, what,
                            marks_around(facts_.history, stamp)));
  }

  const Facts& facts_;
  const Snapshot& snapshot_;
  CheckResult& result_;
};

}  // namespace

void check_events(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["events"];
  result.exercised["low"] += 0;
  result.exercised["corrupted"] += 0;
  for (const Snapshot& snapshot : facts.history.snapshots) {
    if (!facts.in_scope(snapshot.cycle)) continue;
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    Events(facts, snapshot, result).judge();
  }
}

}  // namespace snapbed::model
