// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/amplifiers.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"
#include "agent/fatal.h"
#include "agent/kernel_switch.h"
#include "agent/unprotected.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "journal/pattern.h"

namespace snapbed::agent {
namespace {

namespace fs = std::filesystem;

// CPUs that can be taken away: all but the first.
class CpuFlips : public Amplifier {
 public:
  CpuFlips(std::chrono::milliseconds every, base::Random random) : random_(random) {
    for (int cpu = 1; fs::exists(path(cpu)); ++cpu) switches_.push_back(path(cpu));
    if (switches_.empty()) throw Fatal("amplify_cpus: there is no second CPU to take away");
    turns_ = std::make_unique<Turns>(every, [this] { flip(); });
  }
  ~CpuFlips() override {
    turns_.reset();
    for (const std::string& one : switches_) write_switch(one, "1");
  }
  Counters stop() override {
    turns_->stop();
    for (const std::string& one : switches_) write_switch(one, "1");
    if (gone_ == 0) throw Fatal("amplify_cpus: no CPU could be taken away");
    return {{"cpus_taken", gone_}};
  }

 private:
  static std::string path(int cpu) {
    return "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online";
  }
  void flip() {
    const std::string& one = switches_[random_.below(switches_.size())];
    const bool online = base::read_file(one).starts_with("1");
    if (write_switch(one, online ? "0" : "1") == 0 && online) ++gone_;
  }

  base::Random random_;
  std::vector<std::string> switches_;
  std::uint64_t gone_ = 0;
  std::unique_ptr<Turns> turns_;
};

// Threads whose order decides races: the storm's and the kernel's workers.
std::vector<pid_t> racing_threads() {
  std::vector<pid_t> threads;
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    if (process.path().filename().string().find_first_not_of("0123456789") != std::string::npos)
      continue;
    std::ifstream name_file(process.path() / "comm");
    std::string name;
    std::getline(name_file, name);
    if (!name.starts_with("fio") && !name.starts_with("kworker")) continue;
    for (const auto& thread : fs::directory_iterator(process.path() / "task", error))
      threads.push_back(static_cast<pid_t>(std::stol(thread.path().filename().string())));
  }
  return threads;
}

class PriorityShuffle : public Amplifier {
 public:
  PriorityShuffle(std::chrono::milliseconds every, base::Random random) : random_(random) {
    turns_ = std::make_unique<Turns>(every, [this] { change(); });
  }
  Counters stop() override {
    turns_->stop();
    restore();
    if (changes_ == 0) throw Fatal("amplify_priority: no thread was there to change");
    return {{"priority_changes", changes_}};
  }

 private:
  // A thread may have ended, or be one the kernel keeps to itself: then nothing changes.
  static bool set_policy(pid_t thread, int policy) {
    const sched_param none{};
    return ::sched_setscheduler(thread, policy, &none) == 0;
  }
  void set_nice(pid_t thread) {
    const int nice = static_cast<int>(random_.between(0, 39)) - 20;
    if (::setpriority(PRIO_PROCESS, static_cast<id_t>(thread), nice) == 0) ++changes_;
  }
  void restore() {
    if (lowest_ != 0) set_policy(lowest_, SCHED_OTHER);
    lowest_ = 0;
  }
  void change() {
    restore();
    const std::vector<pid_t> threads = racing_threads();
    for (const pid_t thread : threads)
      if (random_.chance(0.25)) set_nice(thread);
    if (threads.empty()) return;
    lowest_ = threads[random_.below(threads.size())];
    if (set_policy(lowest_, SCHED_IDLE)) ++changes_;
  }

  base::Random random_;
  pid_t lowest_ = 0;
  std::uint64_t changes_ = 0;
  std::unique_ptr<Turns> turns_;
};

// The agent locks all its memory, so what is mapped is taken.
class MemoryPress : public Amplifier {
 public:
  MemoryPress(std::uint64_t leave, base::Random random) : leave_(leave), random_(random) {
    turns_ = std::make_unique<Turns>(std::chrono::milliseconds(5), [this] { turn(); });
  }
  ~MemoryPress() override {
    turns_.reset();
    release_all();
  }
  Counters stop() override {
    turns_->stop();
    release_all();
    if (releases_ == 0) throw Fatal("amplify_memory: memory never came down to what is to be left");
    return {{"memory_peaks", releases_}, {"memory_taken_mib", most_ * kPiece >> 20U}};
  }

 private:
  static constexpr std::size_t kPiece = 2U << 20U;

  void turn() {
    if (base::available_memory() > leave_ + kPiece) {
      void* piece =
          ::mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (piece == MAP_FAILED) return;
      pieces_.push_back(piece);
      most_ = std::max<std::uint64_t>(most_, pieces_.size());
      return;
    }
    if (pieces_.empty()) return;
    ++releases_;
    for (std::uint64_t left = random_.between(1, pieces_.size()); left > 0; --left) release();
  }
  void release() {
    ::munmap(pieces_.back(), kPiece);
    pieces_.pop_back();
  }
  void release_all() {
    while (!pieces_.empty()) release();
  }

  const std::uint64_t leave_;
  base::Random random_;
  std::vector<void*> pieces_;
  std::uint64_t most_ = 0;
  std::uint64_t releases_ = 0;
  std::unique_ptr<Turns> turns_;
};

// The thread of the turns starts the writers, and they die with it.
class WriterKills : public Amplifier {
 public:
  WriterKills(std::string device, std::uint64_t count, std::chrono::milliseconds every,
              base::Random random)
      : device_(std::move(device)), random_(random), writers_(count) {
    turns_ = std::make_unique<Turns>(every, [this] { turn(); });
  }
  Counters stop() override {
    turns_->stop();
    writers_.clear();  // kills and reaps what is left
    if (kills_ == 0) throw Fatal("amplify_kill: no writer was there to kill");
    return {{"writers_killed", kills_}};
  }

 private:
  void turn() {
    auto& writer = writers_[random_.below(writers_.size())];
    if (writer) {
      if (const auto ended = writer->poll(); ended.has_value())
        throw Fatal("amplify_kill: a writer of " + device_ +
                    " ended by itself: " + base::to_string(*ended));
      writer->kill();
      ++kills_;
      writer.reset();
    } else {
      base::Command command;
      command.argv = unprotected(
          {"/sbin/snapbed-agent", "--write-without-end", device_, std::to_string(random_() >> 1U)});
      writer.emplace(base::Process::start(command));
    }
  }

  const std::string device_;
  base::Random random_;
  std::vector<std::optional<base::Process>> writers_;
  std::uint64_t kills_ = 0;
  std::unique_ptr<Turns> turns_;
};

}  // namespace

Turns::Turns(std::chrono::milliseconds every, std::function<void()> turn)
    : every_(every), turn_(std::move(turn)), thread_([this] { run(); }) {
}

Turns::~Turns() {
  end();
}

void Turns::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, every_, [&] { return stop_; })) {
    lock.unlock();
    try {
      turn_();
    } catch (...) {
      lock.lock();
      failure_ = std::current_exception();
      return;
    }
    lock.lock();
  }
}

void Turns::end() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Turns::stop() {
  end();
  if (failure_) std::rethrow_exception(failure_);
}

std::unique_ptr<Amplifier> flip_cpus(std::chrono::milliseconds every, base::Random random) {
  return std::make_unique<CpuFlips>(every, random);
}

std::unique_ptr<Amplifier> shuffle_priorities(std::chrono::milliseconds every,
                                              base::Random random) {
  return std::make_unique<PriorityShuffle>(every, random);
}

std::unique_ptr<Amplifier> press_memory(std::uint64_t leave, base::Random random) {
  return std::make_unique<MemoryPress>(leave, random);
}

std::unique_ptr<Amplifier> kill_writers(const std::string& device, std::uint64_t count,
                                        std::chrono::milliseconds every, base::Random random) {
  return std::make_unique<WriterKills>(device, count, every, random);
}

// Every sector it writes is unlike any other of the run.
void write_without_end(const std::string& device, std::uint64_t seed) {
  constexpr std::uint64_t kMostSectors = 128;
  const BlockDevice disk(device, O_RDWR);
  const AlignedMemory memory(kMostSectors * kSectorBytes);
  base::Random random(seed);
  for (std::uint64_t number = 0;; ++number) {
    const std::uint64_t count = random.between(1, std::min(kMostSectors, disk.sectors()));
    const std::uint64_t first = random.below(disk.sectors() - count + 1);
    const auto bytes = memory.span().first(count * kSectorBytes);
    for (std::uint64_t i = 0; i < count; ++i)
      journal::fill_sector(journal::mix(seed + number), first + i,
                           bytes.subspan(i * kSectorBytes, kSectorBytes));
    if (const int error = write_at(disk.fd(), bytes, first * kSectorBytes); error != 0)
      ::_exit(error);
  }
}

}  // namespace snapbed::agent
