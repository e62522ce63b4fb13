// SPDX-License-Identifier: GPL-2.0-or-later
// Memory for direct I/O: page aligned, touched when it is made, so that no later write of ours
// waits for memory that the storm has used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace snapbed::agent {

class AlignedMemory {
 public:
  // Throws std::system_error with the size when there is no memory. `bytes` > 0.
  explicit AlignedMemory(std::size_t bytes);
  ~AlignedMemory();
  AlignedMemory(AlignedMemory&& other) noexcept;
  AlignedMemory& operator=(AlignedMemory&&) = delete;
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  std::span<std::uint8_t> span() const { return {data_, bytes_}; }
  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace snapbed::agent
