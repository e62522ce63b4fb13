// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/failing_calls.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "agent/aligned_memory.h"
#include "agent/fail_nth.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr unsigned kSitesLimit = 5000;  // a call with more allocations than that never ends
constexpr unsigned kWorkerSitesLimit = 200;
constexpr std::size_t kWriteBytes = 64 << 10;
constexpr std::size_t kPieceAt = 512;  // it begins and ends inside of 4 KiB
constexpr std::size_t kPieceBytes = 4096 + 512;
constexpr const char* kWorkers = "blksnap";

std::string nth(unsigned n) {
  return "allocation " + std::to_string(n) + " fails";
}

// One origin in a snapshot, and the writes that try it.
class Trial {
 public:
  explicit Trial(AbiBench& bench)
      : bench_(bench),
        origin_(bench.origins.front()),
        device_(::open(origin_.path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)),
        old_(kWriteBytes),
        new_(kWriteBytes),
        seen_(kWriteBytes),
        before_(kWriteBytes),
        piece_(kPieceBytes),
        piece_before_(kPieceBytes) {
    if (!device_) base::throw_errno("open of " + origin_.path);
  }

  std::uint64_t create() {
    return each("CREATE", [&](unsigned n) {
      abi::Uuid id{};
      const bool reached =
          call("CREATE", n, {0, -ENOMEM}, [&] { return bench_.create({origin_.id}, id); });
      if (result_ != 0) nothing_left(n);
      bench_.clear();
      return reached;
    });
  }

  std::uint64_t append() {
    const abi::Uuid id = bench_.must_create({origin_.id});
    std::uint64_t at = 0;
    const std::uint64_t sites = each("APPEND_STORAGE", [&](unsigned n) {
      const std::vector<abi::BlockRange> ranges = {{at, 8}, {at + 16, 8}, {at + 32, 8}};
      const auto append = [&] { return bench_.append(id, bench_.storage.id, ranges); };
      const bool reached = call("APPEND_STORAGE", n, {0, -ENOMEM}, append);
      if (result_ != 0) repeated("APPEND_STORAGE", n, append());
      at += 64;
      return reached;
    });
    bench_.clear();
    return sites;
  }

  std::uint64_t take() {
    return each("TAKE", [&](unsigned n) {
      const abi::Uuid id = bench_.must_create({origin_.id});
      const bool reached = call("TAKE", n, {0, -ENOMEM}, [&] { return bench_.take(id); });
      if (result_ != 0) {
        std::vector<abi::ImageInfo> infos;
        bench_.must("COLLECT_IMAGES", bench_.images(id, infos));
        bench_.cases.truth("TAKE", nth(n) + ": leaves no image", infos.empty());
        const auto info = bench_.tracker(origin_.id);
        bench_.cases.truth("TAKE", nth(n) + ": uses no number", info && info->snap_number == 0);
        repeated("TAKE", n, bench_.take(id));
      }
      bench_.clear();
      return reached;
    });
  }

  // First writes to fresh places of the origin, failing in the writer or in the workers.
  std::uint64_t write(bool in_workers) {
    return each_place(in_workers ? "write, in a worker" : "write", in_workers, true, O_RDONLY,
                      [&](unsigned n, const base::UniqueFd& image, std::uint64_t& at) {
                        const bool reached = write_once(n, image, at);
                        at += 2 * kWriteBytes;
                        return reached;
                      });
  }

  // Reads and writes of the image, failing in the caller or in the workers: of what is stored by
  // now, or, without storage, in memory.
  std::uint64_t image(bool in_workers, bool stored) {
    return each_place("image", in_workers, stored, O_RDWR,
                      [&](unsigned n, const base::UniqueFd& image, std::uint64_t& at) {
                        std::copy(old_.span().begin(), old_.span().end(), before_.span().begin());
                        prepare(n, at);
                        bench_.must("write of the origin",
                                    -write_at(device_.get(), new_.span(), at));
                        const bool reached = image_once(n, image, at);
                        at += kWriteBytes;
                        return reached;
                      });
  }

  std::uint64_t destroy() {
    return each("DESTROY", [&](unsigned n) {
      const abi::Uuid id = bench_.must_take({origin_.id});
      const bool reached = call("DESTROY", n, {0}, [&] { return bench_.destroy(id); });
      bench_.clear();
      return reached;
    });
  }

 private:
  // Calls `one` with 1, 2, 3 ... until it had fewer allocations than that; returns how many.
  template <typename One>
  std::uint64_t each(const std::string& what, One one) {
    const unsigned limit = in_workers_ ? kWorkerSitesLimit : kSitesLimit;
    for (unsigned n = 1; n < limit; ++n) {
      if (!one(n)) return n - 1;
    }
    throw CannotGoOn(what + " still reached an allocation to fail after " + std::to_string(limit));
  }

  // The same with an image that is open, at places of the origin that nobody has written to yet:
  // `one` moves on from each.
  template <typename One>
  std::uint64_t each_place(const std::string& what, bool in_workers, bool stored, int flags,
                           One one) {
    const abi::Uuid id = bench_.must_take({origin_.id});
    if (stored) bench_.must("APPEND_STORAGE", bench_.append(id, bench_.storage.id, {{0, 32768}}));
    const base::UniqueFd image(
        ::open(bench_.image_path(id, origin_.id).c_str(), flags | O_DIRECT | O_CLOEXEC));
    if (!image) base::throw_errno("open of the image");
    std::uint64_t at = 0;
    in_workers_ = in_workers;
    const std::uint64_t sites = each(what, [&](unsigned n) {
      const bool reached = one(n, image, at);
      if (at + kWriteBytes > origin_.sectors * kSectorBytes) throw CannotGoOn("the origin is full");
      return reached;
    });
    in_workers_ = false;
    bench_.clear();
    return sites;
  }

  template <typename Call>
  bool call(const std::string& name, unsigned n, std::initializer_list<std::int64_t> right,
            Call make) {
    FailNth fail(in_workers_ ? kernel_workers(kWorkers) : std::vector<pid_t>{::gettid()}, n);
    result_ = make();
    const bool reached = fail.disarm();
    bench_.cases.result(name, nth(n) + (in_workers_ ? " in a worker" : ""), right, result_);
    return reached;
  }

  void repeated(const std::string& name, unsigned n, std::int64_t result) {
    bench_.cases.result(name, "again, after " + nth(n), 0, result);
  }

  void nothing_left(unsigned n) {
    std::vector<abi::Uuid> ids;
    bench_.must("COLLECT", bench_.snapshots(ids));
    std::vector<abi::CbtInfo> infos;
    bench_.must("TRACKER_COLLECT", bench_.trackers(infos));
    bench_.cases.truth("CREATE", nth(n) + ": leaves neither snapshot nor tracker",
                       ids.empty() && infos.empty());
  }

  static bool same(const AlignedMemory& a, const AlignedMemory& b) {
    return std::equal(a.span().begin(), a.span().end(), b.span().begin());
  }

  // The write may fail for want of memory, never half; the image shows the old data or, where it
  // could not be kept, an error.
  bool write_once(unsigned n, const base::UniqueFd& image, std::uint64_t at) {
    prepare(n, at);
    const bool reached = call("write", n, {0, -ENOMEM}, [&] {
      const int written = write_at(device_.get(), new_.span(), at);
      // Workers serve the image too, and store while it is read.
      if (in_workers_) read_at(image.get(), seen_.span(), at);
      return -static_cast<std::int64_t>(written);
    });
    bench_.must("read of the origin", -read_at(device_.get(), seen_.span(), at));
    bench_.cases.truth("origin", nth(n) + ": holds what was written to it",
                       same(seen_, result_ == 0 ? new_ : old_));
    const int error = read_at(image.get(), seen_.span(), at);
    bench_.cases.result("image", nth(n) + ": read", {0, -EIO}, -error);
    if (error == 0) {
      bench_.cases.truth("image", nth(n) + ": shows the old data", same(seen_, old_));
    }
    return reached;
  }

  // What the origin holds there, and what is to be written over it.
  void prepare(unsigned n, std::uint64_t at) {
    bench_.must("read of the origin", -read_at(device_.get(), old_.span(), at));
    std::fill(new_.span().begin(), new_.span().end(), static_cast<std::uint8_t>(0x40 + n % 64));
  }

  // A write into the middle of what was saved at @at, and of what was saved one place before.
  bool image_once(unsigned n, const base::UniqueFd& image, std::uint64_t at) {
    std::copy(piece_.span().begin(), piece_.span().end(), piece_before_.span().begin());
    std::fill(piece_.span().begin(), piece_.span().end(), static_cast<std::uint8_t>(n % 64));
    const std::uint64_t earlier = at - std::min<std::uint64_t>(at, kWriteBytes);
    const bool reached = call("image write", n, {0, -ENOMEM, -EIO}, [&] {
      int error = write_at(image.get(), piece_.span(), earlier + kPieceAt);
      if (error == 0) error = read_at(image.get(), seen_.span(), earlier);
      if (error == 0) error = write_at(image.get(), piece_.span(), at + kPieceAt);
      return -static_cast<std::int64_t>(error);
    });
    if (earlier != at) shows(n, image, earlier, before_);
    shows(n, image, at, old_);
    return reached;
  }

  // Around the piece the old data; the piece where it was told to be written, else of each sector
  // that or what had been there: old data or the piece before.
  void shows(unsigned n, const base::UniqueFd& image, std::uint64_t at, const AlignedMemory& old) {
    const int error = read_at(image.get(), seen_.span(), at);
    bench_.cases.result("image", nth(n) + ": read after a write", {0, -EIO}, -error);
    if (error != 0) return;
    bool right = true;
    for (std::size_t i = 0; i < kWriteBytes; i += kSectorBytes) {
      const auto equals = [&](const AlignedMemory& other, std::size_t from) {
        return std::equal(seen_.span().begin() + static_cast<std::ptrdiff_t>(i),
                          seen_.span().begin() + static_cast<std::ptrdiff_t>(i + kSectorBytes),
                          other.span().begin() + static_cast<std::ptrdiff_t>(from));
      };
      const bool inside = i >= kPieceAt && i < kPieceAt + kPieceBytes;
      if (!inside)
        right = right && equals(old, i);
      else if (result_ == 0)
        right = right && equals(piece_, i - kPieceAt);
      else
        right = right && (equals(piece_, i - kPieceAt) || equals(piece_before_, i - kPieceAt) ||
                          equals(old, i));
    }
    bench_.cases.truth("image", nth(n) + ": shows what was written to it, and old data around it",
                       right);
  }

  AbiBench& bench_;
  const Subject& origin_;
  base::UniqueFd device_;
  AlignedMemory old_;
  AlignedMemory new_;
  AlignedMemory seen_;
  AlignedMemory before_;  // the old data one place before
  AlignedMemory piece_;
  AlignedMemory piece_before_;
  std::int64_t result_ = 0;
  bool in_workers_ = false;
};

}  // namespace

FailureCounts failing_calls(AbiBench& bench, const std::string& which) {
  allow_allocation_failures();
  FailureCounts counts;
  Trial trial(bench);
  const auto wanted = [&](const char* call) { return which == "all" || which == call; };
  if (wanted("create")) counts.sites += trial.create();
  if (wanted("append")) counts.sites += trial.append();
  if (wanted("take")) counts.sites += trial.take();
  if (wanted("write")) counts.sites += trial.write(false);
  if (wanted("image")) counts.sites += trial.image(false, false);
  if (wanted("destroy")) counts.sites += trial.destroy();
  if (wanted("workers"))
    counts.worker_sites += trial.write(true) + trial.image(true, true) + trial.image(true, false);
  return counts;
}

}  // namespace snapbed::agent
