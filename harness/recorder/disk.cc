// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "journal/pattern.h"
#include "recorder/store.h"

namespace snapbed::recorder {

namespace {

using journal::kSectorBytes;

// data, storage, scratch, marks: bytes in memory.
class MemoryDisk : public Disk {
 public:
  explicit MemoryDisk(InitialContent initial) : store_(initial) {}
  int read(std::uint64_t first, std::span<std::uint8_t> out) override {
    store_.read(first, out);
    return 0;
  }
  int write(std::uint64_t first, std::span<const std::uint8_t> bytes) override {
    store_.write(first, bytes);
    return 0;
  }
  int zero(std::uint64_t first, std::uint64_t count) override {
    store_.zero(first, count);
    return 0;
  }
  std::uint64_t memory_bytes() const override { return store_.chunks() * (64U << 10); }

 private:
  Store store_;
};

// evidence: the journal keeps the hashes, nobody the bytes.
class ForgettingDisk : public Disk {
 public:
  int read(std::uint64_t, std::span<std::uint8_t> out) override {
    std::memset(out.data(), 0, out.size());
    return 0;
  }
  int write(std::uint64_t, std::span<const std::uint8_t>) override { return 0; }
  int zero(std::uint64_t, std::uint64_t) override { return 0; }
};

// files: bytes in a sparse file that outlives the server.
class FileDisk : public Disk {
 public:
  FileDisk(const std::filesystem::path& path, std::uint64_t bytes)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (!file_) base::throw_errno("create " + path.string());
    if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) {
      base::throw_errno("make " + path.string() + " " + std::to_string(bytes) + " bytes long");
    }
  }
  int read(std::uint64_t first, std::span<std::uint8_t> out) override {
    return all(first, out, [this](std::uint8_t* at, std::size_t size, off_t offset) {
      return ::pread(file_.get(), at, size, offset);
    });
  }
  int write(std::uint64_t first, std::span<const std::uint8_t> bytes) override {
    return all(first, bytes, [this](const std::uint8_t* at, std::size_t size, off_t offset) {
      return ::pwrite(file_.get(), at, size, offset);
    });
  }
  int zero(std::uint64_t first, std::uint64_t count) override {
    if (count == 0) return 0;
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return ::fallocate(file_.get(), mode, static_cast<off_t>(first * kSectorBytes),
                       static_cast<off_t>(count * kSectorBytes)) == 0
               ? 0
               : errno;
  }

 private:
  template <typename Bytes, typename Call>
  static int all(std::uint64_t first, Bytes bytes, Call call) {
    auto offset = static_cast<off_t>(first * kSectorBytes);
    while (!bytes.empty()) {
      const ssize_t n = call(bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? errno : EIO;
      offset += n;
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return 0;
  }

  base::UniqueFd file_;
};

// plan: given, read-only, zero after its content.
class GivenDisk : public Disk {
 public:
  explicit GivenDisk(std::string content) : content_(std::move(content)) {}
  int read(std::uint64_t first, std::span<std::uint8_t> out) override {
    const std::uint64_t offset = first * kSectorBytes;
    const std::size_t have =
        offset < content_.size() ? std::min(out.size(), content_.size() - offset) : 0;
    if (have > 0) std::memcpy(out.data(), content_.data() + offset, have);
    std::memset(out.data() + have, 0, out.size() - have);
    return 0;
  }
  int write(std::uint64_t, std::span<const std::uint8_t>) override { return EPERM; }
  int zero(std::uint64_t, std::uint64_t) override { return EPERM; }

 private:
  const std::string content_;
};

std::unique_ptr<Disk> given_disk(const DiskConfig& config) {
  std::string content = base::read_file(config.content);
  const std::uint64_t bytes = config.disk.sectors * kSectorBytes;
  if (content.size() > bytes) {
    throw std::runtime_error("disk " + config.disk.name + ": its content " +
                             config.content.string() + " has " + std::to_string(content.size()) +
                             " bytes, the disk " + std::to_string(bytes));
  }
  return std::make_unique<GivenDisk>(std::move(content));
}

}  // namespace

std::unique_ptr<Disk> make_disk(const DiskConfig& config, std::uint64_t seed,
                                const std::filesystem::path& dir) {
  switch (config.disk.role) {
    case journal::Role::plan:
      return given_disk(config);
    case journal::Role::evidence:
      return std::make_unique<ForgettingDisk>();
    case journal::Role::files:
      return std::make_unique<FileDisk>(dir / "files.img", config.disk.sectors * kSectorBytes);
    default:
      break;
  }
  const bool seeded = config.disk.initial == journal::Initial::seeded;
  return std::make_unique<MemoryDisk>(
      InitialContent{seeded, journal::initial_key(seed, config.disk.id)});
}

}  // namespace snapbed::recorder
