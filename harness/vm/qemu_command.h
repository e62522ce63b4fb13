// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's command line for a machine: a pure function, and the same devices as domain_xml.h.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vm/machine.h"

namespace snapbed::vm {

// REQUIRES: validate(config) passes. Words for exec; [0] is "qemu-system-x86_64".
std::vector<std::string> qemu_command(const MachineConfig& config);

// Where the machine listens for QMP: work_dir/qmp.
std::filesystem::path qmp_socket(const MachineConfig& config);

// A disk's block node and device, as -blockdev and -device take them and as QMP's blockdev-add and
// device_add do. `bus` is "pcie.0" or a root port's id.
nlohmann::json disk_node(const Disk& disk);
nlohmann::json disk_device(const Disk& disk, const std::string& bus);

// The id of root port `index`: "port0", "port1"... Removable disks take the first ones, in order.
std::string port_id(unsigned index);

}  // namespace snapbed::vm
