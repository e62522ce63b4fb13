// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/fail_nth.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace snapbed::agent {
namespace fs = std::filesystem;

namespace {

std::string nth_file(pid_t thread) {
  return "/proc/" + std::to_string(thread) + "/fail-nth";
}

// 0 or a positive errno.
int put(const std::string& path, const std::string& text) {
  const base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file ? base::write_all(file.get(), text) : errno;
}

// What is left to count; 0 when the failure has happened or none was ordered.
unsigned left(pid_t thread) {
  unsigned value = 0;
  std::ifstream(nth_file(thread)) >> value;
  return value;
}

}  // namespace

bool has_fail_nth() {
  return fs::exists("/proc/self/fail-nth") && fs::exists("/sys/kernel/debug/failslab");
}

void allow_allocation_failures() {
  constexpr std::pair<const char*, const char*> kSettings[] = {
      {"failslab/ignore-gfp-wait", "N"},        {"failslab/verbose", "0"},
      {"fail_page_alloc/ignore-gfp-wait", "N"}, {"fail_page_alloc/ignore-gfp-highmem", "N"},
      {"fail_page_alloc/min-order", "0"},       {"fail_page_alloc/verbose", "0"},
  };
  for (const auto& [name, value] : kSettings) {
    const std::string path = std::string("/sys/kernel/debug/") + name;
    if (const int error = put(path, value); error != 0) {
      base::throw_errno("write of " + std::string(value) + " to " + path, error);
    }
  }
}

FailNth::FailNth(std::vector<pid_t> threads, unsigned n) : threads_(std::move(threads)) {
  const std::string text = std::to_string(n);
  std::erase_if(threads_, [&](pid_t thread) { return put(nth_file(thread), text) != 0; });
}

bool FailNth::disarm() {
  bool reached = false;
  for (const pid_t thread : threads_) {
    std::error_code error;
    if (!fs::exists(nth_file(thread), error)) continue;
    if (left(thread) == 0) reached = true;
    put(nth_file(thread), "0");
  }
  threads_.clear();
  return reached;
}

std::vector<pid_t> kernel_workers(const std::string& prefix) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string comm;
    std::getline(std::ifstream(entry.path() / "comm") >> std::ws, comm);
    if (comm.starts_with("kworker/") || comm.starts_with(prefix)) found.push_back(std::stoi(name));
  }
  return found;
}

}  // namespace snapbed::agent
