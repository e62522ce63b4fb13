// SPDX-License-Identifier: GPL-2.0-or-later
// Golden files: the XML and the command line of one full machine and of one small one. To accept a
// change, look at what the failing test prints and copy it to the file it names.
#include "vm/domain_xml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "vm/qemu_command.h"

namespace snapbed::vm {
namespace {

MachineConfig full() {
  MachineConfig config;
  config.name = "snapbed-1";
  config.kernel = "/cache/kernel/bzImage";
  config.command_line = "console=ttyS0 root=/dev/vda ro a='<&>'";
  config.root_image = "/cache/image,with comma/root.img";
  config.firmware = "/usr/share/qemu/qboot.rom";
  config.memory_mib = 768;
  config.console_file = "/out/run/console.log";
  config.work_dir = "/out/run/work";
  config.free_slots = 1;
  Disk data{.name = "data0", .serial = "", .socket = "/out/run/nbd"};
  data.physical_block = 4096;
  Disk big = data;
  big.name = "data1";
  big.logical_block = 4096;
  big.queues = 1;
  big.merge_requests = false;
  big.discard = false;
  big.removable = true;
  Disk plan = data;
  plan.name = "plan";
  plan.serial = "the-plan";
  plan.read_only = true;
  plan.physical_block = 512;
  config.disks = {data, big, plan};
  return config;
}

MachineConfig small() {
  MachineConfig config;
  config.name = "tiny";
  config.kernel = "/k";
  config.command_line = "console=ttyS0";
  config.initrd = "/i";
  config.vcpus = 1;
  config.console_file = "/c";
  config.work_dir = "/w";
  config.accel = Accel::kvm;
  return config;
}

std::string golden(const std::string& name) {
  std::ifstream file(std::filesystem::path(SNAPBED_VM_TESTDATA) / "golden" / name);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string lines(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += word + "\n";
  return text;
}

std::string refusal(const MachineConfig& config) {
  try {
    validate(config);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(DomainXml, OfAFullMachine) {
  EXPECT_EQ(domain_xml(full()), golden("full.xml"));
}
TEST(DomainXml, OfASmallMachine) {
  EXPECT_EQ(domain_xml(small()), golden("small.xml"));
}
TEST(QemuCommand, OfAFullMachine) {
  EXPECT_EQ(lines(qemu_command(full())), golden("full.args"));
}
TEST(QemuCommand, OfASmallMachine) {
  EXPECT_EQ(lines(qemu_command(small())), golden("small.args"));
}

TEST(QemuCommand, CountsInstructionsAndServesFiles) {
  MachineConfig config = full();
  config.vcpus = 1;
  config.count_instructions = true;
  config.disks[0].socket.clear();
  config.disks[0].file = "/disks/a";
  EXPECT_EQ(refusal(config), "accepted");
  const std::string text = lines(qemu_command(config));
  EXPECT_THAT(text, testing::HasSubstr("\n-icount\nshift=0,sleep=on\n"));
  EXPECT_THAT(text, testing::HasSubstr("\ntcg,thread=single\n"));
  EXPECT_THAT(text, testing::HasSubstr(R"("filename":"/disks/a")"));
}

TEST(DomainXml, TargetsGoOnAfterZ) {
  EXPECT_EQ(virtio_target(0), "vda");
  EXPECT_EQ(virtio_target(25), "vdz");
  EXPECT_EQ(virtio_target(26), "vdaa");
  EXPECT_EQ(virtio_target(52), "vdba");
}

TEST(MachineConfig, WhatCannotWorkIsRefusedWithItsNumbers) {
  EXPECT_EQ(refusal(full()), "accepted");
  EXPECT_EQ(refusal(small()), "accepted");
  auto config = full();
  config.disks[1].logical_block = 1000;
  EXPECT_THAT(refusal(config), testing::HasSubstr("data1: 1000 bytes"));
  config = full();
  config.disks[0].physical_block = 8192;
  EXPECT_THAT(refusal(config), testing::HasSubstr("data0: 8192 bytes"));
  config = full();
  config.disks[0].socket = "/" + std::string(120, 'x');
  EXPECT_THAT(refusal(config), testing::HasSubstr("121 bytes, the kernel takes at most 107"));
  config = full();
  config.disks[0].serial = "a-serial-of-more-than-twenty";
  EXPECT_THAT(refusal(config), testing::HasSubstr("1 to 20"));
  config = full();
  config.disks[1].name = "data0";
  EXPECT_THAT(refusal(config), testing::HasSubstr("given twice"));
  config = full();
  config.memory_mib = 0;
  EXPECT_THAT(refusal(config), testing::HasSubstr("0 MiB"));
  config = full();
  config.disks[0].file = "/disk";
  EXPECT_THAT(refusal(config), testing::HasSubstr("data0: must have a socket or a file"));
  config = full();
  config.count_instructions = true;
  EXPECT_THAT(refusal(config), testing::HasSubstr("one vCPU"));
  config = full();
  config.name = "two words";
  EXPECT_THAT(refusal(config), testing::HasSubstr("two words"));
  config = full();
  config.kernel = "bzImage";
  EXPECT_THAT(refusal(config), testing::HasSubstr("absolute"));
}

}  // namespace
}  // namespace snapbed::vm
