// SPDX-License-Identifier: GPL-2.0-or-later
// Cases of the interface: each says what was called with what, which results are right, and what
// came. Each becomes a mark, so that the host compares and not the guest.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "agent/marks.h"

namespace snapbed::agent {

// "0", "17", "EINVAL": what a call gave, from a negative errno or a value >= 0. Pure.
std::string result_text(std::int64_t result);

// Any thread. Throws what Marks::write throws.
class CaseLog {
 public:
  CaseLog(Marks& marks, Place place) : marks_(marks), place_(place) {}

  // The general form: any of `right` is right. Returns whether `got` is.
  bool add(const std::string& call, const std::string& with, const std::vector<std::string>& right,
           const std::string& got);
  // Results as calls give them: a negative errno, or a value >= 0.
  bool result(const std::string& call, const std::string& with, std::int64_t right,
              std::int64_t got) {
    return add(call, with, {result_text(right)}, result_text(got));
  }
  bool result(const std::string& call, const std::string& with,
              std::initializer_list<std::int64_t> right, std::int64_t got);
  // A statement that is true or not; `got` tells more when it is not.
  bool truth(const std::string& call, const std::string& statement, bool holds,
             const std::string& got = "not so");

  std::uint64_t count() const { return count_; }
  std::uint64_t wrong() const { return wrong_; }

 private:
  Marks& marks_;
  Place place_;
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> wrong_ = 0;
};

}  // namespace snapbed::agent
