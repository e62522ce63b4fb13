// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "journal/format.h"
#include "journal/pattern.h"

namespace snapbed::journal {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Large enough that a block costs little beside its records, small enough that a lane is cheap.
constexpr std::size_t kBlockTarget = 256U << 10;

template <typename T>
Bytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(value)};
}

template <std::size_t N>
void copy_text(std::array<char, N>& to, const std::string& text) {
  to = {};
  std::memcpy(to.data(), text.data(), std::min(N - 1, text.size()));
}

int write_at(int fd, Bytes bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Writer::Writer(WriterOptions options) : options_(std::move(options)) {
  std::random_device entropy;
  run_ = (std::uint64_t{entropy()} << 32) | entropy();
  for (auto& lane : lanes_) {
    lane.buffer.reserve(kBlockTarget + (64U << 10));
    lane.buffer.resize(sizeof(format::BlockHeader));
  }
  write_run_record();
  if (!flush()) throw std::runtime_error(error());
}

Writer::~Writer() = default;

void Writer::write_run_record() {
  const std::uint64_t plan_bytes = format::padded(options_.plan.size());
  const std::uint64_t bytes =
      sizeof(format::RunRecord) + plan_bytes + options_.disks.size() * sizeof(format::DiskRecord);
  if (bytes > format::kBlockLimit / 2) {
    throw std::runtime_error("journal: a plan of " + std::to_string(options_.plan.size()) +
                             " bytes and " + std::to_string(options_.disks.size()) +
                             " disks do not fit the run record");
  }
  format::RunRecord run{};
  run.head.kind = static_cast<std::uint16_t>(format::Kind::run);
  run.head.bytes = static_cast<std::uint32_t>(bytes);
  run.seed = options_.seed;
  run.plan_bytes = options_.plan.size();
  run.disks = options_.disks.size();
  std::string text = options_.plan;
  text.resize(plan_bytes);
  std::vector<std::uint8_t> disks;
  for (const Disk& disk : options_.disks) {
    format::DiskRecord record{};
    record.id = disk.id;
    record.role = static_cast<std::uint8_t>(disk.role);
    record.initial = static_cast<std::uint8_t>(disk.initial);
    record.sectors = disk.sectors;
    copy_text(record.name, disk.name);
    const Bytes raw = bytes_of(record);
    disks.insert(disks.end(), raw.begin(), raw.end());
  }
  const std::array<Bytes, 3> parts = {
      bytes_of(run), Bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()},
      Bytes{disks}};
  const std::lock_guard lock(lanes_[0].mutex);
  append_locked(lanes_[0], parts);
}

void Writer::append(const Request& request, std::span<const std::uint64_t> hashes, Bytes payload,
                    std::size_t lane_hint) {
  if (stopped_.load(std::memory_order_relaxed)) return;
  format::RequestRecord record{};
  record.head.kind = static_cast<std::uint16_t>(format::Kind::request);
  record.head.disk = request.disk;
  record.head.op = static_cast<std::uint8_t>(request.op);
  record.head.flags = static_cast<std::uint8_t>((request.fua ? format::kFua : 0) |
                                                (hashes.empty() ? 0 : format::kHashes) |
                                                (payload.empty() ? 0 : format::kPayload));
  record.head.bytes =
      static_cast<std::uint32_t>(sizeof(record) + hashes.size_bytes() + payload.size());
  record.head.error = request.error;
  record.first = request.first;
  record.count = request.count;
  record.begin = request.begin;
  record.moved = request.moved;
  record.end = request.end;
  const std::array<Bytes, 3> parts = {
      bytes_of(record),
      Bytes{reinterpret_cast<const std::uint8_t*>(hashes.data()), hashes.size_bytes()}, payload};
  Lane& lane = lanes_[lane_hint % kLanes];
  const std::lock_guard lock(lane.mutex);
  append_locked(lane, parts);
}

void Writer::append(const RuleAction& action) {
  if (stopped_.load(std::memory_order_relaxed)) return;
  format::RuleRecord record{};
  record.head.kind = static_cast<std::uint16_t>(format::Kind::rule);
  record.head.disk = action.disk;
  record.head.bytes = sizeof(record);
  record.rule = action.rule;
  record.begin = action.begin;
  record.released = action.released;
  copy_text(record.how, action.how);
  const std::array<Bytes, 1> parts = {bytes_of(record)};
  const std::lock_guard lock(lanes_[0].mutex);
  append_locked(lanes_[0], parts);
}

void Writer::append(const PowerCut& cut) {
  if (stopped_.load(std::memory_order_relaxed)) return;
  format::PowerRecord record{};
  record.head.kind = static_cast<std::uint16_t>(format::Kind::power);
  record.head.bytes = sizeof(record);
  record.cut = cut.cut;
  record.back = cut.back;
  const std::array<Bytes, 1> parts = {bytes_of(record)};
  const std::lock_guard lock(lanes_[0].mutex);
  append_locked(lanes_[0], parts);
}

void Writer::append_locked(Lane& lane, std::span<const Bytes> parts) {
  for (const Bytes& part : parts) {
    lane.buffer.insert(lane.buffer.end(), part.begin(), part.end());
  }
  if (lane.buffer.size() >= kBlockTarget) write_block(lane);
}

void Writer::write_block(Lane& lane) {
  if (lane.buffer.size() <= sizeof(format::BlockHeader)) return;
  std::string failure;
  {
    const std::lock_guard lock(file_mutex_);
    const bool was_well = error_.empty();
    if (!stopped_.load(std::memory_order_relaxed) && !write_block_locked(lane.buffer) && was_well) {
      failure = error_;
    }
  }
  lane.buffer.resize(sizeof(format::BlockHeader));
  if (!failure.empty() && options_.on_error) options_.on_error(failure);
}

bool Writer::write_block_locked(std::vector<std::uint8_t>& block) {
  format::BlockHeader header{};
  header.magic = format::kBlockMagic;
  header.bytes = static_cast<std::uint32_t>(block.size() - sizeof(header));
  header.number = number_;
  header.run = run_;
  std::memcpy(block.data(), &header, sizeof(header));
  header.checksum = sector_hash(Bytes{block}.subspan(sizeof(header.checksum)));
  std::memcpy(block.data(), &header.checksum, sizeof(header.checksum));
  if (!place(block.size())) return false;
  if (const int error = write_at(file_.get(), block, offset_); error != 0) {
    return fail("write block " + std::to_string(number_) + " (" + std::to_string(block.size()) +
                " bytes) at byte " + std::to_string(offset_) + " of " +
                format::segment_name(segment_) + ": " + base::errno_text(error));
  }
  offset_ += block.size();
  ++number_;
  total_.store(finished_ + offset_, std::memory_order_relaxed);
  return true;
}

// Makes sure that `bytes` fit at offset_ of the open segment.
bool Writer::place(std::uint64_t bytes) {
  if (file_ && offset_ + bytes <= capacity_) return true;
  if (file_) {
    if (!finish_segment()) return false;
    ++segment_;
  }
  return open_segment(sizeof(format::SegmentHeader) + bytes);
}

bool Writer::open_segment(std::uint64_t least_bytes) {
  const auto path = options_.dir / format::segment_name(segment_);
  const std::uint64_t left =
      options_.limit_bytes > finished_ ? options_.limit_bytes - finished_ : 0;
  capacity_ = std::max(least_bytes, std::min(options_.segment_bytes, left));
  if (least_bytes > left) {
    return fail("segment " + path.string() + " would take the journal past its limit of " +
                std::to_string(options_.limit_bytes) + " bytes");
  }
  file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file_) return fail("create " + path.string() + ": " + base::errno_text(errno));
  if (const int error = ::posix_fallocate(file_.get(), 0, static_cast<off_t>(capacity_))) {
    return fail("preallocate " + std::to_string(capacity_) + " bytes for " + path.string() + ": " +
                base::errno_text(error));
  }
  format::SegmentHeader header{};
  header.magic = format::kSegmentMagic;
  header.version = format::kVersion;
  header.segment = segment_;
  header.run = run_;
  header.checksum = sector_hash(bytes_of(header).subspan(sizeof(header.checksum)));
  if (const int error = write_at(file_.get(), bytes_of(header), 0)) {
    return fail("write the header of " + path.string() + ": " + base::errno_text(error));
  }
  offset_ = sizeof(header);
  return true;
}

// Gives back the preallocated rest: a reader takes the end of the file as the end of the segment.
bool Writer::finish_segment() {
  if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0) {
    return fail("truncate " + format::segment_name(segment_) + " to " + std::to_string(offset_) +
                " bytes: " + base::errno_text(errno));
  }
  finished_ += offset_;
  file_.reset();
  offset_ = 0;
  return true;
}

bool Writer::fail(const std::string& what) {
  error_ = "journal: " + what;
  stopped_ = true;
  file_.reset();
  return false;
}

bool Writer::flush() {
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    write_block(lane);
  }
  return error().empty();
}

bool Writer::close() {
  if (stopped_.load(std::memory_order_relaxed)) return error().empty();
  flush();
  format::EndRecord record{};
  record.head.kind = static_cast<std::uint16_t>(format::Kind::end);
  record.head.bytes = sizeof(record);
  std::vector<std::uint8_t> block(sizeof(format::BlockHeader));
  const Bytes raw = bytes_of(record);
  block.insert(block.end(), raw.begin(), raw.end());
  std::string failure;
  {
    const std::lock_guard lock(file_mutex_);
    if (stopped_) return error_.empty();
    if (!write_block_locked(block) || !finish_segment()) failure = error_;
    stopped_ = true;
  }
  if (!failure.empty() && options_.on_error) options_.on_error(failure);
  return failure.empty();
}

std::string Writer::error() const {
  const std::lock_guard lock(file_mutex_);
  return error_;
}

}  // namespace snapbed::journal
