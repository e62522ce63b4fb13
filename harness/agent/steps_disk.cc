// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that write to, or watch, a device directly.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "agent/agent.h"
#include "agent/disk_statistics.h"
#include "agent/fatal.h"
#include "base/error.h"
#include "journal/pattern.h"

namespace snapbed::agent {
namespace {

constexpr auto kWritesLimit = std::chrono::seconds(120);

// The ranges that selftest is to touch; the host looks for exactly these.
constexpr plan::Range kSelftestWrite{64, 8};
constexpr plan::Range kSelftestDiscard{128, 64};
constexpr plan::Range kSelftestZero{256, 64};

void fill(std::uint64_t key, plan::Range range, std::span<std::uint8_t> out) {
  for (std::uint64_t i = 0; i < range.count; ++i) {
    journal::fill_sector(key, range.first + i, out.subspan(i * kSectorBytes, kSectorBytes));
  }
}

int flush_device(int fd) {
  return ::fsync(fd) == 0 ? 0 : errno;
}

int block_range(int fd, unsigned long request, plan::Range range) {
  std::uint64_t bytes[2] = {range.first * kSectorBytes, range.count * kSectorBytes};
  return ::ioctl(fd, request, bytes) == 0 ? 0 : errno;
}

}  // namespace

Agent::Result Agent::selftest(const Step& step) {
  const BlockDevice device(device_path(step.args.at("device")), O_RDWR);
  const auto bytes = buffers_[0].span().first(kSelftestWrite.count * kSectorBytes);
  fill(journal::step_key(plan_.seed, step.id), kSelftestWrite, bytes);
  int error = write_at(device.fd(), bytes, kSelftestWrite.first * kSectorBytes);
  if (error == 0) error = block_range(device.fd(), BLKDISCARD, kSelftestDiscard);
  if (error == 0) error = block_range(device.fd(), BLKZEROOUT, kSelftestZero);
  if (error == 0) error = flush_device(device.fd());
  return {{"result", error}};
}

Agent::Result Agent::wait_writes(const Step& step) {
  const std::string name = step.args.at("device");
  const auto wanted = step.args.at("sectors").get<std::uint64_t>();
  const dev_t id = device_below(device_path(name));
  const std::uint64_t before = read_disk_statistics(id).changed_sectors();
  std::uint64_t grown = 0;
  base::wait_until(std::to_string(wanted) + " sectors to be written to " + name,
                   step_deadline(step, kWritesLimit), [&] {
                     grown = read_disk_statistics(id).changed_sectors() - before;
                     if (grown >= wanted) return true;
                     if (const auto ended = fio_.ended()) {
                       throw Fatal(ended->text, module_loaded_ && !ended->clean);
                     }
                     if (ledgers_done()) {
                       throw Fatal("every ledger has done all its operations");
                     }
                     return false;
                   });
  return {{"result", 0}, {"sectors", grown}};
}

int Agent::write_scattered(const Step& step, const BlockDevice& device, std::uint64_t& sectors) {
  const AlignedMemory& buffer = buffers().front();
  const std::uint64_t key = journal::step_key(plan_.seed, step.id);
  for (const plan::Range& range : plan::written_ranges(plan_.seed, step, device.sectors())) {
    if (range.count * kSectorBytes > buffer.size()) {
      throw std::runtime_error("step " + std::to_string(step.id) + " writes " +
                               std::to_string(range.count) + " sectors at once, at most " +
                               std::to_string(buffer.size() / kSectorBytes) + " are possible");
    }
    const auto bytes = buffer.span().first(range.count * kSectorBytes);
    fill(key, range, bytes);
    const int error = write_at(device.fd(), bytes, range.first * kSectorBytes);
    if (error != 0) return error;
    sectors += range.count;
  }
  return 0;
}

Agent::Result Agent::write(const Step& step) {
  const BlockDevice device(device_path(step.args.at("device")), O_RDWR);
  std::uint64_t sectors = 0;
  const int error = write_scattered(step, device, sectors);
  return {{"result", error}, {"sectors", sectors}};
}

int Agent::discard_range(const std::string& path, unsigned long request, plan::Range range) {
  const BlockDevice device(path, O_RDWR);
  return block_range(device.fd(), request, range);
}

Agent::Result Agent::discard(const Step& step) {
  const plan::Range range{step.args.at("first"), step.args.at("count")};
  return {{"result", discard_range(device_path(step.args.at("device")), BLKDISCARD, range)}};
}

Agent::Result Agent::zero(const Step& step) {
  const plan::Range range{step.args.at("first"), step.args.at("count")};
  return {{"result", discard_range(device_path(step.args.at("device")), BLKZEROOUT, range)}};
}

Agent::Result Agent::flush(const Step& step) {
  const BlockDevice device(device_path(step.args.at("device")), O_RDWR);
  return {{"result", flush_device(device.fd())}};
}

}  // namespace snapbed::agent
