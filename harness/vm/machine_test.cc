// SPDX-License-Identifier: GPL-2.0-or-later
// Real machines, started, killed and abandoned. Their kernel is one page of our own: it prints a
// line on the serial port and then stops or resets, so a test takes a second and needs nothing
// built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include "base/deadline.h"
#include "base/file.h"
#include "vm/libvirt_machine.h"
#include "vm/libvirt_root.h"
#include "vm/qemu_machine.h"

namespace snapbed::vm {
namespace {

using base::Deadline;
using base::wait_until;
using std::chrono::seconds;

enum class Then : std::uint8_t { stop, reset };
constexpr char kHello[] = "hello from the tiny kernel\n";

class Bytes {
 public:
  template <typename Integer>
  Bytes& add(Integer value, int size) {
    for (int i = 0; i < size; ++i)
      text_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
    return *this;
  }
  Bytes& add(const std::string& text) { return text_ += text, *this; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

constexpr std::uint32_t kLoadAt = 0x100000;
constexpr std::uint32_t kCodeAt = 0x100;  // offsets in the file, which is loaded whole
constexpr std::uint32_t kHelloAt = 0x200;
constexpr std::uint32_t kNoteAt = 0xc0;

void program_header(Bytes& out, std::uint32_t type, std::uint32_t offset, std::uint32_t size) {
  out.add(type, 4).add(7, 4).add(offset, 8).add(kLoadAt + offset, 8).add(kLoadAt + offset, 8);
  out.add(size, 8).add(size, 8).add(type == 1 ? 0x1000 : 4, 8);
}

// An ELF file with the note that makes QEMU start it by the PVH protocol: 32 bits, flat segments.
std::string tiny_kernel(Then then) {
  Bytes out;
  out.add(
      std::string("\x7f"
                  "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
                  16));
  out.add(2, 2).add(62, 2).add(1, 4).add(kLoadAt + kCodeAt, 8).add(64, 8).add(0, 8).add(0, 4);
  out.add(64, 2).add(56, 2).add(2, 2).add(64, 2).add(0, 2).add(0, 2);
  program_header(out, 1, 0, 0x1000);
  program_header(out, 4, kNoteAt, 20);
  std::string image = out.text();
  image.resize(0x1000, '\0');
  Bytes note;  // owner "Xen", type 18: the entry point
  note.add(4, 4).add(4, 4).add(18, 4).add(std::string("Xen\0", 4)).add(kLoadAt + kCodeAt, 4);
  image.replace(kNoteAt, note.text().size(), note.text());
  Bytes code;
  code.add(0xfa, 1).add(0xbe, 1).add(kLoadAt + kHelloAt, 4);  // cli; mov esi, hello
  code.add(0x03f8ba66, 4);                                    // mov dx, 0x3f8
  code.add(0xac, 1).add(0xc084, 2).add(0x0374, 2);            // lodsb; test al, al; jz +3
  code.add(0xee, 1).add(0xf8eb, 2);                           // out dx, al; jmp to lodsb
  if (then == Then::reset) code.add(0x0cf9ba66, 4).add(0x06b0, 2).add(0xee, 1);  // 6 to port 0xcf9
  code.add(0xf4, 1).add(0xfdeb, 2);                                              // hlt; jmp to it
  image.replace(kCodeAt, code.text().size(), code.text());
  image.replace(kHelloAt, sizeof kHello, std::string(kHello, sizeof kHello));
  return image;
}

struct Folder {
  Folder() {
    std::string name = testing::TempDir() + "snapbed-vm-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

MachineConfig config_in(const Folder& folder, Then then) {
  MachineConfig config;
  config.name = "test-" + std::to_string(::getpid());
  config.kernel = folder.path / "kernel";
  config.command_line = "none";
  config.memory_mib = 64;
  config.console_file = folder.path / "console";
  config.work_dir = folder.path;
  config.firmware = quick_firmware();
  base::write_file(config.kernel, tiny_kernel(then));
  return config;
}

void wait_hello(const MachineConfig& config) {
  wait_until("the tiny kernel's line", Deadline::after(seconds(10)), [&] {
    std::ifstream file(config.console_file);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    return text.find("tiny kernel") != text.npos;
  });
}

void live_and_be_killed(Machine& machine, const MachineConfig& config) {
  if (machine.alive()) throw std::runtime_error("alive before its start");
  machine.start(Deadline::after(seconds(30)));
  wait_hello(config);
  if (!machine.alive()) throw std::runtime_error("dead while it stands still");
  const std::string halted = machine.halted(Deadline::after(seconds(10)));
  if (!halted.empty()) throw std::runtime_error("halted while its CPU runs: " + halted);
  const auto core = config.work_dir / "core";
  machine.dump_memory(core, Deadline::after(seconds(30)));
  if (std::filesystem::file_size(core) < 64u << 20) throw std::runtime_error("core too small");
  if (machine.halted(Deadline::after(seconds(10))).empty())
    throw std::runtime_error("a machine whose memory was dumped stands still");
  const auto before = Deadline::Clock::now();
  machine.kill();
  if (machine.alive()) throw std::runtime_error("alive after kill()");
  if (!machine.broke().empty()) throw std::runtime_error("kill() is no end of QEMU's own");
  if (Deadline::Clock::now() - before > seconds(2)) throw std::runtime_error("kill() was slow");
}

// As the host's OOM killer does it.
void be_killed_by_the_host(Machine& machine, const MachineConfig& config) {
  machine.start(Deadline::after(seconds(30)));
  wait_hello(config);
  if (!machine.broke().empty()) throw std::runtime_error("broken while it lives");
  ::kill(machine.pid().value(), SIGKILL);
  machine.wait_ended(Deadline::after(seconds(10)));
  if (machine.alive()) throw std::runtime_error("alive after SIGKILL");
  if (machine.broke().find("signal 9") == std::string::npos)
    throw std::runtime_error("how QEMU ended is not known: \"" + machine.broke() + "\"");
}

// Runs `body` in a process of its own: libvirt's embedded driver can be opened once in each.
std::string in_child(const std::function<void()>& body) {
  int fds[2];
  if (::pipe(fds) != 0) throw std::runtime_error("no pipe for the test");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(fds[0]);
    std::string said = "ok";
    try {
      body();
    } catch (const std::exception& error) {
      said = error.what();
    }
    base::write_all(fds[1], said);
    ::_exit(0);
  }
  ::close(fds[1]);
  std::string said(4096, '\0');
  const ssize_t got = ::read(fds[0], said.data(), said.size());
  ::close(fds[0]);
  ::waitpid(child, nullptr, 0);
  said.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return said;
}

TEST(QemuMachine, StartsDumpsAndDiesWhenKilled) {
  const Folder folder;
  const MachineConfig config = config_in(folder, Then::stop);
  const auto machine = make_qemu_machine(config, nullptr);
  EXPECT_NO_THROW(live_and_be_killed(*machine, config));
}

TEST(QemuMachine, AKillFromOutsideIsNoEndOfTheGuests) {
  const Folder folder;
  const MachineConfig config = config_in(folder, Then::stop);
  const auto machine = make_qemu_machine(config, nullptr);
  EXPECT_NO_THROW(be_killed_by_the_host(*machine, config));
}

TEST(QemuMachine, AResetEndsIt) {
  const Folder folder;
  const auto machine = make_qemu_machine(config_in(folder, Then::reset), nullptr);
  machine->start(Deadline::after(seconds(30)));
  EXPECT_NO_THROW(machine->wait_ended(Deadline::after(seconds(10))));
  EXPECT_FALSE(machine->alive());
  EXPECT_EQ(machine->broke(), "");
}

TEST(QemuMachine, WaitingForOneThatStandsStillSaysSo) {
  const Folder folder;
  const MachineConfig config = config_in(folder, Then::stop);
  const auto machine = make_qemu_machine(config, nullptr);
  machine->start(Deadline::after(seconds(30)));
  try {
    machine->wait_ended(Deadline::after(std::chrono::milliseconds(100)));
    FAIL();
  } catch (const base::TimedOut& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("machine " + config.name + " to end"));
  }
}

TEST(QemuMachine, AKernelThatIsNotThereIsSaidInQemusWords) {
  const Folder folder;
  MachineConfig config = config_in(folder, Then::stop);
  config.kernel = folder.path / "no-such-kernel";
  const auto machine = make_qemu_machine(config, nullptr);
  try {
    machine->start(Deadline::after(seconds(30)));
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no-such-kernel"));
  }
}

// What `body` says of a machine of libvirt's embedded driver, which takes a process of its own.
std::string with_libvirt_machine(
    Then then, const std::function<void(Machine& machine, const MachineConfig& config)>& body) {
  const Folder folder;
  return in_child([&] {
    const MachineConfig config = config_in(folder, then);
    Guardian guardian = Guardian::start();
    const auto host = LibvirtHost::embedded(libvirt_cache(), &guardian);
    const auto machine = host.machine(config);
    body(*machine, config);
  });
}

TEST(LibvirtMachine, StartsDumpsAndDiesWhenKilled) {
  EXPECT_EQ(with_libvirt_machine(Then::stop, live_and_be_killed), "ok");
}

TEST(LibvirtMachine, AKillFromOutsideIsNoEndOfTheGuests) {
  EXPECT_EQ(with_libvirt_machine(Then::stop, be_killed_by_the_host), "ok");
}

// A guest that resets at once may be gone before libvirt has it for started.
void start_unless_it_ends(Machine& machine) {
  try {
    machine.start(Deadline::after(seconds(30)));
  } catch (const std::exception& error) {
    if (std::string(error.what()).find("closed the monitor") == std::string::npos) throw;
  }
}

TEST(LibvirtMachine, AResetEndsIt) {
  EXPECT_EQ(with_libvirt_machine(Then::reset,
                                 [](Machine& machine, const MachineConfig&) {
                                   start_unless_it_ends(machine);
                                   machine.wait_ended(Deadline::after(seconds(10)));
                                   if (!machine.broke().empty())
                                     throw std::runtime_error(machine.broke());
                                 }),
            "ok");
}

// To learn what QEMU can do, libvirt starts one, ends it and waits until it is gone.
TEST(LibvirtMachine, ANewRootDoesNotWaitForQemusThatAreGone) {
  const Folder folder;
  EXPECT_EQ(in_child([&] {
              const auto host = LibvirtHost::embedded(folder.path / "l", nullptr);
              const auto machine = host.machine(config_in(folder, Then::stop));
              machine->start(Deadline::after(seconds(120)));
              const std::string log = base::read_file(host.root() / "libvirt.log");
              if (log.find("Failed to terminate") != log.npos) throw std::runtime_error(log);
            }),
            "ok");
}

TEST(LibvirtMachine, AKilledHarnessLeavesNoVmAndAUsableRoot) {
  const Folder folder;
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const pid_t harness = ::fork();
  if (harness == 0) {
    try {
      Guardian guardian = Guardian::start();
      const auto host = LibvirtHost::embedded(libvirt_cache(), &guardian);
      const MachineConfig config = config_in(folder, Then::stop);
      const auto machine = host.machine(config);
      machine->start(Deadline::after(seconds(30)));
      wait_hello(config);
      const std::string said = host.root().string() + " " + config.name;
      base::write_all(fds[1], said);
      while (true) ::pause();
    } catch (const std::exception& error) {
      base::write_all(fds[1], std::string("error ") + error.what());
    }
    ::_exit(1);
  }
  ::close(fds[1]);
  std::string said(4096, '\0');
  const ssize_t got = ::read(fds[0], said.data(), said.size());
  ::close(fds[0]);
  said.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  ASSERT_THAT(said, testing::StartsWith("/"));
  const std::filesystem::path root = said.substr(0, said.find(' '));
  const std::string name = said.substr(said.find(' ') + 1);
  EXPECT_EQ(find_processes("qemu-", name).size(), 1u);
  ::kill(harness, SIGKILL);
  ::waitpid(harness, nullptr, 0);
  wait_until("the VM to die with its harness", Deadline::after(kGuardianLimit),
             [&] { return find_processes("qemu-", name).empty(); });
  wait_until("the sockets of its VM to go", Deadline::after(kGuardianLimit),
             [&] { return !exists(root / "lib") && !exists(root / "run"); });
  EXPECT_EQ(with_libvirt_machine(Then::stop,
                                 [](Machine& machine, const MachineConfig&) {
                                   machine.start(Deadline::after(seconds(30)));
                                 }),
            "ok");
}

TEST(LibvirtRoot, TwoHarnessesTakeTwoRootsAndAFreedOneIsTakenAgain) {
  const Folder cache;
  std::optional<LibvirtRoot> first = LibvirtRoot::take(cache.path, nullptr);
  const LibvirtRoot second = LibvirtRoot::take(cache.path, nullptr);
  EXPECT_EQ(first->path(), cache.path / "root0");
  EXPECT_EQ(second.path(), cache.path / "root1");
  EXPECT_EQ(base::read_file(second.path() / "etc" / "qemu.conf"), qemu_conf());
  first.reset();
  EXPECT_EQ(LibvirtRoot::take(cache.path, nullptr).path(), cache.path / "root0");
}

TEST(LibvirtRoot, IsSweptAndInheritsWhatLibvirtFoundOutBefore) {
  const Folder cache;
  std::filesystem::create_directories(cache.path / "root0/run/qemu");
  std::filesystem::create_directories(cache.path / "root1/cache/qemu/capabilities");
  base::write_file(cache.path / "root0/run/qemu/old.pid", "1");
  base::write_file(cache.path / "root1/cache/qemu/capabilities/x.xml", "known");
  const LibvirtRoot root = LibvirtRoot::take(cache.path, nullptr);
  EXPECT_FALSE(std::filesystem::exists(root.pid_file("old")));
  EXPECT_EQ(base::read_file(root.path() / "cache/qemu/capabilities/x.xml"), "known");
}

TEST(LibvirtRoot, APathTooLongForItsSocketsIsRefused) {
  const Folder cache;
  EXPECT_THROW(LibvirtRoot::take(cache.path / std::string(60, 'x'), nullptr), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::vm
