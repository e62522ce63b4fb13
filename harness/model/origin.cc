// SPDX-License-Identifier: GPL-2.0-or-later
// Check `origin`: the disks hold what the guest was told they hold. Every finished write, discard
// and zero step of the plan arrived with its data; no more bytes are acknowledged by fio than
// arrived; no request lies outside its disk or changes a disk while no step of the plan writes to
// it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "journal/pattern.h"
#include "model/checks.h"
#include "model/explain.h"
#include "model/writers.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;
using journal::Role;

namespace {

class Origin {
 public:
  Origin(const Facts& facts, CheckResult& result)
      : facts_(facts), result_(result), writers_(writers_of(facts.history)) {
    for (const Ledger& ledger : facts.ledgers.all()) {
      if (ledger.closed) closed_ledgers_.insert(ledger.step);
    }
  }

  void judge() {
    judge_requests();
    for (const plan::Step& step : facts_.history.plan.steps) {
      const StepRun& run = facts_.history.steps[step.id];
      if (!facts_.in_scope(step.cycle) || !run.succeeded()) continue;
      if (step.op == "write" || step.op == "discard" || step.op == "zero") judge_step(step, run);
      if (step.op == "fio_stop" || step.op == "fio_wait") judge_fio(step, run);
    }
  }

 private:
  void judge_requests() {
    for (const Request& request : facts_.journal.requests) {
      if (request.begin > facts_.history.horizon) break;
      const journal::Disk& disk = facts_.journal.disks[request.disk];
      if (request.first > disk.sectors || request.count > disk.sectors - request.first) {
        add(Kind::origin_outside_disk, disk.name, shown(request),
            fmt::format("{} lies outside disk {} of {} sectors", describe(request), disk.name,
                        disk.sectors));
      }
      if (!changes_data(request.op) || facts_.journal.is_loss(request)) continue;
      if (disk.role == Role::plan) {
        add(Kind::origin_plan_disk, disk.name, shown(request),
            fmt::format("{} changes the plan disk {}", describe(request), disk.name));
      }
      if (disk.role != Role::data) continue;
      ++result_.exercised["requests"];
      if (result_.outcome == Outcome::not_run) result_.outcome = Outcome::pass;
      if (!licensed(request)) {
        add(Kind::origin_unlicensed, disk.name, shown(request),
            fmt::format("{} on {} arrived while no step of the plan writes to that disk",
                        describe(request), disk.name));
      }
      if (request.op == Op::write && only_ledgers_write(request)) judge_contents(request);
    }
  }

  bool licensed(const Request& request) const {
    return std::any_of(writers_.begin(), writers_.end(), [&](const Writer& writer) {
      if (request.begin < writer.from || request.begin > writer.to) return false;
      if (writer.device.empty()) return true;
      const auto& below = facts_.history.place(writer.device).below;
      return std::find(below.begin(), below.end(), request.disk) != below.end();
    });
  }

  // True when every step that may write there and then is a ledger, all of whose writes are known.
  bool only_ledgers_write(const Request& request) const {
    bool any = false;
    for (const Writer& writer : writers_) {
      if (request.begin < writer.from || request.begin > writer.to) continue;
      if (writer.device.empty()) return false;
      const Place& place = facts_.history.place(writer.device);
      if (std::find(place.below.begin(), place.below.end(), request.disk) == place.below.end())
        continue;
      // What crypt or parity make of a sector nobody knows.
      if (place.disk != request.disk || !closed_ledgers_.contains(writer.step)) return false;
      any = true;
    }
    return any;
  }

  void judge_contents(const Request& request) {
    if (request.moved == kNever || request.error != 0) return;
    const auto hashes = facts_.journal.hashes_of(request);
    for (std::uint64_t i = 0; i < request.count; ++i) {
      if (hashes[i] == zero_hash() || facts_.ledgers.find(hashes[i]) != nullptr) continue;
      const std::string& disk = facts_.journal.disks[request.disk].name;
      add(Kind::origin_foreign_content, disk, shown(request),
          fmt::format("{} on {} brought sector {} bytes that no writer of the plan has written: {}",
                      describe(request), disk, request.first + i, identify(facts_, hashes[i])));
      return;
    }
  }

  // Every sector that the step promises got its content between the step's marks.
  void judge_step(const plan::Step& step, const StepRun& run) {
    const Place place =
        facts_.history.place_at(step.args.at("device").get<std::string>(), run.called);
    if (!place.recorded) return;
    std::vector<plan::Range> ranges;
    if (step.op == "write") {
      ranges = plan::written_ranges(facts_.history.plan.seed, step, place.sectors);
    } else {
      const auto first = step.args.at("first").get<std::uint64_t>();
      const auto count = step.args.at("count").get<std::uint64_t>();
      if (first > place.sectors || count > place.sectors - first) {
        throw BrokenRecord(fmt::format("{} of [{}, +{}) succeeded on {} of {} sectors",
                                       step_name(facts_.history, step.id), first, count,
                                       place.device, place.sectors));
      }
      ranges.push_back({first, count});
    }
    SectorSet missing;
    for (const plan::Range& range : ranges) {
      missing.add(place.first + range.first, range.count);
      result_.exercised["acknowledged"] += range.count * journal::kSectorBytes;
    }
    const auto& changes = facts_.disks[place.disk].changes;
    auto at = std::lower_bound(changes.begin(), changes.end(), run.called,
                               [](const Request* r, Stamp stamp) { return r->begin < stamp; });
    for (; at != changes.end() && (*at)->begin < run.returned; ++at) {
      if ((*at)->end < run.returned && (*at)->error == 0) fulfil(step, place, **at, missing);
    }
    if (missing.empty()) return;
    std::uint64_t first = ~std::uint64_t{0};
    missing.each([&](std::uint64_t sector) { first = std::min(first, sector); });
    add(Kind::origin_never_arrived, place.device,
        Evidence{.sectors = {{place.disk, first}}, .steps = {step.id}, .focus = run.called},
        fmt::format("{} on {} was told to be done, but {} of its sectors never got its data before "
                    "the step ended, the first is disk sector {}",
                    step_name(facts_.history, step.id), place.device, missing.size(), first));
  }

  void fulfil(const plan::Step& step, const Place& place, const Request& request,
              SectorSet& missing) const {
    if (request.moved == kNever) return;
    const bool emptied = request.op == Op::trim || request.op == Op::zero;
    if (step.op != "write") {
      if (emptied) {
        missing.remove(request.first, request.count);
        return;
      }
      if (step.op == "discard") return;
    } else if (emptied) {
      return;
    }
    const std::uint64_t key = journal::step_key(facts_.history.plan.seed, step.id);
    const auto hashes = facts_.journal.hashes_of(request);
    journal::SectorBytes bytes;
    for (std::uint64_t i = 0; i < request.count; ++i) {
      const std::uint64_t sector = request.first + i;
      if (!missing.contains(sector)) continue;
      std::uint64_t expected = zero_hash();
      if (step.op == "write") {
        journal::fill_sector(key, sector - place.first, bytes);
        expected = journal::sector_hash(bytes);
      }
      if (hashes[i] == expected) missing.remove(sector, 1);
    }
  }

  // Bytes that fio was told are written, against those that arrived while it ran. Only jobs whose
  // targets are whole disks: a file system adds and saves writes of its own.
  void judge_fio(const plan::Step& step, const StepRun& run) {
    const plan::Step* start = nullptr;
    for (const plan::Step& other : facts_.history.plan.steps) {
      if (other.id < step.id && other.op == "fio_start" &&
          other.args.value("name", std::string()) == step.args.value("name", std::string())) {
        start = &other;
      }
    }
    if (start == nullptr || !run.answer.contains("bytes_written")) return;
    const std::string job = start->args.value("job", std::string());
    const auto devices = fio_devices(facts_.history, job);
    const bool raw =
        !devices.empty() &&
        std::all_of(devices.begin(), devices.end(),
                    [&](const std::string& name) { return facts_.history.place(name).whole; }) &&
        job.find("directory") == std::string::npos;
    if (!raw) return;
    ++result_.exercised["fio_jobs"];
    const std::uint64_t told = run.answer.at("bytes_written").get<std::uint64_t>();
    result_.exercised["acknowledged"] += told;
    std::uint64_t arrived = 0;
    for (const std::string& name : devices) {
      for (const Request* request : facts_.disks[facts_.history.place(name).disk].changes) {
        if (request->begin < facts_.history.steps[start->id].called) continue;
        if (request->begin > run.returned) break;
        if (request->op == Op::write && request->error == 0 && request->end != kNever) {
          arrived += request->count * journal::kSectorBytes;
        }
      }
    }
    if (told <= arrived) return;
    add(Kind::origin_told_more, devices.front(),
        Evidence{.steps = {start->id, step.id}, .focus = run.called},
        fmt::format(
            "fio \"{}\" was told that {} bytes are written, but only {} arrived at its disks "
            "without error between {} and {}",
            step.args.value("name", std::string()), told, arrived,
            step_name(facts_.history, start->id), step_name(facts_.history, step.id)));
  }

  static Evidence shown(const Request& request) {
    return Evidence{.sectors = {{request.disk, request.first, request.count}},
                    .requests = {request.begin},
                    .focus = request.begin};
  }

  void add(Kind kind, const std::string& device, Evidence evidence, const std::string& what) {
    const Stamp stamp = evidence.focus;
    std::uint32_t cycle = 0;
    for (const PlacedMark& placed : facts_.history.marks) {
      if (placed.begin <= stamp) cycle = std::max(cycle, placed.mark.cycle);
    }
    if (!facts_.in_scope(cycle)) return;
    add_finding(result_, kind, device, cycle, std::move(evidence),
                what + ". " + marks_around(facts_.history, stamp));
  }

  const Facts& facts_;
  CheckResult& result_;
  std::vector<Writer> writers_;
  std::set<std::uint32_t> closed_ledgers_;  // steps
};

}  // namespace

void check_origin(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["origin"];
  for (const char* counter : {"requests", "acknowledged", "fio_jobs"}) {
    result.exercised[counter] += 0;
  }
  Origin(facts, result).judge();
  judge_ledgers(facts, result);
}

}  // namespace snapbed::model
