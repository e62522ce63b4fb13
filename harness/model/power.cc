// SPDX-License-Identifier: GPL-2.0-or-later
// Check `power`: what the disks hold after the power was cut, against what the guest had been
// told. A flush of which the guest was told promises all that the host had ended before it was
// called; each sector shows the last promised version or one that was issued after it. And nothing
// of the module outlives the cut.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "journal/pattern.h"
#include "model/checks.h"
#include "model/explain.h"

namespace snapbed::model {

using journal::Request;

namespace {

// The guest was told that a flush of the disk is done which was called after this stamp.
struct Promise {
  std::uint16_t disk = 0;
  Stamp covers = 0;
  std::size_t boot = 0;  // outages before it
};

// What a sector may show: the versions from the last promised one on.
struct Allowed {
  bool initial = true;  // also what the disk held at first
  bool promised = false;
  std::vector<std::uint64_t> hashes;
};

class Power {
 public:
  Power(const Facts& facts, CheckResult& result)
      : facts_(facts), history_(facts.history), result_(result) {
    gather_promises();
  }

  void judge() {
    for (std::size_t o = 0; o < history_.outages.size(); ++o) {
      if (!facts_.in_scope(history_.outages[o].cycle)) continue;
      ++result_.exercised["cuts"];
      result_.exercised["promises"] += static_cast<std::uint64_t>(std::count_if(
          promises_.begin(), promises_.end(), [&](const Promise& p) { return p.boot == o; }));
      judge_knowledge(o);
      judge_calls(o);
    }
    for (const Copy& copy : history_.origin_copies) {
      if (copy.finished && facts_.in_scope(copy.cycle) && boot_of(copy.called) > 0) {
        judge_copy(copy);
      }
    }
    judge_generations();
  }

 private:
  // The number of outages before a stamp.
  std::size_t boot_of(Stamp stamp) const {
    return static_cast<std::size_t>(
        std::count_if(history_.outages.begin(), history_.outages.end(),
                      [&](const Outage& outage) { return outage.back <= stamp; }));
  }

  void promise(const Place& place, Stamp called, Stamp covers) {
    const std::size_t boot = boot_of(called);
    // What lies in an earlier boot says nothing about this one.
    if (boot > 0 && covers <= history_.outages[boot - 1].back) return;
    for (const std::uint16_t disk : place.below) promises_.push_back({disk, covers, boot});
  }

  void gather_promises() {
    for (const plan::Step& step : history_.plan.steps) {
      const StepRun& run = history_.steps[step.id];
      if (step.op != "flush" || !run.succeeded()) continue;
      promise(history_.place(step.args.at("device").get<std::string>()), run.called, run.called);
    }
    for (const Ledger& ledger : facts_.ledgers.all()) {
      for (const plan::LedgerEntry& entry : ledger.entries) {
        if (entry.op != plan::LedgerOp::flush || entry.result != 0) continue;
        promise(history_.places[ledger.places[entry.device]], ledger.from,
                facts_.ledgers.clock().before(entry.begin));
      }
    }
    gather_durable();
  }

  // A durable write promises itself; its stamped sectors are told by their hashes.
  void gather_durable() {
    journal::SectorBytes bytes;
    for (const Ledger& ledger : facts_.ledgers.all()) {
      for (const plan::LedgerEntry& entry : ledger.entries) {
        if (entry.op != plan::LedgerOp::durable || entry.result != 0) continue;
        if (boot_of(ledger.from) < history_.outages.size()) ++result_.exercised["durable_writes"];
        for (std::uint32_t i = 0; i < entry.count; ++i) {
          plan::fill_ledger_sector(ledger.key, entry.device, entry.first + i, entry.number,
                                   entry.seen, bytes);
          durable_.insert(journal::sector_hash(bytes));
        }
      }
    }
  }

  // Whether the version had to outlive all that came between it and the copy.
  bool promised(const Request& request, const Copy& copy) const {
    if (request.error != 0) return false;
    const std::size_t boot = boot_of(request.begin);
    if (boot == boot_of(copy.called)) return request.end <= copy.called;
    return std::any_of(promises_.begin(), promises_.end(), [&](const Promise& one) {
      return one.disk == request.disk && one.boot == boot && request.end <= one.covers;
    });
  }

  std::uint64_t hash_of(const Request& request, std::uint64_t sector) const {
    return request.op == journal::Op::write
               ? facts_.journal.hashes_of(request)[sector - request.first]
               : zero_hash();
  }

  std::unordered_map<std::uint64_t, Allowed> allowed(const Copy& copy, const Place& place) const {
    std::unordered_map<std::uint64_t, Allowed> sectors;
    for (const Request* request : facts_.disks[place.disk].moved) {
      if (request->moved > copy.returned) break;
      if (facts_.journal.is_loss(*request)) continue;
      const std::uint64_t first = std::max(request->first, place.first);
      const std::uint64_t end =
          std::min(request->first + request->count, place.first + place.sectors);
      if (first >= end) continue;
      const bool last = promised(*request, copy);
      for (std::uint64_t sector = first; sector < end; ++sector) {
        Allowed& here = sectors[sector];
        const std::uint64_t hash = hash_of(*request, sector);
        if (last || durable_.contains(hash)) here = {false, true, {}};
        here.hashes.push_back(hash);
      }
    }
    return sectors;
  }

  void judge_copy(const Copy& copy) {
    Place place = history_.places[copy.device];
    place.sectors = copy.range.count;
    if (!place.recorded) return;
    result_.outcome = result_.outcome == Outcome::fail ? Outcome::fail : Outcome::pass;
    judge_errors(copy, place);
    const InitialHashes initial(facts_.journal.seed, facts_.journal.disks[place.disk]);
    const auto sectors = allowed(copy, place);
    const Allowed untouched;
    std::vector<std::uint64_t> lost, foreign;
    for (const Segment& segment : copy.segments) {
      for (std::uint64_t i = 0; i < segment.count; ++i) {
        const std::uint64_t sector = place.first + segment.first + i;
        const std::uint64_t shown = facts_.journal.hashes[segment.hash_index + i];
        const auto found = sectors.find(sector);
        const Allowed& may = found == sectors.end() ? untouched : found->second;
        ++result_.exercised["sectors_judged"];
        result_.exercised["promised_sectors"] += may.promised ? 1U : 0U;
        if (fits(may, shown, initial.at(sector))) continue;
        (was_there(place.disk, sector, shown) ? lost : foreign).push_back(sector);
      }
    }
    if (!lost.empty()) report_lost(copy, place, lost);
    if (!foreign.empty()) report_foreign(copy, place, foreign);
  }

  // Counts how often the cut showed: what is older than the newest, and what is there unpromised.
  bool fits(const Allowed& may, std::uint64_t shown, std::uint64_t initial) {
    if (may.hashes.empty()) return shown == initial;
    const bool newest = shown == may.hashes.back();
    const bool unpromised = !may.promised || may.hashes.size() > 1;
    if (newest && unpromised) ++result_.exercised["kept_sectors"];
    if (newest) return true;
    ++result_.exercised["lost_sectors"];
    return (may.initial && shown == initial) ||
           std::find(may.hashes.begin(), may.hashes.end(), shown) != may.hashes.end();
  }

  bool was_there(std::uint16_t disk, std::uint64_t sector, std::uint64_t hash) const {
    const auto versions = versions_of(facts_, disk, sector);
    return std::any_of(versions.begin(), versions.end(), [&](const Version& version) {
      return version.hash == hash &&
             (version.request == nullptr || !facts_.journal.is_loss(*version.request));
    });
  }

  void judge_errors(const Copy& copy, const Place& place) {
    std::vector<BadRange> errors = copy.bad;
    errors.insert(errors.end(), copy.again.begin(), copy.again.end());
    for (const BadRange& bad : errors) {
      const bool failed_below = std::any_of(
          facts_.disks[place.disk].reads.begin(), facts_.disks[place.disk].reads.end(),
          [&](const Request* read) {
            return read->error != 0 && read->begin > copy.called && read->begin < copy.returned;
          });
      if (failed_below) continue;
      add(Kind::power_read_error, copy, place, {place.first + bad.first},
          fmt::format(
              "{} sectors of {} gave error {} after the cut, and no read of its disk failed",
              bad.count, place.device, bad.error));
    }
  }

  void report_lost(const Copy& copy, const Place& place, const std::vector<std::uint64_t>& lost) {
    const std::uint64_t sector = lost.front();
    const auto versions = versions_of(facts_, place.disk, sector);
    std::size_t due = 0;
    for (std::size_t v = 0; v < versions.size(); ++v) {
      const Request* request = versions[v].request;
      if (request == nullptr || facts_.journal.is_loss(*request)) continue;
      if (request->moved > copy.returned) continue;
      if (promised(*request, copy) || durable_.contains(versions[v].hash)) due = v;
    }
    const Request* flush = flush_behind(versions[due].request, copy);
    if (flush != nullptr) {
      throw BrokenRecord(
          fmt::format("disk {} lost sector {} of {}, which {} had made safe before the cut",
                      facts_.journal.disks[place.disk].name, sector, describe(versions, due),
                      describe(*flush)));
    }
    add(Kind::power_lost_promise, copy, place, lost,
        fmt::format(
            "{} sectors of {} show something older than what a flush had promised before "
            "the power was cut: of sector {} the guest was told that {} is safe. {}",
            lost.size(), place.device, sector - place.first, describe(versions, due),
            explain_observation(facts_, place, sector - place.first, shown(copy, place, sector))));
  }

  // A flush that the disk was asked for and had done: then the disk lies, not the module.
  const Request* flush_behind(const Request* version, const Copy& copy) const {
    if (version == nullptr) return nullptr;
    const Stamp cut = history_.cut_after(version->begin);
    if (cut > copy.called) return nullptr;
    for (const Request* flush : facts_.disks[version->disk].flushes) {
      if (flush->begin > version->end && flush->error == 0 && flush->end < cut) return flush;
    }
    return nullptr;
  }

  void report_foreign(const Copy& copy, const Place& place,
                      const std::vector<std::uint64_t>& foreign) {
    const std::uint64_t sector = foreign.front();
    add(Kind::power_foreign, copy, place, foreign,
        fmt::format(
            "{} sectors of {} show after the cut what was never written there: {}", foreign.size(),
            place.device,
            explain_observation(facts_, place, sector - place.first, shown(copy, place, sector))));
  }

  std::uint64_t shown(const Copy& copy, const Place& place, std::uint64_t sector) const {
    std::uint64_t hash = 0;
    observed(facts_, copy, sector - place.first, hash);
    return hash;
  }

  void add(Kind kind, const Copy& copy, const Place& place, const std::vector<std::uint64_t>& at,
           const std::string& what) {
    const Stamp cut = history_.outages[boot_of(copy.called) - 1].cut;
    add_finding(result_, kind, place.device, copy.cycle,
                Evidence{.sectors = {{place.disk, at.front()}}, .steps = {copy.step}, .focus = cut},
                what + ". " + marks_around(history_, cut));
  }

  // Steps of the boot that follows an outage, in the order of the plan.
  template <typename Visit>
  void each_step_after(std::size_t o, Visit visit) const {
    for (const plan::Step& step : history_.plan.steps) {
      const StepRun& run = history_.steps[step.id];
      if (run.begun() && boot_of(run.called) == o + 1 && !visit(step, run)) return;
    }
  }

  void stale(const Outage& outage, const plan::Step& step, const std::string& what) {
    add_finding(result_, Kind::power_stale, "", step.cycle,
                Evidence{.steps = {step.id}, .focus = outage.back},
                what + ". " + marks_around(history_, history_.steps[step.id].called));
  }

  // Before anything is made anew there is nothing.
  void judge_knowledge(std::size_t o) {
    const Outage& outage = history_.outages[o];
    each_step_after(o, [&](const plan::Step& step, const StepRun& run) {
      if (step.op == "collect_trackers" && run.succeeded()) {
        ++result_.exercised["looks"];
        const std::size_t trackers =
            run.answer.at("trackers").size() + run.answer.value("foreign", std::uint64_t{0});
        const auto snapshots = run.answer.at("snapshots").get<std::uint64_t>();
        if (trackers + snapshots > 0) {
          stale(outage, step,
                fmt::format("After the cut, before any CREATE, there are {} trackers and {} "
                            "snapshots",
                            trackers, snapshots));
        }
      }
      return step.op != "create";
    });
  }

  // A snapshot of before is unknown to every call.
  void judge_calls(std::size_t o) {
    const Outage& outage = history_.outages[o];
    std::set<std::string> fresh;
    each_step_after(o, [&](const plan::Step& step, const StepRun& run) {
      const std::string name = step.args.value("snapshot", std::string());
      if (step.op == "create" && run.succeeded()) fresh.insert(name);
      const bool calls = step.op == "append" || step.op == "take" || step.op == "destroy" ||
                         step.op == "collect_images";
      const bool of_before = std::any_of(
          history_.snapshots.begin(), history_.snapshots.end(),
          [&](const Snapshot& s) { return s.name == name && s.destroyed == outage.cut; });
      if (!calls || fresh.contains(name) || !of_before || !run.finished()) return true;
      ++result_.exercised["stale_calls"];
      if (run.result == 0) {
        stale(outage, step,
              fmt::format("{} of snapshot {}, which the cut ended, succeeded after it",
                          step_name(history_, step.id), name));
      }
      return true;
    });
  }

  // No name of a generation is used again.
  void judge_generations() {
    std::unordered_map<std::string, std::size_t> boots;
    for (const Snapshot& snapshot : history_.snapshots) {
      for (const MapRead& map : snapshot.maps) {
        const std::size_t boot = boot_of(map.called);
        const auto [known, fresh] = boots.try_emplace(map.generation, boot);
        if (boot == 0 || !facts_.in_scope(map.cycle)) continue;
        ++result_.exercised["generations"];
        if (fresh || known->second == boot) continue;
        const Outage& outage = history_.outages[boot - 1];
        stale(outage, history_.plan.steps[map.step],
              fmt::format("The map of {} read in {} bears generation {}, as one of before the cut",
                          snapshot.places[map.device].device, step_name(history_, map.step),
                          map.generation));
      }
    }
  }

  const Facts& facts_;
  const History& history_;
  CheckResult& result_;
  std::vector<Promise> promises_;
  std::unordered_set<std::uint64_t> durable_;  // hashes of sectors
};

}  // namespace

void check_power(const Facts& facts, Report& report) {
  if (facts.history.outages.empty()) return;
  CheckResult& result = report.checks["power"];
  for (const char* counter :
       {"cuts", "promises", "durable_writes", "promised_sectors", "sectors_judged", "lost_sectors",
        "kept_sectors", "looks", "stale_calls", "generations"}) {
    result.exercised[counter] += 0;
  }
  Power(facts, result).judge();
  if (result.outcome == Outcome::not_run) result.reason = "no device was copied after a cut";
}

}  // namespace snapbed::model
