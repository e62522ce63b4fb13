// SPDX-License-Identifier: GPL-2.0-or-later
// A load on a block device: threads that keep a number of direct requests in flight by the kernel's
// asynchronous interface, one submission a request, as fio's libaio engine does by default. Our
// own, so that exactly the wanted blocks are touched and little besides the kernel is counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace snapbed::agent {

struct Load {
  std::string path;
  bool write = true;
  std::uint32_t block_bytes = 4096;
  std::uint32_t depth = 1;                          // of each writer
  std::vector<std::vector<std::uint64_t>> offsets;  // bytes; a list for every writer
};

struct LoadResult {
  std::uint64_t operations = 0;
  std::uint64_t ns = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
};

// A load made ready: memory, threads' contexts and files are there before it begins.
class LoadRunner {
 public:
  explicit LoadRunner(const Load& load);  // throws std::system_error
  ~LoadRunner();
  LoadRunner(const LoadRunner&) = delete;
  LoadRunner& operator=(const LoadRunner&) = delete;

  // Every request of the load, once. Throws std::runtime_error naming the first that failed.
  void run();
  // Of what run() did.
  LoadResult result() const;

 private:
  struct Writer;
  std::vector<Writer> writers_;
  std::uint64_t ns_ = 0;
  std::uint64_t ticks_ = 0;
};

// The value below which `percent` of the values lie (nearest rank); reorders them. REQUIRES: values
// not empty, 0 < percent <= 100. Pure.
std::uint64_t percentile(std::vector<std::uint64_t>& values, unsigned percent);

}  // namespace snapbed::agent
