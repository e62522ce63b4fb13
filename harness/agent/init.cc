// SPDX-License-Identifier: GPL-2.0-or-later
// snapbed-init: PID 1 of the guest. Mounts what the agent needs, starts it, and ends the machine
// when it ends. With `snapbed_shell=1` on the kernel's command line it starts a shell instead,
// with `snapbed_bench_rounds=N` the benchmark.
//
// The agent is a child and not PID 1 itself, so that its death is a line on the console and a
// power-off, not a kernel panic that looks like the module's.
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "agent/boot_time.h"
#include "agent/power.h"

namespace {

struct Mount {
  const char* type;
  const char* at;
  bool needed;  // the others depend on the kernel's configuration
};

constexpr Mount kMounts[] = {
    {"devtmpfs", "/dev", true},
    {"proc", "/proc", true},
    {"sysfs", "/sys", true},
    {"tmpfs", "/tmp", true},
    {"tmpfs", "/mnt", true},
    {"tmpfs", "/run", true},
    {"debugfs", "/sys/kernel/debug", false},
};

void mount_all() {
  for (const Mount& mount : kMounts) {
    // EBUSY: the kernel has mounted devtmpfs already.
    if (::mount(mount.type, mount.at, mount.type, 0, nullptr) != 0 && errno != EBUSY &&
        mount.needed) {
      std::printf("snapbed-init: mount of %s at %s: %s\n", mount.type, mount.at,
                  std::strerror(errno));
    }
  }
}

// Without a seed the kernel gathers randomness for seconds before it lets mkfs have a UUID. Nothing
// in this guest is a secret, so the clocks are seed enough.
void seed_random(const snapbed::agent::ClockReading& reading) {
  // rand_pool_info with its array filled in.
  struct {
    int entropy_bits = 8 * 32;
    int bytes = 32;
    std::uint64_t words[4]{};
  } seed;
  for (std::uint64_t i = 0; i < 4; ++i) {
    seed.words[i] = (reading.counter + i) ^ (reading.boot_ns << 32);
  }
  const int device = ::open("/dev/random", O_WRONLY | O_CLOEXEC);
  if (device < 0 || ::ioctl(device, RNDADDENTROPY, &seed) != 0) {
    std::printf("snapbed-init: seeding of /dev/random: %s\n", std::strerror(errno));
  }
  if (device >= 0) ::close(device);
}

void become_agent() {
  ::setenv("PATH", "/sbin:/bin:/usr/sbin:/usr/bin", 1);
  ::setenv("DM_DISABLE_UDEV", "1", 1);
  if (std::getenv("snapbed_shell") != nullptr) {
    ::execl("/bin/sh", "sh", "-c", "snapbed-agent --links; exec setsid -c sh", nullptr);
  } else if (std::getenv("snapbed_bench_rounds") != nullptr) {
    ::execl("/sbin/snapbed-bench", "snapbed-bench", nullptr);
  } else {
    ::execl("/sbin/snapbed-agent", "snapbed-agent", nullptr);
  }
  std::printf("snapbed-init: exec: %s\n", std::strerror(errno));
  ::_exit(127);
}

// Reaps everything, as PID 1 must, until `agent` is among it.
int wait_for(pid_t agent) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::wait(&status);
    if (ended == agent) return status;
    if (ended < 0 && errno != EINTR) return -1;
  }
}

void report(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (WIFEXITED(status)) {
    std::printf("snapbed-init: agent died: exit status %d\n", WEXITSTATUS(status));
  } else if (WIFSIGNALED(status)) {
    std::printf("snapbed-init: agent died: signal %d\n", WTERMSIG(status));
  } else {
    std::printf("snapbed-init: agent died: wait gave status %d\n", status);
  }
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  const auto reading = snapbed::agent::read_clocks();
  ::setenv(snapbed::agent::kInitReading, snapbed::agent::to_text(reading).c_str(), 1);
  mount_all();
  seed_random(reading);
  const pid_t agent = ::fork();
  if (agent == 0) become_agent();
  if (agent < 0) {
    std::printf("snapbed-init: agent died: fork: %s\n", std::strerror(errno));
  } else {
    report(wait_for(agent));
  }
  snapbed::agent::power_off();
}
