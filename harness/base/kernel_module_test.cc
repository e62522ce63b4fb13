// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/kernel_module.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace snapbed::base {
namespace {

using std::string_literals::operator""s;

TEST(KernelModule, TheRangeOfAParameterIsWhatItsDescriptionEndsWith) {
  const std::string bytes =
      "x\0parm=size:bytes (a few), MiB (1-65536)\0parm=size_two:(3-4)\0parm=open:any number\0"
      "parm=long:(0-99999999999999999999)\0parmtype=other:uint\0"s;
  const auto range = parameter_range(bytes, "size");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->least, 1U);
  EXPECT_EQ(range->most, 65536U);
  EXPECT_EQ(parameter_range(bytes, "size_two")->least, 3U);
  for (const char* name : {"open", "long", "other", "none"}) {
    EXPECT_FALSE(parameter_range(bytes, name).has_value()) << name;
  }
}

template <typename T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Elf64_Sym symbol(std::uint32_t name, unsigned type, std::uint16_t section) {
  Elf64_Sym one{};
  one.st_name = name;
  one.st_info = static_cast<unsigned char>(ELF64_ST_INFO(STB_LOCAL, type));
  one.st_shndx = section;
  return one;
}

// Names "", "run", "word" and "kernels" in a symbol table of its own.
std::string module_file() {
  const std::string names = "\0run\0word\0kernels\0"s;
  std::string symbols;
  for (const Elf64_Sym& one : {symbol(0, STT_NOTYPE, 0), symbol(1, STT_FUNC, 1),
                               symbol(5, STT_OBJECT, 1), symbol(10, STT_FUNC, SHN_UNDEF)}) {
    append(symbols, one);
  }
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shoff = sizeof header + names.size() + symbols.size();
  Elf64_Shdr strings{};
  strings.sh_type = SHT_STRTAB;
  strings.sh_offset = sizeof header;
  strings.sh_size = names.size();
  Elf64_Shdr table{};
  table.sh_type = SHT_SYMTAB;
  table.sh_link = 1;
  table.sh_offset = sizeof header + names.size();
  table.sh_size = symbols.size();
  std::string bytes;
  append(bytes, header);
  bytes += names + symbols;
  append(bytes, Elf64_Shdr{});
  append(bytes, strings);
  append(bytes, table);
  return bytes;
}

TEST(KernelModule, ItsFunctionsAreThoseOfItsOwnSymbolTable) {
  const auto functions = function_symbols(module_file());
  ASSERT_TRUE(functions.has_value());
  EXPECT_THAT(*functions, ::testing::ElementsAre("run"));
}

TEST(KernelModule, AFileThatTellsNoFunctionsIsNotOneWithoutAny) {
  EXPECT_FALSE(function_symbols("").has_value());
  EXPECT_FALSE(function_symbols("\x7f"
                                "ELF and more")
                   .has_value());
  const std::string whole = module_file();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(function_symbols(whole.substr(0, length)).has_value()) << length;
  }
}

}  // namespace
}  // namespace snapbed::base
