// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/bench_load.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <thread>
#include <utility>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr std::uint32_t kDepthLimit = 64;

// The processor's counter: reading it is one instruction, and no timer of the machine is asked.
std::uint64_t ticks() {
  return __rdtsc();
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

struct LoadRunner::Writer {
  Writer(const Load& load, std::size_t index);
  ~Writer();
  Writer(Writer&& other) noexcept;
  Writer& operator=(Writer&&) = delete;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void work();
  void submit(std::uint32_t slot, std::uint64_t offset);
  void reap();

  BlockDevice device;
  AlignedMemory memory;
  bool write;
  std::uint32_t block_bytes;
  std::uint32_t depth;
  const std::vector<std::uint64_t>* offsets;
  aio_context_t context = 0;
  std::vector<iocb> requests;
  std::vector<std::uint64_t> begun;    // ticks, by slot
  std::vector<std::uint32_t> free;     // slots
  std::vector<std::uint64_t> latency;  // ticks
  std::exception_ptr failure;
};

LoadRunner::Writer::Writer(const Load& load, std::size_t index)
    : device(load.path, load.write ? O_RDWR : O_RDONLY),
      memory(std::size_t{load.block_bytes} * load.depth),
      write(load.write),
      block_bytes(load.block_bytes),
      depth(load.depth),
      offsets(&load.offsets[index]),
      requests(load.depth),
      begun(load.depth) {
  if (depth == 0 || depth > kDepthLimit)
    throw std::runtime_error("load: depth " + std::to_string(depth) + ", must be 1 to " +
                             std::to_string(kDepthLimit));
  std::memset(memory.data(), static_cast<int>(index) + 1, memory.size());
  for (std::uint32_t slot = 0; slot < depth; ++slot) free.push_back(slot);
  latency.reserve(offsets->size());
  if (::syscall(SYS_io_setup, depth, &context) != 0) base::throw_errno("io_setup");
}

LoadRunner::Writer::Writer(Writer&& other) noexcept
    : device(std::move(other.device)),
      memory(std::move(other.memory)),
      write(other.write),
      block_bytes(other.block_bytes),
      depth(other.depth),
      offsets(other.offsets),
      context(std::exchange(other.context, 0)),
      requests(std::move(other.requests)),
      begun(std::move(other.begun)),
      free(std::move(other.free)),
      latency(std::move(other.latency)),
      failure(std::move(other.failure)) {
}

LoadRunner::Writer::~Writer() {
  if (context != 0) ::syscall(SYS_io_destroy, context);
}

void LoadRunner::Writer::submit(std::uint32_t slot, std::uint64_t offset) {
  iocb& request = requests[slot];
  request = {};
  request.aio_data = slot;
  request.aio_lio_opcode = write ? std::uint16_t{IOCB_CMD_PWRITE} : std::uint16_t{IOCB_CMD_PREAD};
  request.aio_fildes = static_cast<std::uint32_t>(device.fd());
  request.aio_buf =
      reinterpret_cast<std::uint64_t>(memory.data() + std::size_t{slot} * block_bytes);
  request.aio_nbytes = block_bytes;
  request.aio_offset = static_cast<std::int64_t>(offset);
  iocb* list = &request;
  begun[slot] = ticks();
  if (::syscall(SYS_io_submit, context, 1L, &list) != 1) base::throw_errno("io_submit");
}

void LoadRunner::Writer::reap() {
  std::array<io_event, kDepthLimit> events;
  const long got = ::syscall(SYS_io_getevents, context, 1L, long{depth}, events.data(), nullptr);
  if (got < 0 && errno == EINTR) return;
  if (got < 0) base::throw_errno("io_getevents");
  const std::uint64_t now = ticks();
  for (long i = 0; i < got; ++i) {
    const io_event& event = events[static_cast<std::size_t>(i)];
    const auto slot = static_cast<std::uint32_t>(event.data);
    if (event.res != static_cast<std::int64_t>(block_bytes))
      throw std::runtime_error("load: request at byte " +
                               std::to_string(requests[slot].aio_offset) + " gave " +
                               std::to_string(event.res));
    latency.push_back(now - begun[slot]);
    free.push_back(slot);
  }
}

void LoadRunner::Writer::work() {
  try {
    for (const std::uint64_t offset : *offsets) {
      while (free.empty()) reap();
      const std::uint32_t slot = free.back();
      free.pop_back();
      submit(slot, offset);
    }
    while (free.size() < depth) reap();
  } catch (...) {
    failure = std::current_exception();
  }
}

LoadRunner::LoadRunner(const Load& load) {
  for (std::size_t index = 0; index < load.offsets.size(); ++index)
    writers_.emplace_back(load, index);
}

LoadRunner::~LoadRunner() = default;

void LoadRunner::run() {
  const std::uint64_t begin_ns = now_ns();
  const std::uint64_t begin_ticks = ticks();
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < writers_.size(); ++i)
    threads.emplace_back([writer = &writers_[i]] { writer->work(); });
  writers_.front().work();
  for (std::thread& thread : threads) thread.join();
  ticks_ = ticks() - begin_ticks;
  ns_ = now_ns() - begin_ns;
  for (const Writer& writer : writers_)
    if (writer.failure) std::rethrow_exception(writer.failure);
}

LoadResult LoadRunner::result() const {
  std::vector<std::uint64_t> all;
  for (const Writer& writer : writers_)
    all.insert(all.end(), writer.latency.begin(), writer.latency.end());
  LoadResult result;
  result.operations = all.size();
  result.ns = ns_;
  if (all.empty() || ticks_ == 0) return result;
  const double ns_per_tick = static_cast<double>(ns_) / static_cast<double>(ticks_);
  const auto to_ns = [&](std::uint64_t value) {
    return static_cast<std::uint64_t>(static_cast<double>(value) * ns_per_tick);
  };
  result.p50_ns = to_ns(percentile(all, 50));
  result.p99_ns = to_ns(percentile(all, 99));
  return result;
}

std::uint64_t percentile(std::vector<std::uint64_t>& values, unsigned percent) {
  const std::size_t rank = (values.size() * percent + 99) / 100 - 1;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

}  // namespace snapbed::agent
