// SPDX-License-Identifier: GPL-2.0-or-later
// Memory of every kind that a client may hand over by mistake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

#include "agent/blksnap_abi.h"

namespace snapbed::agent {

// Three pages: one that can be written, one that nobody may touch, one that can only be read. And
// the address of a page that is not there. Not thread safe.
class BadMemory {
 public:
  static constexpr std::size_t kPageBytes = 4096;

  BadMemory();  // throws std::system_error
  ~BadMemory();
  BadMemory(const BadMemory&) = delete;
  BadMemory& operator=(const BadMemory&) = delete;

  void* unmapped() const { return unmapped_; }
  void* forbidden() const { return pages_ + kPageBytes; }
  static void* kernel() { return reinterpret_cast<void*>(0xffff888000000000); }

  // A place of which the first `mapped` bytes can be used and the next cannot.
  std::uint8_t* half(std::size_t mapped) const { return pages_ + kPageBytes - mapped; }
  // A copy of `value` at half(mapped), as far as it is mapped.
  template <typename Value>
  Value* half_of(const Value& value, std::size_t mapped) const {
    std::memcpy(half(mapped), &value, mapped);
    return reinterpret_cast<Value*>(half(mapped));
  }
  // A copy of `bytes` that cannot be written; valid until the next call.
  void* read_only(const void* bytes, std::size_t count) const;
  template <typename Value>
  Value* read_only(const Value& value) const {
    return static_cast<Value*>(read_only(&value, sizeof value));
  }

 private:
  std::uint8_t* pages_;
  void* unmapped_;
};

// Bytes to be written by the module under test, up to a page that nobody may touch: one that
// writes on and on gets -EFAULT and leaves our heap alone. Not thread safe.
class FencedMemory {
 public:
  explicit FencedMemory(std::size_t most);  // throws std::system_error
  ~FencedMemory();
  FencedMemory(const FencedMemory&) = delete;
  FencedMemory& operator=(const FencedMemory&) = delete;

  // The last `count` bytes before the fence, at most `most`, all set to `byte`.
  std::span<std::uint8_t> last(std::size_t count, std::uint8_t byte);

 private:
  std::size_t fence_;  // offset of the page
  std::uint8_t* pages_;
};

}  // namespace snapbed::agent
