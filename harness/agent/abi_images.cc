// SPDX-License-Identifier: GPL-2.0-or-later
// Images as block devices: names, numbers, sizes, what may be done with them, and their end.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <filesystem>

#include "agent/abi.h"
#include "agent/aligned_memory.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr std::size_t kBlockBytes = 4096;

std::uint32_t class_major() {
  return static_cast<std::uint32_t>(std::stoul(base::read_file("/sys/class/blksnap/major")));
}

std::int64_t number_of(const base::UniqueFd& device, unsigned long request) {
  int value = 0;
  return ::ioctl(device.get(), request, &value) == 0 ? value : -errno;
}

base::UniqueFd open_direct(const std::string& path, int flags) {
  base::UniqueFd device(::open(path.c_str(), flags | O_DIRECT | O_CLOEXEC));
  if (!device) base::throw_errno("open of " + path);
  return device;
}

void shape_cases(AbiBench& bench, const abi::Uuid& id) {
  std::vector<abi::ImageInfo> infos;
  bench.must("COLLECT_IMAGES", bench.images(id, infos));
  for (const Subject& origin : bench.origins) {
    const auto info = std::find_if(infos.begin(), infos.end(),
                                   [&](const auto& one) { return one.origin == origin.id; });
    if (info == infos.end()) throw CannotGoOn("COLLECT_IMAGES lists not every origin");
    bench.cases.result("image", "its major is that of /sys/class/blksnap/major", class_major(),
                       info->image.major);
    const std::string path = bench.image_path(id, origin.id);
    const Subject image = subject_at(path);
    bench.cases.truth("image", "the node's number is the minor in its name",
                      image.id == info->image);
    bench.cases.result("image", "sectors as the origin", static_cast<std::int64_t>(origin.sectors),
                       static_cast<std::int64_t>(image.sectors));
    const base::UniqueFd from = open_direct(origin.path, O_RDONLY);
    const base::UniqueFd to = open_direct(path, O_RDWR);
    bench.cases.result("image", "logical block as the origin", number_of(from, BLKSSZGET),
                       number_of(to, BLKSSZGET));
    bench.cases.result("image", "physical block as the origin", number_of(from, BLKPBSZGET),
                       number_of(to, BLKPBSZGET));
    bench.cases.result("image", "can be written (BLKROGET)", 0, number_of(to, BLKROGET));
  }
}

void use_cases(AbiBench& bench, const abi::Uuid& id) {
  const Subject& origin = bench.origins[0];
  const base::UniqueFd image = open_direct(bench.image_path(id, origin.id), O_RDWR);
  const base::UniqueFd device = open_direct(origin.path, O_RDONLY);
  const AlignedMemory before(kBlockBytes);
  const AlignedMemory shown(kBlockBytes);
  const AlignedMemory written(kBlockBytes);
  std::uint64_t range[2] = {0, kBlockBytes};
  bench.cases.result("image", "discard", -EOPNOTSUPP,
                     ::ioctl(image.get(), BLKDISCARD, range) == 0 ? 0 : -errno);
  bench.cases.result("image", "secure erase", -EOPNOTSUPP,
                     ::ioctl(image.get(), BLKSECDISCARD, range) == 0 ? 0 : -errno);
  bench.cases.result("origin", "read", 0, -read_at(device.get(), before.span(), 0));
  bench.cases.result("image", "read", 0, -read_at(image.get(), shown.span(), 0));
  const auto same = [](const AlignedMemory& a, const AlignedMemory& b) {
    return std::equal(a.span().begin(), a.span().end(), b.span().begin());
  };
  bench.cases.truth("image", "shows what the origin holds", same(before, shown));
  std::fill(written.span().begin(), written.span().end(), std::uint8_t{0x5c});
  bench.cases.result("image", "write", 0, -write_at(image.get(), written.span(), 0));
  bench.cases.result("image", "read after write", 0, -read_at(image.get(), shown.span(), 0));
  bench.cases.truth("image", "shows what was written to it", same(written, shown));
  bench.cases.result("origin", "read after a write to the image", 0,
                     -read_at(device.get(), shown.span(), 0));
  bench.cases.truth("origin", "does not change by a write to its image", same(before, shown));
  const std::uint64_t end = origin.sectors * kSectorBytes;
  bench.cases.result("image", "read across its end", static_cast<std::int64_t>(0),
                     ::pread(image.get(), shown.data(), kBlockBytes, static_cast<off_t>(end)));
  bench.cases.result("image", "zeroes are written as data", 0,
                     ::ioctl(image.get(), BLKZEROOUT, range) == 0 ? 0 : -errno);
}

// DESTROY does not ask who has the image open; who has gets errors, and its number stays its own.
void end_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  const abi::Uuid id = bench.must_take({origin});
  const std::string path = bench.image_path(id, origin);
  const base::UniqueFd image = open_direct(path, O_RDWR);
  const AlignedMemory block(kBlockBytes);
  bench.cases.result("image", "read while it lives", 0, -read_at(image.get(), block.span(), 0));
  bench.cases.result("DESTROY", "while an image is open", 0, bench.destroy(id));
  bench.cases.result("image", "read after DESTROY", -EIO,
                     -read_at(image.get(), block.span(), 8192));
  bench.cases.result("image", "write after DESTROY", -EIO,
                     -write_at(image.get(), block.span(), 8192));
  bench.cases.truth("image", "its node is gone", !std::filesystem::exists(path));
  const abi::Uuid next = bench.must_take({origin});
  bench.cases.truth("image", "a minor is not used again while a file is open on it",
                    bench.image_path(next, origin) != path);
  bench.cases.result("image", "read by the old file while a new image lives", -EIO,
                     -read_at(image.get(), block.span(), 0));
  bench.clear();
}

}  // namespace

void abi_images(AbiBench& bench) {
  std::vector<abi::DeviceId> all;
  for (const Subject& origin : bench.origins) all.push_back(origin.id);
  const abi::Uuid id = bench.must_take(all);
  bench.must("APPEND_STORAGE", bench.append(id, bench.storage.id, {{0, 8192}}));
  shape_cases(bench, id);
  use_cases(bench, id);
  bench.clear();
  end_cases(bench);
}

}  // namespace snapbed::agent
