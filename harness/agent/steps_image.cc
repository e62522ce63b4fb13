// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that read, write and check images.
#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "agent/agent.h"
#include "agent/copy_order.h"
#include "agent/fatal.h"
#include "agent/image_copy.h"
#include "agent/overlay.h"

namespace snapbed::agent {
namespace {

constexpr const char* kEvidenceDisk = "/dev/snapbed/evidence";
constexpr auto kDeviceLimit = std::chrono::seconds(10);
constexpr const char* kCheckFolder = "/mnt/check";

// The image of an xfs is mounted beside its origin, which has the same UUID.
const char* check_mount_data(const std::string& type) {
  return type == "xfs" ? "nouuid" : "";
}

std::vector<std::string> check_command(const std::string& type, const std::string& device) {
  if (type == "xfs") return {"xfs_repair", "-n", device};
  return {"e2fsck", "-fn", device};
}

std::size_t copy_workers(const plan::Step& step, const std::string& mode) {
  if (step.args.contains("lane")) return 1;
  const auto asked = step.args.value("threads", std::size_t{1});
  // Three in order keep the image and the evidence disk busy at the same time.
  const std::size_t least = mode == "sequential" ? 3 : 1;
  return std::clamp(asked, least, kCopyWorkers);
}

}  // namespace

std::string Agent::image_path(const Step& step) {
  const std::string device = step.args.at("device");
  const auto image = snapshots_.image(step.args.at("snapshot"), device);
  if (!image) {
    throw Fatal("step " + std::to_string(step.id) + " (" + step.op + "): no image of " + device +
                " was collected");
  }
  return *image;
}

// Where the plan reckons with an image that is gone, ENOENT tells that it is. A node of the same
// name may be another snapshot's by then: the one that is open is ours when ours was still there
// afterwards. What an open gives is an answer of the module's, too.
std::optional<BlockDevice> Agent::open_image(const Step& step, int flags, int& error) {
  error = ENOENT;
  const bool may_be_gone =
      std::find(step.expect.begin(), step.expect.end(), ENOENT) != step.expect.end();
  const auto known = [&] {
    return snapshots_.image(step.args.at("snapshot"), step.args.at("device"));
  };
  const auto path = may_be_gone ? known() : image_path(step);
  if (!path) return std::nullopt;
  try {
    BlockDevice image(*path, flags);
    if (!may_be_gone || known()) return image;
  } catch (const std::system_error& failure) {
    if (!may_be_gone || known()) error = failure.code().value();
  }
  return std::nullopt;
}

Agent::Result Agent::copy_image(const Step& step) {
  int error = 0;
  const auto opened = open_image(step, O_RDONLY, error);
  if (!opened) return {{"result", error}};
  return copy_device(step, *opened);
}

Agent::Result Agent::copy_device(const Step& step, const BlockDevice& image) {
  const BlockDevice evidence(wait_for_device(kEvidenceDisk, step_deadline(step, kDeviceLimit)),
                             O_WRONLY);
  const std::string mode = step.args.value("mode", "sequential");
  const auto asked = step.args.value("block_bytes", kCopyBlockBytes);
  const std::uint64_t unit = image.logical_sectors();
  const std::uint64_t block =
      std::max(unit, std::min(asked, buffers().front().size()) / kSectorBytes / unit * unit);
  const std::uint64_t first = step.args.value("first", std::uint64_t{0});
  // An image of another size than its device is told to the judge, and is no reason to write over
  // the evidence of the next copy.
  const std::uint64_t rest = image.sectors() - std::min(image.sectors(), first);
  const std::uint64_t count =
      step.args.value("count", std::min(rest, step.args.value("room", rest)));
  auto pieces = mode == "shuffled" ? shuffled_pieces(plan_.seed, step.id, count, block, unit)
                                   : sequential_pieces(count, block);
  for (plan::Range& piece : pieces) piece.first += first;
  const CopyPorts ports{[&](plan::Range range, std::span<std::uint8_t> bytes) {
                          return read_at(image.fd(), bytes, range.first * kSectorBytes);
                        },
                        [&](plan::Range range, std::span<const std::uint8_t> bytes) {
                          return write_at(evidence.fd(), bytes, range.first * kSectorBytes);
                        },
                        unit};
  const CopyCounts counts =
      agent::copy_image(ports, step.args.at("base").get<std::uint64_t>() - first, pieces, buffers(),
                        copy_workers(step, mode), [&](plan::Range run, int error, bool again) {
                          nlohmann::json text = {{"device", step.args.at("device")},
                                                 {"first", run.first},
                                                 {"count", run.count},
                                                 {"error", error}};
                          if (again) text["again"] = true;
                          marks_.write(plan::MarkKind::read_error, {step.id, step.cycle}, text);
                        });
  return {{"result", 0},
          {"sectors", counts.sectors},
          {"bad", counts.bad},
          {"image_sectors", image.sectors()}};
}

Agent::Result Agent::write_image(const Step& step) {
  int error = 0;
  const auto image = open_image(step, O_RDWR, error);
  if (!image) return {{"result", error}};
  std::uint64_t sectors = 0;
  error = write_scattered(step, *image, sectors);
  return {{"result", error}, {"sectors", sectors}};
}

Agent::Result Agent::check_image(const Step& step) {
  const std::string type = step.args.at("type");
  const std::string image = image_path(step);
  const std::uint64_t sectors = BlockDevice(image, O_RDONLY).sectors();
  const Overlay overlay(image, sectors, [&](const std::vector<std::string>& argv) {
    return run_program(argv, step);
  });
  std::filesystem::create_directories(kCheckFolder);
  if (::mount(overlay.path().c_str(), kCheckFolder, type.c_str(), 0, check_mount_data(type)) != 0) {
    return {{"result", errno}, {"stage", "mount"}};
  }
  if (::umount2(kCheckFolder, 0) != 0) return {{"result", errno}, {"stage", "umount"}};
  const int code = run_program(check_command(type, overlay.path()), step);
  return {{"result", code}, {"stage", "fsck"}};
}

}  // namespace snapbed::agent
