// SPDX-License-Identifier: GPL-2.0-or-later
// Typed reading with errors that name file, line, what was found and what was expected.
#include "scenario/table.h"

#include <algorithm>
#include <sstream>

#include "scenario/scenario.h"
#include "scenario/words.h"

namespace snapbed::scenario {

void refuse(const std::string& file, std::uint32_t line, const std::string& what) {
  throw BadScenario(file + ":" + std::to_string(line) + ": " + what);
}

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::string type_name(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

Table::Table(const toml::table& table, std::string file, std::string title)
    : table_(table), file_(std::move(file)), title_(std::move(title)) {
}

void Table::only(const std::vector<std::string>& known) const {
  for (const auto& [key, value] : table_) {
    const std::string_view name = key.str();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string list;
    for (const std::string& word : known) list += (list.empty() ? "" : ", ") + word;
    refuse(file_, key.source().begin.line,
           "unknown key \"" + std::string(name) + "\" in " + title_ + "; expected one of " + list +
               nearest_note(name, known));
  }
}

const toml::node* Table::find(std::string_view key) const {
  return table_.get(key);
}
bool Table::has(std::string_view key) const {
  return find(key) != nullptr;
}
std::uint32_t Table::line() const {
  return std::max<std::uint32_t>(line_of(table_), 1);
}
std::uint32_t Table::line(std::string_view key) const {
  const toml::node* node = find(key);
  return node == nullptr ? line() : line_of(*node);
}

void Table::refuse_at(std::string_view key, const std::string& what) const {
  refuse(file_, line(key), what);
}

void Table::missing(std::string_view key, const std::string& expected) const {
  refuse(file_, line(), title_ + " has no \"" + std::string(key) + "\"; expected " + expected);
}

void Table::wrong_type(std::string_view key, const std::string& expected) const {
  refuse_at(key, "\"" + std::string(key) + "\" in " + title_ + " is " + type_name(*find(key)) +
                     "; expected " + expected);
}

std::string Table::text(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) missing(key, "a string");
  const auto* value = node->as_string();
  if (value == nullptr) wrong_type(key, "a string");
  return value->get();
}

std::string Table::text_or(std::string_view key, std::string fallback) const {
  return has(key) ? text(key) : std::move(fallback);
}

bool Table::flag_or(std::string_view key, bool fallback) const {
  const toml::node* node = find(key);
  if (node == nullptr) return fallback;
  const auto* value = node->as_boolean();
  if (value == nullptr) wrong_type(key, "true or false");
  return value->get();
}

std::uint64_t Table::number_or(std::string_view key, std::uint64_t fallback, std::uint64_t least,
                               std::uint64_t most) const {
  const toml::node* node = find(key);
  if (node == nullptr) return fallback;
  const std::string range = std::to_string(least) + ".." + std::to_string(most);
  const auto* value = node->as_integer();
  if (value == nullptr) wrong_type(key, "a whole number " + range);
  const std::int64_t number = value->get();
  if (number < 0 || static_cast<std::uint64_t>(number) < least ||
      static_cast<std::uint64_t>(number) > most)
    refuse_at(key, "\"" + std::string(key) + "\" in " + title_ + " is " + std::to_string(number) +
                       "; expected " + range);
  return static_cast<std::uint64_t>(number);
}

std::uint64_t Table::size(std::string_view key) const {
  const std::string expected =
      "a size like \"512B\", \"8s\" (sectors), \"64K\", \"256M\", \"2G\" or \"1T\"";
  if (!has(key)) missing(key, expected);
  if (find(key)->as_string() == nullptr) wrong_type(key, expected);
  const std::string written = text(key);
  const auto bytes = parse_size(written);
  if (!bytes)
    refuse_at(key, "\"" + std::string(key) + "\" in " + title_ + " is \"" + written +
                       "\"; expected " + expected);
  return *bytes;
}

std::uint64_t Table::size_or(std::string_view key, std::uint64_t fallback) const {
  return has(key) ? size(key) : fallback;
}

std::vector<std::string> Table::texts_or_empty(std::string_view key) const {
  std::vector<std::string> texts;
  const toml::array* array = array_or_null(key);
  if (array == nullptr) return texts;
  for (const toml::node& node : *array) {
    const auto* value = node.as_string();
    if (value == nullptr)
      refuse(file_, line_of(node),
             "an element of \"" + std::string(key) + "\" is " + type_name(node) +
                 "; expected a string");
    texts.push_back(value->get());
  }
  return texts;
}

std::string Table::choice_or(std::string_view key, const std::string& fallback,
                             const std::vector<std::string>& choices) const {
  const std::string word = text_or(key, fallback);
  if (std::find(choices.begin(), choices.end(), word) != choices.end()) return word;
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  refuse_at(key, "\"" + std::string(key) + "\" in " + title_ + " is \"" + word +
                     "\"; expected one of " + list + nearest_note(word, choices));
}

const toml::array* Table::array_or_null(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (node->as_array() == nullptr) wrong_type(key, "a list");
  return node->as_array();
}

const toml::table* Table::table_or_null(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (node->as_table() == nullptr) wrong_type(key, "a table");
  return node->as_table();
}

std::vector<Table> Table::tables(const std::string& key) const {
  std::vector<Table> found;
  const toml::array* array = array_or_null(key);
  if (array == nullptr) return found;
  for (const toml::node& node : *array) {
    if (node.as_table() == nullptr)
      refuse(file_, line_of(node),
             "an element of \"" + key + "\" is " + type_name(node) + "; expected a table [[" + key +
                 "]]");
    found.emplace_back(*node.as_table(), file_, "[[" + key + "]]");
  }
  return found;
}

}  // namespace snapbed::scenario
