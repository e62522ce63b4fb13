// SPDX-License-Identifier: GPL-2.0-or-later
// Nodes and devices are given as JSON: no path can break them, and QMP takes the same values.
#include "vm/qemu_command.h"

namespace snapbed::vm {
namespace {

using nlohmann::json;

// QEMU's key=value options take a comma only when doubled.
std::string option_value(const std::string& text) {
  std::string doubled;
  for (const char c : text) doubled += c == ',' ? std::string(",,") : std::string(1, c);
  return doubled;
}

std::string accelerator(const MachineConfig& config) {
  if (config.accel == Accel::kvm) return "kvm";
  return config.count_instructions ? "tcg,thread=single" : "tcg,thread=multi";
}

void add_console(const MachineConfig& config, std::vector<std::string>& words) {
  const bool terminal = config.console == Console::terminal;
  words.insert(words.end(), {"-chardev",
                             terminal ? "stdio,id=console,signal=off,mux=on"
                                      : std::string("file,id=console,append=") +
                                            (config.append_console ? "on" : "off") +
                                            ",path=" + option_value(config.console_file.string()),
                             "-serial", "chardev:console"});
}

void add_root(const MachineConfig& config, std::vector<std::string>& words) {
  if (config.root_image.empty()) return;
  const json node = {{"driver", "raw"},
                     {"node-name", "root"},
                     {"read-only", true},
                     {"file", {{"driver", "file"}, {"filename", config.root_image.string()}}}};
  const json device = {{"driver", "virtio-blk-pci"},
                       {"id", "ua-root"},
                       {"drive", "root"},
                       {"serial", "root"},
                       {"bus", "pcie.0"}};
  words.insert(words.end(), {"-blockdev", node.dump(), "-device", device.dump()});
}

void add_ports(const MachineConfig& config, std::vector<std::string>& words) {
  unsigned count = config.free_slots;
  for (const auto& disk : config.disks) count += disk.removable ? 1 : 0;
  for (unsigned index = 0; index < count; ++index) {
    const json port = {{"driver", "pcie-root-port"},
                       {"id", port_id(index)},
                       {"bus", "pcie.0"},
                       {"chassis", index + 1},
                       {"port", index}};
    words.insert(words.end(), {"-device", port.dump()});
  }
}

void add_disks(const MachineConfig& config, std::vector<std::string>& words) {
  unsigned port = 0;
  for (const auto& disk : config.disks) {
    const std::string bus = disk.removable ? port_id(port++) : "pcie.0";
    words.insert(words.end(),
                 {"-blockdev", disk_node(disk).dump(), "-device", disk_device(disk, bus).dump()});
  }
}

}  // namespace

std::string port_id(unsigned index) {
  return "port" + std::to_string(index);
}

std::filesystem::path qmp_socket(const MachineConfig& config) {
  return config.work_dir / "qmp";
}

json disk_node(const Disk& disk) {
  const json cache = {{"direct", false}, {"no-flush", false}};
  if (!disk.file.empty())
    return {{"driver", "raw"},
            {"node-name", "node-" + disk.name},
            {"read-only", disk.read_only},
            {"discard", "unmap"},
            {"detect-zeroes", "off"},
            {"cache", cache},
            {"file", {{"driver", "file"}, {"filename", disk.file.string()}}}};
  return {{"driver", "nbd"},
          {"node-name", "node-" + disk.name},
          {"server", {{"type", "unix"}, {"path", disk.socket.string()}}},
          {"export", disk.name},
          {"read-only", disk.read_only},
          {"discard", "unmap"},
          {"detect-zeroes", "off"},
          {"cache", cache}};
}

json disk_device(const Disk& disk, const std::string& bus) {
  json device = {{"driver", "virtio-blk-pci"},
                 {"id", "ua-" + disk.name},
                 {"drive", "node-" + disk.name},
                 {"serial", disk.serial.empty() ? disk.name : disk.serial},
                 {"bus", bus},
                 {"logical_block_size", disk.logical_block},
                 {"physical_block_size", told_physical_block(disk)},
                 {"write-cache", "on"},
                 {"werror", "report"},
                 {"rerror", "report"},
                 {"request-merging", disk.merge_requests}};
  if (!disk.discard) device["discard"] = false;
  if (disk.queues > 0) device["num-queues"] = disk.queues;
  return device;
}

std::vector<std::string> qemu_command(const MachineConfig& config) {
  const bool kvm = config.accel == Accel::kvm;
  std::vector<std::string> words = {"qemu-system-x86_64",
                                    "-name",
                                    config.name,
                                    "-no-user-config",
                                    "-nodefaults",
                                    "-display",
                                    "none",
                                    "-machine",
                                    "q35,hpet=off,vmport=off,usb=off,smbus=off,sata=off",
                                    "-accel",
                                    accelerator(config),
                                    "-cpu",
                                    kvm ? "host" : "qemu64",
                                    "-m",
                                    std::to_string(config.memory_mib),
                                    "-smp",
                                    std::to_string(config.vcpus),
                                    "-no-reboot",
                                    "-kernel",
                                    config.kernel.string(),
                                    "-append",
                                    config.command_line};
  if (config.count_instructions) words.insert(words.end(), {"-icount", "shift=0,sleep=on"});
  if (!config.firmware.empty()) words.insert(words.end(), {"-bios", config.firmware.string()});
  if (!config.initrd.empty()) words.insert(words.end(), {"-initrd", config.initrd.string()});
  add_console(config, words);
  words.insert(words.end(), {"-qmp", "unix:" + option_value(qmp_socket(config).string()) +
                                         ",server=on,wait=off"});
  add_ports(config, words);
  add_root(config, words);
  add_disks(config, words);
  return words;
}

}  // namespace snapbed::vm
