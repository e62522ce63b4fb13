// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/opinions.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/file.h"
#include "journal/pattern.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path json_file(const fs::path& folder, std::uint32_t cycle) {
  return folder / fmt::format("opinion-{}.json", cycle);
}

fs::path hash_file(const fs::path& folder, std::uint32_t cycle) {
  return folder / fmt::format("opinion-{}.hashes", cycle);
}

}  // namespace

void write_opinion(const fs::path& folder, std::uint32_t cycle, const std::string& disk,
                   vm::Witness& witness, const Asked& asked) {
  std::string hashes;
  witness.read_image([&](std::span<const std::uint8_t> bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += journal::kSectorBytes) {
      const std::uint64_t hash = journal::sector_hash(bytes.subspan(at, journal::kSectorBytes));
      hashes.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
    }
  });
  json out = {
      {"disk", disk},
      {"asked", asked.now},
      {"asked_before", asked.before},
      {"knows_changes", witness.knows_changes()},
      {"block_bytes", vm::kWitnessBlock},
      {"hash_of_hashes",
       journal::sector_hash({reinterpret_cast<const std::uint8_t*>(hashes.data()), hashes.size()})},
      {"changes", json::array()}};
  if (witness.knows_changes())
    for (const vm::ByteRange& range : witness.read_changes())
      out["changes"].push_back(
          {range.first / journal::kSectorBytes, range.count / journal::kSectorBytes});
  base::write_file(hash_file(folder, cycle), hashes);
  base::write_file(json_file(folder, cycle), out.dump(1) + "\n");
}

std::optional<model::Opinion> read_opinion(const fs::path& folder, std::uint32_t cycle) {
  const fs::path file = json_file(folder, cycle);
  if (!fs::exists(file)) return std::nullopt;
  const std::string bytes = base::read_file(hash_file(folder, cycle));
  model::Opinion opinion;
  try {
    const json in = json::parse(base::read_file(file));
    opinion.device = in.at("disk").get<std::string>();
    opinion.asked = in.at("asked").get<std::uint64_t>();
    opinion.asked_before = in.at("asked_before").get<std::uint64_t>();
    opinion.knows_changes = in.at("knows_changes").get<bool>();
    opinion.block_bytes = in.at("block_bytes").get<std::uint64_t>();
    for (const json& range : in.at("changes"))
      opinion.changes.push_back(
          {range.at(0).get<std::uint64_t>(), range.at(1).get<std::uint64_t>()});
    const std::uint64_t sum =
        journal::sector_hash({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    if (in.at("hash_of_hashes").get<std::uint64_t>() != sum || bytes.size() % 8 != 0)
      throw std::runtime_error("its hashes are damaged");
  } catch (const std::exception& error) {
    throw std::runtime_error(file.string() + " cannot be used: " + error.what());
  }
  opinion.hashes.resize(bytes.size() / 8);
  std::memcpy(opinion.hashes.data(), bytes.data(), bytes.size());
  return opinion;
}

}  // namespace snapbed::runner
