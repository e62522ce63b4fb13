// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal/names.h"

#include <array>
#include <utility>

namespace snapbed::journal {

namespace {

template <typename T>
using Word = std::pair<T, const char*>;

constexpr std::array<Word<Op>, 5> kOps = {{{Op::read, "read"},
                                           {Op::write, "write"},
                                           {Op::trim, "trim"},
                                           {Op::zero, "zero"},
                                           {Op::flush, "flush"}}};
constexpr std::array<Word<Role>, 7> kRoles = {{{Role::plan, "plan"},
                                               {Role::marks, "marks"},
                                               {Role::evidence, "evidence"},
                                               {Role::files, "files"},
                                               {Role::data, "data"},
                                               {Role::storage, "storage"},
                                               {Role::scratch, "scratch"}}};
constexpr std::array<Word<Initial>, 2> kInitials = {
    {{Initial::zero, "zero"}, {Initial::seeded, "seeded"}}};

template <typename Table, typename T>
const char* word_of(const Table& table, T value) {
  for (const auto& [known, word] : table) {
    if (known == value) return word;
  }
  return "?";
}

template <typename T, std::size_t N>
std::optional<T> value_of(const std::array<Word<T>, N>& table, std::string_view word) {
  for (const auto& [value, known] : table) {
    if (word == known) return value;
  }
  return std::nullopt;
}

}  // namespace

const char* to_string(Op op) {
  return word_of(kOps, op);
}
const char* to_string(Role role) {
  return word_of(kRoles, role);
}
const char* to_string(Initial initial) {
  return word_of(kInitials, initial);
}
std::optional<Op> parse_op(std::string_view word) {
  return value_of(kOps, word);
}
std::optional<Role> parse_role(std::string_view word) {
  return value_of(kRoles, word);
}
std::optional<Initial> parse_initial(std::string_view word) {
  return value_of(kInitials, word);
}

}  // namespace snapbed::journal
