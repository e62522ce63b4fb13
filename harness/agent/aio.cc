// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/aio.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/error.h"

namespace snapbed::agent {

Aio::Aio(unsigned depth) : blocks_(depth), events_(depth) {
  if (::syscall(SYS_io_setup, depth, &context_) != 0) {
    base::throw_errno("io_setup for " + std::to_string(depth) + " writes");
  }
}

Aio::~Aio() {
  ::syscall(SYS_io_destroy, context_);
}

int Aio::write(std::size_t slot, int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset,
               bool durable) {
  iocb& block = blocks_[slot];
  block = {};
  block.aio_data = slot;
  block.aio_lio_opcode = IOCB_CMD_PWRITE;
  block.aio_fildes = static_cast<std::uint32_t>(fd);
  block.aio_buf = reinterpret_cast<std::uintptr_t>(bytes.data());
  block.aio_nbytes = bytes.size();
  block.aio_offset = static_cast<std::int64_t>(offset);
  block.aio_rw_flags = durable ? RWF_DSYNC : 0;
  iocb* list[] = {&block};
  if (::syscall(SYS_io_submit, context_, 1L, list) != 1) return errno;
  ++in_flight_;
  return 0;
}

std::vector<AioDone> Aio::wait(std::chrono::nanoseconds patience) {
  std::vector<AioDone> done;
  if (in_flight_ == 0) return done;
  constexpr std::int64_t kBillion = 1'000'000'000;
  timespec timeout{patience.count() / kBillion, patience.count() % kBillion};
  const long got = ::syscall(SYS_io_getevents, context_, 1L, static_cast<long>(events_.size()),
                             events_.data(), &timeout);
  for (long i = 0; i < got; ++i) {
    const io_event& event = events_[static_cast<std::size_t>(i)];
    const auto slot = static_cast<std::size_t>(event.data);
    const bool whole = event.res == static_cast<std::int64_t>(blocks_[slot].aio_nbytes);
    done.push_back({slot, whole ? 0 : event.res < 0 ? static_cast<int>(-event.res) : EIO});
    --in_flight_;
  }
  return done;
}

}  // namespace snapbed::agent
