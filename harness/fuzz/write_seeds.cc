// SPDX-License-Identifier: GPL-2.0-or-later
// fuzz_seeds FOLDER: writes the seeds of every target into FOLDER/TARGET/.
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "fuzz_seeds: expected a folder\n");
    return 2;
  }
  for (const snapbed::fuzz::Target& target : snapbed::fuzz::targets()) {
    const auto folder = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(folder);
    std::size_t number = 0;
    for (const auto& seed : target.seeds())
      snapbed::base::write_file(
          folder / ("seed-" + std::to_string(number++)),
          std::string_view(reinterpret_cast<const char*>(seed.data()), seed.size()));
  }
}
