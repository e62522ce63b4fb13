// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/random.h"

#include <bit>

namespace snapbed::base {

namespace {

std::uint64_t splitmix(std::uint64_t& x) {
  x += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = x;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed) {
  for (auto& word : state_) word = splitmix(seed);
}

Random::result_type Random::operator()() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  // Values below `skewed` are drawn again: a bare remainder would favour small results.
  const std::uint64_t skewed = (std::uint64_t{0} - bound) % bound;
  std::uint64_t value = (*this)();
  while (value < skewed) value = (*this)();
  return value % bound;
}

std::uint64_t Random::between(std::uint64_t low, std::uint64_t high) {
  if (low == 0 && high == max()) return (*this)();
  return low + below(high - low + 1);
}

double Random::unit() {
  return static_cast<double>((*this)() >> 11) * 0x1.0p-53;
}

bool Random::chance(double p) {
  return unit() < p;
}

Random Random::fork(std::uint64_t purpose) const {
  std::uint64_t seed = state_[0] ^ std::rotl(state_[2], 23);
  seed = splitmix(seed) ^ purpose;
  return Random(splitmix(seed));
}

}  // namespace snapbed::base
