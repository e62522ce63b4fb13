// SPDX-License-Identifier: GPL-2.0-or-later
// One table, searched from the top: the specific before the general. Needles are looked for
// anywhere in the line, because another CPU may have printed the line's beginning, unless the
// needle alone could stand in a harmless line.
#include "vm/console_headline.h"

#include <array>
#include <cctype>

namespace snapbed::vm {
namespace {

enum class Where : std::uint8_t { anywhere, at_start };

// What of the text after the needle goes into the title.
enum class Rest : std::uint8_t {
  none,
  all,        // normalized
  location,   // "in fn at file:line" of a WARNING
  file,       // up to the first blank or '!', without a column
  task,       // "name" of "name:pid" or "name/pid/..."
  bracketed,  // "name" of "[name:pid]"
  request,    // "OPERATION on DEVICE" of a request that the block layer gave back
  buffer,     // "DEVICE, what" without the block's number
  ext4,       // "FUNCTION on DEVICE"
  xfs,        // normalized, for a line that tells of an error; else it is no headline
};

struct Rule {
  const char* needle;
  Where where;
  ConsoleKind kind;
  const char* title;
  Rest rest;
};

using K = ConsoleKind;
constexpr auto kAny = Where::anywhere;
constexpr auto kStart = Where::at_start;

constexpr Rule kRules[] = {
    {"Kernel panic - not syncing: ", kAny, K::panic, "panic: ", Rest::all},
    {"BUG: KASAN: ", kAny, K::kasan, "KASAN: ", Rest::all},
    {"BUG: KFENCE: ", kAny, K::kfence, "KFENCE: ", Rest::all},
    {"BUG: KCSAN: ", kAny, K::kcsan, "KCSAN: ", Rest::all},
    {"UBSAN: ", kAny, K::ubsan, "UBSAN: ", Rest::all},
    {"KASAN: null-ptr-deref in range", kAny, K::kasan, "KASAN: null-ptr-deref", Rest::none},
    {"KASAN: maybe wild-memory-access", kAny, K::kasan, "KASAN: wild-memory-access", Rest::none},
    {"refcount_t: ", kAny, K::refcount, "refcount_t: ", Rest::all},
    {"list_add corruption", kAny, K::list_corruption, "list corruption: list_add", Rest::none},
    {"list_del corruption", kAny, K::list_corruption, "list corruption: list_del", Rest::none},
    {"list_add double add", kAny, K::list_corruption, "list corruption: double add", Rest::none},
    {"BUG: scheduling while atomic: ", kAny, K::atomic_sleep,
     "scheduling while atomic: ", Rest::task},
    {"BUG: sleeping function called from invalid context at ", kAny, K::atomic_sleep,
     "sleeping function called from invalid context at ", Rest::file},
    {"BUG: soft lockup - CPU#", kAny, K::lockup, "soft lockup: ", Rest::bracketed},
    {"Watchdog detected hard LOCKUP", kAny, K::lockup, "hard lockup", Rest::none},
    {"BUG: workqueue lockup", kAny, K::lockup, "workqueue lockup", Rest::none},
    {"BUG: kernel NULL pointer dereference", kAny, K::oops, "NULL pointer dereference", Rest::none},
    {"BUG: unable to handle page fault", kAny, K::oops, "page fault", Rest::none},
    {"BUG: stack guard page was hit", kAny, K::oops, "stack overflow", Rest::none},
    {"general protection fault", kStart, K::oops, "general protection fault", Rest::none},
    {"double fault: ", kStart, K::oops, "double fault", Rest::none},
    {"stack segment: ", kStart, K::oops, "stack segment", Rest::none},
    {"divide error: ", kStart, K::oops, "divide error", Rest::none},
    {"int3: ", kStart, K::oops, "int3", Rest::none},
    {"kernel BUG at ", kAny, K::bug, "kernel BUG at ", Rest::file},
    {"invalid opcode: ", kStart, K::oops, "invalid opcode", Rest::none},
    {"Oops: ", kAny, K::oops, "Oops", Rest::none},
    {"BUG: Bad page state in process", kAny, K::bug, "Bad page state", Rest::none},
    {"DEBUG_LOCKS_WARN_ON(", kStart, K::lockdep, "lockdep: DEBUG_LOCKS_WARN_ON", Rest::none},
    {"WARNING: possible ", kAny, K::lockdep, "lockdep: possible ", Rest::all},
    {"WARNING: inconsistent lock state", kAny, K::lockdep, "lockdep: inconsistent lock state",
     Rest::none},
    {"WARNING: suspicious RCU usage", kAny, K::lockdep, "lockdep: suspicious RCU usage",
     Rest::none},
    {"WARNING: bad unlock balance detected", kAny, K::lockdep,
     "lockdep: bad unlock balance detected", Rest::none},
    {"WARNING: held lock freed", kAny, K::lockdep, "lockdep: held lock freed", Rest::none},
    {"WARNING: lock held when returning to user space", kAny, K::lockdep,
     "lockdep: lock held when returning to user space", Rest::none},
    {"WARNING: Nested lock was not taken", kAny, K::lockdep, "lockdep: Nested lock was not taken",
     Rest::none},
    {"still has locks held", kAny, K::lockdep, "lockdep: task still has locks held", Rest::none},
    {"BUG: Invalid wait context", kAny, K::lockdep, "lockdep: Invalid wait context", Rest::none},
    {"[ BUG: Invalid wait context ]", kAny, K::lockdep, "lockdep: Invalid wait context",
     Rest::none},
    {"INFO: trying to register non-static key", kAny, K::lockdep,
     "lockdep: trying to register non-static key", Rest::none},
    {"BUG: MAX_LOCK", kAny, K::lockdep, "lockdep: out of resources", Rest::none},
    {"INFO: task ", kAny, K::hung_task, "hung task: ", Rest::task},
    {"detected stalls on CPUs/tasks", kAny, K::rcu_stall, "RCU stall", Rest::none},
    {"self-detected stall on CPU", kAny, K::rcu_stall, "RCU stall", Rest::none},
    {"detected expedited stalls", kAny, K::rcu_stall, "RCU stall", Rest::none},
    {"kthread starved for ", kAny, K::rcu_stall, "RCU kthread starved", Rest::none},
    {"invoked oom-killer", kAny, K::out_of_memory, "out of memory", Rest::none},
    {"Out of memory: Killed process", kAny, K::out_of_memory, "out of memory", Rest::none},
    {"page allocation failure: order:", kAny, K::allocation_failure, "page allocation failure",
     Rest::none},
    {"new suspected memory leaks", kAny, K::kmemleak, "kmemleak: suspected memory leaks",
     Rest::none},
    {"unreferenced object 0x", kStart, K::kmemleak, "kmemleak: unreferenced object", Rest::none},
    // Errors that a disk, or a module above it, gave somebody who can only tell the log: the page
    // cache, swap, a file system. What the scenario's own faults explain is licensed (runner/).
    {"Buffer I/O error on dev", kAny, K::io_error, "Buffer I/O error on ", Rest::buffer},
    {" error, dev ", kAny, K::io_error, "I/O error: ", Rest::request},
    {"attempt to access beyond end of device", kAny, K::io_error, "access beyond end of device",
     Rest::none},
    {"Write-error on swap-device", kAny, K::io_error, "Write-error on swap-device", Rest::none},
    {"Read-error on swap-device", kAny, K::io_error, "Read-error on swap-device", Rest::none},
    {"loop: Write error at byte offset", kAny, K::io_error, "loop: Write error", Rest::none},
    {": Disk failure on ", kAny, K::io_error, "md: disk failure", Rest::none},
    {"snapshots: Invalidating snapshot", kAny, K::io_error, "dm-snapshot invalidated", Rest::none},
    {"EXT4-fs error (device ", kAny, K::file_system, "EXT4-fs error in ", Rest::ext4},
    {"EXT4-fs warning (device ", kAny, K::file_system, "EXT4-fs warning in ", Rest::ext4},
    {"I/O error while writing superblock", kAny, K::file_system,
     "EXT4-fs: I/O error while writing superblock", Rest::none},
    {"previous I/O error to superblock detected", kAny, K::file_system,
     "EXT4-fs: previous I/O error to superblock detected", Rest::none},
    {"Remounting filesystem read-only", kAny, K::file_system,
     "EXT4-fs: Remounting filesystem read-only", Rest::none},
    {"Delayed block allocation failed", kAny, K::file_system,
     "EXT4-fs: Delayed block allocation failed", Rest::none},
    {"JBD2: ", kAny, K::file_system, "JBD2: ", Rest::all},
    {"Aborting journal on device ", kAny, K::file_system, "JBD2: Aborting journal", Rest::none},
    {"writeback error on inode ", kAny, K::file_system, "writeback error", Rest::none},
    {"XFS (", kAny, K::file_system, "XFS ", Rest::xfs},
    {"WARNING: CPU: ", kAny, K::warning, "WARNING ", Rest::location},
    {"WARNING: ", kStart, K::warning, "WARNING: ", Rest::all},
    {"BUG: ", kStart, K::bug, "BUG: ", Rest::all},
    {"BUG ", kStart, K::slab, "slab: ", Rest::all},
};

bool is_hex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// "fn+0x12/0x34" -> "fn", "0x1234" -> "ADDR", runs of 3 and more digits -> "N", no trailing blanks,
// nor the module's name behind it.
std::string normalize(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool offset = text.compare(at, 3, "+0x") == 0;
    if (offset || text.compare(at, 2, "0x") == 0) {
      at += offset ? 3 : 2;
      while (at < text.size() && (is_hex(text[at]) || text[at] == '/' || text[at] == 'x')) ++at;
      if (!offset) out += "ADDR";
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && is_digit(text[end])) ++end;
    const bool word = at > 0 && (std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0 ||
                                 text[at - 1] == '_' || text[at - 1] == ':' || text[at - 1] == '-');
    if (end - at >= 3 && !word) {
      out += "N";
      at = end;
      continue;
    }
    out += text[at++];
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == '.' || out.back() == '!'))
    out.pop_back();
  if (!out.empty() && out.back() == ']') {
    const auto module = out.rfind(" [");
    if (module != out.npos) out.resize(module);
  }
  return out;
}

std::string until(const std::string& text, const char* stops) {
  return text.substr(0, text.find_first_of(stops));
}

// "drivers/md/dm.c:120:5" -> "drivers/md/dm.c:120"
std::string file_and_line(const std::string& text) {
  const std::string word = until(text, " !");
  const auto colon = word.find(':');
  if (colon == word.npos) return word;
  const auto column = word.find(':', colon + 1);
  return word.substr(0, column);
}

// Behind "WARNING: CPU: ": "0 PID: 77 at FILE:LINE fn+0x1/0x2 [module]".
std::string warning_location(const std::string& rest) {
  const auto at = rest.find(" at ");
  if (at == rest.npos) return "(line cut)";
  const std::string place = rest.substr(at + 4);
  const std::string function = function_in(place);
  return (function.empty() ? "" : "in " + function + " ") + "at " + file_and_line(place);
}

std::string task_name(const std::string& rest) {
  return until(rest, ":/ ");
}

std::string bracketed(const std::string& rest) {
  const auto bracket = rest.find('[');
  return bracket == rest.npos ? "(line cut)" : task_name(rest.substr(bracket + 1));
}

// "vdf, sector 2048 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2" -> "WRITE on vdf".
std::string request_place(const std::string& rest) {
  const auto from = rest.find(":(");
  const auto to = rest.find(')', from);
  if (from == rest.npos || to == rest.npos) return "a request on " + until(rest, ", ");
  return rest.substr(from + 2, to - from - 2) + " on " + until(rest, ", ");
}

// " vdf, logical block 5, lost async page write", or "ice vdf, logical block 5" of ext4.
std::string buffer_place(const std::string& rest) {
  const auto blank = rest.find(' ');
  if (blank == rest.npos) return "(line cut)";
  const std::string device = rest.substr(blank + 1);
  const auto comma = device.rfind(", ");
  const bool told = comma != device.npos && device.compare(comma, 15, ", logical block") != 0;
  return until(device, ",") + (told ? device.substr(comma) : "");
}

// "vdf): ext4_lookup:1855: inode 2: ..." or "vdf) in ext4_orphan_add:3012: ...".
std::string ext4_place(const std::string& rest) {
  const auto bracket = rest.find_first_of(")");
  const auto function = rest.find("ext4", bracket);
  if (bracket == rest.npos || function == rest.npos) return "(line cut)";
  return until(rest.substr(function), ":") + " on " + rest.substr(0, bracket);
}

// "vdf): Corruption detected. Unmount and run xfs_repair"; "" for what is no error.
std::string xfs_error(const std::string& rest) {
  const auto bracket = rest.find("): ");
  if (bracket == rest.npos) return "";
  std::string text = rest.substr(bracket + 3);
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* bad : {"error", "corrupt", "shut", "fail", "unmount and run xfs_repair"})
    if (lower.find(bad) != lower.npos) return "(" + rest.substr(0, bracket + 3) + normalize(text);
  return "";
}

std::string rest_of(const Rule& rule, const std::string& rest) {
  switch (rule.rest) {
    case Rest::none:
      return "";
    case Rest::all:
      return normalize(rest);
    case Rest::location:
      return warning_location(rest);
    case Rest::file:
      return file_and_line(rest);
    case Rest::task:
      return task_name(rest);
    case Rest::bracketed:
      return bracketed(rest);
    case Rest::request:
      return request_place(rest);
    case Rest::buffer:
      return buffer_place(rest);
    case Rest::ext4:
      return ext4_place(rest);
    case Rest::xfs:
      return xfs_error(rest);
  }
  return "";
}

}  // namespace

std::string function_in(const std::string& text) {
  const auto plus = text.find("+0x");
  if (plus == text.npos) return "";
  auto begin = plus;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0 ||
                       text[begin - 1] == '_' || text[begin - 1] == '.'))
    --begin;
  return text.substr(begin, plus - begin);
}

std::optional<Headline> match_headline(const std::string& line) {
  for (const auto& rule : kRules) {
    const auto at = line.find(rule.needle);
    if (at == line.npos || (rule.where == Where::at_start && at != 0)) continue;
    // "INFO: task " also begins other sentences; only this one is about a hang.
    if (rule.kind == ConsoleKind::hung_task && line.find(" blocked for more than ") == line.npos)
      continue;
    const std::string rest =
        rest_of(rule, line.substr(at + std::char_traits<char>::length(rule.needle)));
    if (rule.rest == Rest::xfs && rest.empty()) continue;
    return Headline{rule.kind, rule.title + rest};
  }
  return std::nullopt;
}

bool continues(ConsoleKind open, const Headline& next, const std::string& line) {
  switch (open) {
    case ConsoleKind::oops:
    case ConsoleKind::bug:
      return next.kind == ConsoleKind::oops || line.find("KASAN: ") == 0;
    case ConsoleKind::refcount:
    case ConsoleKind::list_corruption:
    case ConsoleKind::lockdep:
      return next.title.compare(0, 8, "WARNING ") == 0 || next.title.compare(0, 6, "kernel") == 0 ||
             next.kind == ConsoleKind::oops;
    case ConsoleKind::rcu_stall:
    case ConsoleKind::out_of_memory:
    case ConsoleKind::kmemleak:
      return next.kind == open;
    default:
      return false;
  }
}

}  // namespace snapbed::vm
