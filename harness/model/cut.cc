// SPDX-License-Identifier: GPL-2.0-or-later
// Check `cut`: every sector of every image of a snapshot shows what it held at one instant P.
//
// Sectors that nothing changed around TAKE must show the state before it: plain comparison. For the
// few others the instants at which the shown content was current are a union of intervals; one
// sweep over the quiet instants counts how many sectors each satisfies. In causal mode there is no
// quiet instant to rely on: a version that is missing begins after P, and that is all that binds.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>

#include "base/overlap.h"
#include "journal/pattern.h"
#include "model/checks.h"
#include "model/explain.h"
#include "model/free_space.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;

namespace {

// A content of one sector that came up in the window.
struct Change {
  std::uint64_t sector = 0;  // of the image
  Stamp begin = 0;
  Stamp moved = 0;
  std::uint64_t hash = 0;
};

// What one image sector says: P lies in one of the quiet intervals [first, last] listed.
struct Constraint {
  std::size_t place = 0;
  std::size_t copy = 0;
  std::uint64_t sector = 0;
  std::uint64_t hash = 0;
  std::vector<std::pair<std::size_t, std::size_t>> allowed;

  bool allows(std::size_t quiet) const {
    return std::any_of(allowed.begin(), allowed.end(), [&](const auto& range) {
      return range.first <= quiet && quiet <= range.second;
    });
  }
};

// A run of neighbouring image sectors that fit no instant at all.
struct Misfit {
  std::size_t place = 0;
  std::size_t copy = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t hash = 0;  // of the first
};

// A host stamp that P is known to lie behind, or before, and why.
struct Bound {
  Stamp stamp = 0;
  std::string device;  // empty: TAKE itself says so
  std::string why;
  Evidence::Sectors sector = {};  // that says so
};

class Cut {
 public:
  static constexpr int kEio = 5;

  Cut(Facts& facts, std::size_t index, CheckResult& result)
      : facts_(facts),
        snapshot_(facts.history.snapshots[index]),
        window_(facts.windows[index]),
        index_(index),
        result_(result) {}

  std::uint64_t judged() const { return judged_; }
  // Whether a corrupted snapshot refused something to a copy. The interface does not say what such
  // a one still shows: when that is nothing, the errors are all that there is to judge.
  bool refused() const {
    return snapshot_.corrupted() &&
           std::any_of(snapshot_.copies.begin(), snapshot_.copies.end(),
                       [](const Copy& copy) { return copy.finished && !copy.bad.empty(); });
  }

  void judge_strict() {
    if (window_.quiet.empty()) {
      report_no_quiet();
      return;
    }
    for (std::size_t p = 0; p < snapshot_.places.size(); ++p) gather_place(p);
    sweep();
    report_misfits();
  }

  void judge_causal();
  void judge_errors();
  void judge_sizes();
  void judge_image_writes();

 private:
  void gather_place(std::size_t p) {
    if (!snapshot_.places[p].recorded) return;
    std::vector<Change> changes = changes_of(p);
    SectorSet touched;
    for (const Change& change : changes) touched.add(change.sector, 1);
    for (std::size_t c = 0; c < snapshot_.copies.size(); ++c) {
      const Copy& copy = snapshot_.copies[c];
      if (copy.device != p) continue;
      const SectorSet out = taken_out(facts_, index_, copy);
      compare_quiet_sectors(p, c, touched, out);
      constrain(p, c, changes, out);
    }
  }

  std::vector<Change> changes_of(std::size_t p) const {
    const Place& place = snapshot_.places[p];
    std::vector<Change> changes;
    for (const Request* request : window_.changes[p]) {
      const std::uint64_t first = std::max(request->first, place.first);
      const std::uint64_t end =
          std::min(request->first + request->count, place.first + place.sectors);
      for (std::uint64_t s = first; s < end; ++s) {
        const std::uint64_t hash = request->op == Op::write
                                       ? facts_.journal.hashes_of(*request)[s - request->first]
                                       : zero_hash();
        changes.push_back({s - place.first, request->begin, request->moved, hash});
      }
    }
    // They came by moved; a stable sort keeps that order within a sector.
    std::stable_sort(changes.begin(), changes.end(),
                     [](const Change& a, const Change& b) { return a.sector < b.sector; });
    return changes;
  }

  void compare_quiet_sectors(std::size_t p, std::size_t c, const SectorSet& touched,
                             const SectorSet& out) {
    const Place& place = snapshot_.places[p];
    for (const Segment& segment : snapshot_.copies[c].segments) {
      const std::span<const std::uint64_t> seen(facts_.journal.hashes.data() + segment.hash_index,
                                                segment.count);
      judged_ += segment.count;
      std::uint64_t at = 0;
      while ((at = window_.base[p].first_difference(place.first + segment.first, seen, at)) <
             segment.count) {
        const std::uint64_t sector = segment.first + at;
        if (!touched.contains(sector) && !out.contains(sector)) add_misfit(p, c, sector, seen[at]);
        ++at;
      }
    }
  }

  void constrain(std::size_t p, std::size_t c, const std::vector<Change>& changes,
                 const SectorSet& out) {
    for (std::size_t i = 0; i < changes.size();) {
      std::size_t end = i;
      while (end < changes.size() && changes[end].sector == changes[i].sector) ++end;
      Constraint constraint{p, c, changes[i].sector, 0, {}};
      if (!out.contains(constraint.sector) &&
          observed(facts_, snapshot_.copies[c], constraint.sector, constraint.hash)) {
        allow(constraint, {changes.data() + i, end - i});
      }
      i = end;
    }
  }

  void allow(Constraint& constraint, std::span<const Change> changes) {
    const std::uint64_t disk_sector = snapshot_.places[constraint.place].first + constraint.sector;
    if (window_.base[constraint.place].at(disk_sector) == constraint.hash) {
      add_interval(constraint, window_.take.first, changes.front().moved - 1);
    }
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (changes[i].hash != constraint.hash) continue;
      const Stamp last = i + 1 < changes.size() ? changes[i + 1].moved - 1 : window_.take.last;
      add_interval(constraint, changes[i].moved, last);
    }
    if (constraint.allowed.empty()) {
      add_misfit(constraint.place, constraint.copy, constraint.sector, constraint.hash);
    } else {
      constraints_.push_back(std::move(constraint));
    }
  }

  // A quiet interval never holds a `moved` inside, so it is allowed as a whole or not at all.
  void add_interval(Constraint& constraint, Stamp first, Stamp last) const {
    const auto& quiet = window_.quiet;
    const auto from = std::lower_bound(quiet.begin(), quiet.end(), first,
                                       [](const Instants& q, Stamp s) { return q.last < s; });
    const auto to = std::upper_bound(quiet.begin(), quiet.end(), last,
                                     [](Stamp s, const Instants& q) { return s < q.first; });
    if (from >= to) return;
    constraint.allowed.emplace_back(from - quiet.begin(), to - quiet.begin() - 1);
  }

  void sweep() {
    std::vector<std::int64_t> change(window_.quiet.size() + 1, 0);
    for (const Constraint& constraint : constraints_) {
      for (const auto& [first, last] : constraint.allowed) {
        ++change[first];
        --change[last + 1];
      }
    }
    std::vector<std::int64_t> satisfied(window_.quiet.size());
    std::int64_t running = 0;
    for (std::size_t q = 0; q < satisfied.size(); ++q) satisfied[q] = running += change[q];
    const std::int64_t best = *std::max_element(satisfied.begin(), satisfied.end());
    const auto first = std::find(satisfied.begin(), satisfied.end(), best);
    const auto last = std::find(satisfied.rbegin(), satisfied.rend(), best);
    const auto low = static_cast<std::size_t>(first - satisfied.begin());
    const auto high = satisfied.size() - 1 - static_cast<std::size_t>(last - satisfied.rbegin());
    window_.feasible = {window_.quiet[low].first, window_.quiet[high].last};
    const std::uint64_t feasible =
        static_cast<std::uint64_t>(std::count(satisfied.begin(), satisfied.end(), best));
    if (best == static_cast<std::int64_t>(constraints_.size())) {
      result_.exercised["feasible_instants"] += feasible;
    } else {
      report_contradiction(low);
    }
  }

  void judge_in(std::size_t p, const Request& request);
  void judge_bounds();
  void bound_from_below(std::size_t c);
  void bound_from_above(std::size_t c);
  void bound_by_missing(const Place& place, const Change& change, std::uint64_t shown);
  void report_no_quiet();
  void report_misfits();
  Kind kind_of(const Misfit& misfit, Stamp& focus) const;
  Evidence::Claim claim(const Constraint& constraint) const;
  void report_contradiction(std::size_t best);
  bool find_pair(std::size_t best, std::size_t& one, std::size_t& other) const;
  std::string describe_constraint(const Constraint& constraint) const;
  void add_misfit(std::size_t p, std::size_t c, std::uint64_t sector, std::uint64_t hash);
  bool is_withdrawn(const Copy& copy) const;
  SectorSet excused(const Copy& copy, Stamp since) const;
  void judge_kept(const Copy& copy, const BadRange& bad);
  SectorSet shown_after(const Copy& copy) const;
  bool corrupted_by(const Copy& copy) const;
  bool explained(const BadRange& bad, const Place& place, const SectorSet& excused,
                 const SectorSet& shown, bool corrupted) const;
  void judge_again(const Copy& copy);
  void add_read_error(const Copy& copy, const BadRange& bad, const std::string& why);
  bool cut_off(const BadRange& bad, const Copy& copy) const;
  std::string take_text() const {
    return fmt::format("TAKE of {} lies in stamps [{}, {}], {} quiet intervals", snapshot_.name,
                       window_.take.first, window_.take.last, window_.quiet.size());
  }

  Facts& facts_;
  const Snapshot& snapshot_;
  Window& window_;
  std::size_t index_;
  CheckResult& result_;
  std::vector<Constraint> constraints_;
  std::vector<Misfit> misfits_;
  Bound lower_, upper_;  // causal mode: P lies behind the one and before the other
  std::uint64_t judged_ = 0;
};

void Cut::add_misfit(std::size_t p, std::size_t c, std::uint64_t sector, std::uint64_t hash) {
  if (!misfits_.empty()) {
    Misfit& last = misfits_.back();
    if (last.place == p && last.copy == c && last.first + last.count == sector) {
      ++last.count;
      return;
    }
  }
  misfits_.push_back({p, c, sector, 1, hash});
}

void Cut::report_no_quiet() {
  std::string busy = "";
  Evidence evidence{.snapshot = index_, .focus = window_.take.first};
  for (std::size_t p = 0; p < snapshot_.places.size() && busy.empty(); ++p) {
    for (const Request* request : facts_.disks[snapshot_.places[p].disk].changes) {
      if (request->begin <= window_.take.last && request->end > window_.take.first) {
        busy = describe(*request) + " on " + snapshot_.places[p].device;
        evidence.sectors.push_back({request->disk, request->first, request->count});
        evidence.requests.push_back(request->begin);
        evidence.focus = request->begin;
        break;
      }
    }
  }
  add_finding(result_, Kind::cut_no_drain, snapshot_.places.front().device, snapshot_.take_cycle,
              std::move(evidence),
              fmt::format("TAKE did not drain: between its marks (stamps {} to {}) there is no "
                          "instant without a data-changing request in flight inside the captured "
                          "ranges of {}; the first one in flight is {}.",
                          window_.take.first, window_.take.last, snapshot_.name, busy));
}

// What a misfit shows, and where to look: at the begin of the version shown, or else at TAKE.
Kind Cut::kind_of(const Misfit& misfit, Stamp& focus) const {
  const Place& place = snapshot_.places[misfit.place];
  focus = window_.take.first;
  Kind kind = Kind::cut_unknown;
  for (const Version& version : versions_of(facts_, place.disk, place.first + misfit.first)) {
    if (version.hash != misfit.hash) continue;
    if (version.moved <= window_.take.first) return Kind::cut_older;
    if (kind == Kind::cut_unknown) focus = version.begin;
    kind = Kind::cut_younger;
  }
  return kind;
}

void Cut::report_misfits() {
  for (const Misfit& misfit : misfits_) {
    const Place& place = snapshot_.places[misfit.place];
    std::string text;
    Kind kind = Kind::cut_unknown;
    Evidence evidence{.snapshot = index_,
                      .sectors = {{place.disk, place.first + misfit.first, misfit.count}},
                      .steps = {snapshot_.copies[misfit.copy].step}};
    if (result_.findings.size() < kFindingLimit) {
      kind = kind_of(misfit, evidence.focus);
      text = fmt::format(
          "{} image sectors from {} on fit no instant of the take, in {}: {}. {}. {}", misfit.count,
          misfit.first, step_name(facts_.history, snapshot_.copies[misfit.copy].step),
          explain_observation(facts_, place, misfit.first, misfit.hash), take_text(),
          marks_around(facts_.history, window_.take.first));
    }
    add_finding(result_, kind, place.device, snapshot_.take_cycle, std::move(evidence),
                std::move(text));
  }
}

Evidence::Claim Cut::claim(const Constraint& constraint) const {
  const Place& place = snapshot_.places[constraint.place];
  Evidence::Claim said{fmt::format("P by {} {}", place.device, constraint.sector), {}};
  for (const auto& [first, last] : constraint.allowed) {
    said.instants.emplace_back(window_.quiet[first].first, window_.quiet[last].last);
  }
  return said;
}

std::string Cut::describe_constraint(const Constraint& constraint) const {
  std::string instants;
  for (const auto& [first, last] : constraint.allowed) {
    instants += fmt::format("{}[{}, {}]", instants.empty() ? "" : " or ",
                            window_.quiet[first].first, window_.quiet[last].last);
  }
  return fmt::format("{}, so P lies in {}",
                     explain_observation(facts_, snapshot_.places[constraint.place],
                                         constraint.sector, constraint.hash),
                     instants);
}

// Two constraints without a common instant: the one that ends first against the one that begins
// last, or else one that the best instant violates against any other.
bool Cut::find_pair(std::size_t best, std::size_t& one, std::size_t& other) const {
  const auto disjoint = [](const Constraint& a, const Constraint& b) {
    for (const auto& x : a.allowed) {
      for (const auto& y : b.allowed) {
        if (x.first <= y.second && y.first <= x.second) return false;
      }
    }
    return true;
  };
  one = other = 0;
  for (std::size_t i = 1; i < constraints_.size(); ++i) {
    if (constraints_[i].allowed.back().second < constraints_[one].allowed.back().second) one = i;
    if (constraints_[i].allowed.front().first > constraints_[other].allowed.front().first)
      other = i;
  }
  if (disjoint(constraints_[one], constraints_[other])) return true;
  constexpr int kTried = 64;  // keeps this linear; a pair is a kindness, the best P always speaks
  int tried = 0;
  for (one = 0; one < constraints_.size() && tried < kTried; ++one) {
    if (constraints_[one].allows(best)) continue;
    ++tried;
    for (other = 0; other < constraints_.size(); ++other) {
      if (disjoint(constraints_[one], constraints_[other])) return true;
    }
  }
  return false;
}

void Cut::report_contradiction(std::size_t best) {
  std::size_t one = 0;
  std::size_t other = 0;
  const std::uint64_t violators = static_cast<std::uint64_t>(
      std::count_if(constraints_.begin(), constraints_.end(),
                    [&](const Constraint& c) { return !c.allows(best); }));
  std::string text;
  std::size_t blamed = 0;
  Evidence evidence{.snapshot = index_, .focus = window_.quiet[best].first};
  const auto show = [&](const Constraint& constraint) {
    const Place& place = snapshot_.places[constraint.place];
    evidence.sectors.push_back({place.disk, place.first + constraint.sector});
    evidence.claims.push_back(claim(constraint));
    evidence.steps.push_back(snapshot_.copies[constraint.copy].step);
  };
  if (find_pair(best, one, other)) {
    text = fmt::format("Two image sectors show no common instant. {}; but {}.",
                       describe_constraint(constraints_[one]),
                       describe_constraint(constraints_[other]));
    blamed = constraints_[one].allows(best) ? other : one;
    show(constraints_[one]);
    show(constraints_[other]);
  } else {
    text = fmt::format("No instant fits all sectors; the best P lies in [{}, {}], against it:",
                       window_.quiet[best].first, window_.quiet[best].last);
    int listed = 0;
    for (std::size_t i = 0; i < constraints_.size() && listed < 4; ++i) {
      if (constraints_[i].allows(best)) continue;
      text += " " + describe_constraint(constraints_[i]) + ".";
      blamed = i;
      show(constraints_[i]);
      ++listed;
    }
  }
  text += fmt::format(
      " {} of {} sectors changed around the take contradict the best instant. {}. {}", violators,
      constraints_.size(), take_text(), marks_around(facts_.history, window_.quiet[best].first));
  add_finding(result_, Kind::cut_no_common_instant,
              snapshot_.places[constraints_[blamed].place].device, snapshot_.take_cycle,
              std::move(evidence), std::move(text));
}

// The shown version is in, the next one is out: P lies before that one's begin. The largest P that
// any sector leaves must not fall under the begin of TAKE, and what ended before TAKE must be in.
void Cut::judge_causal() {
  Stamp upper = window_.take.last;
  for (std::size_t c = 0; c < snapshot_.copies.size(); ++c) {
    const Copy& copy = snapshot_.copies[c];
    const Place& place = snapshot_.places[copy.device];
    if (!place.recorded) continue;
    const SectorSet out = taken_out(facts_, index_, copy);
    SectorSet later;  // versions that came after TAKE began, up to the end of the copy
    for (const Request* request : facts_.disks[place.disk].moved) {
      if (request->moved > window_.take.first && request->begin <= copy.returned) {
        later.add(request->first, request->count);
      }
    }
    for (const Segment& segment : copy.segments) {
      judged_ += segment.count;
      const std::span<const std::uint64_t> seen(facts_.journal.hashes.data() + segment.hash_index,
                                                segment.count);
      std::uint64_t at = 0;
      while ((at = window_.base[copy.device].first_difference(place.first + segment.first, seen,
                                                              at)) < segment.count) {
        const std::uint64_t sector = segment.first + at;
        if (!out.contains(sector)) {
          const auto versions = versions_of(facts_, place.disk, place.first + sector);
          const bool known =
              later.contains(place.first + sector) &&
              std::any_of(versions.begin(), versions.end(), [&](const Version& version) {
                return version.hash == seen[at] && version.end > window_.take.first;
              });
          if (!known) add_misfit(copy.device, c, sector, seen[at]);
        }
        ++at;
      }
    }
  }
  // A write that had begun on the host when TAKE began passed the hook before P: it cannot be out.
  for (std::size_t p = 0; p < snapshot_.places.size(); ++p) {
    for (const Request* request : window_.changes[p]) {
      upper = std::max(upper, request->begin);
      if (request->begin <= window_.take.first && request->error == 0) judge_in(p, *request);
    }
  }
  if (!facts_.ledgers.empty()) judge_bounds();
  window_.feasible = {window_.take.first, upper};
  report_misfits();
}

// A write that the image shows was submitted before P, and a ledger tells what the host had ended
// before it was. A write that had landed when TAKE returned and is missing came to the host after
// P.
void Cut::judge_bounds() {
  upper_ = {snapshot_.take_returned,
            "",
            fmt::format("TAKE had returned at stamp {}", snapshot_.take_returned),
            {}};
  for (std::size_t c = 0; c < snapshot_.copies.size(); ++c) {
    bound_from_below(c);
    bound_from_above(c);
  }
  if (lower_.stamp < upper_.stamp) return;
  Evidence evidence{.snapshot = index_, .focus = lower_.stamp};
  for (const Bound* bound : {&lower_, &upper_})
    if (!bound->device.empty()) evidence.sectors.push_back(bound->sector);
  add_finding(result_, Kind::cut_ledger_bound, lower_.device, snapshot_.take_cycle,
              std::move(evidence),
              fmt::format("{}, so P lies behind stamp {}; but {}. {}. {}", lower_.why, lower_.stamp,
                          upper_.why, take_text(), marks_around(facts_.history, lower_.stamp)));
}

void Cut::bound_from_below(std::size_t c) {
  const Copy& copy = snapshot_.copies[c];
  const Place& place = snapshot_.places[copy.device];
  const SectorSet out = taken_out(facts_, index_, copy);
  for (const Segment& segment : copy.segments) {
    for (std::uint64_t i = 0; i < segment.count; ++i) {
      const LedgerSector* shown =
          facts_.ledgers.find(facts_.journal.hashes[segment.hash_index + i]);
      if (shown == nullptr || out.contains(segment.first + i)) continue;
      ++result_.exercised["ledger_bounds"];
      const Stamp stamp = facts_.ledgers.clock().before(facts_.ledgers.entry(*shown).begin);
      if (stamp <= lower_.stamp) continue;
      lower_ = {stamp,
                place.device,
                fmt::format("Sector {} of the image of {} shows {}", segment.first + i,
                            place.device, facts_.ledgers.describe(*shown)),
                {place.disk, place.first + segment.first + i, 1}};
    }
  }
}

void Cut::bound_from_above(std::size_t c) {
  const Copy& copy = snapshot_.copies[c];
  const Place& place = snapshot_.places[copy.device];
  const SectorSet out = taken_out(facts_, index_, copy);
  const std::vector<Change> changes = changes_of(copy.device);
  for (std::size_t i = 0; i < changes.size();) {
    const std::uint64_t sector = changes[i].sector;
    std::size_t end = i;
    while (end < changes.size() && changes[end].sector == sector) ++end;
    std::uint64_t hash = 0;
    if (!out.contains(sector) && observed(facts_, copy, sector, hash)) {
      std::size_t missing = end;  // of equal contents the youngest excuses most
      while (missing > i && changes[missing - 1].hash != hash) --missing;
      for (std::size_t m = missing; m < end; ++m) bound_by_missing(place, changes[m], hash);
    }
    i = end;
  }
}

// The image does not show `change`, unless what it shows came again when TAKE was over.
void Cut::bound_by_missing(const Place& place, const Change& change, std::uint64_t shown) {
  if (change.begin >= upper_.stamp) return;
  const auto versions = versions_of(facts_, place.disk, place.first + change.sector);
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (versions[i].moved > window_.take.last && versions[i].hash == shown) return;
  }
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (versions[i].moved != change.moved) continue;
    upper_ = {
        change.begin,
        place.device,
        fmt::format("sector {} of the image of {} does not show {}, so P lies before stamp {}",
                    change.sector, place.device, describe(versions, i), change.begin),
        {place.disk, place.first + change.sector, 1}};
  }
}

// Every sector of the request shows it or a later version.
void Cut::judge_in(std::size_t p, const Request& request) {
  const Place& place = snapshot_.places[p];
  const std::uint64_t first = std::max(request.first, place.first);
  const std::uint64_t end = std::min(request.first + request.count, place.first + place.sectors);
  for (std::size_t c = 0; c < snapshot_.copies.size(); ++c) {
    if (snapshot_.copies[c].device != p) continue;
    const SectorSet out = taken_out(facts_, index_, snapshot_.copies[c]);
    for (std::uint64_t s = first - place.first; s < end - place.first; ++s) {
      std::uint64_t hash = 0;
      if (out.contains(s) || !observed(facts_, snapshot_.copies[c], s, hash)) continue;
      const auto versions = versions_of(facts_, place.disk, place.first + s);
      const bool in = std::any_of(versions.begin(), versions.end(), [&](const Version& version) {
        return version.hash == hash && version.moved >= request.moved;
      });
      if (!in) add_misfit(p, c, s, hash);
    }
  }
}

// What lies beyond the end of a device that was made smaller during the hold cannot be read.
bool Cut::cut_off(const BadRange& bad, const Copy& copy) const {
  const std::string& device = snapshot_.places[copy.device].device;
  return std::any_of(facts_.history.resizes.begin(), facts_.history.resizes.end(),
                     [&](const Resize& resize) {
                       return resize.device == device && resize.called > snapshot_.take_called &&
                              resize.called < copy.returned && bad.first >= resize.sectors;
                     });
}

// Where a disk was pulled, or DESTROY was called while another lane was reading, nothing of the
// image need be read; nor where a request to what it is stored on failed, or to a disk below one
// whose sectors the host does not know: which sectors it was for is not known.
bool Cut::is_withdrawn(const Copy& copy) const {
  if (copy.returned > snapshot_.destroy_called) return true;
  const Place& place = snapshot_.places[copy.device];
  std::set<std::uint16_t> whole;
  for (const StorageRange& range : snapshot_.storage) whole.insert(range.disk);
  const auto pulled = [&](std::uint16_t disk) {
    return facts_.history.was_pulled(disk, window_.take.first, copy.returned);
  };
  if (pulled(place.disk) || std::any_of(whole.begin(), whole.end(), pulled)) return true;
  if (!place.recorded) whole.insert(place.below.begin(), place.below.end());
  return std::any_of(facts_.journal.requests.begin(), facts_.journal.requests.end(),
                     [&](const Request& request) {
                       return request.error != 0 && request.end >= window_.take.first &&
                              request.begin <= copy.returned && whole.contains(request.disk);
                     });
}

// Sectors of the copied device's disk that may read as -EIO, by what has come to its end since.
SectorSet Cut::excused(const Copy& copy, Stamp since) const {
  const Place& place = snapshot_.places[copy.device];
  SectorSet sectors;
  // Storage that came to lie there after the take; what lay there before reads as zeroes.
  for (const Snapshot& owner : facts_.history.snapshots) {
    if (owner.destroyed < window_.take.first) continue;
    for (const StorageRange& range : owner.storage) {
      if (range.ok && range.disk == place.disk && range.returned >= window_.take.first &&
          range.from <= copy.returned) {
        sectors.add(range.first, range.count);
      }
    }
  }
  // A read that failed loses what it was a part of: a chunk at most on either side. Ours has none
  // of more than 256 KiB, whatever it is told.
  constexpr std::uint64_t kLargestShift = 40;  // 1 TiB: more is not meant
  const std::uint64_t shift = std::clamp<std::uint64_t>(
      module_parameter(facts_.history.plan, "chunk_minimum_shift", 18), 18, kLargestShift);
  const std::uint64_t chunk = (std::uint64_t{1} << shift) / journal::kSectorBytes;
  for (const Request& request : facts_.journal.requests) {
    if (request.begin > copy.returned) break;
    if (request.disk != place.disk || request.op != journal::Op::read || request.error == 0 ||
        request.end < since) {
      continue;
    }
    const std::uint64_t from = request.first - std::min(request.first, chunk - 1);
    sectors.add(from, request.first + request.count + chunk - 1 - from);
  }
  return sectors;
}

// Image sectors that a copy reads which was called when this one had ended: they were not lost,
// unless they were written through the image.
SectorSet Cut::shown_after(const Copy& copy) const {
  SectorSet sectors;
  Stamp last = 0;
  for (const Copy& later : snapshot_.copies) {
    if (later.device != copy.device || later.called < copy.returned) continue;
    for (const Segment& segment : later.segments) sectors.add(segment.first, segment.count);
    last = std::max(last, later.returned);
  }
  for (const OwnChange& change : snapshot_.image_writes) {
    if (change.device != copy.device || change.called > last) continue;
    for (const plan::Range& range : change.ranges) sectors.remove(range.first, range.count);
  }
  return sectors;
}

// CORRUPTED is told after the last I/O has ended, which may be long after it came to that. But a
// full storage was not yet full for a copy after which more was stored, in new places, than may
// wait in memory for a place.
bool Cut::corrupted_by(const Copy& copy) const {
  const std::uint64_t budget = facts_.expectations.budget_bytes / journal::kSectorBytes;
  bool full_later = false;
  for (const Event& event : snapshot_.events) {
    if (event.low) continue;
    if (event.seen <= copy.returned || event.value != ENOSPC || budget == 0) return true;
    full_later = true;
  }
  return full_later && FreeSpace(facts_, snapshot_).first_stored_after(copy.returned) <= budget;
}

// What is lost is never read again: CORRUPTED explains no error of a sector that a later copy
// shows.
bool Cut::explained(const BadRange& bad, const Place& place, const SectorSet& excused,
                    const SectorSet& shown, bool corrupted) const {
  if (corrupted && !shown.any(bad.first, bad.count)) return true;
  for (std::uint64_t s = bad.first; s < bad.first + bad.count; ++s) {
    if (excused.contains(place.first + s) || (corrupted && !shown.contains(s))) continue;
    return false;
  }
  return true;
}

void Cut::judge_errors() {
  for (const Copy& copy : snapshot_.copies) {
    judge_again(copy);
    if (copy.bad.empty()) continue;
    const Place& place = snapshot_.places[copy.device];
    const bool withdrawn = is_withdrawn(copy);
    const SectorSet excused = withdrawn ? SectorSet() : this->excused(copy, window_.take.first);
    const bool corrupted = corrupted_by(copy);
    const SectorSet shown = corrupted ? shown_after(copy) : SectorSet();
    for (const BadRange& bad : copy.bad) {
      result_.exercised["bad_sectors"] += bad.count;
      if (bad.error == kEio && (withdrawn || cut_off(bad, copy))) continue;
      if (bad.error == kEio && explained(bad, place, excused, shown, corrupted)) {
        if (!corrupted) judge_kept(copy, bad);
        continue;
      }
      add_read_error(copy, bad,
                     shown.any(bad.first, bad.count)
                         ? ", and no failed read near it explains it; CORRUPTED does not either: a "
                           "later copy shows what was refused, and what is lost stays lost."
                         : ", and neither a CORRUPTED event nor a failed read near it explains "
                           "it.");
    }
  }
}

// What a write through the image has put there, and was told so, is not lost by what had failed
// before.
void Cut::judge_kept(const Copy& copy, const BadRange& bad) {
  const Place& place = snapshot_.places[copy.device];
  for (const OwnChange& change : snapshot_.image_writes) {
    if (change.device != copy.device || !change.succeeded || change.returned > copy.called) {
      continue;
    }
    std::optional<SectorSet> excused;  // looked for only where the write is concerned
    for (const plan::Range& range : change.ranges) {
      if (!base::overlap(range.first, range.count, bad.first, bad.count)) continue;
      if (!excused) excused = this->excused(copy, change.called);
      const std::uint64_t first = std::max(range.first, bad.first);
      const std::uint64_t end = std::min(range.first + range.count, bad.first + bad.count);
      if (excused->any(place.first + first, end - first)) continue;
      add_read_error(copy, {first, end - first, bad.error},
                     ", though " + step_name(facts_.history, change.step) +
                         " had written them through the image, and no read has failed since.");
    }
  }
}

// A read that failed and was right when it was asked again: nothing had been lost, so only a
// request that failed beside it explains the error. A piece is longer than what one such request
// is.
void Cut::judge_again(const Copy& copy) {
  if (copy.again.empty() || is_withdrawn(copy)) return;
  const Place& place = snapshot_.places[copy.device];
  const SectorSet excused = this->excused(copy, window_.take.first);
  for (const BadRange& bad : copy.again) {
    if (bad.error == kEio && excused.any(place.first + bad.first, bad.count)) continue;
    add_read_error(copy, bad,
                   " and well when they were asked for again at once, and no failed read near them "
                   "explains it: what is not lost has to be read at the first time.");
  }
}

void Cut::add_read_error(const Copy& copy, const BadRange& bad, const std::string& why) {
  const Place& place = snapshot_.places[copy.device];
  add_finding(
      result_, Kind::cut_read_error, place.device, snapshot_.take_cycle,
      Evidence{.snapshot = index_,
               .sectors = {{place.disk, place.first + bad.first, bad.count}},
               .steps = {copy.step},
               .focus = copy.called},
      fmt::format("Image sectors [{}, +{}) of {} read with error {} in {}{}", bad.first, bad.count,
                  place.device, bad.error, step_name(facts_.history, copy.step), why));
}

// Of a device that was changing its size during the take either size is right.
void Cut::judge_sizes() {
  for (const Copy& copy : snapshot_.copies) {
    const Place& place = snapshot_.places[copy.device];
    if (!copy.image_sectors || *copy.image_sectors == place.sectors) continue;
    const bool changing = std::any_of(
        facts_.history.resizes.begin(), facts_.history.resizes.end(), [&](const Resize& resize) {
          return resize.device == place.device && resize.called < snapshot_.take_returned &&
                 resize.returned > snapshot_.take_called;
        });
    if (changing) continue;
    add_finding(result_, Kind::cut_image_size, place.device, snapshot_.take_cycle,
                Evidence{.snapshot = index_, .steps = {copy.step}, .focus = copy.called},
                fmt::format("The image of {} has {} sectors in {}; the device had {} at TAKE.",
                            place.device, *copy.image_sectors, step_name(facts_.history, copy.step),
                            place.sectors));
  }
}

// What was written through the image is what the image shows from then on: the contents are a
// function of the step. Of sectors that more than one step wrote, the last is asked for; where one
// was called before another had ended, nobody knows which that is.
void Cut::judge_image_writes() {
  for (const Copy& copy : snapshot_.copies) {
    std::map<std::uint64_t, std::uint64_t> expected;  // image sector -> hash
    struct Ended {
      std::uint32_t step = 0;  // the latest that wrote the sector
      Stamp own = 0;           // when it ended
      Stamp others = 0;        // when the last of those before it ended
    };
    std::map<std::uint64_t, Ended> ended;
    for (const OwnChange& change : snapshot_.image_writes) {
      if (change.device != copy.device || change.called > copy.returned) continue;
      const std::uint64_t key = journal::step_key(facts_.history.plan.seed, change.step);
      const bool known = change.succeeded && change.returned < copy.called;
      journal::SectorBytes bytes;
      for (const plan::Range& range : change.ranges) {
        for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
          expected.erase(s);
          Ended& before = ended[s];
          if (before.step != change.step) before.others = std::max(before.others, before.own);
          before.step = change.step;
          before.own = change.returned;
          if (!known || change.called <= before.others) continue;
          journal::fill_sector(key, s, bytes);
          expected[s] = journal::sector_hash(bytes);
        }
      }
    }
    // Storage that came to lie there hides what the image held.
    for (const auto& [sector, hash] : expected) {
      const Place& place = snapshot_.places[copy.device];
      std::uint64_t seen = 0;
      if (window_.exempt[copy.device].contains(place.first + sector) ||
          !observed(facts_, copy, sector, seen)) {
        continue;
      }
      ++result_.exercised["image_sectors"];
      if (seen == hash) continue;
      add_finding(
          result_, Kind::cut_image_write, place.device, snapshot_.take_cycle,
          Evidence{.snapshot = index_,
                   .sectors = {{place.disk, place.first + sector}},
                   .steps = {copy.step},
                   .focus = copy.called},
          fmt::format("Sector {} of the image of {} was written through the image, and {} "
                      "does not show it: it shows {}.",
                      sector, place.device, step_name(facts_.history, copy.step),
                      result_.findings.size() < kFindingLimit ? identify(facts_, seen)
                                                              : std::string("something else")));
    }
  }
}

// Of devices whose images were read: what nobody looked at proves nothing.
void count_window(const Facts& facts, std::size_t index, CheckResult& result, CycleSummary& cycle) {
  const Snapshot& snapshot = facts.history.snapshots[index];
  const Window& window = facts.windows[index];
  bool any = false;
  for (std::size_t p = 0; p < snapshot.places.size(); ++p) {
    const bool seen =
        std::any_of(snapshot.copies.begin(), snapshot.copies.end(),
                    [&](const Copy& copy) { return copy.device == p && !copy.segments.empty(); });
    if (!seen || !snapshot.places[p].recorded) continue;
    any = true;
    ++result.exercised["devices"];
    std::uint64_t across = 0;
    for (const Request* request : facts.disks[snapshot.places[p].disk].changes) {
      if (request->begin > window.take.last) break;
      if (request->end > window.take.first) ++across;
    }
    result.exercised["writes_across_take"] += across;
    cycle.writes_across_take += across;
    for (const Request* request : window.changes[p]) result.exercised["versions"] += request->count;
  }
  if (any) result.exercised["quiet_instants"] += window.quiet.size();
}

}  // namespace

void check_cut(Facts& facts, Report& report) {
  CheckResult& result = report.checks["cut"];
  for (const char* counter :
       {"devices", "sectors_judged", "versions", "quiet_instants", "writes_across_take",
        "feasible_instants", "bad_sectors", "image_sectors", "hidden_sectors", "ledger_bounds"}) {
    result.exercised[counter] += 0;
  }
  CheckResult unreported;  // an older cycle is judged again only to know its P
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    if (!facts.windows[i].judged) continue;
    const std::uint32_t cycle = facts.history.snapshots[i].take_cycle;
    const bool reported = facts.in_scope(cycle);
    if (!reported && cycle + 1 < facts.scope.first_cycle) continue;
    Cut cut(facts, i, reported ? result : unreported);
    if (facts.expectations.strict) {
      cut.judge_strict();
      judge_hidden(facts, i, reported ? result : unreported);
    } else {
      cut.judge_causal();
    }
    cut.judge_errors();
    cut.judge_sizes();
    cut.judge_image_writes();
    if (!reported) continue;
    if (result.outcome == Outcome::not_run && (cut.judged() > 0 || cut.refused()))
      result.outcome = Outcome::pass;
    count_window(facts, i, result, cycle_of(report, cycle));
    result.exercised["sectors_judged"] += cut.judged();
    cycle_of(report, cycle).sectors_judged += cut.judged();
  }
}

}  // namespace snapbed::model
