// SPDX-License-Identifier: GPL-2.0-or-later
// A second witness of a disk: QEMU's own copy-before-write filter keeps what the disk held at one
// moment, its dirty bitmaps tell what changed between two. Both are read over NBD.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "vm/machine.h"

namespace snapbed::vm {

// Bytes [first, first + count) of the disk.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// The disk is one of a machine that QEMU runs without libvirt, and nobody may write to it while
// begin() and end() work. One thread at a time. Throws std::runtime_error with QEMU's or libnbd's
// words.
class Witness {
 public:
  // `folder`: for the socket and for what is copied, at most `bytes`.
  Witness(Machine& machine, std::string disk, std::uint64_t bytes, std::filesystem::path folder);

  bool begun() const { return moment_ > 0; }
  // Keeps what the disk holds now. Changes are counted afresh from here on, and those since the
  // begin before can be read.
  void begin(const base::Deadline& deadline);
  // What the disk held at the last begin, in order, in pieces of whole sectors.
  void read_image(const std::function<void(std::span<const std::uint8_t>)>& take);
  // What changed between the last begin and the one before, in order, disjoint; only after the
  // second begin. In units of kWitnessBlock bytes.
  bool knows_changes() const { return moment_ > 1; }
  std::vector<ByteRange> read_changes();
  // Gives up what was kept: the disk is as before. begin() may follow.
  void end(const base::Deadline& deadline);

 private:
  void execute(const std::string& command, const nlohmann::json& arguments,
               const base::Deadline& deadline);
  void plug(const std::string& node, const base::Deadline& deadline);
  std::string map_name(std::uint64_t moment) const;
  std::filesystem::path socket() const { return folder_ / "witness"; }
  std::filesystem::path kept() const { return folder_ / "witness.img"; }

  Machine& machine_;
  std::string disk_;
  std::uint64_t bytes_;
  std::filesystem::path folder_;
  std::uint64_t moment_ = 0;  // number of begins
};

inline constexpr std::uint64_t kWitnessBlock = 65536;  // bytes

}  // namespace snapbed::vm
