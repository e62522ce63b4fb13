// SPDX-License-Identifier: GPL-2.0-or-later
// What makes two findings of a night the same one: the check, what the device is for, and the title
// of the kernel's message. Pure.
#pragma once

#include <compare>
#include <nlohmann/json.hpp>
#include <string>

#include "base/process.h"
#include "scenario/scenario.h"

namespace snapbed::campaign {

// How a run counts for the night.
enum class Count : std::uint8_t {
  pass,
  fail,
  broken,
  not_exercised,  // ran on less than its scenario's minimum: says nothing
  interrupted,    // cut off by the night's own end: as if it had not been
};
const char* to_string(Count count);

struct Signature {
  std::string check;  // "cut"; of a broken run the reason: "no-boot"
  std::string role;   // "data", "storage", ...; empty when no device is to blame
  std::string title;  // of the kernel's message; empty without one
  auto operator<=>(const Signature&) const = default;
};
// "cut of a data disk, BUG: KASAN: use-after-free in tracker_submit_bio".
std::string to_string(const Signature& signature);

// From verdict.json; anything unexpected in it counts as broken.
Count count_of(const nlohmann::json& verdict);
// The same of a `snapbed` that has ended so. Until a run has its verdict it is written down as
// interrupted: without the exit status of one that was told to stop it died. Nor does one that
// ends badly after a pass pass.
Count count_of(const nlohmann::json& verdict, const base::Exit& exit);
// Of a run that failed or is broken.
Signature signature_of(const nlohmann::json& verdict, const scenario::Scenario& scenario);

}  // namespace snapbed::campaign
