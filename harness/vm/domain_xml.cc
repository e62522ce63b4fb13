// SPDX-License-Identifier: GPL-2.0-or-later
// The fewest devices that do the work: each one costs boot time under TCG. Disks sit on the root
// bus, without a PCIe port of their own, unless they are to be removed.
#include "vm/domain_xml.h"

#include <algorithm>

namespace snapbed::vm {
namespace {

constexpr unsigned kFirstDiskSlot = 4;  // below are slots that libvirt's implied devices like
constexpr unsigned kPortSlot = 2;       // all root ports are functions of one slot

std::string attribute(const std::string& name, const std::string& value) {
  return " " + name + "='" + xml_escape(value) + "'";
}

std::string root_disk(const MachineConfig& config, unsigned slot) {
  if (config.root_image.empty()) return "";
  return "    <disk type='file' device='disk'>\n"
         "      <driver name='qemu' type='raw'/>\n"
         "      <source" +
         attribute("file", config.root_image.string()) +
         "/>\n"
         "      <target dev='vda' bus='virtio'/>\n"
         "      <readonly/>\n"
         "      <serial>root</serial>\n"
         "      <address type='pci' domain='0x0000' bus='0x00' slot='" +
         std::to_string(slot) +
         "' function='0x0'/>\n"
         "    </disk>\n";
}

std::string root_ports(unsigned count) {
  std::string text;
  for (unsigned port = 0; port < count; ++port) {
    text += "    <controller type='pci' index='" + std::to_string(port + 1) +
            "' model='pcie-root-port'>\n"
            "      <address type='pci' domain='0x0000' bus='0x00' slot='" +
            std::to_string(kPortSlot + port / 8) + "' function='" + std::to_string(port % 8) + "'" +
            (port == 0 && count > 1 ? " multifunction='on'" : "") +
            "/>\n"
            "    </controller>\n";
  }
  return text;
}

std::string disks(const MachineConfig& config) {
  unsigned slot = kFirstDiskSlot;
  std::string text = root_disk(config, slot);
  unsigned index = config.root_image.empty() ? 0 : 1;
  for (const auto& disk : config.disks)
    text += disk_xml(disk, index++, disk.removable ? -1 : static_cast<int>(++slot));
  return text;
}

// What the domain schema has no words for.
std::string overrides(const MachineConfig& config) {
  std::string text;
  const auto off = [](const std::string& property) {
    return "        <qemu:property name='" + property + "' type='bool' value='false'/>\n";
  };
  for (const auto& disk : config.disks) {
    if (disk.merge_requests && disk.discard) continue;
    text += "    <qemu:device alias='ua-" + disk.name +
            "'>\n"
            "      <qemu:frontend>\n" +
            (disk.merge_requests ? "" : off("request-merging")) +
            (disk.discard ? "" : off("discard")) +
            "      </qemu:frontend>\n"
            "    </qemu:device>\n";
  }
  return text.empty() ? text : "  <qemu:override>\n" + text + "  </qemu:override>\n";
}

std::string operating_system(const MachineConfig& config) {
  std::string text = "  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n";
  if (!config.firmware.empty())
    text += "    <loader readonly='yes' type='rom'>" + xml_escape(config.firmware.string()) +
            "</loader>\n";
  text += "    <kernel>" + xml_escape(config.kernel.string()) + "</kernel>\n";
  if (!config.initrd.empty())
    text += "    <initrd>" + xml_escape(config.initrd.string()) + "</initrd>\n";
  return text + "    <cmdline>" + xml_escape(config.command_line) + "</cmdline>\n  </os>\n";
}

}  // namespace

std::string xml_escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string virtio_target(unsigned index) {
  std::string letters;
  for (unsigned rest = index + 1; rest > 0; rest = (rest - 1) / 26)
    letters.insert(letters.begin(), static_cast<char>('a' + (rest - 1) % 26));
  return "vd" + letters;
}

std::string disk_xml(const Disk& disk, unsigned index, int slot) {
  std::string text =
      "    <disk type='network' device='disk'>\n"
      "      <driver name='qemu' type='raw' cache='writeback' error_policy='report' "
      "rerror_policy='report' discard='unmap' detect_zeroes='off'" +
      (disk.queues > 0 ? attribute("queues", std::to_string(disk.queues)) : std::string()) +
      "/>\n      <source protocol='nbd'" + attribute("name", disk.name) +
      ">\n        <host transport='unix'" + attribute("socket", disk.socket.string()) +
      "/>\n      </source>\n      <target dev='" + virtio_target(index) +
      "' bus='virtio'/>\n      <blockio logical_block_size='" + std::to_string(disk.logical_block) +
      "' physical_block_size='" + std::to_string(told_physical_block(disk)) + "'/>\n";
  if (disk.read_only) text += "      <readonly/>\n";
  text += "      <serial>" + xml_escape(disk.serial.empty() ? disk.name : disk.serial) +
          "</serial>\n      <alias name='ua-" + disk.name + "'/>\n";
  if (slot >= 0)
    text += "      <address type='pci' domain='0x0000' bus='0x00' slot='" + std::to_string(slot) +
            "' function='0x0'/>\n";
  return text + "    </disk>\n";
}

std::string domain_xml(const MachineConfig& config) {
  const auto removable = static_cast<unsigned>(std::count_if(
      config.disks.begin(), config.disks.end(), [](const Disk& disk) { return disk.removable; }));
  const bool kvm = config.accel == Accel::kvm;
  return std::string("<domain type='") + (kvm ? "kvm" : "qemu") +
         "' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
         "  <name>" +
         xml_escape(config.name) + "</name>\n  <memory unit='MiB'>" +
         std::to_string(config.memory_mib) + "</memory>\n  <vcpu placement='static'>" +
         std::to_string(config.vcpus) + "</vcpu>\n" + operating_system(config) +
         "  <features>\n    <acpi/>\n    <apic/>\n    <vmport state='off'/>\n  </features>\n" +
         (kvm ? "  <cpu mode='host-passthrough'/>\n" : "") +
         "  <clock offset='utc'>\n    <timer name='hpet' present='no'/>\n  </clock>\n"
         "  <on_poweroff>destroy</on_poweroff>\n"
         "  <on_reboot>destroy</on_reboot>\n"
         "  <on_crash>destroy</on_crash>\n"
         "  <devices>\n"
         "    <controller type='usb' model='none'/>\n" +
         root_ports(removable + config.free_slots) + disks(config) +
         "    <serial type='file'>\n      <source" +
         attribute("path", config.console_file.string()) +
         (config.append_console ? " append='on'" : " append='off'") +
         "/>\n      <target type='isa-serial' port='0'/>\n    </serial>\n"
         "    <memballoon model='none'/>\n"
         "  </devices>\n" +
         overrides(config) + "</domain>\n";
}

}  // namespace snapbed::vm
