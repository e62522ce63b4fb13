// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace snapbed::runner {
namespace {

constexpr int kInterruptedStatus = 130;

// A signal handler has nowhere else to put what it saw.
std::atomic<bool>& seen() {
  static std::atomic<bool> flag = false;
  return flag;
}

void on_signal(int) {
  if (seen().exchange(true)) ::_exit(kInterruptedStatus);
}

}  // namespace

void catch_interrupts() {
  seen() = false;
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // Whoever reads our lines may leave; the run goes on to its verdict. A handler and not SIG_IGN:
  // that one our children would inherit.
  action.sa_handler = [](int) {};
  ::sigaction(SIGPIPE, &action, nullptr);
}

bool interrupted() {
  return seen();
}

}  // namespace snapbed::runner
