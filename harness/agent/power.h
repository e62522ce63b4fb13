// SPDX-License-Identifier: GPL-2.0-or-later
// How the guest ends. Shared by the init and the agent; needs no C++ library.
#pragma once

#include <sys/reboot.h>
#include <unistd.h>

namespace snapbed::agent {

// Does not return. Without ACPI the kernel would halt and the machine stay on, so it is reset then;
// QEMU runs with -no-reboot, where a reset ends it. Nothing is synced: what is not on the disks now
// must not get there behind the judge's back.
[[noreturn]] inline void power_off() {
  const bool acpi = ::access("/sys/firmware/acpi", F_OK) == 0;
  ::reboot(acpi ? RB_POWER_OFF : RB_AUTOBOOT);
  for (;;) ::pause();
}

}  // namespace snapbed::agent
