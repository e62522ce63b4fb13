// SPDX-License-Identifier: GPL-2.0-or-later
// The libvirt domain of a machine: pure functions from configuration to XML.
#pragma once

#include <string>

#include "vm/machine.h"

namespace snapbed::vm {

// REQUIRES: validate(config) passes and the console is a file.
std::string domain_xml(const MachineConfig& config);

// One <disk> element, as domain_xml() has it and as virDomainAttachDevice takes it. `index` gives
// the target: 0 is vda. Its PCI address is `slot` of the root bus, or left to libvirt when
// negative.
std::string disk_xml(const Disk& disk, unsigned index, int slot);

// "vda", ... "vdz", "vdaa".
std::string virtio_target(unsigned index);

// "a<b" -> "a&lt;b", for text and attribute values in either quotes.
std::string xml_escape(const std::string& text);

}  // namespace snapbed::vm
