// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/kernel_module.h"

#include <elf.h>

#include <cstring>
#include <regex>
#include <vector>

namespace snapbed::base {
namespace {

constexpr std::size_t kDigits = 19;  // of which every number fits 64 bits

// Copies, since a damaged file aligns nothing.
template <typename T>
bool read_at(const std::string& bytes, std::uint64_t at, T& to) {
  if (at > bytes.size() || bytes.size() - at < sizeof to) return false;
  std::memcpy(&to, bytes.data() + at, sizeof to);
  return true;
}

std::vector<Elf64_Shdr> sections(const std::string& bytes) {
  Elf64_Ehdr header{};
  std::vector<Elf64_Shdr> found;
  if (!read_at(bytes, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr)) {
    return found;
  }
  Elf64_Shdr section{};
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    if (read_at(bytes, header.e_shoff + i * sizeof section, section)) found.push_back(section);
  }
  return found;
}

}  // namespace

// A section of NUL-terminated "key=value" strings.
std::optional<std::string> modinfo(const std::string& bytes, const std::string& key,
                                   std::size_t* at) {
  const std::string sought = std::string(1, '\0') + key + "=";
  const std::size_t found = bytes.find(sought, at == nullptr ? 0 : *at);
  if (found == std::string::npos) return std::nullopt;
  const std::string value = bytes.c_str() + found + sought.size();
  if (at != nullptr) *at = found + sought.size() + value.size();
  return value;
}

std::optional<NumberRange> parameter_range(const std::string& bytes, const std::string& name) {
  const std::regex range("\\(([0-9]{1," + std::to_string(kDigits) + "})-([0-9]{1," +
                         std::to_string(kDigits) + "})\\)");
  for (std::size_t at = 0; const auto words = modinfo(bytes, "parm", &at);) {
    if (words->substr(0, words->find(':')) != name) continue;
    std::optional<NumberRange> last;
    for (std::sregex_iterator one(words->begin(), words->end(), range), end; one != end; ++one) {
      last = NumberRange{std::stoull((*one)[1]), std::stoull((*one)[2])};
    }
    return last;
  }
  return std::nullopt;
}

std::optional<std::set<std::string>> function_symbols(const std::string& bytes) {
  const std::vector<Elf64_Shdr> all = sections(bytes);
  for (const Elf64_Shdr& table : all) {
    if (table.sh_type != SHT_SYMTAB || table.sh_link >= all.size()) continue;
    const Elf64_Shdr& names = all[table.sh_link];
    std::set<std::string> found;
    Elf64_Sym symbol{};
    for (std::uint64_t at = 0; at + sizeof symbol <= table.sh_size; at += sizeof symbol) {
      if (!read_at(bytes, table.sh_offset + at, symbol)) return std::nullopt;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      const std::uint64_t name = names.sh_offset + symbol.st_name;
      if (name < bytes.size()) found.insert(bytes.c_str() + name);
    }
    return found;
  }
  return std::nullopt;
}

}  // namespace snapbed::base
