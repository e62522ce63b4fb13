// SPDX-License-Identifier: GPL-2.0-or-later
// Findings in words: one paragraph that a kernel developer can act on. Pure.
#pragma once

#include <string>

#include "model/facts.h"

namespace snapbed::model {

const char* op_name(journal::Op op);
// "write [64, +8) begin 12 moved 14 end 17".
std::string describe(const journal::Request& request);
// "version 3 of 5 (write [64, +8) begin 12 moved 14 end 17)".
std::string describe(const std::vector<Version>& versions, std::size_t index);
// "data0 image sector 9 (disk data0 sector 9)".
std::string name_sector(const Facts& facts, const Place& place, std::uint64_t image_sector);
// What a hash is that no version of the sector ever had: zeroes, another sector's content, unknown.
std::string identify(const Facts& facts, std::uint64_t hash);
// The version of the sector that the hash shows, and the next one; or what else the hash is.
std::string explain_observation(const Facts& facts, const Place& place, std::uint64_t image_sector,
                                std::uint64_t hash);

}  // namespace snapbed::model
