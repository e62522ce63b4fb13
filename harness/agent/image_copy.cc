// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/image_copy.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "agent/block_device.h"
#include "agent/fatal.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

// One copy, shared by its workers.
class Copy {
 public:
  Copy(const CopyPorts& ports, std::uint64_t base, const std::vector<plan::Range>& pieces,
       const BadRun& bad_run)
      : ports_(ports), base_(base), pieces_(pieces), bad_run_(bad_run) {}

  void work(std::span<std::uint8_t> buffer) {
    try {
      for (std::size_t next = 0; !failed_ && (next = next_++) < pieces_.size();) {
        copy_piece(pieces_[next], buffer);
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      failed_ = true;
      if (!failure_) failure_ = std::current_exception();
    }
  }

  CopyCounts result() {
    if (failure_) std::rethrow_exception(failure_);
    return {sectors_, bad_};
  }

 private:
  void copy_piece(plan::Range piece, std::span<std::uint8_t> buffer) {
    const auto bytes = buffer.first(piece.count * kSectorBytes);
    const int error = ports_.read(piece, bytes);
    if (error == 0) {
      store(piece, bytes);
    } else if (copy_by_blocks(piece, bytes) == 0) {
      report(piece, error, true);
    }
  }

  // Runs of blocks that end alike are stored, or reported, together. Returns how many sectors
  // failed.
  std::uint64_t copy_by_blocks(plan::Range piece, std::span<std::uint8_t> bytes) {
    const std::uint64_t unit = ports_.unit;
    plan::Range run{piece.first, 0};
    int run_error = 0;
    std::uint64_t failed = 0;
    for (std::uint64_t at = 0; at < piece.count; at += unit) {
      const int error = ports_.read({piece.first + at, unit},
                                    bytes.subspan(at * kSectorBytes, unit * kSectorBytes));
      if (error != run_error && run.count != 0) {
        end_run(run, run_error, piece, bytes);
        run = {piece.first + at, 0};
      }
      run_error = error;
      run.count += unit;
      failed += error != 0 ? unit : 0;
    }
    end_run(run, run_error, piece, bytes);
    return failed;
  }

  void end_run(plan::Range run, int error, plan::Range piece, std::span<std::uint8_t> bytes) {
    if (error == 0) {
      store(run, bytes.subspan((run.first - piece.first) * kSectorBytes, run.count * kSectorBytes));
      return;
    }
    bad_ += run.count;
    report(run, error, false);
  }

  void report(plan::Range run, int error, bool again) {
    const std::scoped_lock lock(mutex_);
    bad_run_(run, error, again);
  }

  void store(plan::Range range, std::span<const std::uint8_t> bytes) {
    const std::uint64_t first = base_ + range.first;
    const int error = ports_.write({first, range.count}, bytes);
    if (error != 0) {
      throw Fatal("write of " + std::to_string(range.count) + " sectors at " +
                  std::to_string(first) + " of the evidence disk: " + base::errno_text(error));
    }
    sectors_ += range.count;
  }

  const CopyPorts& ports_;
  const std::uint64_t base_;
  const std::vector<plan::Range>& pieces_;
  const BadRun& bad_run_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::uint64_t> sectors_ = 0;
  std::atomic<std::uint64_t> bad_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

CopyCounts copy_image(const CopyPorts& ports, std::uint64_t base,
                      const std::vector<plan::Range>& pieces, std::vector<AlignedMemory>& buffers,
                      std::size_t workers, const BadRun& bad_run) {
  Copy copy(ports, base, pieces, bad_run);
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < workers; ++i) {
    threads.emplace_back([&copy, &buffers, i] { copy.work(buffers[i].span()); });
  }
  copy.work(buffers[0].span());
  threads.clear();
  return copy.result();
}

}  // namespace snapbed::agent
