// SPDX-License-Identifier: GPL-2.0-or-later
// Writes marks: numbered, one at a time, each waiting for its reply.
#pragma once

#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/aligned_memory.h"
#include "base/fd.h"
#include "plan/mark.h"

namespace snapbed::agent {

// JSON that fits into a mark: as it is, or with its long texts cut, or with only "result" and
// "truncated". Pure.
std::string mark_text(const nlohmann::json& value);

// Where in the plan a mark belongs.
struct Place {
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
};

// Any thread. The write of a mark has no deadline of its own: cycle_end is answered when the host
// has judged, however long that takes, and a server that is gone fails the write.
class Marks {
 public:
  // `disk` is open for direct writing and holds `sectors` sectors; `next` is the first number.
  Marks(base::UniqueFd disk, std::uint64_t sectors, std::uint64_t next);
  // Returns when the server has answered. Throws std::system_error when the write fails.
  void write(plan::MarkKind kind, Place place, const nlohmann::json& value);

 private:
  std::mutex mutex_;
  base::UniqueFd disk_;
  std::uint64_t sectors_;
  std::uint64_t sequence_;
  AlignedMemory sector_;
};

}  // namespace snapbed::agent
