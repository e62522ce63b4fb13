// SPDX-License-Identifier: GPL-2.0-or-later
// The recording server without nbdkit: disks that are read and written by many threads, every
// request stamped and journalled, rules obeyed, marks told to the harness.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal/writer.h"
#include "recorder/config.h"
#include "recorder/control.h"
#include "recorder/disk.h"
#include "recorder/in_flight.h"
#include "recorder/rules.h"
#include "recorder/sequencer.h"
#include "recorder/volatile_cache.h"

namespace snapbed::recorder {

// Sums since the start. The first six count the data disks only: what a live line shows of the
// workload.
struct Stats {
  std::uint64_t writes = 0;  // data-changing requests that ended well
  std::uint64_t bytes = 0;   // of them (trim and zero included)
  std::uint64_t reads = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t failed = 0;
  std::uint64_t all_requests = 0;  // of all disks
  std::uint64_t all_bytes_written = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t held = 0;
  std::uint64_t left = 0;       // that wait since a cut of the power and are never answered
  std::uint64_t oldest_ms = 0;  // age of the oldest request that is not held; 0 when there is none
  std::uint64_t store_bytes = 0;
  std::uint64_t journal_bytes = 0;
};

class Server {
 public:
  // Opens the journal and files.img in config.dir. Throws std::runtime_error / std::system_error,
  // one line.
  explicit Server(Config config);
  // Does not close the journal: finish() does. Waits until all calls have returned.
  ~Server();

  // Starts the control thread and tells "ready"; without control_fd there is none. `exit` is called
  // from that thread after "quit" or when the harness has gone, when all is released and the
  // journal is closed. `stopping` see Control.
  void start(std::function<void()> exit, std::function<bool()> stopping = {});

  std::optional<std::uint16_t> find(std::string_view name) const;
  const DiskConfig& disk(std::uint16_t id) const { return config_.disks[id]; }
  std::size_t disks() const { return config_.disks.size(); }

  // All return 0 or a positive errno and may block by rule or for a mark's answer. Ranges are in
  // sectors; one outside the disk gives EINVAL and is not journalled. Any thread.
  int read(std::uint16_t disk, std::uint64_t first, std::span<std::uint8_t> out);
  int write(std::uint16_t disk, std::uint64_t first, std::span<const std::uint8_t> bytes, bool fua);
  int trim(std::uint16_t disk, std::uint64_t first, std::uint64_t count, bool fua);
  int zero(std::uint16_t disk, std::uint64_t first, std::uint64_t count, bool fua);
  int flush(std::uint16_t disk);

  // Releases the reply to the cycle_end or done mark of this sequence number.
  void answer(std::uint64_t sequence);
  // Power cut: when it returns nothing is stored or journalled any more and every request fails
  // with EIO.
  void cut();
  // The power of the machine: as cut(), but what was in flight ends in the journal, and nobody of
  // it is told anything any more: such calls return when the server goes. Needs volatile_disks. A
  // mark that begins the step power_cut does it, at once or some writes later.
  void cut_power();
  // When the machine is gone: takes from the disks what the cut lost, on record, and serves again.
  // Throws base::TimedOut when requests of the machine are still there, std::runtime_error when the
  // power is on.
  void restore_power();
  // Writes the journal up to now, with the requests in flight.
  bool flush_journal();
  // Releases whatever is held, closes the journal and fails all later requests with ESHUTDOWN. Once
  // is enough.
  void finish();
  Stats stats();
  std::string error() const { return journal_->error(); }

 private:
  struct Work;
  int perform(Work work);
  int obey(Slot& slot, Work& work, const Rules::Decision& begun);
  int move(Slot& slot, Work& work, const std::optional<Rules::Torn>& torn);
  std::vector<std::uint8_t> tear(Slot& slot, Disk& disk, const Work& work,
                                 const Rules::Torn& moves);
  void take_in(Slot& slot, const Work& work);
  void obey_marks(Slot& slot);
  void wait_for_answer(std::uint64_t sequence);
  void end(Slot& slot, int error);
  void seal(Slot& slot);
  void append(const Slot& slot);
  void remember(const journal::Request& request);
  void obey_power_cut(const nlohmann::json& step);
  bool cut_is_due(std::uint16_t disk);
  int gone();
  void lose(std::uint16_t disk);
  void set_held(Slot& slot, bool held);
  void count(const journal::Request& request);
  void command(const nlohmann::json& message);
  void tell_error(const std::string& what);

  const Config config_;
  Sequencer sequencer_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<journal::Writer> journal_;
  std::vector<std::unique_ptr<Disk>> contents_;
  std::vector<std::unique_ptr<VolatileCache>> caches_;  // as contents_; null: loses nothing
  Rules rules_;
  InFlight in_flight_;
  std::function<void()> exit_;
  std::atomic<int> dead_ = 0;  // the errno of every request after cut() or finish()

  struct Counters {
    std::atomic<std::uint64_t> writes, bytes, reads, read_bytes, flushes, failed, all, all_bytes;
  };
  Counters counters_{};

  static constexpr int kEveryDisk = -1;  // of role data
  std::atomic<int> cut_disk_ = kEveryDisk;
  std::atomic<std::int64_t> cut_after_ = 0;  // so many of its changes until the cut; 0: none is due
  std::atomic<std::uint64_t> inside_ = 0;    // threads in perform()
  journal::Stamp cut_at_ = 0;                // of the cut; who set off_ writes it
  std::uint32_t cuts_ = 0;                   // of which the power came back
  std::mutex power_mutex_;
  std::condition_variable powered_;
  std::atomic<bool> off_ = false;
  std::uint64_t waiting_ = 0;  // threads in gone() for a machine without power
  bool over_ = false;

  std::mutex answer_mutex_;
  std::condition_variable answered_;
  std::set<std::uint64_t> answers_;
  bool answer_all_ = false;
};

}  // namespace snapbed::recorder
