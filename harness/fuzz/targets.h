// SPDX-License-Identifier: GPL-2.0-or-later
// What may happen to rubbish: an error in words. Never a crash, never a pass.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace snapbed::fuzz {

using Bytes = std::span<const std::uint8_t>;

struct Target {
  std::string name;
  // Throws std::logic_error when rubbish was accepted as something it cannot be; whatever else
  // comes out of it is a crash.
  void (*run)(Bytes bytes);
  std::vector<std::vector<std::uint8_t>> (*seeds)();  // well-formed inputs
};

// journal: a segment file, or (first byte odd) records that are put into blocks with checksums
// that fit; then read, printed, judged and explained. plan: text, disk or mark. scenario: a file.
// console: a log.
const std::vector<Target>& targets();

void run_journal(Bytes bytes);
void run_plan(Bytes bytes);
void run_scenario(Bytes bytes);
void run_console(Bytes bytes);

std::vector<std::vector<std::uint8_t>> journal_seeds();
std::vector<std::vector<std::uint8_t>> plan_seeds();
std::vector<std::vector<std::uint8_t>> scenario_seeds();
std::vector<std::vector<std::uint8_t>> console_seeds();

}  // namespace snapbed::fuzz
