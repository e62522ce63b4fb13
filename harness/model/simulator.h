// SPDX-License-Identifier: GPL-2.0-or-later
// A snapshotter that exists only to make journals for tests. It lives in guest time: submit, hook,
// host begin, moved, host end and guest completion of every write are separate instants, chosen at
// random among all that may happen next. Correct by default; each Bug breaks one rule of it.
#pragma once

#include <cstdint>

#include "model/journal_builder.h"

namespace snapbed::model::test {

enum class Bug : std::uint8_t {
  none,
  flip_one_by_one,       // devices of a snapshot captured at different instants
  release_on_submit,     // the write goes on when the read of old data is only submitted
  second_writer_passes,  // a writer does not wait for somebody else's running copy
  no_recheck,            // an image read of the origin is believed although a write overtook it
  no_drain,              // TAKE does not wait for writes in flight
  lost_mark,             // now and then a write does not mark the map
  mark_outside_gate,     // the mark carries the number from before the gate
  lost_map_byte,         // a byte of the readable map is gone
  store_outside,         // a store lies outside every range
  store_overlap,         // two stores of one place in flight together
  drops_saved,           // saved data is forgotten: later reads see the origin
  copies_wrong_sector,   // the old data comes from the neighbour
  stores_new_data,       // the store holds what came after the take
  loses_write,           // a write is told to be done and never sent
  over_reports,          // marks blocks that nobody wrote
  // The rest is for a load that keeps a ledger.
  ends_early,      // a write is told to be done when it is only on its way
  doubles_write,   // ... is done twice
  moves_write,     // ... lands a sector further on
  swallows_error,  // a failed write is told to be done
};

struct SimulatorOptions {
  std::uint64_t seed = 1;
  Bug bug = Bug::none;
  std::uint32_t cycles = 2;
  std::uint32_t writers = 4;
  std::uint32_t idle = 0;       // turns that a writer lets pass between two writes
  std::uint64_t sectors = 384;  // of each data disk
  bool errors = false;          // failed and torn writes occur
  bool image_writes = true;
  bool drains = true;   // false: a correct snapshotter of another kind, without a drain
  bool ledger = false;  // the writers keep a ledger; else they are called fio
};

// Runs to its end; the builder then holds the whole record.
JournalBuilder simulate(const SimulatorOptions& options);

}  // namespace snapbed::model::test
