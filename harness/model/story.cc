// SPDX-License-Identifier: GPL-2.0-or-later
// What a finding's evidence names is looked up in the facts and laid out from wide to narrow: the
// words, the picture, the neighbours, the guest, the raw lines, the advice.
#include "model/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "journal/print.h"
#include "model/devices.h"
#include "model/explain.h"
#include "model/facts.h"
#include "model/timeline.h"

namespace snapbed::model {

using journal::Request;

namespace {

constexpr std::size_t kVersionsDrawn = 7;  // of one sector; more hide each other
constexpr std::size_t kReadsDrawn = 3;
constexpr std::size_t kSectorsDrawn = 4;
constexpr std::size_t kPairsTold = 6;
constexpr std::size_t kLinesBefore = 8;  // of the journal
constexpr std::size_t kLinesAfter = 5;

bool meets(const Request& request, const Evidence::Sectors& sectors) {
  return request.disk == sectors.disk && model::meets(request, sectors.first, sectors.count);
}

std::string stamp_text(Stamp stamp) {
  return stamp == kNever ? std::string("never") : std::to_string(stamp);
}

class Teller {
 public:
  Teller(const Facts& facts, const Finding& finding)
      : facts_(facts), finding_(finding), evidence_(finding.evidence) {
    if (evidence_.snapshot < facts.history.snapshots.size()) {
      snapshot_ = &facts.history.snapshots[evidence_.snapshot];
      if (facts.windows[evidence_.snapshot].judged) window_ = &facts.windows[evidence_.snapshot];
    }
    gather();
  }

  std::string tell(std::uint64_t found) const {
    std::string out = fmt::format("{} / {}", check_of(finding_.kind), name_of(finding_.kind));
    if (!finding_.device.empty()) out += ", " + finding_.device;
    out += fmt::format(", cycle {}", finding_.cycle);
    if (found > 1) out += fmt::format(" (one of {})", found);
    out += "\n\n" + wrapped(finding_.text) + timeline() + neighbours() + guest() + lines();
    return out + "\n  Where to look\n" + wrapped(advice_of(finding_.kind), 4);
  }

 private:
  void gather();
  void gather_versions(const Evidence::Sectors& sectors);
  void gather_reads(const Evidence::Sectors& sectors);
  const Request* request_at(Stamp begin) const;
  std::string timeline() const;
  void draw_take(std::vector<TimelineRow>& rows) const;
  void draw_requests(std::vector<TimelineRow>& rows) const;
  void draw_steps(std::vector<TimelineRow>& rows) const;
  std::string neighbours() const;
  std::string guest() const;
  std::string lines() const;

  struct Drawn {
    const Request* request = nullptr;
    std::string label;
  };
  // Requests of one sector (or run), in the order of their begin.
  struct Lane {
    std::string title;
    std::vector<Drawn> requests;
    std::size_t left_out = 0;
  };

  const Facts& facts_;
  const Finding& finding_;
  const Evidence& evidence_;
  const Snapshot* snapshot_ = nullptr;
  const Window* window_ = nullptr;
  std::vector<Lane> lanes_;
  std::set<const Request*> drawn_;
};

const Request* Teller::request_at(Stamp begin) const {
  const auto& requests = facts_.journal.requests;
  const auto found =
      std::lower_bound(requests.begin(), requests.end(), begin,
                       [](const Request& request, Stamp stamp) { return request.begin < stamp; });
  return found != requests.end() && found->begin == begin ? &*found : nullptr;
}

void Teller::gather() {
  for (const Evidence::Sectors& sectors : evidence_.sectors) {
    if (lanes_.size() == kSectorsDrawn) break;
    const journal::Disk& disk = facts_.journal.disks[sectors.disk];
    lanes_.push_back({fmt::format("disk {} sector {}", disk.name, sectors.first), {}, 0});
    gather_versions(sectors);
    gather_reads(sectors);
    auto& requests = lanes_.back().requests;
    std::stable_sort(requests.begin(), requests.end(), [](const Drawn& a, const Drawn& b) {
      return a.request->begin < b.request->begin;
    });
  }
  for (const Stamp begin : evidence_.requests) {
    const Request* request = request_at(begin);
    if (request == nullptr || drawn_.contains(request)) continue;
    lanes_.push_back({fmt::format("disk {}", facts_.journal.disks[request->disk].name), {}, 0});
    lanes_.back().requests.push_back({request, op_name(request->op)});
    drawn_.insert(request);
  }
}

// The versions of the first sector that lie nearest to the take, or else to the focus.
void Teller::gather_versions(const Evidence::Sectors& sectors) {
  const Stamp from = window_ ? window_->take.first : evidence_.focus;
  const auto versions = versions_of(facts_, sectors.disk, sectors.first);
  std::size_t at = 0;  // the first that ends after `from`
  while (at < versions.size() && versions[at].end <= from) ++at;
  const std::size_t first = at > 2 ? at - 2 : 0;
  std::size_t drawn = 0;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    const Request* request = versions[i].request;
    if (request == nullptr) continue;
    const bool wanted = std::find(evidence_.requests.begin(), evidence_.requests.end(),
                                  request->begin) != evidence_.requests.end();
    if (!wanted && (i < first || drawn >= kVersionsDrawn)) {
      ++lanes_.back().left_out;
      continue;
    }
    ++drawn;
    lanes_.back().requests.push_back(
        {request, fmt::format("version {}, {}", i, op_name(request->op))});
    drawn_.insert(request);
  }
}

// Reads of the sector while the snapshot was held: copies of old data, or of the image.
void Teller::gather_reads(const Evidence::Sectors& sectors) {
  if (window_ == nullptr) return;
  std::size_t drawn = 0;
  for (const Request* read : facts_.disks[sectors.disk].reads) {
    if (read->begin <= window_->take.first || !meets(*read, {sectors.disk, sectors.first, 1})) {
      continue;
    }
    if (read->begin > snapshot_->destroyed) break;
    if (++drawn > kReadsDrawn) {
      ++lanes_.back().left_out;
      continue;
    }
    lanes_.back().requests.push_back({read, "read"});
    drawn_.insert(read);
  }
}

TimelineRow call_row(std::string label, Stamp called, Stamp returned) {
  return {std::move(label),
          {{{{called, '['}, {returned, returned == kNever ? '>' : ']'}}, '-'}},
          fmt::format("called {}, returned {}", called, stamp_text(returned))};
}

Stroke instants(Stamp first, Stamp last) {
  if (first == last) return {{{first, '='}}, '='};
  return {{{first, '='}, {last, '='}}, '='};
}

void Teller::draw_take(std::vector<TimelineRow>& rows) const {
  if (snapshot_ == nullptr || snapshot_->take_called == kNever) return;
  rows.push_back(
      call_row("TAKE of " + snapshot_->name, snapshot_->take_called, snapshot_->take_returned));
  for (const Evidence::Claim& claim : evidence_.claims) {
    TimelineRow row{claim.who, {}, ""};
    for (const auto& [first, last] : claim.instants) {
      row.strokes.push_back(instants(first, last));
      row.note += fmt::format("{}[{}, {}]", row.note.empty() ? "" : " or ", first, last);
    }
    rows.push_back(std::move(row));
  }
  if (evidence_.claims.empty() && window_ != nullptr && !window_->quiet.empty()) {
    const Instants& p = window_->feasible;
    rows.push_back({"P by all other sectors",
                    {instants(p.first, p.last)},
                    fmt::format("[{}, {}]", p.first, p.last)});
  }
}

// b--m--e, with ? for what failed and > for what never came.
Stroke stroke_of(const Request& request) {
  Stroke stroke{{{request.begin, 'b'}}, request.op == journal::Op::read ? '.' : '-'};
  if (request.moved != kNever) stroke.points.push_back({request.moved, 'm'});
  stroke.points.push_back({request.end, request.end == kNever ? '>'
                                        : request.error != 0  ? 'x'
                                                              : 'e'});
  return stroke;
}

void Teller::draw_requests(std::vector<TimelineRow>& rows) const {
  for (const Lane& lane : lanes_) {
    std::string note;
    if (lane.left_out > 0) note = fmt::format("({} more are not drawn)", lane.left_out);
    rows.push_back({lane.title, {}, note});
    for (const Drawn& drawn : lane.requests) {
      const Request& request = *drawn.request;
      rows.push_back(
          {"  " + drawn.label,
           {stroke_of(request)},
           fmt::format("[{}, +{}) b {} m {} e {}{}", request.first, request.count, request.begin,
                       stamp_text(request.moved), stamp_text(request.end),
                       request.error ? fmt::format(" error {}", request.error) : std::string())});
    }
  }
}

void Teller::draw_steps(std::vector<TimelineRow>& rows) const {
  std::vector<std::uint32_t> steps = evidence_.steps;
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  for (const std::uint32_t step : steps) {
    const StepRun& run = facts_.history.steps[step];
    const std::string& op = facts_.history.plan.steps[step].op;
    if (run.begun())
      rows.push_back(call_row(fmt::format("step {} {}", step, op), run.called, run.returned));
  }
  if (snapshot_ != nullptr && snapshot_->destroy_called != kNever && !lanes_.empty()) {
    rows.push_back(
        call_row("DESTROY of " + snapshot_->name, snapshot_->destroy_called, snapshot_->destroyed));
  }
}

std::string Teller::timeline() const {
  std::vector<TimelineRow> rows;
  draw_take(rows);
  draw_requests(rows);
  draw_steps(rows);
  if (rows.empty()) return "";
  std::string out =
      "\n  Timeline, by stamps and not to scale\n"
      "  [--] a call   == P may lie here   b begin  m data moved  e end  x failed  > never\n\n";
  const std::string picture = draw(rows);
  for (std::size_t at = 0; at < picture.size();) {
    const std::size_t end = picture.find('\n', at);
    out += "  " + picture.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

// Which of the drawn requests were in flight together with which others on the same sectors.
std::string Teller::neighbours() const {
  if (drawn_.empty()) return "";
  std::vector<std::string> pairs;
  std::set<std::pair<const Request*, const Request*>> told;
  for (const Request* one : drawn_) {
    for (const Request& other : facts_.journal.requests) {
      if (other.begin > one->end || other.begin > facts_.history.horizon) break;
      if (&other == one || other.disk != one->disk || other.end < one->begin) continue;
      if (!meets(other, {one->disk, one->first, one->count})) continue;
      const Request* first = one->begin < other.begin ? one : &other;
      const Request* second = first == one ? &other : one;
      if (!told.insert({first, second}).second) continue;
      pairs.push_back(fmt::format("{}  beside  {}", describe(*first), describe(*second)));
    }
  }
  std::string out = "\n  In flight together on these sectors\n";
  if (pairs.empty()) return out + "    none: each of these requests had its sectors for itself\n";
  const std::size_t count = pairs.size();
  if (count > kPairsTold) pairs.resize(kPairsTold);
  for (const std::string& pair : pairs) out += "    " + pair + "\n";
  if (count > kPairsTold) out += fmt::format("    and {} more pairs\n", count - kPairsTold);
  return out;
}

// Steps open at the focus, fio jobs that ran, snapshots that were held.
std::string Teller::guest() const {
  if (evidence_.focus == kNever) return "";
  const Stamp at = evidence_.focus;
  std::string out = fmt::format("\n  What the guest was doing at stamp {}\n", at);
  std::set<std::string> jobs;
  bool in_step = false;
  for (const plan::Step& step : facts_.history.plan.steps) {
    const StepRun& run = facts_.history.steps[step.id];
    if (run.called > at) continue;
    const std::string name = step.args.value("name", std::string());
    if (step.op == "fio_start") jobs.insert(name);
    if ((step.op == "fio_stop" || step.op == "fio_wait") && run.returned <= at) jobs.erase(name);
    if (run.returned <= at) continue;
    in_step = true;
    out +=
        wrapped(fmt::format("{} {}, called at {}, {}", step_name(facts_.history, step.id),
                            step.args.dump().substr(0, 160), run.called,
                            run.returned == kNever ? std::string("not back when the record ends")
                                                   : fmt::format("returned at {}", run.returned)),
                4);
  }
  if (!in_step) out += wrapped("between two steps. " + marks_around(facts_.history, at), 4);
  if (!jobs.empty()) out += wrapped(fmt::format("fio ran: {}", fmt::join(jobs, ", ")), 4);
  for (const Snapshot& snapshot : facts_.history.snapshots) {
    if (snapshot.created > at || snapshot.destroyed <= at) continue;
    const bool taken = snapshot.taken && snapshot.take_returned <= at;
    out += wrapped(fmt::format("snapshot {} of cycle {} was {}", snapshot.name, snapshot.cycle,
                               taken ? "held" : "created, not yet taken"),
                   4);
  }
  return out;
}

std::string Teller::lines() const {
  if (evidence_.focus == kNever) return "";
  const auto lines = journal::lines_around(facts_.journal, evidence_.focus,
                                           {kLinesBefore, kLinesAfter}, plan::mark_words);
  std::string out = fmt::format(
      "\n  The journal around stamp {} (disks of data, storage and scratch)\n", evidence_.focus);
  for (const journal::Line& line : lines) {
    const Request* request = request_at(line.begin);
    const bool of_evidence =
        request != nullptr &&
        (drawn_.contains(request) ||
         std::any_of(evidence_.sectors.begin(), evidence_.sectors.end(),
                     [&](const Evidence::Sectors& sectors) { return meets(*request, sectors); }));
    out += fmt::format("  {} {}\n", of_evidence ? ">" : " ", line.text);
  }
  return out;
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t indent) {
  std::string out;
  std::string line(indent, ' ');
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (line.size() > indent && line.size() + 1 + word.size() > kStoryColumns) {
      out += line + "\n";
      line.assign(indent, ' ');
    }
    if (line.size() > indent) line += ' ';
    line += word;
  }
  return out + line + "\n";
}

std::string tell_finding(const Facts& facts, const Finding& finding, std::uint64_t found) {
  return Teller(facts, finding).tell(found);
}

Explained explain(const journal::Journal& journal, const Expectations& expectations,
                  const FilesReader& files, Scope scope) {
  Explained out;
  try {
    const auto wider = with_devices(journal);
    Facts facts(wider ? *wider : journal, expectations, files, scope);
    out.report = judge(facts);
    if (!out.report.broken.empty()) return out;
    for (const auto& [name, check] : out.report.checks) {
      for (const Finding& finding : check.findings) {
        out.chapters.push_back(tell_finding(facts, finding, check.found));
      }
    }
  } catch (const std::exception& error) {
    out.report.broken = error.what();
  }
  return out;
}

}  // namespace snapbed::model
