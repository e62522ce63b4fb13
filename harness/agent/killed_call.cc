// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/killed_call.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/process.h"

namespace snapbed::agent {
namespace {

char state_of(pid_t pid) {
  const std::vector<std::string> stat = base::process_stat(pid);
  return stat.empty() ? '?' : stat[0][0];
}

// How the child ended; 0 while it runs.
bool ended(pid_t child, int& status) {
  const pid_t got = ::waitpid(child, &status, WNOHANG);
  if (got < 0) base::throw_errno("waitpid");
  return got == child;
}

}  // namespace

int call_and_kill(const Control& control, unsigned long command, void* argument,
                  const base::Deadline& deadline) {
  const pid_t child = ::fork();
  if (child < 0) base::throw_errno("fork");
  // Nothing but the call and _exit: other threads may have held locks when we forked.
  if (child == 0) ::_exit(-control.call(command, argument));
  int status = 0;
  bool over = false;
  try {
    base::wait_until("a child to sleep in its call", deadline, [&] {
      over = ended(child, status);
      return over || state_of(child) == 'D';
    });
    if (!over) ::kill(child, SIGKILL);
    base::wait_until("a killed child to end its call", deadline,
                     [&] { return over || (over = ended(child, status)); });
  } catch (const base::TimedOut&) {
    ::kill(child, SIGKILL);
    throw;
  }
  return WIFSIGNALED(status) ? EINTR : WEXITSTATUS(status);
}

}  // namespace snapbed::agent
