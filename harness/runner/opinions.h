// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's own image and changes of a disk, kept beside the journal so that a record can be judged
// again: opinion-CYCLE.json, and opinion-CYCLE.hashes with one hash per sector.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "model/report.h"
#include "vm/witness.h"

namespace snapbed::runner {

// The stamps at which QEMU was asked: for the moment that it shows, and for the one before.
struct Asked {
  journal::Stamp now = 0;
  journal::Stamp before = 0;
};

// Reads the witness to its end. Throws std::runtime_error, std::system_error for a full disk.
void write_opinion(const std::filesystem::path& folder, std::uint32_t cycle,
                   const std::string& disk, vm::Witness& witness, const Asked& asked);

// nullopt when nobody was asked in that cycle. Throws std::runtime_error naming a damaged file.
std::optional<model::Opinion> read_opinion(const std::filesystem::path& folder,
                                           std::uint32_t cycle);

}  // namespace snapbed::runner
