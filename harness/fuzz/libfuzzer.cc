// SPDX-License-Identifier: GPL-2.0-or-later
// The door of libFuzzer to the target SNAPBED_TARGET.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const snapbed::fuzz::Target& target : snapbed::fuzz::targets())
    if (target.name == SNAPBED_TARGET) target.run({data, size});
  return 0;
}
