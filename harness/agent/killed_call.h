// SPDX-License-Identifier: GPL-2.0-or-later
// A call to the module whose caller is killed while it sleeps in it.
#pragma once

#include "agent/snapshots.h"
#include "base/deadline.h"

namespace snapbed::agent {

// A child makes the call and gets SIGKILL once it sleeps inside. Returns EINTR when the signal
// ended it; when the call was faster, its result: 0 or a positive errno. Throws base::TimedOut
// when it neither sleeps nor ends, or does not die. The argument comes back unchanged.
int call_and_kill(const Control& control, unsigned long command, void* argument,
                  const base::Deadline& deadline);

}  // namespace snapbed::agent
