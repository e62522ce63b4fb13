// SPDX-License-Identifier: GPL-2.0-or-later
// What happened in a run, told from the marks and the plan: which step was called when, which
// snapshots lived and what was read of them. Facts only; no check is decided here.
//
// A step's call lies between two marks: it begins after the server answered the first
// (`called`) and ends before the second one arrives (`returned`). A step that the guest never
// finished (it died) has returned == kNever.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal/record.h"
#include "plan/mark.h"
#include "plan/plan.h"

namespace snapbed::model {

using journal::kNever;
using journal::Stamp;

inline constexpr std::size_t kNoIndex = ~std::size_t{0};

// The record itself cannot be judged; what() says why in one line.
struct BrokenRecord : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct PlacedMark {
  plan::Mark mark;
  nlohmann::json text;  // parsed; an object, empty for a note
  Stamp begin = kNever;
  Stamp end = kNever;
};

struct StepRun {
  Stamp called = kNever;    // kNever: never begun
  Stamp returned = kNever;  // kNever: not finished
  std::int64_t result = -1;
  nlohmann::json answer = nlohmann::json::object();
  bool begun() const { return called != kNever; }
  bool finished() const { return returned != kNever; }
  bool succeeded() const { return finished() && result == 0; }
};

// Where a device's sectors lie on a disk of the journal. A striped device, and one whose sectors
// are on no disk of the journal, have a disk of their own: see devices.h.
struct Place {
  std::string device;
  std::uint16_t disk = 0;
  std::uint64_t first = 0;
  std::uint64_t sectors = 0;
  bool whole = false;                // the device is the disk
  bool recorded = true;              // false: the host does not see what its sectors hold
  std::vector<std::uint16_t> below;  // disks of the journal that a write to it may change
};

// Image sectors [first, first + count) read as hashes[hash_index ...] of the journal.
struct Segment {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t hash_index = 0;
  std::uint64_t end() const { return first + count; }
};

struct BadRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int32_t error = 0;
};

struct Copy {
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  std::size_t device = 0;  // index in Snapshot::places
  plan::Range range;       // the image sectors it was asked for, as far as the image has them
  std::uint64_t base = 0;  // sector of the evidence disk where it begins
  Stamp called = kNever;
  Stamp returned = kNever;
  bool finished = false;
  std::optional<std::uint64_t> image_sectors = {};  // the size that the image was found to have
  std::vector<Segment> segments;                    // sorted, disjoint
  std::vector<BadRange> bad;                        // sectors that gave an error
  std::vector<BadRange> again;  // gave an error once and are in the segments all the same
};

struct MapRead {
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  std::size_t device = 0;
  Stamp called = kNever;
  Stamp returned = kNever;
  std::uint64_t base = 0, bytes = 0, blk_size = 0, blk_count = 0, capacity = 0, number = 0;
  std::string generation;
};

// Sectors of a device that the plan's own steps changed: through the image, or by mark_dirty.
struct OwnChange {
  std::uint32_t step = 0;
  std::size_t device = 0;
  Stamp called = kNever;
  Stamp returned = kNever;
  bool succeeded = false;
  std::vector<plan::Range> ranges;  // device sectors
};

struct StorageRange {
  std::uint16_t disk = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  Stamp from = kNever;  // the APPEND was called
  Stamp returned = kNever;
  bool ok = true;  // false: APPEND returned an error, nothing was added
};

// An APPEND by the thread that fetches the events, which answers a LOW.
struct Answer {
  Stamp returned = kNever;
  std::int64_t result = 0;  // a positive errno
  std::uint16_t disk = 0;   // of its ranges
};

struct Event {
  bool low = false;
  std::string device;      // of CORRUPTED
  std::int64_t value = 0;  // sectors of LOW, errno of CORRUPTED
  std::uint32_t cycle = 0;
  Stamp seen = kNever;  // begin of the mark that reports it
};

// A device that was given another size.
struct Resize {
  std::string device;
  Stamp called = kNever;
  Stamp returned = kNever;
  std::uint64_t sectors = 0;
};

struct Snapshot {
  std::string name;
  std::uint32_t cycle = 0;  // of its CREATE
  std::vector<Place> places;
  Stamp create_called = kNever;
  Stamp created = kNever;
  bool unheard = false;  // nobody fetches its events
  bool taken = false;
  Stamp take_called = kNever;  // TAKE lies in (take_called, take_returned)
  Stamp take_returned = kNever;
  std::uint32_t take_cycle = 0;
  Stamp destroy_called = kNever;
  Stamp destroyed = kNever;
  std::vector<StorageRange> storage;
  std::vector<Copy> copies;  // in the order of their steps
  std::vector<MapRead> maps;
  std::vector<OwnChange> image_writes;
  std::vector<Event> events;
  std::vector<Stamp> appends;  // stamps at which an APPEND was called
  std::vector<Answer> answers;
  // Per place: the number that TAKE gave and which generation of the tracker it belongs to.
  std::vector<std::uint32_t> number;
  std::vector<std::uint32_t> generation;

  std::size_t place_of(const std::string& device) const;  // kNoIndex when not a member
  bool corrupted() const;
};

// A disk that the host pulled, from the call of the step until it was plugged in again.
struct Pulled {
  std::uint16_t disk = 0;
  Stamp from = kNever;
  Stamp to = kNever;
};

// The power was cut in a step, and another machine went on behind it.
struct Outage {
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  Stamp cut = kNever;
  Stamp back = kNever;
};

// The tracker of one device from the CREATE that made it on, or from a TAKE that met the last
// number or another size.
struct Generation {
  std::string device;
  std::uint32_t index = 0;
  Stamp tracked_from = kNever;     // call of the CREATE; when wrapped the TAKE's
  bool wrapped = false;            // it began in a TAKE
  std::uint64_t sectors = 0;       // of the device
  std::vector<std::size_t> takes;  // index in History::snapshots, number = position + 1
};

struct History {
  plan::Plan plan;
  std::vector<PlacedMark> marks;
  std::vector<StepRun> steps;       // as plan.steps
  std::vector<Snapshot> snapshots;  // in the order of CREATE
  std::vector<Generation> generations;
  std::vector<OwnChange> dirtied;  // mark_dirty; device indexes History::places
  std::vector<Place> places;       // every device of the plan, in its first size
  std::vector<Resize> resizes;     // in the order of their steps
  std::vector<Pulled> pulled;
  std::vector<Outage> outages;      // in their order
  std::vector<Copy> origin_copies;  // of devices themselves; device indexes History::places
  Stamp horizon = kNever;           // nothing that begins later is judged
  Stamp inserted = kNever;          // first call of insmod; kNever without one

  const Place& place(const std::string& device) const;
  // With the size that the device had when a step was called.
  Place place_at(const std::string& device, Stamp called) const;
  // The first cut of the power after the stamp; kNever when there was none.
  Stamp cut_after(Stamp stamp) const;
  // True when the disk was gone at some instant of [from, to].
  bool was_pulled(std::uint16_t disk, Stamp from, Stamp to) const;
};

// `journal` as with_devices() of devices.h gives it. Throws BrokenRecord. `cycle`: everything up to
// the mark that ends it.
History tell(const journal::Journal& journal, std::uint32_t cycle);

// A number that the module was given at insmod, or what it has without. Throws BrokenRecord for
// what is no number.
std::uint64_t module_parameter(const plan::Plan& plan, const char* name, std::uint64_t otherwise);

// "step 12 take (cycle 3)", for explanations.
std::string step_name(const History& history, std::uint32_t step);
// The mark before and the one after a stamp, in words.
std::string marks_around(const History& history, Stamp stamp);

}  // namespace snapbed::model
