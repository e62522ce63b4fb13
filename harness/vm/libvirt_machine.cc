// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/libvirt_machine.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "vm/domain_xml.h"
#include "vm/libvirt_root.h"

namespace snapbed::vm {
namespace {

[[noreturn]] void fail(const std::string& tried) {
  const auto* error = virGetLastError();
  throw std::runtime_error(
      tried + ": libvirt says: " +
      (error != nullptr && error->message != nullptr ? error->message : "nothing"));
}

// QEMU makes itself a daemon, so the first living "subreaper" above it becomes its parent. Where
// that is an init that collects its dead only now and then (seen in containers: every 2 s), libvirt
// waits as long for each VM to be gone. So that is us.
void adopt_orphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) base::throw_errno("becoming the parent of orphans");
}

// A dead QEMU that became our child when its parent ended. One that libvirt itself has started and
// will wait for is still in our session.
bool is_dead_orphan(pid_t pid) {
  const std::vector<std::string> stat = base::process_stat(pid);  // state, parent, group, session
  if (stat.size() < 4 || stat[0] != "Z") return false;
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return name.starts_with("qemu-") && std::stol(stat[1]) == ::getpid() &&
         std::stol(stat[3]) != ::getsid(0);
}

void collect_dead_orphans() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (is_dead_orphan(pid)) ::waitpid(pid, nullptr, WNOHANG);
  }
}

// Collects, until it goes, every QEMU that dies: one that is only asked what it can do, and one
// that ends while it starts. We are their parent, and libvirt waits (40 s for each) for them to be
// gone.
class Collector {
 public:
  Collector()
      : thread_([this](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          const auto look = std::chrono::milliseconds(50);
          while (!over_.wait_for(lock, stop, look, [&] { return stop.stop_requested(); }))
            collect_dead_orphans();
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any over_;
  std::jthread thread_;  // the last member: it uses the others
};

// libvirt's default event loop, run by a thread of ours until this value goes. The embedded driver
// does nothing without one.
class EventLoop {
 public:
  EventLoop() {
    // The loop is libvirt's and for the whole process: it is registered once, however many there
    // are.
    static const int registered = virEventRegisterDefaultImpl();
    if (registered < 0) fail("registering libvirt's event loop");
    timer_ = virEventAddTimeout(
        -1, [](int, void*) {}, nullptr, nullptr);
    if (timer_ < 0) fail("adding a timer to libvirt's event loop");
    thread_ = std::thread([this] {
      while (!stop_ && virEventRunDefaultImpl() >= 0) {
      }
    });
  }
  ~EventLoop() {
    stop_ = true;
    virEventUpdateTimeout(timer_, 0);  // wakes the loop, which then sees the flag
    thread_.join();
    virEventRemoveTimeout(timer_);
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

 private:
  std::atomic<bool> stop_{false};
  int timer_ = -1;
  std::thread thread_;
};

}  // namespace

// Members go in reverse: first the connection, then the loop it needs, then the root it lives in.
class LibvirtConnection {
 public:
  LibvirtConnection(const std::string& uri, std::optional<LibvirtRoot> root)
      : root_(std::move(root)) {
    if (root_) adopt_orphans();
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // errors are thrown, not printed
    loop_.emplace();
    std::optional<Collector> collector;
    if (root_) collector.emplace();
    connection_ = virConnectOpen(uri.c_str());
    if (connection_ == nullptr) fail("opening " + uri);
  }
  ~LibvirtConnection() {
    if (connection_ != nullptr) virConnectClose(connection_);
  }
  LibvirtConnection(const LibvirtConnection&) = delete;
  LibvirtConnection& operator=(const LibvirtConnection&) = delete;

  virConnectPtr get() const { return connection_; }
  const std::optional<LibvirtRoot>& root() const { return root_; }

 private:
  std::optional<LibvirtRoot> root_;
  std::optional<EventLoop> loop_;
  virConnectPtr connection_ = nullptr;
};

namespace {

class LibvirtMachine : public Machine {
 public:
  LibvirtMachine(MachineConfig config, std::shared_ptr<LibvirtConnection> connection)
      : config_(std::move(config)),
        connection_(std::move(connection)),
        next_target_(static_cast<unsigned>(config_.disks.size()) +
                     (config_.root_image.empty() ? 0 : 1)) {}
  ~LibvirtMachine() override;

  void start(const base::Deadline& deadline) override;
  bool alive() override;
  void wait_ended(const base::Deadline& deadline) override;
  void kill() override;
  std::string broke() override;
  std::string halted(const base::Deadline& deadline) override;
  void nudge(const std::string& disk, const base::Deadline& deadline) override;
  void dump_memory(const std::filesystem::path& file, const base::Deadline& deadline) override;
  void attach_disk(const Disk& disk, const base::Deadline& deadline) override;
  void detach_disk(const std::string& name, const base::Deadline& deadline) override;
  nlohmann::json execute(const std::string& command, const nlohmann::json&,
                         const base::Deadline&) override {
    throw std::runtime_error("machine " + config_.name + " is libvirt's: QEMU is not asked for " +
                             command);
  }
  std::optional<pid_t> pid() const override { return pid_; }
  std::string description() const override { return domain_xml(config_); }

 private:
  void watch_process(const base::Deadline& deadline);
  bool process_ended(int wait_ms);
  void require_alive();

  MachineConfig config_;
  std::shared_ptr<LibvirtConnection> connection_;
  unsigned next_target_;
  virDomainPtr domain_ = nullptr;
  std::optional<pid_t> pid_;
  base::UniqueFd pidfd_;
  std::optional<base::Exit> exit_;  // of QEMU, when we collected it
  bool killed_ = false;             // by us
};

LibvirtMachine::~LibvirtMachine() {
  try {
    kill();
  } catch (const std::exception&) {
    // The guardian tries again when the harness ends.
  }
  if (domain_ != nullptr) virDomainFree(domain_);
}

void LibvirtMachine::start(const base::Deadline& deadline) {
  if (domain_ != nullptr)
    throw std::runtime_error("machine " + config_.name + " was started before");
  // The embedded driver refuses AUTODESTROY; there the guardian does its work.
  const unsigned flags = connection_->root() ? 0 : VIR_DOMAIN_START_AUTODESTROY;
  {
    std::optional<Collector> collector;
    if (connection_->root()) collector.emplace();
    domain_ = virDomainCreateXML(connection_->get(), domain_xml(config_).c_str(), flags);
  }
  if (domain_ == nullptr) fail("starting machine " + config_.name);
  if (connection_->root()) watch_process(deadline);
}

void LibvirtMachine::watch_process(const base::Deadline& deadline) {
  const auto path = connection_->root()->pid_file(config_.name);
  pid_t pid = -1;
  base::wait_until("libvirt to write " + path.string(), deadline, [&] {
    return static_cast<bool>(std::ifstream(path) >> pid) || virDomainIsActive(domain_) != 1;
  });
  if (pid <= 0) throw std::runtime_error("machine " + config_.name + " ended while it started");
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd_)
    base::throw_errno("watching QEMU of " + config_.name + ", pid " + std::to_string(pid));
  pid_ = pid;
}

bool LibvirtMachine::process_ended(int wait_ms) {
  ::pollfd watched{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&watched, 1, wait_ms) <= 0) return false;
  // We are its parent (see adopt_orphans); libvirt takes it for alive until it is collected.
  int status = 0;
  if (::waitpid(*pid_, &status, WNOHANG) == *pid_) exit_ = base::exit_of(status);
  return true;
}

bool LibvirtMachine::alive() {
  if (domain_ == nullptr) return false;
  return pidfd_ ? !process_ended(0) : virDomainIsActive(domain_) == 1;
}

void LibvirtMachine::wait_ended(const base::Deadline& deadline) {
  const std::string what = "machine " + config_.name + " to end";
  if (pidfd_ && !process_ended(deadline.poll_ms())) throw deadline.error(what);
  // libvirt closes its books a little after the process has ended.
  if (domain_ != nullptr)
    base::wait_until(what, deadline, [&] { return virDomainIsActive(domain_) != 1; });
}

void LibvirtMachine::kill() {
  if (domain_ == nullptr) return;
  killed_ = killed_ || alive();
  constexpr auto kGrace = std::chrono::seconds(10);
  if (pidfd_) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  } else if (virDomainIsActive(domain_) == 1) {
    virDomainDestroy(domain_);
  }
  wait_ended(base::Deadline::after(kGrace));
}

std::string LibvirtMachine::broke() {
  if (killed_ || alive() || !exit_) return "";
  return exit_->ok() ? "" : base::to_string(*exit_);
}

std::string LibvirtMachine::halted(const base::Deadline&) {
  if (!alive()) return "";
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  if (virDomainGetState(domain_, &state, &reason, 0) < 0) return "libvirt does not know its state";
  if (state == VIR_DOMAIN_PAUSED) return "paused, reason " + std::to_string(reason) + " of libvirt";
  return state == VIR_DOMAIN_CRASHED ? "crashed" : "";
}

void LibvirtMachine::require_alive() {
  if (!alive()) throw std::runtime_error("machine " + config_.name + " does not run");
}

void LibvirtMachine::nudge(const std::string& disk, const base::Deadline&) {
  require_alive();
  char* said = nullptr;
  if (virDomainQemuMonitorCommand(domain_, nudge_command(disk).c_str(), &said,
                                  VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
    fail("nudging disk " + disk + " of machine " + config_.name);
  const std::string text = said != nullptr ? said : "";
  ::free(said);
  require_nudged(disk, text);
}

void LibvirtMachine::dump_memory(const std::filesystem::path& file, const base::Deadline&) {
  require_alive();
  if (virDomainSuspend(domain_) < 0) fail("pausing machine " + config_.name);
  if (virDomainCoreDumpWithFormat(domain_, file.c_str(), VIR_DOMAIN_CORE_DUMP_FORMAT_RAW,
                                  VIR_DUMP_MEMORY_ONLY) < 0)
    fail("dumping the memory of machine " + config_.name + " to " + file.string());
}

void LibvirtMachine::attach_disk(const Disk& disk, const base::Deadline&) {
  validate(disk);
  if (!disk.merge_requests)
    throw std::invalid_argument("disk " + disk.name +
                                ": libvirt cannot hot-plug a disk without request merging");
  require_alive();
  if (virDomainAttachDevice(domain_, disk_xml(disk, next_target_, -1).c_str()) < 0)
    fail("attaching disk " + disk.name + " to machine " + config_.name);
  ++next_target_;
  config_.disks.push_back(disk);
}

void LibvirtMachine::detach_disk(const std::string& name, const base::Deadline& deadline) {
  require_alive();
  unsigned index = config_.root_image.empty() ? 0 : 1;
  auto disk = config_.disks.begin();
  for (; disk != config_.disks.end() && disk->name != name; ++disk) ++index;
  if (disk == config_.disks.end())
    throw std::runtime_error("machine " + config_.name + " has no disk " + name);
  if (virDomainDetachDevice(domain_, disk_xml(*disk, index, -1).c_str()) < 0)
    fail("detaching disk " + name + " from machine " + config_.name);
  base::wait_until("the guest to let go of disk " + name, deadline, [&] {
    const std::unique_ptr<char, decltype(&::free)> xml(virDomainGetXMLDesc(domain_, 0), &::free);
    if (!xml) fail("asking for the disks of machine " + config_.name);
    return std::string(xml.get()).find("'ua-" + name + "'") == std::string::npos;
  });
  disk->name += "-detached";  // keeps its target: the names of the others must not move
}

std::string format_version(unsigned long version) {
  return std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
         std::to_string(version % 1000);
}

}  // namespace

std::filesystem::path libvirt_cache() {
  const char* cache = ::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::filesystem::path(cache) / "snapbed/libvirt";
  const char* home = ::getenv("HOME");
  if (home == nullptr || *home != '/')
    throw std::runtime_error("neither XDG_CACHE_HOME nor HOME is an absolute path");
  return std::filesystem::path(home) / ".cache/snapbed/libvirt";
}

LibvirtHost::LibvirtHost(std::shared_ptr<LibvirtConnection> connection)
    : connection_(std::move(connection)) {
}
LibvirtHost::~LibvirtHost() = default;
LibvirtHost::LibvirtHost(LibvirtHost&&) noexcept = default;

LibvirtHost LibvirtHost::embedded(const std::filesystem::path& cache, Guardian* guardian) {
  LibvirtRoot root = LibvirtRoot::take(cache, guardian);
  // The driver would write its warnings over the harness's live line.
  ::setenv("LIBVIRT_LOG_OUTPUTS", ("3:file:" + (root.path() / "libvirt.log").string()).c_str(), 0);
  const std::string uri = "qemu:///embed?root=" + root.path().string();
  return LibvirtHost(std::make_shared<LibvirtConnection>(uri, std::move(root)));
}

LibvirtHost LibvirtHost::connect(const std::string& uri) {
  return LibvirtHost(std::make_shared<LibvirtConnection>(uri, std::nullopt));
}

std::unique_ptr<Machine> LibvirtHost::machine(const MachineConfig& config) const {
  validate(config);
  bool files = config.count_instructions;
  for (const Disk& disk : config.disks) files = files || !disk.file.empty();
  if (files)
    throw std::invalid_argument("machine " + config.name +
                                ": disks from files and counted instructions need qemu_machine");
  if (config.console != Console::file)
    throw std::invalid_argument("machine " + config.name + ": libvirt's console must be a file");
  return std::make_unique<LibvirtMachine>(config, connection_);
}

std::string LibvirtHost::version() const {
  unsigned long version = 0;
  if (virConnectGetLibVersion(connection_->get(), &version) < 0) fail("asking libvirt's version");
  return format_version(version);
}

std::filesystem::path LibvirtHost::root() const {
  return connection_->root() ? connection_->root()->path() : std::filesystem::path();
}

}  // namespace snapbed::vm
