// SPDX-License-Identifier: GPL-2.0-or-later
// XXH3-64 compiled for AVX2: half the time per sector. No other header than xxhash.h may be used
// here: an inline function of a shared header, compiled for AVX2, could become everybody's copy of
// it.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/hash_avx2.h"

namespace snapbed::journal {

unsigned long long hash_avx2(const void* bytes, unsigned long size) {
  return XXH3_64bits(bytes, size);
}

}  // namespace snapbed::journal
