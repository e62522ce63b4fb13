// SPDX-License-Identifier: GPL-2.0-or-later
// The kinds of contradiction that a check can find: their names, and what each says to somebody who
// knows the kernel but not the testbed. A closed list.
#pragma once

#include <cstdint>
#include <span>

namespace snapbed::model {

enum class Kind : std::uint8_t {
  cut_no_drain,           // TAKE without a quiet instant
  cut_younger,            // a sector shows what came after TAKE
  cut_older,              // a sector shows what was replaced before TAKE
  cut_unknown,            // a sector shows what it never held
  cut_no_common_instant,  // every sector is possible, all together are not
  cut_ledger_bound,       // causal mode: what a ledger tells leaves no instant
  cut_read_error,
  cut_image_write,  // what was written through the image is not there
  cut_image_size,   // an image is not as large as its device was at TAKE
  twice_moved,
  map_numbers,
  map_lost_change,
  map_too_much,
  map_unstable,
  map_generation,
  chain_lost_change,
  order_overtaken,
  order_flush,
  order_hold_missed,
  store_in_flight_together,
  store_outside,
  store_after_destroy,
  store_after_corrupted,
  store_foreign_content,
  store_budget,
  second_image,
  second_map,
  origin_outside_disk,
  origin_plan_disk,
  origin_unlicensed,
  origin_never_arrived,
  origin_told_more,
  origin_told_early,
  origin_invented_error,
  origin_stray,  // a ledger's sector came to another place, or twice
  origin_foreign_content,
  power_lost_promise,  // older than what a flush that was told had made safe
  power_foreign,       // what was never written there
  power_read_error,
  power_stale,  // of the time before the cut, and still usable
  events_low_missing,
  events_low_size,
  events_low_count,
  events_low_early,
  events_overflow_unannounced,
  events_corrupted_device,
  events_corrupted_errno,
  events_corrupted_twice,
  events_corrupted_unexpected,
  events_corrupted_missing,
  errno_result,
  abi_case,
  leak_left,
  log_kernel,      // found by the runner, on the console
  watchdog_stuck,  // found by the runner
};

std::span<const Kind> all_kinds();
// The check that finds it: "cut".
const char* check_of(Kind kind);
// Without the check: "no-common-instant".
const char* name_of(Kind kind);
// A paragraph: what such a contradiction means inside a module, and where to look first.
const char* advice_of(Kind kind);

}  // namespace snapbed::model
