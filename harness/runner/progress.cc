// SPDX-License-Identifier: GPL-2.0-or-later
// Signs of life move the last moment; looking compares with the bounds.
#include "runner/progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace snapbed::runner {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

namespace {

constexpr int kTalk = 5;

}  // namespace

Progress::Progress(Moment start, milliseconds boot, milliseconds stall, milliseconds server)
    : start_(start), last_(start), boot_(boot), stall_(stall), server_(server) {
}

void Progress::mark(Moment now) {
  booted_ = true;
  last_ = now;
}

void Progress::console(Moment now) {
  if (!booted_ && now - start_ < kTalk * boot_) last_ = now;
}

void Progress::asked(Moment now) {
  if (!asked_) asked_ = now;
}

void Progress::health(Moment now, const ServerHealth& health) {
  asked_.reset();
  oldest_ = health.oldest;
  // Before the first mark requests are the kernel looking for partitions: no proof of a boot.
  if (booted_ && health.requests != requests_) last_ = now;
  requests_ = health.requests;
}

void Progress::forgive(Moment now) {
  last_ = now;
}

void Progress::lag(Moment now, Moment::duration gap) {
  last_ = std::min(last_ + gap, now);
  start_ = std::min(start_ + gap, now);
  if (asked_) asked_ = std::min(*asked_ + gap, now);
}

std::optional<Stall> Progress::look(Moment now) const {
  // A request that is merely slow while others end is no stall yet, but a server that owes one
  // for so long has failed the guest, and whatever the guest does next is not its fault.
  if (booted_ && now - last_ > server_ && oldest_ > server_) return Stall::server;
  if (now - last_ <= (booted_ ? stall_ : boot_)) return std::nullopt;
  if (!booted_) return Stall::boot;
  return asked_ && now - *asked_ > server_ ? Stall::server : Stall::guest;
}

std::string Progress::describe(Moment now) const {
  const auto since = [now](Moment moment) {
    return static_cast<double>(duration_cast<milliseconds>(now - moment).count()) / 1000.0;
  };
  if (!booted_)
    return fmt::format(
        "no mark of the agent within {:.0f} s of power-on, and nothing on the console for {:.0f} s",
        since(start_), since(last_));
  if (asked_ && now - *asked_ > server_)
    return fmt::format(
        "no mark and no request for {:.0f} s; the server does not answer for {:.0f} s",
        since(last_), since(*asked_));
  return fmt::format(
      "no mark and no request for {:.0f} s; the oldest request the server owes is {} ms old",
      since(last_), oldest_.count());
}

}  // namespace snapbed::runner
