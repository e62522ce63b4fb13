// SPDX-License-Identifier: GPL-2.0-or-later
// Who of the plan may write to a disk, when, and how: what steps and fio job texts say about it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/history.h"

namespace snapbed::model {

// One step's licence to write on a disk, from its call until it is surely over.
struct Writer {
  std::uint32_t step = 0;
  std::string device;  // empty: any disk
  Stamp from = kNever;
  Stamp to = kNever;
};
std::vector<Writer> writers_of(const History& history);

// True when a step may write, from `since` on, to the place's sectors through a device that lies
// beside or below it, where a tracker on the place does not see it.
bool written_behind(const History& history, const std::vector<Writer>& writers, const Place& place,
                    Stamp since);

// True when a step may have a disk flushed: it asks for one, uses a file system, or nobody knows.
bool may_flush(const History& history);

// A job section of a fio file with what [global] gives it.
using FioSection = std::map<std::string, std::string>;
std::vector<FioSection> fio_sections(const std::string& text);

// The plan's devices that a fio text names as files.
std::vector<std::string> fio_devices(const History& history, const std::string& text);

// Most map blocks that writes refused for REQ_NOWAIT after their mark can add per take, by the
// depth of the plan's asynchronous jobs.
std::uint64_t refused_blocks_limit(const History& history, std::uint64_t block_bytes);

}  // namespace snapbed::model
