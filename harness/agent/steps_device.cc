// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that make devices of the guest's disks: partitions, arrays, device-mapper devices.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/major.h>
#include <linux/raid/md_p.h>
#include <linux/raid/md_u.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "agent/agent.h"
#include "agent/kernel_switch.h"
#include "agent/partition_table.h"
#include "agent/text.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr auto kNodeLimit = std::chrono::seconds(10);
constexpr const char* kNewArray = "/sys/module/md_mod/parameters/new_array";
constexpr int kMirror = 1;
constexpr int kParity = 5;
constexpr int kLeftSymmetric = 2;  // the layout of parity that everybody uses

void describe_array(int array, const nlohmann::json& args) {
  const auto devices = args.at("devices").size();
  mdu_array_info_t info{};
  info.major_version = 0;
  info.minor_version = 90;
  info.level = args.at("level");
  info.raid_disks = info.nr_disks = info.active_disks = info.working_disks =
      static_cast<int>(devices);
  info.md_minor = args.at("number");
  info.not_persistent = 1;
  info.state = 1 << MD_SB_CLEAN;  // what the members hold is the array's contents: no resync
  info.layout = info.level == kParity ? kLeftSymmetric : 0;
  info.chunk_size =
      info.level == kMirror
          ? 0
          : static_cast<int>(args.at("chunk_sectors").get<std::uint64_t>() * kSectorBytes);
  if (::ioctl(array, SET_ARRAY_INFO, &info) != 0) base::throw_errno("SET_ARRAY_INFO");
}

void add_member(int array, int level, int index, dev_t id) {
  mdu_disk_info_t disk{};
  disk.number = disk.raid_disk = index;
  disk.major = static_cast<int>(major(id));
  disk.minor = static_cast<int>(minor(id));
  disk.state = 1 << MD_DISK_ACTIVE | 1 << MD_DISK_SYNC;
  // The host knows one place for each sector: a mirror is read from its first member only.
  if (level == kMirror && index > 0) disk.state |= 1 << MD_DISK_WRITEMOSTLY;
  if (::ioctl(array, ADD_NEW_DISK, &disk) != 0) {
    base::throw_errno("ADD_NEW_DISK of member " + std::to_string(index));
  }
}

std::string array_path(const plan::Step& step) {
  return "/dev/md" + std::to_string(step.args.at("number").get<int>());
}

}  // namespace

Agent::Result Agent::partition(const Step& step) {
  const BlockDevice disk(device_path(step.args.at("device")), O_RDWR);
  std::vector<Partition> parts;
  for (const auto& part : step.args.at("parts")) {
    parts.push_back({part.at("number"), {part.at("first"), part.at("count")}});
  }
  const AlignedMemory& memory = buffers_[0];
  const auto block = memory.span().first(disk.logical_sectors() * kSectorBytes);
  fill_partition_table(parts, disk.logical_sectors(), block);
  if (const int error = write_at(disk.fd(), block, 0); error != 0) return {{"result", error}};
  if (::ioctl(disk.fd(), BLKRRPART) != 0) return {{"result", errno}};
  const std::string base = std::filesystem::canonical(device_path(step.args.at("device")));
  for (const auto& part : step.args.at("parts")) {
    const std::string node = wait_for_device(base + std::to_string(part.at("number").get<int>()),
                                             base::Deadline::after(kNodeLimit));
    const std::filesystem::path link =
        std::filesystem::path(kLinkFolder) / part.at("name").get<std::string>();
    std::filesystem::remove(link);
    std::filesystem::create_symlink(node, link);
  }
  return {{"result", 0}};
}

Agent::Result Agent::md_create(const Step& step) {
  const std::string path = array_path(step);
  if (!std::filesystem::exists(path)) {
    const int error = write_switch(kNewArray, std::filesystem::path(path).filename().string());
    if (error != 0) base::throw_errno("write of " + std::string(kNewArray), error);
  }
  const base::UniqueFd array(
      ::open(wait_for_device(path, base::Deadline::after(kNodeLimit)).c_str(), O_RDWR | O_CLOEXEC));
  if (!array) base::throw_errno("open of " + path);
  describe_array(array.get(), step.args);
  int index = 0;
  for (const std::string name : step.args.at("devices")) {
    const BlockDevice member(device_path(name), O_RDONLY);
    add_member(array.get(), step.args.at("level"), index++, member.id());
  }
  const int result = ::ioctl(array.get(), RUN_ARRAY, nullptr);
  return {{"result", result == 0 ? 0 : errno}};
}

Agent::Result Agent::md_stop(const Step& step) {
  const std::string path = array_path(step);
  const base::UniqueFd array(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!array) base::throw_errno("open of " + path);
  return {{"result", ::ioctl(array.get(), STOP_ARRAY, nullptr) == 0 ? 0 : errno}};
}

std::string Agent::dm_table(const Step& step) {
  const std::string table = substitute_devices(step.args.at("table"), plan_.devices);
  for (const auto& [device, entry] : plan_.devices) {
    if (table.find(entry.path) != std::string::npos) device_path(device);
  }
  const std::string file = "/tmp/" + step.args.at("name").get<std::string>() + ".table";
  base::write_file(file, table + "\n");
  return file;
}

Agent::Result Agent::dm_create(const Step& step) {
  const std::string file = dm_table(step);
  return {{"result", run_program({"dmsetup", "create", step.args.at("name"), file}, step)}};
}

Agent::Result Agent::dm_reload(const Step& step) {
  const std::string file = dm_table(step);
  const int code = run_program({"dmsetup", "reload", step.args.at("name"), file}, step);
  return code == 0 ? dm_resume(step) : Result{{"result", code}};
}

Agent::Result Agent::dm_suspend(const Step& step) {
  const std::vector<std::string> argv = {"dmsetup", "suspend", "--nolockfs", step.args.at("name")};
  return {{"result", run_program(argv, step)}};
}

Agent::Result Agent::dm_resume(const Step& step) {
  return {{"result", run_program({"dmsetup", "resume", step.args.at("name")}, step)}};
}

Agent::Result Agent::dm_remove(const Step& step) {
  return {{"result", run_program({"dmsetup", "remove", step.args.at("name")}, step)}};
}

}  // namespace snapbed::agent
