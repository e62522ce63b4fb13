// SPDX-License-Identifier: GPL-2.0-or-later
// SNAPSHOT_WAIT_EVENT: what an event looks like, who gets it, and how a wait ends without one.
#include <fcntl.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "agent/abi.h"
#include "agent/aligned_memory.h"
#include "base/deadline.h"

namespace snapbed::agent {
namespace {

constexpr std::uint32_t kLongMs = 60'000;  // longer than any case waits
constexpr auto kSleepLimit = std::chrono::seconds(20);

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

template <typename Data>
Data body_of(const abi::Event& event) {
  Data data;
  std::memcpy(&data, event.data, sizeof data);
  return data;
}

bool zero_behind(const abi::Event& event, std::size_t body) {
  return std::all_of(event.data + body, event.data + sizeof event.data,
                     [](std::uint8_t byte) { return byte == 0; });
}

// True once the thread sleeps in a system call.
bool sleeps(pid_t thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'S';
}

// A thread in WAIT_EVENT; its result after join().
class Waiter {
 public:
  Waiter(AbiBench& bench, const abi::Uuid& id, std::uint32_t timeout_ms)
      : thread_([this, &bench, id, timeout_ms] {
          number_ = ::gettid();
          result_ = bench.wait(id, timeout_ms, event_);
          done_ = true;
        }) {}
  ~Waiter() {
    if (thread_.joinable()) thread_.join();
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void wait_until_asleep() {
    base::wait_until("a waiter for events to sleep", base::Deadline::after(kSleepLimit),
                     [this] { return number_ != 0 && sleeps(number_); });
  }
  // Whether it comes back within the limit.
  bool comes_back() {
    const auto limit = base::Deadline::after(kSleepLimit);
    while (!done_ && !limit.passed()) std::this_thread::yield();
    return done_;
  }
  bool done() const { return done_; }
  void signal() { ::pthread_kill(thread_.native_handle(), SIGUSR1); }
  std::int64_t join() {
    thread_.join();
    return result_;
  }
  const abi::Event& event() const { return event_; }

 private:
  std::atomic<pid_t> number_ = 0;
  std::atomic<bool> done_ = false;
  std::int64_t result_ = 0;
  abi::Event event_{};
  std::thread thread_;
};

void first_event(AbiBench& bench) {
  const ParameterSet minimum("diff_storage_minimum", "12345");
  const std::int64_t before = now_ns();
  const abi::Uuid id = bench.must_create({bench.origins[0].id});
  const std::int64_t after = now_ns();
  abi::Event event{};
  std::memset(static_cast<void*>(&event), 0xee, sizeof event);
  bench.cases.result("WAIT_EVENT", "right after CREATE", 0, bench.wait(id, kLongMs, event));
  bench.cases.result("WAIT_EVENT", "its code is that of LOW_FREE_SPACE", abi::kEventLowFreeSpace,
                     event.code);
  bench.cases.result(
      "WAIT_EVENT", "it asks for diff_storage_minimum sectors", 12345,
      static_cast<std::int64_t>(body_of<abi::EventLowFreeSpace>(event).requested_sectors));
  bench.cases.truth("WAIT_EVENT", "id and timeout_ms are as given",
                    event.id == id && event.timeout_ms == kLongMs);
  bench.cases.truth("WAIT_EVENT", "data behind the body is zero",
                    zero_behind(event, sizeof(abi::EventLowFreeSpace)));
  bench.cases.truth("WAIT_EVENT", "time_label is the monotonic time of CREATE",
                    event.time_label_ns >= before && event.time_label_ns <= after,
                    std::to_string(event.time_label_ns) + " is not in [" + std::to_string(before) +
                        ", " + std::to_string(after) + "]");
  std::memset(static_cast<void*>(&event), 0xee, sizeof event);
  for (const std::uint32_t timeout_ms : {0U, 1U, 50U}) {
    const std::string with = "no event, timeout " + std::to_string(timeout_ms) + " ms";
    bench.cases.result("WAIT_EVENT", with, -ENOENT, bench.wait(id, timeout_ms, event));
    bench.cases.truth("WAIT_EVENT", with + ": id and timeout_ms are as given",
                      event.id == id && event.timeout_ms == timeout_ms);
  }
  bench.clear();
}

void ended_waits(AbiBench& bench) {
  abi::Event event{};
  const abi::Uuid id = bench.must_create({bench.origins[0].id});
  bench.cases.result("WAIT_EVENT", "right after CREATE, timeout 0", 0, bench.wait(id, 0, event));
  for (const std::uint32_t timeout_ms : {kLongMs, 0x7fffffffU, 0xffffffffU}) {
    Waiter waiter(bench, id, timeout_ms);
    waiter.wait_until_asleep();
    waiter.signal();
    const bool back = waiter.comes_back();
    // A call that is restarted ends only with the snapshot.
    if (!back) bench.destroy(id);
    const std::int64_t got = waiter.join();
    bench.cases.add("WAIT_EVENT",
                    "a signal that restarts calls, timeout " + std::to_string(timeout_ms),
                    {"EINTR"}, back ? result_text(got) : "waited on");
    if (!back) throw CannotGoOn("WAIT_EVENT waits on after a signal");
  }
  Waiter first(bench, id, kLongMs);
  Waiter second(bench, id, 0xffffffff);
  first.wait_until_asleep();
  second.wait_until_asleep();
  bench.must("DESTROY", bench.destroy(id));
  bench.cases.result("WAIT_EVENT", "destroyed while waiting", -ESRCH, first.join());
  bench.cases.result("WAIT_EVENT", "destroyed while a second one waits", -ESRCH, second.join());
  bench.cases.truth("WAIT_EVENT", "destroyed while waiting: id and timeout_ms are as given",
                    first.event().id == id && first.event().timeout_ms == kLongMs);
  bench.clear();
}

// Fills the memory that keeps old data, so that the snapshot is corrupted.
void overflow(AbiBench& bench) {
  const base::UniqueFd device(::open(bench.origins[0].path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  constexpr std::size_t kBytes = 1 << 20;
  const AlignedMemory bytes(kBytes);
  for (std::uint64_t megabyte = 0; megabyte < 3; ++megabyte) {
    bench.cases.result("origin", "write that finds no room for the old data", 0,
                       -write_at(device.get(), bytes.span(), megabyte * kBytes));
  }
}

// Only where so little memory can be made of it that a few writes fill it.
void corrupted_events(AbiBench& bench) {
  if (!has_parameter("unsaved_limit_mib")) return;
  const ParameterSet limit("unsaved_limit_mib", "1");
  const std::vector<abi::DeviceId> devices = {bench.origins[0].id, bench.origins[1].id};
  const abi::Uuid id = bench.must_take(devices);
  abi::Event event{};
  bench.must("WAIT_EVENT", bench.wait(id, 0, event));
  const std::int64_t before = now_ns();
  overflow(bench);
  std::vector<abi::DeviceId> told;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    std::memset(static_cast<void*>(&event), 0xee, sizeof event);
    bench.cases.result("WAIT_EVENT", "corrupted, device by device", 0,
                       bench.wait(id, kLongMs, event));
    bench.cases.result("WAIT_EVENT", "code of CORRUPTED", abi::kEventCorrupted, event.code);
    const auto body = body_of<abi::EventCorrupted>(event);
    bench.cases.truth("WAIT_EVENT", "CORRUPTED carries a positive errno", body.error > 0,
                      std::to_string(body.error));
    bench.cases.truth("WAIT_EVENT", "data behind the body of CORRUPTED is zero",
                      zero_behind(event, sizeof(abi::EventCorrupted)));
    bench.cases.truth("WAIT_EVENT", "CORRUPTED tells its time",
                      event.time_label_ns >= before && event.time_label_ns <= now_ns());
    told.push_back(body.origin);
  }
  for (const abi::DeviceId& device : devices) {
    bench.cases.result("WAIT_EVENT", "CORRUPTED events of each device", 1,
                       std::count(told.begin(), told.end(), device));
  }
  bench.cases.result("WAIT_EVENT", "after CORRUPTED of every device", -ENOENT,
                     bench.wait(id, 0, event));
  const base::UniqueFd image(
      ::open(bench.image_path(id, devices[0]).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  const AlignedMemory block(4096);
  bench.cases.result("image", "read of what a corrupted snapshot never saved", -EIO,
                     -read_at(image.get(), block.span(), 32 << 20));
  bench.clear();
}

// Two waiters and one event, which is made by the storage running low: one gets it.
void two_waiters(AbiBench& bench) {
  const ParameterSet minimum("diff_storage_minimum", "2048");
  const abi::DeviceId origin = bench.origins[0].id;
  const abi::Uuid id = bench.must_create({origin});
  bench.must("APPEND_STORAGE", bench.append(id, bench.storage.id, {{0, 4096}}));
  bench.must("TAKE", bench.take(id));
  abi::Event event{};
  bench.must("WAIT_EVENT", bench.wait(id, 0, event));
  Waiter first(bench, id, kLongMs);
  Waiter second(bench, id, kLongMs);
  first.wait_until_asleep();
  second.wait_until_asleep();
  const base::UniqueFd device(::open(bench.origins[0].path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  const AlignedMemory bytes(1 << 20);
  for (std::uint64_t at = 0; at < 2; ++at) {
    bench.must("write to the origin", -write_at(device.get(), bytes.span(), at << 20));
  }
  // Whoever got the event has returned; the other one still sleeps and is sent home.
  base::wait_until("one of two waiters to get the event", base::Deadline::after(kSleepLimit),
                   [&] { return first.done() || second.done(); });
  bench.must("DESTROY", bench.destroy(id));
  const std::int64_t one = first.join();
  const std::int64_t other = second.join();
  bench.cases.truth("WAIT_EVENT", "one event wakes one of two waiters, the other is sent home",
                    (one == 0 && other == -ESRCH) || (one == -ESRCH && other == 0),
                    result_text(one) + " and " + result_text(other));
  bench.clear();
}

}  // namespace

void abi_events(AbiBench& bench) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  struct sigaction before {};
  ::sigaction(SIGUSR1, &action, &before);
  first_event(bench);
  ended_waits(bench);
  two_waiters(bench);
  corrupted_events(bench);
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace snapbed::agent
