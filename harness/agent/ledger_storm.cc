// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/ledger_storm.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/aio.h"
#include "agent/aligned_memory.h"
#include "agent/fatal.h"

namespace snapbed::agent {
namespace {

using plan::LedgerEntry;
using plan::LedgerOp;

// A disk that has gone fails everything at once: then a writer ends instead of filling the book.
constexpr unsigned kErrorsInARow = 64;
constexpr auto kLook = std::chrono::milliseconds(100);  // how often a waiting writer looks at stop

int range_ioctl(int fd, unsigned long request, std::uint64_t first, std::uint64_t count) {
  std::uint64_t bytes[2] = {first * kSectorBytes, count * kSectorBytes};
  return ::ioctl(fd, request, bytes) == 0 ? 0 : errno;
}

}  // namespace

class LedgerStorm::Writer {
 public:
  Writer(LedgerStorm& storm, unsigned index)
      : storm_(storm),
        setup_(storm.setup_),
        book_(*storm.book_),
        random_(base::Random(storm.setup_.seed).fork(index)),
        aio_(setup_.depth) {
    for (unsigned i = 0; i < setup_.depth; ++i) {
      slots_.push_back({AlignedMemory(setup_.max_sectors * kSectorBytes), {}, false});
    }
    thread_ = std::thread([this] { run(); });
  }
  ~Writer() { join(); }

  bool has_seen_one() const { return seen_ != 0 || ended_; }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  const std::string& failure() const { return failure_; }  // after join()

 private:
  using Clock = std::chrono::steady_clock;
  struct Slot {
    AlignedMemory bytes;
    LedgerEntry entry;
    bool busy = false;
  };

  void run() {
    try {
      while (!storm_.stop_ && errors_ < kErrorsInARow && issue()) {
      }
      while (aio_.in_flight() > 0) reap(kLook);
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
    ended_ = true;
  }

  // One operation; false when the book gives no number any more.
  bool issue() {
    wait_turn();
    if (aio_.in_flight() == slots_.size()) reap(kLook);
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [](const Slot& candidate) { return !candidate.busy; });
    if (slot == slots_.end()) return true;
    const auto number = book_.draw();
    if (!number) return false;
    LedgerEntry entry = choose(*number);
    if (plan::brings_data(entry.op)) {
      submit(*slot, entry);
    } else {
      entry.begin = book_.begin();
      ended(entry, carry_out(entry));
    }
    return true;
  }

  // Keeps to the rate; what ends meanwhile is seen at once.
  void wait_turn() {
    if (setup_.rate == 0) return;
    const auto period = std::chrono::nanoseconds(std::chrono::seconds(1)) *
                        static_cast<std::int64_t>(setup_.writers) / setup_.rate;
    due_ = std::max(due_ + period, Clock::now() - kLook);
    while (!storm_.stop_ && Clock::now() < due_) {
      const std::chrono::nanoseconds left =
          std::min<std::chrono::nanoseconds>(due_ - Clock::now(), kLook);
      if (left.count() <= 0) break;
      if (aio_.in_flight() > 0) {
        reap(left);
      } else {
        std::this_thread::sleep_for(left);
      }
    }
  }

  LedgerEntry choose(std::uint64_t number) {
    LedgerEntry entry;
    entry.number = number;
    entry.seen = seen_;
    entry.device = static_cast<std::uint8_t>(random_.below(storm_.targets_.size()));
    const std::uint64_t drawn = random_.below(100);
    if (drawn < setup_.flushes) {
      entry.op = LedgerOp::flush;
      return entry;
    }
    if (drawn < setup_.flushes + setup_.discards) {
      entry.op = LedgerOp::discard;
    } else if (drawn < setup_.flushes + setup_.discards + setup_.zeroes) {
      entry.op = LedgerOp::zero;
    } else if (drawn < setup_.flushes + setup_.discards + setup_.zeroes + setup_.durables) {
      entry.op = LedgerOp::durable;
    }
    choose_range(entry);
    return entry;
  }

  void choose_range(LedgerEntry& entry) {
    Target& target = *storm_.targets_[entry.device];
    const std::uint64_t unit = target.device.logical_sectors();
    const std::uint64_t units = (target.end - target.first) / unit;
    const std::uint64_t most =
        std::min(std::max<std::uint64_t>(setup_.max_sectors / unit, 1), units);
    const std::uint64_t count = random_.between(1, most);
    std::uint64_t first = random_.below(units - count + 1);
    if (random_.below(100) < setup_.overlap) {
      const std::uint64_t newest = (target.newest - target.first) / unit;
      const std::uint64_t back = random_.below(count);
      first = std::min(newest - std::min(newest, back), units - count);
    }
    entry.first = target.first + first * unit;
    entry.count = static_cast<std::uint32_t>(count * unit);
    target.newest = entry.first;
  }

  void submit(Slot& slot, LedgerEntry entry) {
    const auto bytes = slot.bytes.span().first(entry.count * kSectorBytes);
    for (std::uint64_t i = 0; i < entry.count; ++i) {
      plan::fill_ledger_sector(setup_.key, entry.device, entry.first + i, entry.number, entry.seen,
                               bytes.subspan(i * kSectorBytes, kSectorBytes));
    }
    entry.begin = book_.begin();
    slot.entry = entry;
    const int error = aio_.write(static_cast<std::size_t>(&slot - slots_.data()),
                                 storm_.targets_[entry.device]->device.fd(), bytes,
                                 entry.first * kSectorBytes, entry.op == LedgerOp::durable);
    slot.busy = error == 0;
    if (error != 0) ended(entry, error);
  }

  int carry_out(const LedgerEntry& entry) {
    const int fd = storm_.targets_[entry.device]->device.fd();
    if (entry.op == LedgerOp::flush) return ::fsync(fd) == 0 ? 0 : errno;
    const unsigned long request = entry.op == LedgerOp::discard ? BLKDISCARD : BLKZEROOUT;
    return range_ioctl(fd, request, entry.first, entry.count);
  }

  void reap(std::chrono::nanoseconds patience) {
    for (const AioDone& done : aio_.wait(patience)) {
      slots_[done.slot].busy = false;
      ended(slots_[done.slot].entry, done.error);
    }
  }

  void ended(const LedgerEntry& entry, int error) {
    book_.enter(entry, error);
    errors_ = error == 0 ? 0 : errors_ + 1;
    if (error == 0) seen_ = entry.number;
  }

  LedgerStorm& storm_;
  const LedgerSetup& setup_;
  LedgerBook& book_;
  base::Random random_;
  Aio aio_;
  std::vector<Slot> slots_;
  Clock::time_point due_ = Clock::now();
  unsigned errors_ = 0;  // in a row
  std::atomic<std::uint64_t> seen_ = 0;
  std::atomic<bool> ended_ = false;
  std::string failure_;
  std::thread thread_;
};

LedgerStorm::LedgerStorm(const LedgerSetup& setup, const std::vector<std::string>& devices,
                         std::unique_ptr<LedgerBook> book)
    : setup_(setup), book_(std::move(book)) {
  for (const std::string& path : devices) {
    auto target = std::make_unique<Target>(BlockDevice(path, O_RDWR));
    target->first = setup.first;
    target->end = setup.count == 0 ? target->device.sectors() : setup.first + setup.count;
    if (target->end > target->device.sectors() || target->first >= target->end) {
      throw Fatal("ledger: sectors [" + std::to_string(target->first) + ", " +
                  std::to_string(target->end) + ") do not lie in " + path + " of " +
                  std::to_string(target->device.sectors()));
    }
    target->newest = target->first;
    targets_.push_back(std::move(target));
  }
  for (unsigned i = 0; i < setup.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(*this, i));
  }
}

LedgerStorm::~LedgerStorm() {
  stop_ = true;
  writers_.clear();
}

void LedgerStorm::wait_running(const base::Deadline& deadline) {
  base::wait_until("every writer of the ledger to see an operation end", deadline, [this] {
    return std::all_of(writers_.begin(), writers_.end(),
                       [](const auto& writer) { return writer->has_seen_one(); });
  });
}

std::uint64_t LedgerStorm::stop() {
  stop_ = true;
  for (const auto& writer : writers_) {
    writer->join();
    if (!writer->failure().empty()) throw Fatal("ledger: " + writer->failure());
  }
  return book_->close();
}

}  // namespace snapbed::agent
