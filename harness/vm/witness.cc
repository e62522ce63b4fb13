// SPDX-License-Identifier: GPL-2.0-or-later
// The filter is put between device and disk by setting the device's drive, and taken out the same
// way; the guest notices neither.
#include "vm/witness.h"

#include <fcntl.h>
#include <libnbd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/error.h"
#include "base/fd.h"

namespace snapbed::vm {

namespace {

using nlohmann::json;

constexpr const char* kFilter = "witness-filter";
constexpr const char* kTarget = "witness-target";
constexpr const char* kAccess = "witness-access";
constexpr const char* kImageExport = "image";
constexpr const char* kMapExport = "map";
constexpr std::uint64_t kPiece = 1 << 20;

struct CloseNbd {
  void operator()(nbd_handle* handle) const { ::nbd_close(handle); }
};
using Nbd = std::unique_ptr<nbd_handle, CloseNbd>;

[[noreturn]] void failed(const std::string& what) {
  throw std::runtime_error(what + ": " + ::nbd_get_error());
}

Nbd connect(const std::filesystem::path& socket, const char* name, const std::string& context) {
  Nbd nbd(::nbd_create());
  if (!nbd) failed("making an NBD handle");
  if (::nbd_set_export_name(nbd.get(), name) != 0) failed("naming NBD export");
  if (!context.empty() && ::nbd_add_meta_context(nbd.get(), context.c_str()) != 0)
    failed("asking for " + context);
  if (::nbd_connect_unix(nbd.get(), socket.c_str()) != 0)
    failed("connecting to export " + std::string(name) + " on " + socket.string());
  return nbd;
}

// One answer of QEMU about the state of ranges.
struct Extents {
  std::string context;
  std::uint64_t first = 0;  // where the answer begins
  std::uint64_t end = 0;    // how far it reached
  std::vector<ByteRange>* dirty = nullptr;
};

int take_extents(void* user, const char* context, std::uint64_t offset, std::uint32_t* entries,
                 std::size_t count, int*) {
  auto& extents = *static_cast<Extents*>(user);
  if (context != extents.context) return 0;
  std::uint64_t at = offset;
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    const std::uint64_t length = entries[i];
    constexpr std::uint32_t kDirty = 1;
    if ((entries[i + 1] & kDirty) != 0) {
      auto& dirty = *extents.dirty;
      if (!dirty.empty() && dirty.back().first + dirty.back().count == at) {
        dirty.back().count += length;
      } else {
        dirty.push_back({at, length});
      }
    }
    at += length;
  }
  extents.end = std::max(extents.end, at);
  return 0;
}

}  // namespace

Witness::Witness(Machine& machine, std::string disk, std::uint64_t bytes,
                 std::filesystem::path folder)
    : machine_(machine), disk_(std::move(disk)), bytes_(bytes), folder_(std::move(folder)) {
}

void Witness::execute(const std::string& command, const json& arguments,
                      const base::Deadline& deadline) {
  machine_.execute(command, arguments, deadline);
}

std::string Witness::map_name(std::uint64_t moment) const {
  return "witness-" + std::to_string(moment);
}

void Witness::plug(const std::string& node, const base::Deadline& deadline) {
  execute("qom-set",
          {{"path", "/machine/peripheral/ua-" + disk_ + "/virtio-backend"},
           {"property", "drive"},
           {"value", node}},
          deadline);
}

void Witness::begin(const base::Deadline& deadline) {
  const std::string node = "node-" + disk_;
  ++moment_;
  // Not as a transaction: QEMU would first wait for all requests in flight, and the guest's mark is
  // one that the host answers only afterwards.
  if (moment_ > 1)
    execute("block-dirty-bitmap-disable", {{"node", node}, {"name", map_name(moment_ - 1)}},
            deadline);
  execute("block-dirty-bitmap-add",
          {{"node", node}, {"name", map_name(moment_)}, {"granularity", kWitnessBlock}}, deadline);
  {
    const base::UniqueFd file(::open(kept().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes_)) != 0)
      base::throw_errno("making " + kept().string());
  }
  execute("blockdev-add",
          {{"driver", "raw"},
           {"node-name", kTarget},
           {"file", {{"driver", "file"}, {"filename", kept().string()}}}},
          deadline);
  execute("blockdev-add",
          {{"driver", "copy-before-write"},
           {"node-name", kFilter},
           {"discard", "unmap"},  // of its own: else QEMU drops them above the disk
           {"file", node},
           {"target", kTarget}},
          deadline);
  plug(kFilter, deadline);
  execute("blockdev-add",
          {{"driver", "snapshot-access"}, {"node-name", kAccess}, {"file", kFilter}}, deadline);
  execute("nbd-server-start",
          {{"addr", {{"type", "unix"}, {"data", {{"path", socket().string()}}}}}}, deadline);
  execute("block-export-add",
          {{"type", "nbd"}, {"id", kImageExport}, {"node-name", kAccess}, {"name", kImageExport}},
          deadline);
  if (!knows_changes()) return;
  execute("block-export-add",
          {{"type", "nbd"},
           {"id", kMapExport},
           {"node-name", node},
           {"name", kMapExport},
           {"bitmaps", json::array({map_name(moment_ - 1)})}},
          deadline);
}

void Witness::read_image(const std::function<void(std::span<const std::uint8_t>)>& take) {
  const Nbd nbd = connect(socket(), kImageExport, "");
  std::vector<std::uint8_t> piece;
  for (std::uint64_t at = 0; at < bytes_; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, bytes_ - at)));
    if (::nbd_pread(nbd.get(), piece.data(), piece.size(), at, 0) != 0)
      failed("reading byte " + std::to_string(at) + " of the witness's image of " + disk_);
    take(piece);
  }
}

std::vector<ByteRange> Witness::read_changes() {
  const std::string context = "qemu:dirty-bitmap:" + map_name(moment_ - 1);
  const Nbd nbd = connect(socket(), kMapExport, context);
  if (::nbd_can_meta_context(nbd.get(), context.c_str()) != 1)
    throw std::runtime_error("QEMU does not show " + context);
  std::vector<ByteRange> dirty;
  for (std::uint64_t at = 0; at < bytes_;) {
    Extents extents{context, at, at, &dirty};
    nbd_extent_callback callback{};
    callback.callback = take_extents;
    callback.user_data = &extents;
    if (::nbd_block_status(nbd.get(), std::min<std::uint64_t>(bytes_ - at, 1U << 30), at, callback,
                           0) != 0)
      failed("asking for the changes of " + disk_ + " from byte " + std::to_string(at));
    if (extents.end <= at) throw std::runtime_error("QEMU tells nothing of " + context);
    at = extents.end;
  }
  return dirty;
}

void Witness::end(const base::Deadline& deadline) {
  execute("nbd-server-stop", json::object(), deadline);  // and with it the exports
  execute("blockdev-del", {{"node-name", kAccess}}, deadline);
  plug("node-" + disk_, deadline);
  execute("blockdev-del", {{"node-name", kFilter}}, deadline);
  execute("blockdev-del", {{"node-name", kTarget}}, deadline);
  if (knows_changes())
    execute("block-dirty-bitmap-remove",
            {{"node", "node-" + disk_}, {"name", map_name(moment_ - 1)}}, deadline);
  std::error_code ignored;
  std::filesystem::remove(kept(), ignored);
}

}  // namespace snapbed::vm
