// SPDX-License-Identifier: GPL-2.0-or-later
// Allocation failures on order: the kernel's fail-nth, for this thread or for its workers.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace snapbed::agent {

// Whether the kernel can do it at all.
bool has_fail_nth();
// Lets every kind of allocation fail, also those that may wait. Throws std::system_error.
void allow_allocation_failures();

// The n-th allocation (from 1) of each of the threads fails, until this goes. Threads that end
// meanwhile are passed over.
class FailNth {
 public:
  FailNth(std::vector<pid_t> threads, unsigned n);
  ~FailNth() { disarm(); }
  FailNth(const FailNth&) = delete;
  FailNth& operator=(const FailNth&) = delete;

  // No failure from here on. Whether any thread had got as far as its n-th allocation.
  bool disarm();

 private:
  std::vector<pid_t> threads_;
};

// Threads of the kernel's that may carry out works: kworkers, and those whose name begins with
// `prefix`.
std::vector<pid_t> kernel_workers(const std::string& prefix);

}  // namespace snapbed::agent
