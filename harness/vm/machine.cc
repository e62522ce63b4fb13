// SPDX-License-Identifier: GPL-2.0-or-later
// What a machine may be made of: checked here, before QEMU answers with something less clear.
#include "vm/machine.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace snapbed::vm {
namespace {

constexpr char kNameCharacters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
constexpr std::size_t kNameLimit = 20;
constexpr std::uint32_t kLeastMemoryMib = 64;
constexpr std::uint16_t kVcpuLimit = 64;
constexpr std::uint16_t kFreeSlotLimit =
    8;  // each is a PCIe root port that the guest scans at boot

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

void validate_name(const std::string& kind, const std::string& name, std::size_t limit) {
  if (name.empty() || name.size() > limit || name.find_first_not_of(kNameCharacters) != name.npos)
    refuse(kind + " '" + name + "': must be 1 to " + std::to_string(limit) +
           " letters, digits, '-' or '_'");
}

void validate_path(const std::string& kind, const std::filesystem::path& path) {
  if (!path.is_absolute()) refuse(kind + " '" + path.string() + "': must be an absolute path");
}

void validate_block(const std::string& kind, const std::string& disk, std::uint32_t bytes) {
  if (bytes != 512 && bytes != 4096)
    refuse(kind + " block of disk " + disk + ": " + std::to_string(bytes) +
           " bytes, must be 512 or 4096");
}

}  // namespace

const char* to_string(Accel accel) {
  return accel == Accel::kvm ? "kvm" : "tcg";
}

void validate(const Disk& disk) {
  validate_name("disk name", disk.name, 32);
  if (disk.name == "root") refuse("disk name 'root': taken by the root image");
  validate_name("serial of disk " + disk.name, disk.serial.empty() ? disk.name : disk.serial,
                kSerialLimit);
  if (disk.socket.empty() == disk.file.empty())
    refuse("disk " + disk.name + ": must have a socket or a file");
  if (disk.file.empty())
    validate_path("socket of disk " + disk.name, disk.socket);
  else
    validate_path("file of disk " + disk.name, disk.file);
  if (disk.socket.string().size() > kSocketPathLimit)
    refuse("socket of disk " + disk.name + " '" + disk.socket.string() +
           "': " + std::to_string(disk.socket.string().size()) +
           " bytes, the kernel takes at most " + std::to_string(kSocketPathLimit));
  validate_block("logical", disk.name, disk.logical_block);
  validate_block("physical", disk.name, disk.physical_block);
}

std::string nudge_command(const std::string& disk) {
  return "qemu-io -d /machine/peripheral/ua-" + disk + "/virtio-backend \"aio_read -q 0 512\"";
}

void require_nudged(const std::string& disk, const std::string& said) {
  if (!said.empty()) throw std::runtime_error("nudging disk " + disk + ": QEMU says: " + said);
}

std::uint32_t told_physical_block(const Disk& disk) {
  return std::max(disk.physical_block, disk.logical_block);
}

void validate(const MachineConfig& config) {
  validate_name("machine name", config.name, kNameLimit);
  validate_path("kernel", config.kernel);
  if (!config.root_image.empty()) validate_path("root image", config.root_image);
  validate_path("work directory", config.work_dir);
  if (config.console == Console::file) validate_path("console file", config.console_file);
  if (config.memory_mib < kLeastMemoryMib)
    refuse("memory: " + std::to_string(config.memory_mib) + " MiB, at least " +
           std::to_string(kLeastMemoryMib));
  if (config.vcpus < 1 || config.vcpus > kVcpuLimit)
    refuse("vCPUs: " + std::to_string(config.vcpus) + ", must be 1 to " +
           std::to_string(kVcpuLimit));
  if (config.count_instructions && (config.vcpus != 1 || config.accel != Accel::tcg))
    refuse("counting of instructions: needs TCG and one vCPU");
  if (config.disks.size() > kDiskLimit)
    refuse("disks: " + std::to_string(config.disks.size()) + ", at most " +
           std::to_string(kDiskLimit));
  if (config.free_slots > kFreeSlotLimit)
    refuse("free slots: " + std::to_string(config.free_slots) + ", at most " +
           std::to_string(kFreeSlotLimit));
  std::set<std::string> names;
  for (const auto& disk : config.disks) {
    validate(disk);
    if (!names.insert(disk.name).second) refuse("disk name '" + disk.name + "': given twice");
  }
}

std::filesystem::path quick_firmware() {
  for (const char* path : {"/usr/share/qemu/qboot.rom", "/usr/share/seabios/qboot.rom"})
    if (std::filesystem::exists(path)) return path;
  return {};
}

}  // namespace snapbed::vm
