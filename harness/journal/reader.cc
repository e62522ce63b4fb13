// SPDX-License-Identifier: GPL-2.0-or-later
// Nothing read is trusted before its checksum fits, and no number in a record is used before it has
// been compared with what it can be: a checksum proves that the bytes are the writer's, not that
// the writer was sane.
#include "journal/reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "journal/format.h"
#include "journal/pattern.h"

namespace snapbed::journal {

namespace {

template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <std::size_t N>
std::string text_of(const std::array<char, N>& field) {
  return std::string(field.data(), ::strnlen(field.data(), N));
}

bool in_disk(const Disk& disk, std::uint64_t first, std::uint64_t count) {
  return first <= disk.sectors && count <= disk.sectors - first;
}

}  // namespace

JournalReader::JournalReader(std::filesystem::path dir) : dir_(std::move(dir)) {
}

bool JournalReader::stop(const std::string& why) {
  stopped_ = format::segment_name(segment_) + ", byte " + std::to_string(offset_) + ": " + why;
  return false;
}

bool JournalReader::read_at(std::uint64_t offset, void* to, std::size_t bytes) {
  auto* out = static_cast<std::uint8_t*>(to);
  while (bytes > 0) {
    const ssize_t n = ::pread(file_.get(), out, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return stop("read failed: " + base::errno_text(errno));
    if (n == 0) return stop("the file ends here");
    out += n;
    offset += static_cast<std::uint64_t>(n);
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

bool JournalReader::open_segment() {
  const auto path = dir_ / format::segment_name(segment_);
  offset_ = 0;
  file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file_) return stop("open " + path.string() + ": " + base::errno_text(errno));
  format::SegmentHeader header;
  if (!read_at(0, &header, sizeof(header))) return false;
  const auto* raw = reinterpret_cast<const std::uint8_t*>(&header);
  if (header.magic != format::kSegmentMagic) return stop("no journal segment (wrong magic)");
  if (header.checksum != sector_hash({raw + 8, sizeof(header) - 8})) {
    return stop("segment header with a wrong checksum");
  }
  if (header.version != format::kVersion) {
    return stop("format version " + std::to_string(header.version) + ", this program reads " +
                std::to_string(format::kVersion));
  }
  if (header.segment != segment_) {
    return stop("is segment " + std::to_string(header.segment) + ", not " +
                std::to_string(segment_));
  }
  if (segment_ == 0) run_ = header.run;
  if (header.run != run_) return stop("belongs to another run");
  offset_ = sizeof(header);
  return true;
}

// Steps to the next segment file, if there is a readable one; stays where it is otherwise.
bool JournalReader::next_segment() {
  const auto path = dir_ / format::segment_name(segment_ + 1);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return false;
  auto file = std::move(file_);
  const std::uint64_t offset = offset_;
  ++segment_;
  if (open_segment()) return true;
  --segment_;
  file_ = std::move(file);
  offset_ = offset;
  return false;
}

// Reads the block at offset_ into block_. False, with stopped_ set, when there is no good one
// (yet).
bool JournalReader::next_block() {
  format::BlockHeader header;
  at_end_ = true;
  if (!read_at(offset_, &header, sizeof(header))) return false;
  if (header.magic == 0 && header.bytes == 0 && header.checksum == 0) {
    return stop("nothing has been written from here on");
  }
  at_end_ = false;
  if (header.magic != format::kBlockMagic) return stop("no block (wrong magic)");
  if (header.run != run_ || header.number != number_) {
    return stop("block " + std::to_string(header.number) + " where block " +
                std::to_string(number_) + " belongs");
  }
  if (header.bytes > format::kBlockLimit || header.bytes % 8 != 0) {
    return stop("block of " + std::to_string(header.bytes) + " bytes");
  }
  block_.resize(sizeof(header) + header.bytes);
  std::memcpy(block_.data(), &header, sizeof(header));
  if (!read_at(offset_ + sizeof(header), block_.data() + sizeof(header), header.bytes)) {
    return false;
  }
  if (header.checksum != sector_hash({block_.data() + 8, block_.size() - 8})) {
    return stop("block " + std::to_string(number_) + " with a wrong checksum");
  }
  offset_ += block_.size();
  ++number_;
  return true;
}

// Reads the next block, over the border of a segment too.
bool JournalReader::advance() {
  if (next_block()) return true;
  if (!at_end_ || !std::filesystem::exists(dir_ / format::segment_name(segment_ + 1))) return false;
  // The last block of this segment may have come between the look at it and the look at the next
  // one.
  if (next_block()) return true;
  return at_end_ && next_segment() && next_block();
}

void JournalReader::poll(Journal& journal) {
  if (!file_ && !open_segment()) throw std::runtime_error("no readable journal: " + stopped_);
  while (!damaged_ && !ended_ && advance()) apply_block(journal);
  if (journal.version == 0) {
    const std::string why = stopped_;
    file_.reset();
    number_ = 0;
    damaged_ = false;
    throw std::runtime_error("no readable journal: " + why);
  }
  settle(journal);
  journal.complete = ended_ && !damaged_;
  journal.trouble = journal.complete ? "" : stopped_;
}

void JournalReader::apply_block(Journal& journal) {
  std::size_t at = sizeof(format::BlockHeader);
  const std::uint64_t number = number_ - 1;
  while (at < block_.size() && !ended_) {
    const std::uint8_t* record = block_.data() + at;
    const std::size_t left = block_.size() - at;
    const auto head = left >= sizeof(format::Head) ? load<format::Head>(record) : format::Head{};
    bool good = head.bytes >= sizeof(head) && head.bytes % 8 == 0 && head.bytes <= left;
    const bool is_run = head.kind == static_cast<std::uint16_t>(format::Kind::run);
    good = good && is_run == (journal.version == 0);
    switch (good ? static_cast<format::Kind>(head.kind) : format::Kind{}) {
      case format::Kind::run:
        good = apply_run(journal, record, head.bytes);
        break;
      case format::Kind::request:
        good = apply_request(journal, record, head.bytes);
        break;
      case format::Kind::rule:
        good = apply_rule(journal, record, head.bytes);
        break;
      case format::Kind::power:
        good = apply_power(journal, record, head.bytes);
        break;
      case format::Kind::end:
        ended_ = true;
        break;
      default:
        good = false;
    }
    if (!good) {
      damaged_ = true;
      stop("block " + std::to_string(number) + " holds a senseless record (kind " +
           std::to_string(head.kind) + ", " + std::to_string(head.bytes) + " bytes) at its byte " +
           std::to_string(at));
      return;
    }
    at += head.bytes;
  }
}

bool JournalReader::apply_run(Journal& journal, const std::uint8_t* record, std::uint32_t bytes) {
  if (bytes < sizeof(format::RunRecord)) return false;
  const auto run = load<format::RunRecord>(record);
  const std::uint64_t room = bytes - sizeof(run);
  if (run.plan_bytes > room || run.disks > room / sizeof(format::DiskRecord) ||
      format::padded(run.plan_bytes) + run.disks * sizeof(format::DiskRecord) != room) {
    return false;
  }
  const std::uint8_t* plan = record + sizeof(run);
  const std::uint8_t* disks = plan + format::padded(run.plan_bytes);
  std::vector<Disk> found;
  for (std::uint64_t i = 0; i < run.disks; ++i) {
    const auto raw = load<format::DiskRecord>(disks + i * sizeof(format::DiskRecord));
    const bool sane =
        raw.id == i && raw.role >= 1 && raw.role <= 7 && raw.initial >= 1 && raw.initial <= 2 &&
        raw.sectors <= (std::uint64_t{1} << 53);  // 4 EiB: bytes fit 64 bits with room
    if (!sane) return false;
    found.push_back({raw.id, text_of(raw.name), static_cast<Role>(raw.role),
                     static_cast<Initial>(raw.initial), raw.sectors});
  }
  journal.version = format::kVersion;
  journal.seed = run.seed;
  journal.plan.assign(reinterpret_cast<const char*>(plan), run.plan_bytes);
  journal.disks = std::move(found);
  return true;
}

bool JournalReader::apply_request(Journal& journal, const std::uint8_t* record,
                                  std::uint32_t bytes) {
  if (bytes < sizeof(format::RequestRecord)) return false;
  const auto raw = load<format::RequestRecord>(record);
  const std::uint64_t room = bytes - sizeof(raw);
  const bool hashes = (raw.head.flags & format::kHashes) != 0;
  const bool payload = (raw.head.flags & format::kPayload) != 0;
  const std::uint64_t per_sector = (hashes ? 8U : 0U) + (payload ? kSectorBytes : 0U);
  const bool sized =
      per_sector == 0 ? room == 0 : raw.count == room / per_sector && room % per_sector == 0;
  if (!sized || raw.head.disk >= journal.disks.size() || raw.head.op < 1 || raw.head.op > 5 ||
      !in_disk(journal.disks[raw.head.disk], raw.first, raw.count) || raw.begin == kNever) {
    return false;
  }
  const auto op = static_cast<Op>(raw.head.op);
  if (op == Op::write ? hashes != (raw.moved != kNever && raw.count > 0) : hashes || payload) {
    return false;
  }
  Request request;
  request.disk = raw.head.disk;
  request.op = op;
  request.fua = (raw.head.flags & format::kFua) != 0;
  request.error = raw.head.error;
  request.first = raw.first;
  request.count = raw.count;
  request.begin = raw.begin;
  request.moved = raw.moved;
  request.end = raw.end;
  const std::uint8_t* rest = record + sizeof(raw);
  if (hashes) {
    request.hash_index = journal.hashes.size();
    journal.hashes.resize(journal.hashes.size() + raw.count);
    std::memcpy(journal.hashes.data() + request.hash_index, rest, raw.count * 8);
    rest += raw.count * 8;
  }
  if (payload) put_marks(journal, request, rest);

  if (const auto known = open_.empty() ? open_.end() : open_.find(raw.begin);
      known != open_.end()) {
    journal.requests[known->second] = request;
    if (request.end != kNever) open_.erase(known);
    return true;
  }
  if (request.end == kNever) {
    const auto end = journal.requests.begin() + static_cast<std::ptrdiff_t>(sorted_);
    const auto at =
        std::lower_bound(journal.requests.begin(), end, raw.begin,
                         [](const Request& left, Stamp begin) { return left.begin < begin; });
    if (at != end && at->begin == raw.begin) return true;  // its end came first: nothing new
    open_.emplace(raw.begin, journal.requests.size());
  }
  journal.requests.push_back(request);
  return true;
}

void JournalReader::put_marks(Journal& journal, const Request& request,
                              const std::uint8_t* payload) {
  auto at = journal.marks.end();
  while (at != journal.marks.begin() && std::prev(at)->begin >= request.begin) --at;
  if (at != journal.marks.end() && at->begin == request.begin) {
    for (; at != journal.marks.end() && at->begin == request.begin; ++at) {
      at->end = std::min(at->end, request.end);
    }
    return;
  }
  std::vector<MarkBytes> fresh;
  for (std::uint64_t i = 0; i < request.count; ++i) {
    const std::uint8_t* bytes = payload + i * kSectorBytes;
    fresh.push_back({request.begin, request.end, {bytes, bytes + kSectorBytes}});
  }
  journal.marks.insert(at, std::make_move_iterator(fresh.begin()),
                       std::make_move_iterator(fresh.end()));
}

bool JournalReader::apply_rule(Journal& journal, const std::uint8_t* record, std::uint32_t bytes) {
  if (bytes != sizeof(format::RuleRecord)) return false;
  const auto raw = load<format::RuleRecord>(record);
  if (raw.head.disk >= journal.disks.size() || raw.rule > 0xffffffffU) return false;
  journal.rule_actions.push_back({static_cast<std::uint32_t>(raw.rule), raw.head.disk, raw.begin,
                                  raw.released, text_of(raw.how)});
  return true;
}

bool JournalReader::apply_power(Journal& journal, const std::uint8_t* record, std::uint32_t bytes) {
  if (bytes != sizeof(format::PowerRecord)) return false;
  const auto raw = load<format::PowerRecord>(record);
  const Stamp before = journal.power.empty() ? 0 : journal.power.back().back;
  if (raw.cut <= before || raw.back <= raw.cut || raw.back == kNever) return false;
  journal.power.push_back({raw.cut, raw.back});
  return true;
}

// Puts the requests of this poll in order. Where a request has an ended and an open record, the
// ended one stays.
void JournalReader::settle(Journal& journal) {
  auto& requests = journal.requests;
  const auto order = [](const Request& a, const Request& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  };
  const auto middle = requests.begin() + static_cast<std::ptrdiff_t>(sorted_);
  if (middle == requests.end()) return;
  std::sort(middle, requests.end(), order);
  const bool appended = sorted_ == 0 || order(*std::prev(middle), *middle);
  if (!appended) std::inplace_merge(requests.begin(), middle, requests.end(), order);
  const auto from = appended ? middle : requests.begin();
  requests.erase(std::unique(from, requests.end(),
                             [](const Request& a, const Request& b) { return a.begin == b.begin; }),
                 requests.end());
  const std::size_t look_from = appended ? sorted_ : 0;
  sorted_ = requests.size();
  if (!appended) open_.clear();
  std::erase_if(open_, [&](const auto& entry) { return entry.second >= look_from; });
  for (std::size_t i = look_from; i < sorted_; ++i) {
    if (requests[i].end == kNever) open_.emplace(requests[i].begin, i);
  }
}

Journal read_journal(const std::filesystem::path& dir) {
  Journal journal;
  JournalReader(dir).poll(journal);
  return journal;
}

}  // namespace snapbed::journal
