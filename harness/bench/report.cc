// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/report.h"

#include <fmt/format.h>

namespace snapbed::bench {
namespace {

using nlohmann::json;

bool is_read(const Line& line) {
  return line.row.starts_with("read");
}

std::string speed(const Line& line) {
  if (line.rounds == 0) return "-";
  if (!is_read(line)) return fmt::format("{:.0f} IOPS", line.operations_per_s.median);
  return fmt::format("{:.0f} MiB/s", line.operations_per_s.median *
                                         static_cast<double>(line.block_bytes) / (1 << 20));
}

std::string ratio(const std::optional<Spread>& value, int digits) {
  if (!value) return "-";
  return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", value->median, digits, value->least, digits,
                     value->most, digits);
}

std::string number(double value, int digits) {
  return value > 0 ? fmt::format("{:.{}f}", value, digits) : "-";
}

json spread_json(const std::optional<Spread>& value) {
  if (!value) return nullptr;
  return {{"median", value->median}, {"least", value->least}, {"most", value->most}};
}

json measured(double value) {
  return value > 0 ? json(value) : json(nullptr);
}

json to_json(const Line& line) {
  json row = {{"name", line.row + "/" + to_string(line.system)},
              {"rounds", line.rounds},
              {"ratio_to_bare", line.ratio ? json(line.ratio->median) : json(nullptr)},
              {"ratio_spread", spread_json(line.ratio)},
              {"ratio_settled", measured(line.settled_ratio)},
              {"p50_us", measured(line.p50_us)},
              {"p99_us", measured(line.p99_us)},
              {"instructions_per_io", measured(line.instructions)},
              {"instructions_ratio_to_bare", spread_json(line.instructions_ratio)},
              {"bytes_moved_per_byte", measured(line.moved_per_byte)},
              {"requests_per_io", measured(line.requests_per_operation)},
              {"copies_per_io", line.copies_per_operation}};
  if (is_read(line))
    row["bytes_per_s"] =
        measured(line.operations_per_s.median * static_cast<double>(line.block_bytes));
  else
    row["iops"] = measured(line.operations_per_s.median);
  return row;
}

}  // namespace

std::string table(const std::vector<Line>& lines) {
  constexpr const char* kFormat =
      "{:<13}{:<18}{:>12} {:<18}{:>8}{:>9}{:>9}{:>7}{:>6}{:>8} {:<20}\n";
  std::string text = fmt::format(kFormat, "row", "system", "speed", " of bare", "settled", "p50 us",
                                 "p99 us", "moved", "reqs", "insn/IO", " of bare");
  const std::string* last = nullptr;
  for (const Line& line : lines) {
    const bool first = last == nullptr || *last != line.row;
    last = &line.row;
    text += fmt::format(kFormat, first ? line.row : "", to_string(line.system), speed(line),
                        " " + ratio(line.ratio, 2), number(line.settled_ratio, 2),
                        number(line.p50_us, 0), number(line.p99_us, 0),
                        number(line.moved_per_byte, 2), number(line.requests_per_operation, 2),
                        number(line.instructions, 0), " " + ratio(line.instructions_ratio, 3));
  }
  return text;
}

std::string memory_table(const std::vector<Memory>& memory) {
  std::string text;
  for (const Memory& one : memory)
    text += fmt::format("{:<56}{:>12.1f} bytes each of {}\n", one.what,
                        static_cast<double>(one.bytes) / static_cast<double>(one.count), one.count);
  return text;
}

std::string goal_table(const std::vector<Goal>& goals) {
  std::string text;
  for (const Goal& goal : goals)
    text += fmt::format("{:<7} {:<60} at {} {}: {}\n", to_string(goal.judgement()), goal.what,
                        goal.at_least ? "least" : "most", goal.bound, ratio(goal.value, 3));
  return text;
}

json to_json(const std::vector<Line>& lines, const std::vector<Memory>& memory,
             const std::vector<Goal>& goals) {
  json report = {{"rows", json::array()}, {"memory", json::array()}, {"goals", json::array()}};
  for (const Line& line : lines) report["rows"].push_back(to_json(line));
  for (const Memory& one : memory)
    report["memory"].push_back({{"what", one.what}, {"bytes", one.bytes}, {"count", one.count}});
  for (const Goal& goal : goals)
    report["goals"].push_back({{"what", goal.what},
                               {"bound", goal.bound},
                               {"at_least", goal.at_least},
                               {"value", spread_json(goal.value)},
                               {"judgement", to_string(goal.judgement())}});
  return report;
}

}  // namespace snapbed::bench
