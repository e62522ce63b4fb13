// SPDX-License-Identifier: GPL-2.0-or-later
// snapbed-agent: reads the plan disk, obeys, reports by marks. `snapbed-agent --links` only makes
// the links of /dev/snapbed, for a shell in the guest.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "agent/agent.h"
#include "agent/boot_time.h"
#include "agent/fatal.h"
#include "base/error.h"
#include "base/file.h"

namespace {

using namespace snapbed;
using agent::Marks;

constexpr const char* kMarksDisk = "/dev/snapbed/marks";
constexpr const char* kPlanDisk = "/dev/snapbed/plan";
constexpr auto kDiskLimit = std::chrono::seconds(10);
constexpr std::size_t kStackBytes = 512 << 10;  // every stack is locked in memory
constexpr std::size_t kMarksReadBytes = 64 << 10;
constexpr int kExitFatal = 3;

// The storm may use up memory and the kernel may look for a victim; the witness must survive.
void protect_from_memory_pressure() {
  ::mallopt(M_ARENA_MAX, 1);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  if (const int error = ::pthread_setattr_default_np(&attributes); error != 0) {
    base::throw_errno("pthread_setattr_default_np", error);
  }
  ::pthread_attr_destroy(&attributes);
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) base::throw_errno("mlockall");
  const base::UniqueFd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!score || base::write_all(score.get(), "-1000") != 0) {
    throw agent::Fatal("/proc/self/oom_score_adj does not take -1000");
  }
}

std::string read_plan() {
  const agent::BlockDevice disk(
      agent::wait_for_device(kPlanDisk, base::Deadline::after(kDiskLimit)), O_RDONLY);
  const agent::AlignedMemory header(4096);
  const auto sector = header.span().first(agent::kSectorBytes);
  if (const int error = agent::read_at(disk.fd(), sector, 0); error != 0) {
    base::throw_errno("read of the plan disk's header", error);
  }
  const std::uint64_t sectors = 1 + (plan::disk_text_length(sector) + 511) / agent::kSectorBytes;
  const agent::AlignedMemory bytes(sectors * agent::kSectorBytes);
  if (const int error = agent::read_at(disk.fd(), bytes.span(), 0); error != 0) {
    base::throw_errno("read of " + std::to_string(sectors) + " sectors of the plan disk", error);
  }
  return plan::from_disk(bytes.span());
}

nlohmann::json boot_report(const agent::ClockReading& started) {
  const char* init = std::getenv(agent::kInitReading);
  const agent::ClockReading now = agent::read_clocks();
  utsname names{};
  ::uname(&names);
  return {
      {"kernel", names.release},
      {"uptime_ms", now.boot_ns / 1'000'000},
      {"phases", agent::boot_phases(agent::from_text(init == nullptr ? "" : init), started, now)}};
}

void report_fatal(Marks& marks, agent::Place place, const agent::Fatal& why) {
  std::fprintf(stderr, "snapbed-agent: fatal: %s\n", why.what());
  try {
    marks.write(plan::MarkKind::fatal, place,
                {{"what", why.what()}, {"module", why.module()}, {"late", why.late()}});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "snapbed-agent: fatal: %s\n", error.what());
  }
}

// The agent goes after the mark of its failure was written: a writer of it may hang in the kernel.
int obey(Marks& marks, const agent::Resume& resume) {
  agent::Place place;
  std::optional<plan::Plan> plan;
  std::optional<agent::Agent> agent;
  try {
    plan.emplace(plan::from_text(read_plan()));
    agent.emplace(*plan, marks, resume);
    agent->run(place);
    marks.write(plan::MarkKind::done, place, nlohmann::json::object());
    return 0;
  } catch (const agent::Fatal& error) {
    report_fatal(marks, place, error);
  } catch (const std::exception& error) {
    report_fatal(marks, place, agent::Fatal(error.what()));
  }
  return kExitFatal;
}

agent::Resume read_resume(const agent::BlockDevice& disk, std::uint64_t sectors) {
  const agent::AlignedMemory buffer(kMarksReadBytes);
  return agent::read_marks(
      sectors, buffer.span(), [&](std::uint64_t first, std::span<std::uint8_t> bytes) {
        const int error = agent::read_at(disk.fd(), bytes, first * agent::kSectorBytes);
        if (error != 0) base::throw_errno("read of the marks disk", error);
      });
}

int run() {
  const agent::ClockReading started = agent::read_clocks();
  protect_from_memory_pressure();
  agent::refresh_links();
  agent::BlockDevice disk(agent::wait_for_device(kMarksDisk, base::Deadline::after(kDiskLimit)),
                          O_RDWR);
  const std::uint64_t sectors = disk.sectors();
  const agent::Resume resume = read_resume(disk, sectors);
  Marks marks(disk.release(), sectors, resume.marks);
  marks.write(plan::MarkKind::boot, {}, boot_report(started));
  return obey(marks, resume);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::string(argv[1]) == "--write-without-end")
      agent::write_without_end(argv[2], std::stoull(argv[3]));
    if (argc == 2 && std::string(argv[1]) == "--links") {
      std::printf("snapbed-agent: %zu disks in %s\n", agent::refresh_links(), agent::kLinkFolder);
      return 0;
    }
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "snapbed-agent: fatal: %s\n", error.what());
    return kExitFatal;
  }
}
