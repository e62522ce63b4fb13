// SPDX-License-Identifier: GPL-2.0-or-later
// A machine that is a QEMU process of ours, without libvirt: for `snapbed shell`, for hosts without
// libvirt, and for recorded runs.
#pragma once

#include <memory>

#include "vm/guardian.h"
#include "vm/machine.h"

namespace snapbed::vm {

// Validates the configuration (std::invalid_argument). `guardian` may be null and outlives the
// machine. start() must be called on a thread that lives as long as the VM shall (see process.h).
std::unique_ptr<Machine> make_qemu_machine(const MachineConfig& config, Guardian* guardian);

}  // namespace snapbed::vm
