// SPDX-License-Identifier: GPL-2.0-or-later
// Seeded choice: the same seed gives the same choices on every machine and compiler, which
// the distributions of <random> do not promise.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace snapbed::base {

// xoshiro256** (Blackman, Vigna), state filled by splitmix64. Copyable; not thread safe.
class Random {
 public:
  using result_type = std::uint64_t;

  explicit Random(std::uint64_t seed);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()();

  // Uniform in [0, bound); bound must not be 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [low, high], low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);
  // Uniform in [0, 1).
  double unit();
  // True with probability p; never for p <= 0, always for p >= 1.
  bool chance(double p);
  // A generator for a purpose of its own: drawing from it does not move this one.
  Random fork(std::uint64_t purpose) const;

  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t left = values.size(); left > 1; --left) {
      std::swap(values[left - 1], values[static_cast<std::size_t>(below(left))]);
    }
  }

 private:
  std::uint64_t state_[4];
};

}  // namespace snapbed::base
