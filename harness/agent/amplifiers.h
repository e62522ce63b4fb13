// SPDX-License-Identifier: GPL-2.0-or-later
// What widens races while the plan goes on: pauses at instructions of the module, CPUs that go and
// come, priorities that change, memory that is short, writers that are killed. Each runs in the
// background from its step until `calm`, which tells what each has done.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"

namespace snapbed::agent {

using Counters = std::map<std::string, std::uint64_t>;

// Ends what it began when it goes.
class Amplifier {
 public:
  virtual ~Amplifier() = default;
  // Ends it and tells what it did. Throws Fatal when that is nothing: a scenario that counts on it
  // would prove nothing.
  virtual Counters stop() = 0;
};

// Calls `turn` again and again, `every` apart, in a thread of its own.
class Turns {
 public:
  Turns(std::chrono::milliseconds every, std::function<void()> turn);
  ~Turns();
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  // After it no turn runs. Throws what a turn has thrown, which was then the last one.
  void stop();

 private:
  void run();
  void end();

  const std::chrono::milliseconds every_;
  const std::function<void()> turn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

// Pauses of up to `most` at `count` instructions, drawn from all functions of the module, or from
// `functions` ("name" or "name+0x1f"), in `share` of 1024 passages. Needs the amplifier's module in
// the kernel. Throws Fatal when not one can be placed.
struct Pauses {
  std::vector<std::string> functions;
  std::uint64_t count = 8;
  std::chrono::microseconds most{500};
  std::uint64_t share = 128;
};
std::unique_ptr<Amplifier> pause_module(const Pauses& pauses, base::Random random);

// Takes a random CPU other than the first away or brings one back at every turn.
std::unique_ptr<Amplifier> flip_cpus(std::chrono::milliseconds every, base::Random random);

// Gives every thread of the storm and every kworker a random priority, and at every turn puts one
// of them below all others and brings the one before back.
std::unique_ptr<Amplifier> shuffle_priorities(std::chrono::milliseconds every, base::Random random);

// Takes memory until only `leave` bytes are available, and gives back some of it, over and over.
std::unique_ptr<Amplifier> press_memory(std::uint64_t leave, base::Random random);

// `count` processes that write to the device without end, and get SIGKILL one after the other.
std::unique_ptr<Amplifier> kill_writers(const std::string& device, std::uint64_t count,
                                        std::chrono::milliseconds every, base::Random random);

// A writer that kill_writers() starts: the process's only work, until it is killed.
[[noreturn]] void write_without_end(const std::string& device, std::uint64_t seed);

// A function of the module as /proc/kallsyms shows it.
struct ModuleFunction {
  std::string name;
  std::uint64_t bytes = 0;
};
// The functions of a module, with their lengths to the next symbol; the last has none and is left
// out. Pure.
std::vector<ModuleFunction> module_functions(const std::string& kallsyms,
                                             const std::string& module);

}  // namespace snapbed::agent
