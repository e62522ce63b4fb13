// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal/print.h"

#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/units.h"
#include "journal/names.h"
#include "journal/pattern.h"

namespace snapbed::journal {

namespace {

std::string stamp_text(Stamp stamp) {
  return stamp == kNever ? "never" : std::to_string(stamp);
}

std::string disk_name(const Journal& journal, std::uint16_t disk) {
  return disk < journal.disks.size() ? journal.disks[disk].name : "disk" + std::to_string(disk);
}

void print_head(const Journal& journal, std::ostream& out) {
  out << "journal version " << journal.version << ", seed " << journal.seed << ", plan of "
      << journal.plan.size() << " bytes\n";
  for (const Disk& disk : journal.disks) {
    out << "disk " << disk.id << " " << disk.name << " " << to_string(disk.role) << " "
        << to_string(disk.initial) << " " << base::format_bytes(disk.sectors * kSectorBytes)
        << "\n";
  }
}

void print_request(const Journal& journal, const Request& request, std::ostream& out) {
  out << stamp_text(request.begin) << " " << disk_name(journal, request.disk) << " "
      << to_string(request.op);
  if (request.op != Op::flush) {
    out << " [" << request.first << "," << request.first + request.count << ")";
  }
  if (request.fua) out << " fua";
  out << " moved " << stamp_text(request.moved) << " end " << stamp_text(request.end);
  if (request.error != 0) out << " error " << request.error;
  if (request.op == Op::write && request.moved != kNever && request.count > 0) {
    out << std::hex << " hash " << journal.hashes_of(request).front() << std::dec;
    if (request.count > 1) out << "...";
  }
  out << "\n";
}

void print_mark(const MarkBytes& mark, std::ostream& out, const MarkText& mark_text) {
  out << stamp_text(mark.begin) << " mark ";
  if (mark_text) {
    out << mark_text(mark.bytes);
  } else {
    out << std::hex << sector_hash(mark.bytes) << std::dec;
  }
  out << " end " << stamp_text(mark.end) << "\n";
}

void print_action(const Journal& journal, const RuleAction& action, std::ostream& out) {
  out << stamp_text(action.begin) << " rule " << action.rule << " on "
      << disk_name(journal, action.disk) << " " << action.how << " released "
      << stamp_text(action.released) << "\n";
}

void print_power(const PowerCut& power, std::ostream& out) {
  out << power.cut << " power cut, back " << power.back << "\n";
}

bool is_told(const Journal& journal, const Request& request) {
  if (request.disk >= journal.disks.size()) return true;
  const Role role = journal.disks[request.disk].role;
  return role == Role::data || role == Role::storage || role == Role::scratch;
}

// Keeps the `limit` values whose begin is next to the stamp, on one side of it.
template <typename Value, typename Tell>
void gather(const std::vector<Value>& values, Stamp stamp, Around around, std::vector<Line>& lines,
            Tell tell) {
  const auto middle = std::upper_bound(values.begin(), values.end(), stamp,
                                       [](Stamp s, const Value& value) { return s < value.begin; });
  std::size_t left = around.before;
  for (auto at = middle; at != values.begin() && left > 0;) left -= tell(*--at, lines) ? 1U : 0U;
  left = around.after;
  for (auto at = middle; at != values.end() && left > 0; ++at) left -= tell(*at, lines) ? 1U : 0U;
}

std::string without_newline(const std::ostringstream& out) {
  std::string text = out.str();
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace

std::vector<Line> lines_around(const Journal& journal, Stamp stamp, Around around,
                               const MarkText& mark_text) {
  std::vector<Line> lines;
  gather(journal.requests, stamp, around, lines, [&](const Request& request, auto& to) {
    if (!is_told(journal, request)) return false;
    std::ostringstream out;
    print_request(journal, request, out);
    to.push_back({request.begin, without_newline(out)});
    return true;
  });
  gather(journal.marks, stamp, around, lines, [&](const MarkBytes& mark, auto& to) {
    std::ostringstream out;
    print_mark(mark, out, mark_text);
    to.push_back({mark.begin, without_newline(out)});
    return true;
  });
  auto actions = journal.rule_actions;
  const auto by_begin = [](const auto& a, const auto& b) { return a.begin < b.begin; };
  std::stable_sort(actions.begin(), actions.end(), by_begin);
  gather(actions, stamp, around, lines, [&](const RuleAction& action, auto& to) {
    std::ostringstream out;
    print_action(journal, action, out);
    to.push_back({action.begin, without_newline(out)});
    return true;
  });
  for (const PowerCut& power : journal.power) {
    std::ostringstream out;
    print_power(power, out);
    lines.push_back({power.cut, without_newline(out)});
  }
  std::stable_sort(lines.begin(), lines.end(), by_begin);
  const auto middle = std::upper_bound(lines.begin(), lines.end(), stamp,
                                       [](Stamp s, const Line& line) { return s < line.begin; });
  const auto before =
      std::min<std::ptrdiff_t>(middle - lines.begin(), static_cast<std::ptrdiff_t>(around.before));
  const auto after =
      std::min<std::ptrdiff_t>(lines.end() - middle, static_cast<std::ptrdiff_t>(around.after));
  return {middle - before, middle + after};
}

void print(const Journal& journal, std::ostream& out, const MarkText& mark_text) {
  print_head(journal, out);
  auto actions = journal.rule_actions;
  std::stable_sort(actions.begin(), actions.end(),
                   [](const RuleAction& a, const RuleAction& b) { return a.begin < b.begin; });
  auto mark = journal.marks.begin();
  auto action = actions.begin();
  auto power = journal.power.begin();
  for (const Request& request : journal.requests) {
    for (; power != journal.power.end() && power->cut < request.begin; ++power) {
      print_power(*power, out);
    }
    print_request(journal, request, out);
    for (; mark != journal.marks.end() && mark->begin <= request.begin; ++mark) {
      print_mark(*mark, out, mark_text);
    }
    for (; action != actions.end() && action->begin <= request.begin; ++action) {
      print_action(journal, *action, out);
    }
  }
  for (; mark != journal.marks.end(); ++mark) print_mark(*mark, out, mark_text);
  for (; action != actions.end(); ++action) print_action(journal, *action, out);
  for (; power != journal.power.end(); ++power) print_power(*power, out);
  if (journal.complete) {
    out << "complete\n";
  } else {
    out << "cut short: " << journal.trouble << "\n";
  }
}

}  // namespace snapbed::journal
