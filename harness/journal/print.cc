// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal/print.h"

#include <algorithm>
#include <ostream>

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

}  // namespace

void print(const Journal& journal, std::ostream& out, const MarkText& mark_text) {
  print_head(journal, out);
  auto actions = journal.rule_actions;
  std::stable_sort(actions.begin(), actions.end(),
                   [](const RuleAction& a, const RuleAction& b) { return a.begin < b.begin; });
  auto mark = journal.marks.begin();
  auto action = actions.begin();
  for (const Request& request : journal.requests) {
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
  if (journal.complete) {
    out << "complete\n";
  } else {
    out << "cut short: " << journal.trouble << "\n";
  }
}

}  // namespace snapbed::journal
