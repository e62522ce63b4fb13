// SPDX-License-Identifier: GPL-2.0-or-later
// A TOML table read strictly: every value asked for by name and type, every other key an error
// with its line. Internal to scenario/.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snapbed::scenario {

// Throws BadScenario "FILE:LINE: what".
[[noreturn]] void refuse(const std::string& file, std::uint32_t line, const std::string& what);

std::uint32_t line_of(const toml::node& node);
std::string type_name(const toml::node& node);

// A view; the table outlives it.
class Table {
 public:
  Table(const toml::table& table, std::string file, std::string title);

  // Refuses any key outside `known`.
  void only(const std::vector<std::string>& known) const;

  bool has(std::string_view key) const;
  std::uint32_t line(std::string_view key) const;  // of the value, or of the table when absent
  std::uint32_t line() const;

  std::string text(std::string_view key) const;  // required
  std::string text_or(std::string_view key, std::string fallback) const;
  bool flag_or(std::string_view key, bool fallback) const;
  std::uint64_t number_or(std::string_view key, std::uint64_t fallback, std::uint64_t least,
                          std::uint64_t most) const;
  std::uint64_t size(std::string_view key) const;  // bytes, required
  std::uint64_t size_or(std::string_view key, std::uint64_t fallback) const;
  std::vector<std::string> texts_or_empty(std::string_view key) const;
  // One of `choices`.
  std::string choice_or(std::string_view key, const std::string& fallback,
                        const std::vector<std::string>& choices) const;

  const toml::array* array_or_null(std::string_view key) const;
  const toml::table* table_or_null(std::string_view key) const;
  // The tables of [[key]].
  std::vector<Table> tables(const std::string& key) const;

  [[noreturn]] void refuse_at(std::string_view key, const std::string& what) const;
  const std::string& file() const { return file_; }
  const toml::table& raw() const { return table_; }

 private:
  const toml::node* find(std::string_view key) const;
  [[noreturn]] void missing(std::string_view key, const std::string& expected) const;
  [[noreturn]] void wrong_type(std::string_view key, const std::string& expected) const;

  const toml::table& table_;
  std::string file_;
  std::string title_;
};

}  // namespace snapbed::scenario
