// SPDX-License-Identifier: GPL-2.0-or-later
// Check `events`: LOW_FREE_SPACE comes right after CREATE and then at most once per APPEND, not
// before the storage is low and not after it overflowed, asks for diff_storage_minimum sectors;
// CORRUPTED comes once per device, with an errno, and only where the plan waits for it or a rule
// made a request fail; and once one device was told of, all others are.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "model/checks.h"
#include "model/free_space.h"

namespace snapbed::model {

namespace {

class Events {
 public:
  Events(const Facts& facts, const Snapshot& snapshot, CheckResult& result)
      : facts_(facts), snapshot_(snapshot), space_(facts, snapshot), result_(result) {}

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
    judge_untold(corrupted);
    const std::uint64_t minimum = storage_minimum();
    // A snapshot destroyed at once may go before anybody fetched its event: a whole copy is time
    // enough.
    const bool lived = std::any_of(snapshot_.copies.begin(), snapshot_.copies.end(),
                                   [](const Copy& copy) { return copy.finished; });
    if (low == 0 && minimum > 1 && lived && !snapshot_.unheard && snapshot_.destroyed != kNever) {
      add(Kind::events_low_missing, snapshot_.destroyed,
          "no LOW_FREE_SPACE ever came, though a new snapshot has no storage and its first one "
          "waits "
          "right after CREATE");
    }
  }

 private:
  std::uint64_t storage_minimum() const {
    return module_parameter(facts_.history.plan, "diff_storage_minimum", 2097152);
  }

  void judge_low(const Event& event, std::uint64_t nth) {
    ++result_.exercised["low"];
    const std::uint64_t minimum = storage_minimum();
    if (event.value < 0 || static_cast<std::uint64_t>(event.value) != minimum) {
      add(Kind::events_low_size, event.seen,
          fmt::format("LOW_FREE_SPACE asks for {} sectors, diff_storage_minimum is {}", event.value,
                      minimum));
    }
    const auto appended = static_cast<std::uint64_t>(
        std::count_if(snapshot_.appends.begin(), snapshot_.appends.end(),
                      [&](Stamp called) { return called < event.seen; }));
    if (nth > appended + 1) {
      add(Kind::events_low_count, event.seen,
          fmt::format("LOW_FREE_SPACE number {} came after only {} calls of "
                      "APPEND_STORAGE: one after CREATE and one per append are right",
                      nth, appended));
    } else if (nth > 1) {
      judge_early(event, nth);
    }
    last_low_ = event.seen;
  }

  // After an append LOW is due below half of what was free then, and below half of what LOW asks
  // for. The journal bounds both; it is early when no append since the last one explains it.
  void judge_early(const Event& event, std::uint64_t nth) {
    // CREATE and every append arm it once. Appends that the older ones need not all have used may
    // have armed this one, long ago.
    const auto before =
        static_cast<std::uint64_t>(std::count_if(snapshot_.appends.begin(), snapshot_.appends.end(),
                                                 [&](Stamp called) { return called < last_low_; }));
    if (before > nth - 2) return;
    std::string bounds;
    for (const Stamp append : space_.appends()) {
      if (append < last_low_ || append > event.seen) continue;
      const std::uint64_t free = space_.at_least(append, event.seen);
      const std::uint64_t below = std::min(storage_minimum(), space_.at_most(append)) / 2;
      if (free < below || below == 0) return;
      bounds =
          fmt::format("{} sectors or more were free, and it is due below {} or less", free, below);
    }
    if (bounds.empty()) return;
    add(Kind::events_low_early, event.seen, "LOW_FREE_SPACE came early: " + bounds);
  }

  // An overflow without a word: the client had no chance to append.
  void judge_missing(const Event& corrupted) {
    constexpr std::int64_t kNoSpace = 28;
    if (corrupted.value != kNoSpace) return;
    Stamp since = snapshot_.create_called;
    for (const Stamp append : space_.appends()) {
      if (append < corrupted.seen && space_.used(append)) since = append;
    }
    if (last_low_ != 0 && last_low_ > since) return;
    add(Kind::events_overflow_unannounced, corrupted.seen,
        fmt::format("the storage overflowed, and no LOW_FREE_SPACE had come since stamp {}, the "
                    "call of {}",
                    since, since == snapshot_.create_called ? "CREATE" : "the last APPEND"));
  }

  void judge_corrupted(const Event& event, int nth) {
    ++result_.exercised["corrupted"];
    judge_missing(event);
    if (snapshot_.place_of(event.device) == kNoIndex) {
      add(Kind::events_corrupted_device, event.seen,
          "CORRUPTED names device \"" + event.device + "\", which is no member");
    }
    if (event.value <= 0) {
      add(Kind::events_corrupted_errno, event.seen,
          fmt::format("CORRUPTED of {} carries {}, a positive errno is due", event.device,
                      event.value));
    }
    if (nth > 1) {
      add(Kind::events_corrupted_twice, event.seen,
          fmt::format("CORRUPTED of {} came {} times", event.device, nth));
    }
    if (!expected(event)) {
      add(Kind::events_corrupted_unexpected, event.seen,
          fmt::format("CORRUPTED of {} with errno {}, though no step waits for it and no "
                      "request had failed that explains it",
                      event.device, event.value),
          event.value == ETIMEDOUT);
    }
  }

  // What corrupts a snapshot concerns every device of it, and every one is told so. Of a failed
  // store told when? Not before the last I/O of its storage has ended; a copy made after that is
  // time enough. Where one device was told of, the events of the others wait to be fetched.
  void judge_untold(const std::map<std::string, int>& corrupted) {
    const journal::Request* failed = failed_store();
    if (failed != nullptr && copied_after(failed->end, true)) {
      add_untold(corrupted, failed->end, fmt::format("a store failed at stamp {}", failed->end));
      return;
    }
    const auto told = std::find_if(snapshot_.events.begin(), snapshot_.events.end(),
                                   [](const Event& event) { return !event.low; });
    if (told == snapshot_.events.end() || !copied_after(told->seen, false)) return;
    add_untold(corrupted, told->seen,
               fmt::format("CORRUPTED of {} came at stamp {}", told->device, told->seen));
  }

  // True when a copy was called after the stamp, with no I/O of the storage left in flight if that
  // is asked for, and came to its end.
  bool copied_after(Stamp stamp, bool idle) const {
    return std::any_of(snapshot_.copies.begin(), snapshot_.copies.end(), [&](const Copy& copy) {
      return copy.finished && copy.called > stamp && !(idle && storage_busy(copy.called));
    });
  }

  void add_untold(const std::map<std::string, int>& corrupted, Stamp stamp,
                  const std::string& why) {
    for (const Place& place : snapshot_.places) {
      if (corrupted.contains(place.device)) continue;
      add(Kind::events_corrupted_missing, stamp,
          fmt::format("{}, and no CORRUPTED of {} ever came", why, place.device));
    }
  }

  // True when a request to a disk of the storage is in flight then.
  bool storage_busy(Stamp at) const {
    const auto& requests = facts_.journal.requests;
    return std::any_of(requests.begin(), requests.end(), [&](const journal::Request& request) {
      return request.begin < at && request.end > at &&
             std::any_of(snapshot_.storage.begin(), snapshot_.storage.end(),
                         [&](const StorageRange& range) { return range.disk == request.disk; });
    });
  }

  const journal::Request* failed_store() const {
    for (const StorageRange& range : snapshot_.storage) {
      if (!range.ok || facts_.journal.disks[range.disk].role != journal::Role::storage) continue;
      const journal::Request* request = failed_store(range, snapshot_.destroy_called);
      if (request != nullptr && request->end < snapshot_.destroy_called) return request;
    }
    return nullptr;
  }

  // The first change of the range that failed and was begun before the stamp.
  const journal::Request* failed_store(const StorageRange& range, Stamp before) const {
    for (const journal::Request* request : facts_.disks[range.disk].changes) {
      if (request->begin >= before) break;
      if (request->error != 0 && request->begin > range.from &&
          meets(*request, range.first, range.count)) {
        return request;
      }
    }
    return nullptr;
  }

  // True when a read of a captured sector failed in the hold and ended before the stamp.
  bool old_data_failed(Stamp before) const {
    return std::any_of(snapshot_.places.begin(), snapshot_.places.end(), [&](const Place& place) {
      const auto& reads = facts_.disks[place.disk].reads;
      return std::any_of(reads.begin(), reads.end(), [&](const journal::Request* request) {
        return request->error != 0 && request->begin > snapshot_.take_called &&
               request->end < before && meets(*request, place.first, place.sectors);
      });
    });
  }

  // What corrupts a snapshot: its own storage is full or stalled, for which a scenario waits; it
  // has failed, or was taken away. Another module than ours may also give up a snapshot for old
  // data that it could not read; it says so with the error of the read, which a guest knows as EIO.
  bool expected(const Event& event) const {
    for (const plan::Step& step : facts_.history.plan.steps) {
      if (step.op == "wait_event" && step.args.value("code", std::string()) == "corrupted" &&
          step.args.value("snapshot", std::string()) == snapshot_.name) {
        return true;
      }
    }
    constexpr std::int64_t kEio = 5;
    if (event.value == kEio && old_data_failed(event.seen)) return true;
    return std::any_of(snapshot_.storage.begin(), snapshot_.storage.end(),
                       [&](const StorageRange& range) {
                         return facts_.history.was_pulled(range.disk, range.from, event.seen) ||
                                failed_store(range, event.seen) != nullptr;
                       });
  }

  void add(Kind kind, Stamp stamp, const std::string& what, bool rests_on_time = false) {
    const auto index = static_cast<std::size_t>(&snapshot_ - facts_.history.snapshots.data());
    add_finding(result_, kind, snapshot_.places.front().device, snapshot_.cycle,
                Evidence{.snapshot = index, .focus = stamp},
                fmt::format("Snapshot {}: {}. {}", snapshot_.name, what,
                            marks_around(facts_.history, stamp)),
                rests_on_time);
  }

  const Facts& facts_;
  const Snapshot& snapshot_;
  FreeSpace space_;
  Stamp last_low_ = 0;  // when the newest LOW so far was seen
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
