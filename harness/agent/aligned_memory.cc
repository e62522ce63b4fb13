// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/aligned_memory.h"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace snapbed::agent {

AlignedMemory::AlignedMemory(std::size_t bytes) : bytes_(bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) base::throw_errno("mmap of " + std::to_string(bytes) + " bytes");
  data_ = static_cast<std::uint8_t*>(memory);
}

AlignedMemory::~AlignedMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

AlignedMemory::AlignedMemory(AlignedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {
}

}  // namespace snapbed::agent
