// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/live_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace snapbed::runner {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRewrite{200};
constexpr std::chrono::seconds kPlainLine{15};

unsigned terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

std::string live_text(const LiveState& state, double elapsed_s) {
  return fmt::format("{:.0f} s  {:<12} cycle {}/{}  {} writes  {} snapshots  {} sectors judged",
                     elapsed_s, state.phase, state.cycle, state.cycles, state.writes,
                     state.snapshots, state.sectors_judged);
}

std::string fitted(const std::string& text, unsigned columns) {
  // The last column stays free: some terminals wrap as soon as it is written.
  return text.substr(0, (columns == 0 ? 80 : columns) - 1);
}

LiveLine::LiveLine(std::string title)
    : title_(std::move(title)), terminal_(::isatty(STDOUT_FILENO) == 1), start_(Clock::now()) {
}

LiveLine::~LiveLine() {
  if (terminal_) std::printf("\r\x1b[K");
  std::fflush(stdout);
}

void LiveLine::show(const LiveState& state) {
  show_text(live_text(state, std::chrono::duration<double>(Clock::now() - start_).count()),
            state.cycle);
}

void LiveLine::show_text(const std::string& text, std::uint32_t topic) {
  const auto now = Clock::now();
  const bool due =
      terminal_ ? now - shown_ >= kRewrite : topic != shown_topic_ || now - shown_ >= kPlainLine;
  if (!due) return;
  shown_ = now;
  shown_topic_ = topic;
  if (terminal_)
    std::printf("\r%s\x1b[K", fitted(title_ + "  " + text, terminal_columns()).c_str());
  else
    std::printf("%s  %s\n", title_.c_str(), text.c_str());
  std::fflush(stdout);
}

void LiveLine::say(const std::string& text) {
  std::printf("%s%s\n", terminal_ ? "\r\x1b[K" : "", text.c_str());
  std::fflush(stdout);
}

}  // namespace snapbed::runner
