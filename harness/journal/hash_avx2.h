// SPDX-License-Identifier: GPL-2.0-or-later
// For pattern.cc only: see hash_avx2.cc.
#pragma once

namespace snapbed::journal {

// The caller has made sure that the processor has AVX2.
unsigned long long hash_avx2(const void* bytes, unsigned long size);

}  // namespace snapbed::journal
