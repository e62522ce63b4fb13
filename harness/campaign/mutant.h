// SPDX-License-Identifier: GPL-2.0-or-later
// The head of a mutant's patch: which bug it is, and who must catch it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace snapbed::campaign {

struct Mutant {
  std::string name;                 // file name without .patch
  std::string bug_class;            // "C01"
  std::string bug;                  // what is wrong, in a sentence
  std::string scenario;             // that must catch it
  std::vector<std::string> checks;  // one of them must fail
  std::optional<std::uint32_t> cycles;
};

// Lines `Class: C01, what is wrong.`, `Scenario: NAME`, `Checks: NAME...`, perhaps `Cycles: N`,
// before the first line of the patch. Throws std::runtime_error "FILE: what; expected ...".
Mutant read_mutant(const std::filesystem::path& file);
// The same from text; `file` is for the name and for messages.
Mutant parse_mutant(const std::string& text, const std::filesystem::path& file);

// All of a folder, by name.
std::vector<Mutant> read_mutants(const std::filesystem::path& folder);

}  // namespace snapbed::campaign
