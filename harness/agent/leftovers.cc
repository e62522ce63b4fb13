// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/leftovers.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"

namespace snapbed::agent {
namespace fs = std::filesystem;

namespace {

constexpr auto kGoneLimit = std::chrono::seconds(5);  // threads and nodes end a little later
constexpr std::size_t kPageBytes = 4096;
constexpr std::uint64_t kPagesLimit = 16U << 20U;   // bytes; more are a leak
constexpr std::uint64_t kObjectsLimit = 4U << 20U;  // bytes; so are more of these
constexpr const char* kLeakFile = "/sys/kernel/debug/kmemleak";
constexpr std::chrono::milliseconds kLeakAge{6000};  // kmemleak passes over objects of 5 s
constexpr std::uint64_t kLeakScans = 2;
constexpr std::size_t kLeakLines = 14;  // of a report that are told

// A file of /proc or /sys; empty when there is none. Their size says nothing.
std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Search {
 public:
  Search(std::string module, Leftovers& left) : module_(std::move(module)), left_(left) {}

  // Entries of a folder whose name begins with the module's.
  void folder(const fs::path& path, const std::string& what) {
    std::error_code error;
    if (!fs::is_directory(path, error)) return;
    ++left_.looked;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const std::string name = entry.path().filename();
      if (name.starts_with(module_)) left_.found.push_back(what + " " + entry.path().string());
    }
  }
  // Words of a file that begin with the module's name.
  void file(const fs::path& path) {
    std::istringstream words(text_of(path));
    if (words.str().empty()) return;
    ++left_.looked;
    for (std::string word; words >> word;) {
      if (word.starts_with(module_)) {
        left_.found.push_back("\"" + word + "\" in " + path.string());
      }
    }
  }
  void threads() {
    ++left_.looked;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      const std::string comm = text_of(entry.path() / "comm");
      if (comm.starts_with(module_)) {
        left_.found.push_back("thread " + comm.substr(0, comm.find('\n')));
      }
    }
  }
  // A disk's pages go with its last opener: a page that stays says that there is one.
  void disk(const std::string& path) {
    std::error_code error;
    const fs::path node = fs::canonical(path, error);
    if (error || is_used(path, node)) return;
    const auto held = is_held(path);
    if (!held || (*held && is_open_in_a_program(node))) return;
    ++left_.looked;
    if (*held) left_.found.push_back("an open file of disk " + path);
  }

 private:
  // The disk or one of its partitions, in any program: a writer that goes on over an unload.
  // Programs may end while they are looked at.
  static bool is_open_in_a_program(const fs::path& node) {
    std::error_code error;
    for (fs::directory_iterator process("/proc", error), end; !error && process != end;
         process.increment(error)) {
      std::error_code gone;
      for (fs::directory_iterator file(process->path() / "fd", gone); !gone && file != end;
           file.increment(gone)) {
        const fs::path target = fs::read_symlink(file->path(), gone);
        if (!gone && target.string().starts_with(node.string())) return true;
      }
    }
    return false;
  }

  // By a file system, as swap, by a loop device, or by one stacked on the disk or on a partition:
  // it is open for a reason then. A partition's name begins with the disk's.
  static bool is_used(const std::string& path, const fs::path& node) {
    std::error_code error;
    std::string users = text_of("/proc/mounts") + text_of("/proc/swaps");
    for (const auto& entry : fs::directory_iterator("/sys/block", error)) {
      users += text_of(entry.path() / "loop" / "backing_file");
    }
    if (users.find(path) != users.npos || users.find(node.string()) != users.npos) return true;
    const fs::path folder = "/sys/block" / node.filename();
    std::vector<fs::path> devices = {folder};
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename();
      if (name.starts_with(node.filename().string())) devices.push_back(entry.path());
    }
    return std::any_of(devices.begin(), devices.end(), [&](const fs::path& device) {
      return !fs::is_empty(device / "holders", error) || error;
    });
  }

  // Nothing for a disk that cannot be read: it was unplugged, or a rule makes it fail.
  static std::optional<bool> is_held(const std::string& path) {
    std::array<char, kPageBytes> page;
    const auto open_it = [&] { return base::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); };
    if (::pread(open_it().get(), page.data(), page.size(), 0) <= 0) return std::nullopt;
    const base::UniqueFd device = open_it();
    if (!device) return std::nullopt;
    // Without access, so that locking all our memory does not read the page in.
    void* at = ::mmap(nullptr, kPageBytes, PROT_NONE, MAP_SHARED, device.get(), 0);
    if (at == MAP_FAILED) base::throw_errno("mmap of " + path);
    unsigned char there = 0;
    const int result = ::mincore(at, kPageBytes, &there);
    ::munmap(at, kPageBytes);
    if (result != 0) base::throw_errno("mincore of " + path);
    return (there & 1U) != 0;
  }

  std::string module_;
  Leftovers& left_;
};

Leftovers look(const std::string& module, const std::vector<std::string>& disks) {
  Leftovers left;
  Search search(module, left);
  search.folder("/sys/module", "folder");
  search.folder("/sys/kernel/slab", "cache");
  search.folder("/dev", "node");
  search.folder("/sys/block", "disk");
  search.folder("/sys/class", "class");
  search.folder("/sys/class/misc", "device");
  search.folder("/sys/kernel/debug", "folder");
  search.file("/proc/slabinfo");
  search.file("/proc/devices");
  search.file("/proc/misc");
  search.file("/proc/modules");
  search.threads();
  for (const std::string& disk : disks) search.disk(disk);
  return left;
}

// Functions of the kernel that lose memory of their own when an allocation fails; whoever called
// them did nothing wrong. sysfs_slab_add() in 6.1: the name of a cache that sysfs did not take.
constexpr std::array kLosers = {"sysfs_slab_add"};

bool is_kernels_own(const std::string& line) {
  return std::any_of(kLosers.begin(), kLosers.end(),
                     [&](const char* name) { return line.find(name) != std::string::npos; });
}

// True when a line of a backtrace is an address at `place`, which has lost its name by now, or one
// of the kernel's functions for filters.
bool is_ours(const std::string& line, const ModulePlace& place) {
  if (line.find("blkfilter") != std::string::npos) return true;
  for (auto at = line.find("0xffff"); at != std::string::npos; at = line.find("0xffff", at + 1)) {
    const std::uint64_t address = std::stoull(line.substr(at), nullptr, 16);
    if (address >= place.first && address < place.end) return true;
  }
  return false;
}

bool keeps_freed_objects() {
  return text_of("/proc/kallsyms").find(" kasan_report\n") != std::string::npos;
}

std::string more_than_before(std::uint64_t bytes) {
  return std::to_string(bytes >> 20U) + " MiB in use, more than before insmod,";
}

}  // namespace

ModulePlace module_place(const std::string& modules, const std::string& name) {
  std::istringstream lines(modules);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string module;
    std::string skipped;
    std::string address;
    std::uint64_t bytes = 0;
    words >> module >> bytes >> skipped >> skipped >> skipped >> address;
    if (module != name || address.empty()) continue;
    const std::uint64_t first = std::stoull(address, nullptr, 16);
    return {first, first + bytes};
  }
  return {};
}

ModulePlace loaded_place(const std::string& name) {
  return module_place(text_of("/proc/modules"), name);
}

Leftovers leftovers(const std::string& module, const std::vector<std::string>& disks) {
  const auto limit = base::Deadline::after(kGoneLimit);
  Leftovers left = look(module, disks);
  while (!left.found.empty() && !limit.passed()) left = look(module, disks);
  return left;
}

std::uint64_t unnamed_memory(const std::string& text) {
  auto memory = base::parse_memory(text);
  std::uint64_t named = 0;
  // KReclaimable and Shmem are part of others.
  for (const char* name : {"MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab",
                           "KernelStack", "PageTables", "SecPageTables", "Percpu", "VmallocUsed"})
    named += memory[name];
  return memory["MemTotal"] - std::min(memory["MemTotal"], named);
}

std::uint64_t object_memory(const std::string& text) {
  std::uint64_t bytes = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t active = 0;
    std::uint64_t objects = 0;
    std::uint64_t object_bytes = 0;
    if (!(words >> name >> active >> objects >> object_bytes)) continue;
    // What can be reclaimed belongs to file systems.
    const bool anybodys = name.starts_with("bio") ||
                          (name.starts_with("kmalloc-") && !name.starts_with("kmalloc-rcl-"));
    if (anybodys) bytes += active * object_bytes;
  }
  return bytes;
}

UsedMemory used_memory() {
  return {unnamed_memory(text_of("/proc/meminfo")), object_memory(text_of("/proc/slabinfo"))};
}

MemoryGrowth memory_growth(const UsedMemory& before, bool disks_in_memory) {
  const auto limit = base::Deadline::after(kGoneLimit);
  const bool pages_tell = !disks_in_memory;
  const bool objects_tell = !keeps_freed_objects();
  MemoryGrowth growth;
  do {
    const UsedMemory now = used_memory();
    growth = {{now.pages - std::min(now.pages, before.pages),
               now.objects - std::min(now.objects, before.objects)},
              {}};
    if (pages_tell && growth.bytes.pages > kPagesLimit)
      growth.found.push_back(more_than_before(growth.bytes.pages) +
                             " that the kernel names no use for: pages that were not given back");
    if (objects_tell && growth.bytes.objects > kObjectsLimit)
      growth.found.push_back(more_than_before(growth.bytes.objects) +
                             " of kmalloc and bios that were not given back");
  } while (!growth.found.empty() && !limit.passed());
  return growth;
}

void read_kmemleak(const std::string& text, const ModulePlace& place, LostMemory& lost) {
  std::istringstream lines(text);
  std::string report;
  std::size_t count = 0;
  bool ours = false;
  bool kernels_own = false;
  const auto close = [&] {
    if (report.empty()) return;
    if (ours && !kernels_own)
      lost.found.push_back(report);
    else
      ++lost.foreign;
  };
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("unreferenced object")) {
      close();
      report.clear();
      count = 0;
      ours = false;
      kernels_own = false;
    } else {
      if (is_ours(line, place)) ours = true;
      if (is_kernels_own(line)) kernels_own = true;
    }
    if (count++ < kLeakLines) report += (report.empty() ? "" : "; ") + line;
  }
  close();
}

LostMemory lost_memory(const ModulePlace& place) {
  LostMemory lost;
  std::error_code error;
  if (!fs::exists(kLeakFile, error)) return lost;
  const auto old_enough = base::Deadline::after(kLeakAge);
  bool last = false;
  while (lost.scans < kLeakScans || !last) {
    last = old_enough.passed();
    const base::UniqueFd file(::open(kLeakFile, O_WRONLY | O_CLOEXEC));
    const int failure = file ? base::write_all(file.get(), "scan") : errno;
    if (failure != 0) base::throw_errno(std::string("scan by ") + kLeakFile, failure);
    ++lost.scans;
  }
  read_kmemleak(text_of(kLeakFile), place, lost);
  return lost;
}

}  // namespace snapbed::agent
