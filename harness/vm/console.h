// SPDX-License-Identifier: GPL-2.0-or-later
// What a kernel says on its console when something is wrong: found in the text as it grows, named
// by a title that is the same from run to run. Knows the formats of 6.1 on x86.
//
// Does not see: what the console never got (log level, a guest that died first), and which lines of
// two reports printed at once belong to which; every headline is a finding all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace snapbed::vm {

enum class ConsoleKind : std::uint8_t {
  oops,
  bug,
  warning,
  lockdep,
  kasan,
  kfence,
  ubsan,
  kcsan,
  kmemleak,
  slab,
  list_corruption,
  refcount,
  atomic_sleep,
  hung_task,
  rcu_stall,
  lockup,
  out_of_memory,
  allocation_failure,
  panic,
  io_error,     // the end of a request, told to the log because nobody else can be told
  file_system,  // what ext4 or XFS make of one
};
const char* to_string(ConsoleKind kind);

struct ConsoleFinding {
  ConsoleKind kind = ConsoleKind::bug;
  std::string title;           // no addresses, pids, CPU numbers or times
  std::size_t first_line = 0;  // of the console, from 1
  std::size_t last_line = 0;
  std::string excerpt;  // the report without time stamps, at most kExcerptLines lines
};
inline constexpr std::size_t kExcerptLines = 120;
inline constexpr std::size_t kConsoleFindingLimit = 64;  // findings kept; `found()` counts all

// Fed piecewise, in order. One thread at a time.
class ConsoleParser {
 public:
  // A finding is dropped when one of `allowed` is found in its title or its headline.
  explicit ConsoleParser(std::vector<std::regex> allowed = {});

  // The next bytes of the console; cut anywhere.
  void feed(std::string_view bytes);
  // The console has ended: looks at the last line even without its newline, closes an open report.
  void finish();

  const std::vector<ConsoleFinding>& findings() const { return findings_; }
  std::size_t found() const { return found_; }
  // Those of them that leave a kernel not worth going on with: all but failed I/O, of which the
  // other checks may know the cause.
  std::size_t grave() const { return grave_; }
  std::size_t allowed() const { return dropped_; }
  std::size_t lines() const { return line_; }
  // True while a report is being read: a failing guest is listened to until this is false and it is
  // silent.
  bool open() const { return open_.has_value(); }

 private:
  struct Report {
    ConsoleFinding finding;
    std::string headline;
    std::size_t excerpt_lines = 0;
  };

  void take_line(std::string_view raw);
  void extend(const std::string& line);
  void close();
  bool is_allowed(const Report& report) const;

  std::vector<std::regex> allowed_;
  std::string partial_;
  std::string previous_;  // the line before, for the bar or "cut here" above a headline
  std::size_t line_ = 0;
  std::size_t found_ = 0;
  std::size_t grave_ = 0;
  std::size_t dropped_ = 0;
  std::optional<Report> open_;
  std::vector<ConsoleFinding> findings_;
};

// A console line as people read it: without escape sequences, carriage returns, log level, time
// stamp and caller.
std::string clean_console_line(std::string_view raw);

}  // namespace snapbed::vm
