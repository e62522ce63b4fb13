// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model/devices.h"
#include "model/report.h"
#include "model/selftest.h"

namespace snapbed::model {

using journal::Journal;
using journal::Request;
using journal::Role;
using nlohmann::json;
using plan::MarkKind;

namespace {

PlacedMark place_mark(const journal::MarkBytes& raw, std::uint64_t sequence) {
  const auto mark = plan::decode_mark(raw.bytes);
  if (!mark) {
    throw BrokenRecord(fmt::format("mark {} (stamp {}) cannot be decoded", sequence, raw.begin));
  }
  if (mark->sequence != sequence) {
    throw BrokenRecord(fmt::format("marks have a gap: number {} stands where {} was due (stamp {})",
                                   mark->sequence, sequence, raw.begin));
  }
  PlacedMark placed{*mark, json::object(), raw.begin, raw.end};
  if (mark->kind != MarkKind::note && !mark->text.empty()) {
    placed.text = json::parse(mark->text, nullptr, false);
    if (!placed.text.is_object()) {
      throw BrokenRecord(fmt::format("mark {} ({}) holds no JSON object: {}", sequence,
                                     plan::to_string(mark->kind), mark->text));
    }
  }
  return placed;
}

std::vector<PlacedMark> place_marks(const Journal& journal, std::uint32_t cycle) {
  std::vector<PlacedMark> marks;
  for (const journal::MarkBytes& raw : journal.marks) {
    marks.push_back(place_mark(raw, marks.size()));
    const plan::Mark& mark = marks.back().mark;
    if (mark.kind == MarkKind::cycle_end && mark.cycle == cycle) break;
  }
  return marks;
}

std::uint16_t disk_called(const Journal& journal, const std::string& device,
                          const std::string& name) {
  const auto disk = std::find_if(journal.disks.begin(), journal.disks.end(),
                                 [&](const journal::Disk& d) { return d.name == name; });
  if (disk == journal.disks.end()) {
    throw BrokenRecord(fmt::format(
        "the plan's device {} lies on disk {}, which the journal does not know", device, name));
  }
  return disk->id;
}

std::vector<Place> place_devices(const Journal& journal, const plan::Plan& plan) {
  std::vector<Place> places;
  for (const auto& [name, device] : plan.devices) {
    const bool own = device.disk.empty();
    const journal::Disk& disk =
        journal.disks[disk_called(journal, name, own ? own_disk(name) : device.disk)];
    if (device.first > disk.sectors || device.sectors > disk.sectors - device.first) {
      throw BrokenRecord(
          fmt::format("the plan's device {} [{}, +{}) does not fit on disk {} of {} "
                      "sectors",
                      name, device.first, device.sectors, disk.name, disk.sectors));
    }
    Place place{name,
                disk.id,
                device.first,
                device.sectors,
                name == device.disk,
                !own || !device.stripes.empty(),
                {}};
    for (const std::string& below : device.below)
      place.below.push_back(disk_called(journal, name, below));
    places.push_back(std::move(place));
  }
  return places;
}

std::vector<StepRun> place_steps(const History& history) {
  std::vector<StepRun> runs(history.plan.steps.size());
  for (const PlacedMark& placed : history.marks) {
    const plan::Mark& mark = placed.mark;
    const bool begins = mark.kind == MarkKind::step_begin;
    if (!begins && mark.kind != MarkKind::step_end) continue;
    if (mark.step >= runs.size()) {
      throw BrokenRecord(fmt::format("mark {} speaks of step {}, the plan has {}", mark.sequence,
                                     mark.step, runs.size()));
    }
    StepRun& run = runs[mark.step];
    if (begins) {
      if (run.begun()) throw BrokenRecord(fmt::format("step {} begins twice", mark.step));
      run.called = placed.end;
      continue;
    }
    if (!run.begun() || run.finished()) {
      throw BrokenRecord(
          fmt::format("step {} ends {}", mark.step, run.finished() ? "twice" : "before it began"));
    }
    if (!placed.text.contains("result") || !placed.text["result"].is_number_integer()) {
      throw BrokenRecord(fmt::format("the end of step {} ({}) holds no result", mark.step,
                                     history.plan.steps[mark.step].op));
    }
    if (placed.begin < run.called) {
      throw BrokenRecord(fmt::format("step {} ends at stamp {}, before it was called at {}",
                                     mark.step, placed.begin, run.called));
    }
    run.returned = placed.begin;
    run.result = placed.text["result"].get<std::int64_t>();
    run.answer = placed.text;
  }
  return runs;
}

// [first, first + count) as far as it lies inside the device. A plan may ask for more, to see it
// refused; nobody can have done more.
plan::Range inside(const json& range, const Place& place) {
  const auto first = range.at(0).get<std::uint64_t>();
  const auto count = range.at(1).get<std::uint64_t>();
  if (first >= place.sectors) return {place.sectors, 0};
  return {first, std::min(count, place.sectors - first)};
}

// Walks the steps in their order and builds snapshots from them.
class Teller {
 public:
  Teller(const Journal& journal, History& history) : journal_(journal), history_(history) {}

  void tell() {
    find_lane_copies();
    // Lanes run side by side: what counts is when a step was called, not where it stands.
    std::vector<const plan::Step*> begun;
    for (const plan::Step& step : history_.plan.steps) {
      if (history_.steps[step.id].begun()) begun.push_back(&step);
    }
    std::stable_sort(begun.begin(), begun.end(), [this](const auto* a, const auto* b) {
      return history_.steps[a->id].called < history_.steps[b->id].called;
    });
    for (const plan::Step* step : begun) tell_step(*step, history_.steps[step->id]);
    // Beside a DESTROY of another lane a map may be that of the device's next snapshot.
    for (Snapshot& snapshot : history_.snapshots) {
      std::erase_if(snapshot.maps,
                    [&](const MapRead& map) { return map.returned > snapshot.destroy_called; });
    }
    for (const PlacedMark& placed : history_.marks) tell_mark(placed);
  }

 private:
  void tell_step(const plan::Step& step, const StepRun& run) {
    if (step.op == "insmod" && history_.inserted == kNever) history_.inserted = run.called;
    if (step.op == "rmmod" && run.succeeded()) tracked_.clear();
    if (step.op == "remove_tracker" && run.succeeded()) {
      tracked_.erase(step.args.at("device").get<std::string>());
    }
    if (step.op == "dm_create" || step.op == "dm_reload") tell_size(step, run);
    // These try the interface, and have removed every tracker at their end.
    if (step.op == "abi" || step.op == "call_storm" || step.op == "fail_allocations") {
      tracked_.clear();
    }
    // Whatever bears the name next is another device.
    if ((step.op == "dm_remove" || step.op == "md_stop") && run.succeeded()) {
      tracked_.erase(step.args.at("name").get<std::string>());
    }
    if (step.op == "plug" || step.op == "unplug") tell_plug(step, run);
    if (step.op == "create") tell_create(step, run);
    if (step.op == "mark_dirty") tell_dirty(step, run);
    if (step.op == "power_cut") tell_power_cut(step, run);
    if (step.op == "copy_origin") tell_origin_copy(step, run);
    if (!step.args.contains("snapshot")) return;
    Snapshot* snapshot = find(step.args.at("snapshot").get<std::string>(), run.called);
    if (snapshot == nullptr) return;
    if (step.op == "append") tell_append(step, run, *snapshot);
    if (step.op == "take") tell_take(step, run, *snapshot);
    if (step.op == "copy_image") tell_copy(step, run, *snapshot);
    if (step.op == "read_map") tell_map(step, run, *snapshot);
    if (step.op == "write_image") tell_image_write(step, run, *snapshot);
    if (step.op == "destroy") tell_destroy(run, *snapshot);
  }

  void tell_mark(const PlacedMark& placed) {
    const MarkKind kind = placed.mark.kind;
    if (kind == MarkKind::event) tell_event(placed);
    if (kind == MarkKind::append_begin) tell_append_begin(placed);
    if (kind == MarkKind::append_end) tell_append_end(placed);
    if (kind == MarkKind::read_error) tell_read_error(placed);
  }

  // The snapshot that bears the name at a stamp: the youngest created by then.
  Snapshot* find(const std::string& name, Stamp at) {
    for (auto s = history_.snapshots.rbegin(); s != history_.snapshots.rend(); ++s) {
      if (s->name == name && s->create_called <= at) return &*s;
    }
    return nullptr;
  }

  void tell_create(const plan::Step& step, const StepRun& run) {
    if (run.finished() && run.result != 0) return;
    Snapshot snapshot;
    snapshot.name = step.args.at("snapshot").get<std::string>();
    snapshot.cycle = step.cycle;
    snapshot.create_called = run.called;
    snapshot.created = run.returned;
    snapshot.unheard = step.args.value("events", std::string()) == "no";
    for (const json& device : step.args.at("devices")) {
      const std::string name = device.get<std::string>();
      snapshot.places.push_back(history_.place_at(name, run.called));
      if (!tracked_.contains(name)) start_generation(snapshot.places.back(), run.called, false);
    }
    snapshot.number.resize(snapshot.places.size());
    snapshot.generation.resize(snapshot.places.size());
    history_.snapshots.push_back(std::move(snapshot));
  }

  // What was tracked on a disk that has gone is tracked no more, whatever bears its number next.
  void tell_plug(const plan::Step& step, const StepRun& run) {
    const std::uint16_t disk = history_.place(step.args.at("device").get<std::string>()).disk;
    if (step.op == "plug") {
      for (Pulled& pulled : history_.pulled) {
        if (pulled.disk == disk) pulled.to = std::min(pulled.to, run.returned);
      }
      return;
    }
    history_.pulled.push_back({disk, run.called, kNever});
    for (const Place& place : history_.places) {
      if (place.disk == disk) tracked_.erase(place.device);
    }
  }

  void tell_size(const plan::Step& step, const StepRun& run) {
    const std::string name = step.args.at("name").get<std::string>();
    if (!run.succeeded()) return;
    const Place& place = history_.place(name);
    const std::uint64_t sectors = step.args.value("sectors", place.sectors);
    if (step.op == "dm_reload" && sectors > journal_.disks[place.disk].sectors - place.first) {
      throw BrokenRecord(fmt::format("step {} makes {} larger than its disk", step.id, name));
    }
    history_.resizes.push_back({name, run.called, run.returned, sectors});
  }

  void start_generation(const Place& place, Stamp from, bool wrapped) {
    tracked_[place.device] = history_.generations.size();
    history_.generations.push_back({place.device,
                                    static_cast<std::uint32_t>(history_.generations.size()),
                                    from,
                                    wrapped,
                                    place.sectors,
                                    {}});
  }

  // Memory is gone, and with it what the module knew.
  void tell_power_cut(const plan::Step& step, const StepRun& run) {
    const auto power = std::find_if(journal_.power.begin(), journal_.power.end(),
                                    [&](const auto& one) { return one.cut > run.called; });
    if (power == journal_.power.end()) return;
    history_.outages.push_back({step.id, step.cycle, power->cut, power->back});
    tracked_.clear();
    for (Snapshot& snapshot : history_.snapshots) {
      if (snapshot.destroy_called == kNever) snapshot.destroy_called = power->cut;
      if (snapshot.destroyed == kNever) snapshot.destroyed = power->cut;
    }
  }

  void tell_origin_copy(const plan::Step& step, const StepRun& run) {
    const Place& place = history_.place(step.args.at("device").get<std::string>());
    Copy copy;
    copy.step = step.id;
    copy.cycle = step.cycle;
    copy.device = static_cast<std::size_t>(&place - history_.places.data());
    copy.called = run.called;
    copy.returned = run.returned;
    copy.finished = run.succeeded();
    copy.range = {0, history_.place_at(place.device, run.called).sectors};
    copy.base = step.args.at("base").get<std::uint64_t>();
    collect_evidence(copy, copy.base, copy.range);
    history_.origin_copies.push_back(std::move(copy));
  }

  void tell_append(const plan::Step& step, const StepRun& run, Snapshot& snapshot) {
    snapshot.appends.push_back(run.called);
    add_storage(snapshot, step.args, run.called, run.returned, !run.finished() || run.result == 0);
  }

  void add_storage(Snapshot& snapshot, const json& from, Stamp stamp, Stamp returned, bool ok) {
    const Place place = history_.place_at(from.at("device").get<std::string>(), stamp);
    for (const json& range : from.at("ranges")) {
      const plan::Range part = inside(range, place);
      // Sets of sectors are made of it: 8 TiB are more than any run appends.
      constexpr std::uint64_t kRangeLimit = std::uint64_t{1} << 34;
      if (part.count > kRangeLimit) {
        throw BrokenRecord(
            fmt::format("{} sectors of {} are appended at once", part.count, place.device));
      }
      snapshot.storage.push_back({.disk = place.disk,
                                  .first = place.first + part.first,
                                  .count = part.count,
                                  .from = stamp,
                                  .returned = returned,
                                  .ok = ok});
    }
  }

  void tell_take(const plan::Step& step, const StepRun& run, Snapshot& snapshot) {
    if (!run.succeeded() || snapshot.taken) return;
    snapshot.taken = true;
    snapshot.take_cycle = step.cycle;
    snapshot.take_called = run.called;
    snapshot.take_returned = run.returned;
    const std::size_t index = static_cast<std::size_t>(&snapshot - history_.snapshots.data());
    for (std::size_t i = 0; i < snapshot.places.size(); ++i) {
      Place& place = snapshot.places[i];
      const std::string device = place.device;
      place = history_.place_at(device, run.called);
      constexpr std::size_t kLastNumber = 255;
      if (!tracked_.contains(device)) start_generation(place, snapshot.create_called, false);
      const Generation& before = history_.generations[tracked_[device]];
      if (before.takes.size() == kLastNumber || before.sectors != place.sectors ||
          begins_anew(before, run.called)) {
        start_generation(place, run.called, true);
      }
      Generation& generation = history_.generations[tracked_[device]];
      generation.takes.push_back(index);
      snapshot.number[i] = static_cast<std::uint32_t>(generation.takes.size());
      snapshot.generation[i] = generation.index;
    }
  }

  // A device that was smaller for a while may have other contents in its old size. The contract
  // asks for a new generation only where TAKE finds another size, so either is right; the map that
  // was read says which it is. One that goes on must still name what differs.
  bool begins_anew(const Generation& before, Stamp called) const {
    if (before.takes.empty()) return false;
    const Stamp since = history_.snapshots[before.takes.back()].take_called;
    const auto& resizes = history_.resizes;
    if (std::none_of(resizes.begin(), resizes.end(), [&](const Resize& resize) {
          return resize.device == before.device && resize.called > since &&
                 resize.called < called && resize.sectors < before.sectors;
        })) {
      return false;
    }
    const StepRun* first = nullptr;
    for (const plan::Step& step : history_.plan.steps) {
      const StepRun& run = history_.steps[step.id];
      if (step.op != "read_map" || step.args.at("device") != before.device || !run.succeeded() ||
          run.called < called || (first != nullptr && first->called < run.called)) {
        continue;
      }
      first = &run;
    }
    return first == nullptr || first->answer.at("snap_number") == 1;
  }

  void tell_destroy(const StepRun& run, Snapshot& snapshot) {
    if (run.finished() && run.result != 0) return;
    if (snapshot.destroy_called != kNever) return;
    snapshot.destroy_called = run.called;
    snapshot.destroyed = run.returned;
  }

  std::size_t member(const plan::Step& step, const Snapshot& snapshot) {
    const std::string device = step.args.at("device").get<std::string>();
    const std::size_t index = snapshot.place_of(device);
    if (index == kNoIndex) {
      throw BrokenRecord(
          fmt::format("step {} ({}) names device {}, which snapshot {} does not hold", step.id,
                      step.op, device, snapshot.name));
    }
    return index;
  }

  void tell_copy(const plan::Step& step, const StepRun& run, Snapshot& snapshot) {
    if (!snapshot.taken) return;
    Copy copy;
    copy.step = step.id;
    copy.cycle = step.cycle;
    copy.device = member(step, snapshot);
    copy.called = run.called;
    copy.returned = run.returned;
    copy.finished = run.finished();
    if (run.finished() && run.result != 0) copy.finished = false;
    const std::uint64_t sectors = snapshot.places[copy.device].sectors;
    copy.range = {step.args.value("first", std::uint64_t{0}), step.args.value("count", sectors)};
    if (copy.range.first > sectors || copy.range.count > sectors - copy.range.first) {
      throw BrokenRecord(fmt::format("step {} copies sectors [{}, +{}) of an image of {}", step.id,
                                     copy.range.first, copy.range.count, sectors));
    }
    copy.base = step.args.at("base").get<std::uint64_t>();
    plan::Range evidence = copy.range;
    if (run.answer.contains("image_sectors"))
      copy.image_sectors = run.answer.at("image_sectors").get<std::uint64_t>();
    if (copy.image_sectors && !step.args.contains("count")) {
      const std::uint64_t rest =
          *copy.image_sectors - std::min(*copy.image_sectors, copy.range.first);
      evidence.count = std::min(rest, step.args.value("room", rest));
      copy.range.count = std::min(evidence.count, copy.range.count);
    }
    collect_evidence(copy, copy.base, evidence);
    snapshot.copies.push_back(std::move(copy));
  }

  void collect_evidence(Copy& copy, std::uint64_t base, plan::Range range) {
    const std::uint64_t sectors = range.count;
    auto request = std::lower_bound(journal_.requests.begin(), journal_.requests.end(), copy.called,
                                    [](const Request& r, Stamp stamp) { return r.begin < stamp; });
    for (; request != journal_.requests.end() && request->begin < copy.returned; ++request) {
      if (request->disk >= journal_.disks.size()) continue;
      if (journal_.disks[request->disk].role != Role::evidence) continue;
      if (request->op == journal::Op::read || request->op == journal::Op::flush) continue;
      if (request->end == kNever || request->end > copy.returned) continue;
      if (beside(copy, *request)) continue;
      if (request->op != journal::Op::write || request->error != 0 || request->moved == kNever ||
          request->first < base || request->first + request->count > base + sectors) {
        throw BrokenRecord(fmt::format(
            "evidence of step {}: request [{}, +{}) (stamp {}, error {}) is no write of its image "
            "copy at [{}, +{})",
            copy.step, request->first, request->count, request->begin, request->error, base,
            sectors));
      }
      // Nobody asked what lies behind the range: an image that is too large.
      const std::uint64_t at = request->first - base;
      if (at >= copy.range.count) continue;
      copy.segments.push_back(
          {range.first + at, std::min(request->count, copy.range.count - at), request->hash_index});
    }
    std::sort(copy.segments.begin(), copy.segments.end(),
              [](const Segment& a, const Segment& b) { return a.first < b.first; });
  }

  // Copies of other lanes have places of their own on the evidence disk.
  bool beside(const Copy& copy, const Request& request) const {
    auto other = lane_copies_.upper_bound(request.first);
    if (other == lane_copies_.begin() || !lane_copies_.contains(copy.base)) return false;
    --other;
    const StepRun& run = history_.steps[other->second->id];
    const Place& place = history_.place(other->second->args.at("device").get<std::string>());
    return other->first != copy.base && run.begun() && run.called <= request.begin &&
           request.begin < run.returned &&
           request.first + request.count <= other->first + place.sectors;
  }

  void find_lane_copies() {
    for (const plan::Step& step : history_.plan.steps) {
      if (step.op != "copy_image" || !step.args.contains("lane")) continue;
      lane_copies_[step.args.at("base").get<std::uint64_t>()] = &step;
    }
  }

  void tell_map(const plan::Step& step, const StepRun& run, Snapshot& snapshot) {
    if (!run.succeeded()) return;
    const json& answer = run.answer;
    MapRead map;
    map.step = step.id;
    map.cycle = step.cycle;
    map.device = member(step, snapshot);
    map.called = run.called;
    map.returned = run.returned;
    map.base = answer.at("base").get<std::uint64_t>();
    map.bytes = answer.at("bytes").get<std::uint64_t>();
    map.blk_size = answer.at("blk_size").get<std::uint64_t>();
    map.blk_count = answer.at("blk_count").get<std::uint64_t>();
    map.capacity = answer.at("capacity").get<std::uint64_t>();
    map.number = answer.at("snap_number").get<std::uint64_t>();
    map.generation = answer.at("generation").get<std::string>();
    snapshot.maps.push_back(std::move(map));
  }

  void tell_image_write(const plan::Step& step, const StepRun& run, Snapshot& snapshot) {
    OwnChange change{step.id,      member(step, snapshot), run.called,
                     run.returned, run.succeeded(),        {}};
    change.ranges =
        plan::written_ranges(history_.plan.seed, step, snapshot.places[change.device].sectors);
    snapshot.image_writes.push_back(std::move(change));
  }

  void tell_dirty(const plan::Step& step, const StepRun& run) {
    const std::string device = step.args.at("device").get<std::string>();
    const Place& place = history_.place(device);
    OwnChange change{step.id,         static_cast<std::size_t>(&place - history_.places.data()),
                     run.called,      run.returned,
                     run.succeeded(), {}};
    if (run.finished() && run.result != 0) return;
    const Place now = history_.place_at(device, run.called);
    for (const json& range : step.args.at("ranges")) {
      change.ranges.push_back(inside(range, now));
    }
    history_.dirtied.push_back(std::move(change));
  }

  Snapshot& named(const PlacedMark& placed) {
    const std::string name = placed.text.at("snapshot").get<std::string>();
    Snapshot* snapshot = find(name, placed.begin);
    if (snapshot == nullptr) {
      throw BrokenRecord(fmt::format("mark {} ({}) speaks of snapshot {}, which nobody created",
                                     placed.mark.sequence, plan::to_string(placed.mark.kind),
                                     name));
    }
    return *snapshot;
  }

  void tell_event(const PlacedMark& placed) {
    Event event;
    event.low = placed.text.value("code", std::string()) == "low";
    event.device = placed.text.value("device", std::string());
    event.value = placed.text.value(event.low ? "sectors" : "error", std::int64_t{0});
    event.cycle = placed.mark.cycle;
    event.seen = placed.begin;
    named(placed).events.push_back(std::move(event));
  }

  void tell_append_begin(const PlacedMark& placed) {
    Snapshot& snapshot = named(placed);
    snapshot.appends.push_back(placed.end);
    pending_[snapshot.name] = snapshot.storage.size();
    add_storage(snapshot, placed.text, placed.end, kNever, true);
  }

  void tell_append_end(const PlacedMark& placed) {
    Answer answer;
    answer.returned = placed.begin;
    answer.result = placed.text.at("result").get<std::int64_t>();
    Snapshot& snapshot = named(placed);
    for (std::size_t i = pending_[snapshot.name]; i < snapshot.storage.size(); ++i) {
      snapshot.storage[i].ok = answer.result == 0;
      snapshot.storage[i].returned = placed.begin;
      answer.disk = snapshot.storage[i].disk;
    }
    snapshot.answers.push_back(answer);
  }

  void tell_read_error(const PlacedMark& placed) {
    for (Snapshot& snapshot : history_.snapshots) {
      for (Copy& copy : snapshot.copies) add_bad(placed, snapshot.places[copy.device], copy);
    }
    for (Copy& copy : history_.origin_copies) add_bad(placed, history_.places[copy.device], copy);
  }

  static void add_bad(const PlacedMark& placed, const Place& place, Copy& copy) {
    if (placed.mark.step != copy.step || placed.begin < copy.called || placed.begin > copy.returned)
      return;
    BadRange bad{placed.text.at("first").get<std::uint64_t>(),
                 placed.text.at("count").get<std::uint64_t>(),
                 placed.text.at("error").get<std::int32_t>()};
    const std::uint64_t image_sectors = copy.image_sectors.value_or(0);
    if (image_sectors > place.sectors && bad.first < image_sectors &&
        bad.count <= image_sectors - bad.first) {
      if (bad.first >= place.sectors) return;
      bad.count = std::min(bad.count, place.sectors - bad.first);
    }
    if (bad.first > place.sectors || bad.count > place.sectors - bad.first) {
      throw BrokenRecord(fmt::format("mark {} tells of bad sectors [{}, +{}) of an image of {}",
                                     placed.mark.sequence, bad.first, bad.count, place.sectors));
    }
    (placed.text.value("again", false) ? copy.again : copy.bad).push_back(bad);
  }

  const Journal& journal_;
  History& history_;
  std::map<std::string, std::size_t> tracked_;              // device -> its live generation
  std::map<std::uint64_t, const plan::Step*> lane_copies_;  // by their place on the evidence disk
  std::map<std::string, std::size_t> pending_;  // snapshot -> first range of its running append
};

// Every sector of a finished copy exactly once: as a hash or as a read error.
void prove_complete(const std::string& of, Copy& copy) {
  std::sort(copy.bad.begin(), copy.bad.end(),
            [](const BadRange& a, const BadRange& b) { return a.first < b.first; });
  const std::string what = fmt::format("evidence of step {} ({})", copy.step, of);
  std::uint64_t at = copy.range.first;
  std::size_t segment = 0;
  std::size_t bad = 0;
  const auto take = [&](std::uint64_t first, std::uint64_t count) {
    if (first < at) throw BrokenRecord(fmt::format("{}: sector {} came twice", what, first));
    if (first > at && copy.finished) {
      throw BrokenRecord(fmt::format("{}: sectors [{}, {}) never came", what, at, first));
    }
    at = first + count;
  };
  while (segment < copy.segments.size() || bad < copy.bad.size()) {
    const bool next_bad =
        segment == copy.segments.size() ||
        (bad < copy.bad.size() && copy.bad[bad].first < copy.segments[segment].first);
    if (next_bad) {
      take(copy.bad[bad].first, copy.bad[bad].count);
      ++bad;
    } else {
      take(copy.segments[segment].first, copy.segments[segment].count);
      ++segment;
    }
  }
  if (copy.finished) take(copy.range.first + copy.range.count, 0);
}

}  // namespace

std::size_t Snapshot::place_of(const std::string& device) const {
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i].device == device) return i;
  }
  return kNoIndex;
}

bool Snapshot::corrupted() const {
  return std::any_of(events.begin(), events.end(), [](const Event& event) { return !event.low; });
}

Stamp History::cut_after(Stamp stamp) const {
  for (const Outage& outage : outages)
    if (outage.cut > stamp) return outage.cut;
  return kNever;
}

bool History::was_pulled(std::uint16_t disk, Stamp from, Stamp to) const {
  return std::any_of(pulled.begin(), pulled.end(), [&](const Pulled& one) {
    return one.disk == disk && one.from <= to && from <= one.to;
  });
}

const Place& History::place(const std::string& device) const {
  const auto found = std::find_if(places.begin(), places.end(),
                                  [&](const Place& place) { return place.device == device; });
  if (found == places.end()) throw BrokenRecord("the plan has no device " + device);
  return *found;
}

Place History::place_at(const std::string& device, Stamp called) const {
  Place place = this->place(device);
  for (const Resize& resize : resizes) {
    if (resize.device == device && resize.called <= called) place.sectors = resize.sectors;
  }
  return place;
}

History tell(const Journal& journal, std::uint32_t cycle) {
  History history;
  try {
    history.plan = plan::from_text(journal.plan);
    history.places = place_devices(journal, history.plan);
    history.marks = place_marks(journal, cycle);
    if (cycle != kAllCycles && !history.marks.empty()) {
      const PlacedMark& last = history.marks.back();
      if (last.mark.kind == MarkKind::cycle_end && last.mark.cycle == cycle) {
        history.horizon = last.begin;
      }
    }
    history.steps = place_steps(history);
    Teller(journal, history).tell();
  } catch (const json::exception& error) {
    throw BrokenRecord(std::string("plan or marks lack something: ") + error.what());
  } catch (const BrokenRecord&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw BrokenRecord(error.what());
  }
  prove_selftest(journal, history);
  for (Snapshot& snapshot : history.snapshots) {
    for (Copy& copy : snapshot.copies) {
      prove_complete("image of " + snapshot.places[copy.device].device + " in " + snapshot.name,
                     copy);
    }
  }
  for (Copy& copy : history.origin_copies) prove_complete(history.places[copy.device].device, copy);
  return history;
}

std::uint64_t module_parameter(const plan::Plan& plan, const char* name, std::uint64_t otherwise) {
  const auto found = plan.module_parameters.find(name);
  if (found == plan.module_parameters.end()) return otherwise;
  try {
    return std::stoull(found->second, nullptr, 0);
  } catch (const std::exception&) {
    throw BrokenRecord(fmt::format("module parameter {}={} is no number", name, found->second));
  }
}

std::string step_name(const History& history, std::uint32_t step) {
  const plan::Step& planned = history.plan.steps[step];
  return fmt::format("step {} {} (cycle {})", step, planned.op, planned.cycle);
}

std::string marks_around(const History& history, Stamp stamp) {
  const auto name = [&](const PlacedMark& placed) {
    const std::string kind = plan::to_string(placed.mark.kind);
    const bool step =
        placed.mark.step < history.plan.steps.size() &&
        (placed.mark.kind == MarkKind::step_begin || placed.mark.kind == MarkKind::step_end);
    return fmt::format("{}{} at stamp {}", kind,
                       step ? " of " + step_name(history, placed.mark.step) : std::string(),
                       placed.begin);
  };
  const PlacedMark* before = nullptr;
  const PlacedMark* after = nullptr;
  for (const PlacedMark& placed : history.marks) {
    if (placed.begin <= stamp) before = &placed;
    if (placed.begin > stamp && after == nullptr) after = &placed;
  }
  return fmt::format("Marks around: {}; {}.", before ? name(*before) : "none before",
                     after ? name(*after) : "none after");
}

}  // namespace snapbed::model
