// SPDX-License-Identifier: GPL-2.0-or-later
// A mark: one 512-byte record that the agent writes to the marks disk (O_DIRECT, one at a time, at
// sector sequence % disk size). It is a request like any other, so it has an exact place in the
// server's order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace snapbed::plan {

enum class MarkKind : std::uint16_t {
  boot = 1,  // first mark: {"kernel":..., "uptime_ms":..., "phases":{name: ms,...}} agent is up
  step_begin = 2,  // {"op":...}
  step_end = 3,    // {"result":n, ...}: see plan.h
  event =
      4,  // {"snapshot":..., "code":"low"|"corrupted", "sectors":n} or {"device":name,"error":n}
  read_error =
      5,  // {"device":..., "first":s, "count":n, "error":errno, "again"?:true}: image sectors
          // of the running copy_image; "again": they gave the error once and then came
  append_begin = 6,  // {"snapshot":..., "device":..., "ranges":[[first,count],...]}: an append that
                     // answers a LOW event
  append_end = 7,    // {"snapshot":..., "result":n}
  cycle_end = 8,     // answered by the server when the cycle has been judged
  done = 9,          // the plan is complete; the guest powers off after the answer
  fatal =
      10,  // {"what":..., "module":bool, "late"?:bool}: the agent cannot go on; the run is broken,
           // unless "module":true says that the module under test broke its interface, or was
           // loaded when a wait of a step ran out; "late": nothing but a limit of time says so
  note = 11,      // free text for the reader
  abi_case = 12,  // {"call":..., "with":..., "expected":[text,...], "got":text}: one case of the
                  // interface, whether right or wrong
  leak = 13,      // {"what":...}: something of the module that was still there after rmmod
};

inline constexpr std::uint32_t kMarkVersion = 1;
inline constexpr std::size_t kMarkTextLimit = 464;  // bytes of JSON text in one mark

// Little endian: char magic[8]="SNAPMARK", u32 version, u16 kind, u16 text length, u64 sequence (0,
// 1, 2...; a gap is `broken`), u32 step, u32 cycle, u64 guest monotonic ns, text, zero padding up
// to byte 504, u64 xxh3 of bytes [0, 504).
struct Mark {
  MarkKind kind = MarkKind::note;
  std::uint64_t sequence = 0;
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  std::uint64_t guest_ns = 0;
  std::string text;  // JSON, at most kMarkTextLimit bytes
};

std::array<std::uint8_t, 512> encode_mark(const Mark& mark);
// nullopt when magic, version, length or checksum is wrong.
std::optional<Mark> decode_mark(std::span<const std::uint8_t> bytes);
// "4 step_begin step 2 cycle 1 {...}" for people; "not a mark" for bytes that are none.
std::string mark_words(std::span<const std::uint8_t> bytes);
const char* to_string(MarkKind kind);

}  // namespace snapbed::plan
