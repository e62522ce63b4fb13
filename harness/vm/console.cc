// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/console.h"

#include <utility>

#include "vm/console_headline.h"

namespace snapbed::vm {
namespace {

constexpr std::size_t kLineLimit =
    4096;  // bytes; a guest that prints no newline must not eat memory
constexpr char kEscape = '\x1b';

// Past an escape sequence that starts at `at`.
std::size_t skip_escape(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size() || text[at + 1] != '[') return at + 2;
  for (at += 2; at < text.size(); ++at)
    if (text[at] >= '@' && text[at] <= '~') return at + 1;
  return at;
}

// Past "[   12.345678] ", "[    T12] ", "[  12.3][ C0] " and "<4>".
std::size_t skip_prefix(const std::string& text) {
  std::size_t at = 0;
  if (text.size() > 2 && text[0] == '<' && text[2] == '>') at = 3;
  while (at < text.size() && text[at] == '[') {
    const auto end = text.find(']', at);
    if (end == text.npos) return at;
    const std::string inside = text.substr(at + 1, end - at - 1);
    const auto word = inside.find_first_not_of(' ');
    if (word == inside.npos) return at;
    const bool caller = inside[word] == 'T' || inside[word] == 'C';
    if (inside.find_first_not_of(caller ? "0123456789" : "0123456789.", word + (caller ? 1 : 0)) !=
        inside.npos)
      return at;
    at = end + 1;
    if (at < text.size() && text[at] == ' ') ++at;
  }
  return at;
}

bool is_bar(const std::string& line) {
  return line.size() >= 10 && line.find_first_not_of('=') == line.npos;
}

bool is_frame(const std::string& line) {
  return is_bar(line) || line.find("[ cut here ]") != line.npos;
}

bool ends_report(ConsoleKind kind, const std::string& line) {
  if (line.find("---[ end ") != line.npos) return true;
  switch (kind) {
    case ConsoleKind::kasan:
    case ConsoleKind::kcsan:
    case ConsoleKind::kfence:
    case ConsoleKind::ubsan:
      return is_bar(line);
    case ConsoleKind::oops:
    case ConsoleKind::bug:
    case ConsoleKind::warning:
    case ConsoleKind::refcount:
    case ConsoleKind::list_corruption:
      return false;
    case ConsoleKind::io_error:
    case ConsoleKind::file_system:
      // One line each, but for this one, of which the next tells the device.
      return line.find("attempt to access beyond end of device") == line.npos;
    case ConsoleKind::out_of_memory:
      return line.find("Out of memory: Killed process") != line.npos;
    default:
      return line.find("</TASK>") != line.npos;
  }
}

// Titles that name the place only once the registers have been printed.
bool wants_place(ConsoleKind kind, const std::string& title) {
  return kind == ConsoleKind::oops && title.find(" in ") == title.npos;
}

// "vdh: rw=1, sector=8, nr_sectors = 8 limit=0", the second line of an access beyond the end.
std::string beyond_end_of(const std::string& line) {
  const auto device = line.find(": rw=");
  if (device == line.npos) return "";
  return " " + line.substr(0, device) + (line.ends_with("limit=0") ? ", which is gone" : "");
}

}  // namespace

const char* to_string(ConsoleKind kind) {
  switch (kind) {
    case ConsoleKind::oops:
      return "oops";
    case ConsoleKind::bug:
      return "bug";
    case ConsoleKind::warning:
      return "warning";
    case ConsoleKind::lockdep:
      return "lockdep";
    case ConsoleKind::kasan:
      return "kasan";
    case ConsoleKind::kfence:
      return "kfence";
    case ConsoleKind::ubsan:
      return "ubsan";
    case ConsoleKind::kcsan:
      return "kcsan";
    case ConsoleKind::kmemleak:
      return "kmemleak";
    case ConsoleKind::slab:
      return "slab";
    case ConsoleKind::list_corruption:
      return "list corruption";
    case ConsoleKind::refcount:
      return "refcount";
    case ConsoleKind::atomic_sleep:
      return "sleep in atomic context";
    case ConsoleKind::hung_task:
      return "hung task";
    case ConsoleKind::rcu_stall:
      return "RCU stall";
    case ConsoleKind::lockup:
      return "lockup";
    case ConsoleKind::out_of_memory:
      return "out of memory";
    case ConsoleKind::allocation_failure:
      return "allocation failure";
    case ConsoleKind::panic:
      return "panic";
    case ConsoleKind::io_error:
      return "I/O error";
    case ConsoleKind::file_system:
      return "file system error";
  }
  return "unknown";
}

std::string clean_console_line(std::string_view raw) {
  std::string text;
  for (std::size_t at = 0; at < raw.size();) {
    if (raw[at] == kEscape) {
      at = skip_escape(raw, at);
      continue;
    }
    const auto byte = static_cast<unsigned char>(raw[at]);
    if (byte >= ' ' || byte == '\t') text += raw[at];
    ++at;
  }
  return text.substr(skip_prefix(text));
}

ConsoleParser::ConsoleParser(std::vector<std::regex> allowed) : allowed_(std::move(allowed)) {
}

void ConsoleParser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    partial_.append(bytes.substr(0, end));
    if (end == bytes.npos && partial_.size() < kLineLimit) return;
    take_line(std::exchange(partial_, {}));
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
  }
}

void ConsoleParser::finish() {
  if (!partial_.empty()) take_line(std::exchange(partial_, {}));
  close();
}

void ConsoleParser::take_line(std::string_view raw) {
  ++line_;
  const std::string line = clean_console_line(raw);
  const auto headline = match_headline(line);
  if (headline && !(open_ && continues(open_->finding.kind, *headline, line))) {
    close();
    Report report;
    report.headline = line;
    report.finding.kind = headline->kind;
    report.finding.title = headline->title;
    report.finding.first_line = is_frame(previous_) ? line_ - 1 : line_;
    open_ = std::move(report);
  }
  previous_ = line;
  if (!open_) return;
  extend(line);
  if (ends_report(open_->finding.kind, line) || open_->excerpt_lines >= kExcerptLines) close();
}

void ConsoleParser::extend(const std::string& line) {
  ConsoleFinding& finding = open_->finding;
  finding.last_line = line_;
  finding.excerpt += line + "\n";
  ++open_->excerpt_lines;
  if (finding.kind == ConsoleKind::io_error) finding.title += beyond_end_of(line);
  const auto rip = line.find("RIP: 0010:");
  if (rip == line.npos || !wants_place(finding.kind, finding.title)) return;
  if (const std::string function = function_in(line.substr(rip + 10)); !function.empty())
    finding.title += " in " + function;
}

bool ConsoleParser::is_allowed(const Report& report) const {
  for (const auto& pattern : allowed_)
    if (std::regex_search(report.finding.title, pattern) ||
        std::regex_search(report.headline, pattern))
      return true;
  return false;
}

void ConsoleParser::close() {
  if (!open_) return;
  if (is_allowed(*open_)) {
    ++dropped_;
  } else {
    ++found_;
    const ConsoleKind kind = open_->finding.kind;
    grave_ += kind != ConsoleKind::io_error && kind != ConsoleKind::file_system;
    if (findings_.size() < kConsoleFindingLimit) findings_.push_back(std::move(open_->finding));
  }
  open_.reset();
}

}  // namespace snapbed::vm
