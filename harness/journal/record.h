// SPDX-License-Identifier: GPL-2.0-or-later
// The record of one run as values: what every disk was asked, in one order.
//
// Stamps come from one atomic counter of the recording server. Every request has
// three: `begin` (arrival), `moved` (taken while the lock on its whole range is held
// and the data move: the versions of a sector are ordered by it) and `end` (just
// before the reply). A request that never ended has end == kNever (and moved == kNever
// when its data never moved). Ranges are in sectors of 512 bytes, [first, first + count).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace snapbed::journal {

inline constexpr std::uint64_t kSectorBytes = 512;

using Stamp = std::uint64_t;
inline constexpr Stamp kNever = ~Stamp{0};

enum class Op : std::uint8_t { read = 1, write = 2, trim = 3, zero = 4, flush = 5 };

// What a disk is for. Only `data` and `storage` disks are judged; `marks`, `plan`,
// `evidence` and `files` are how the guest speaks; `scratch` is nobody's business.
enum class Role : std::uint8_t {
  plan = 1,
  marks = 2,
  evidence = 3,  // image copies: hashes of every sector written, bytes not kept
  files = 4,     // maps, fio results, ledgers: bytes kept in DIR/files.img
  data = 5,
  storage = 6,
  scratch = 7,
};

// What a disk holds before its first write.
enum class Initial : std::uint8_t {
  zero = 1,
  seeded = 2,  // initial_sector(seed, disk, sector) of pattern.h
};

struct Disk {
  std::uint16_t id = 0;  // index in Journal::disks
  std::string name;      // export name and virtio serial, at most 20 characters
  Role role = Role::data;
  Initial initial = Initial::zero;
  std::uint64_t sectors = 0;
};

struct Request {
  std::uint16_t disk = 0;
  Op op = Op::read;
  bool fua = false;
  std::int32_t error = 0;  // positive errno told to the client; 0 is success
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // 0 for flush
  Stamp begin = kNever;
  Stamp moved = kNever;
  Stamp end = kNever;
  // For a write that moved: index of the first of `count` hashes in Journal::hashes.
  std::uint64_t hash_index = 0;
};

// A rule of the recording server that acted on a request.
struct RuleAction {
  std::uint32_t rule = 0;  // index in the configuration's rules
  std::uint16_t disk = 0;
  Stamp begin = 0;          // the request's begin stamp
  Stamp released = kNever;  // stamp at which a hold ended
  std::string how;          // "match", "mark", "count", "time", "fail", "delay"
};

// A cut of the power. Requests that were in flight ended at stamps before `cut`, with EIO that
// nobody was told. Those that begin between the two are the server's own: what its disks lost. The
// next machine's begin after `back`.
struct PowerCut {
  Stamp cut = 0;
  Stamp back = 0;
};

// One 512-byte record the agent wrote to the marks disk; `bytes` is the raw record
// (plan/mark.h decodes it), begin/end the stamps of the write that carried it.
struct MarkBytes {
  Stamp begin = kNever;
  Stamp end = kNever;
  std::vector<std::uint8_t> bytes;
};

// A whole run, as read back. `complete` is false when the journal was cut short
// (truncated file, killed server); everything before the cut is here.
struct Journal {
  std::uint32_t version = 0;
  std::uint64_t seed = 0;
  bool complete = false;
  std::string trouble;  // why it is not complete, one line; empty when complete
  std::string plan;     // the plan disk's JSON text
  std::vector<Disk> disks;
  std::vector<Request> requests;  // in the order of begin
  std::vector<std::uint64_t> hashes;
  std::vector<MarkBytes> marks;  // in the order of begin
  std::vector<RuleAction> rule_actions;
  std::vector<PowerCut> power;  // in their order

  std::span<const std::uint64_t> hashes_of(const Request& request) const {
    return {hashes.data() + request.hash_index, static_cast<std::size_t>(request.count)};
  }
  // True for what a disk lost by a cut: no client asked for it.
  bool is_loss(const Request& request) const {
    for (const PowerCut& one : power)
      if (request.begin > one.cut && request.begin < one.back) return true;
    return false;
  }
};

}  // namespace snapbed::journal
