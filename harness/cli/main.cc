// SPDX-License-Identifier: GPL-2.0-or-later
// snapbed: the command line. What it does is in runner/; here are words, defaults and exit
// statuses.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "bench/experiments.h"
#include "cli/commands.h"
#include "runner/out_folder.h"
#include "runner/parts.h"
#include "scenario/words.h"

namespace {

using snapbed::cli::CommonOptions;

void add_parts(CLI::App& command, CommonOptions& options) {
  command.add_option("--kernel", options.parts.kernel, "kernel image (bzImage)");
  command.add_option("--module", options.parts.module, "module under test (.ko)");
  command.add_option("--amplifier", options.parts.amplifier,
                     "module that puts pauses into the module under test (.ko)");
  command.add_option("--image", options.parts.image, "root image of the guest (erofs)");
  command.add_option("--plugin", options.parts.plugin, "plugin of the recording server");
  command.add_option("--accel", options.accel, "auto, kvm or tcg")
      ->check(CLI::IsMember({"auto", "kvm", "tcg"}));
  command.add_option("--vcpus", options.vcpus, "virtual CPUs instead of the scenario's")
      ->check(CLI::Range(1, 64));
  command.add_option("--memory", options.memory_mib, "MiB of memory instead of the scenario's")
      ->check(CLI::Range(64, 1 << 20));
  command.add_option("--grow", options.grow_sectors, "sectors added to every data disk")
      ->check(CLI::Range(0, 1 << 24));
  command.add_option("--scenarios", options.scenarios, "folder of the scenarios");
  command.add_option("--out", options.out, "folder for runs");
}

void add_run(CLI::App& command, CommonOptions& options) {
  command.add_option("scenario", options.names, "files, names or @tags")->required();
  // CLI11 takes -1 and what does not fit for the largest number there is.
  command.add_option("--seed", options.seed, "seed; default: from the clock")
      ->check([](const std::string& text) {
        return snapbed::scenario::parse_number(text)
                   ? std::string()
                   : "the seed " + text + " is not usable; expected a number 0.." +
                         std::to_string(~std::uint64_t{0});
      });
  command.add_option("--cycles", options.cycles, "cycles instead of the scenario's")
      ->check(CLI::Range(1, 100000));
  command.add_option(
      "--connect", options.connect,
      "a libvirt URI instead of the embedded driver; \"qemu:\" for QEMU without libvirt");
  command.add_flag("--dump", options.dump,
                   "after a finding, write the guest's memory to memory.elf");
  command.add_option("--times", options.times, "run each scenario so often, with one seed")
      ->check(CLI::Range(1, 10000));
  command.add_flag("--keep", options.keep, "keep the disk images that the run was given");
  add_parts(command, options);
}

void add_stress(CLI::App& command, CommonOptions& options) {
  command.add_option("scenario", options.names, "files, names or @tags; default: all but @meta");
  command.add_option("--hours", options.hours, "how long; fractions are right")
      ->check(CLI::Range(0.0, 10000.0));
  command.add_option("--machines", options.machines, "at most so many side by side")
      ->check(CLI::Range(1, 256));
  command.add_option("--budget", options.budget, "disk space for the records of failures");
  command.add_option("--seed", options.seed, "seed of the night; default: from the clock");
  command.add_option("--variant", options.variants, "NAME=KERNEL:MODULE, as often as there are");
  command.add_option("--canary", options.canary, "the patch of a mutant that must be caught")
      ->required();
  command.add_option("--canary-module", options.canary_module, "the module with it built in")
      ->required();
  command.add_option("--canary-kernel", options.canary_kernel, "the kernel it was built for");
  command.add_option("--image", options.parts.image, "root image of the guest (erofs)");
  command.add_option("--plugin", options.parts.plugin, "plugin of the recording server");
  command.add_option("--module", options.parts.module, "module under test, without --variant");
  command.add_option("--kernel", options.parts.kernel, "kernel image, without --variant");
  command.add_option("--accel", options.accel, "auto, kvm or tcg")
      ->check(CLI::IsMember({"auto", "kvm", "tcg"}));
  command.add_option("--connect", options.connect, "as for run");
  command.add_option("--scenarios", options.scenarios, "folder of the scenarios");
  command.add_option("--out", options.out, "folder for nights; default out/stress");
}

void add_bench(CLI::App& command, CommonOptions& options, snapbed::cli::BenchOptions& bench) {
  command.add_option("--kernel", options.parts.kernel, "kernel image (bzImage)");
  command.add_option("--module", options.parts.module, "module under test (.ko)");
  command.add_option("--image", options.parts.image, "root image of the guest (erofs)");
  command.add_option("--out", options.out, "folder for results");
  command.add_option("--rounds", bench.rounds, "rounds, paired and interleaved; default: 5")
      ->check(CLI::Range(1, 100));
  command.add_option("--divide", bench.divide, "make every load so many times shorter")
      ->check(CLI::Range(1, 100));
  command.add_option("--only", bench.only, "experiments, between commas (docs/benchmarks.md)")
      ->check([](const std::string& text) { return snapbed::bench::wrong_names(text); });
  command.add_option("--disks", bench.disks, "folder in memory for the disks; default: /dev/shm")
      ->check(CLI::ExistingDirectory);
  CLI::Option* no_clock = command.add_flag("!--no-clock", bench.clock, "measure no time");
  command.add_flag("!--no-count", bench.count, "count no instructions")->excludes(no_clock);
}

// A descriptor that we were started without would be given to the next socket or journal, and what
// we print would go there.
void open_standard_descriptors() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  CLI::App app{"snapbed: a testbed for block-level snapshots"};
  app.require_subcommand(1);
  CommonOptions options;
  options.program = std::filesystem::canonical("/proc/self/exe");
  CLI::App* run = app.add_subcommand("run", "boot, storm, judge");
  add_run(*run, options);
  CLI::App* scripts =
      app.add_subcommand("scripts", "short scripts, exhaustively; goes on where it stopped");
  scripts->add_option("--geometry", options.geometry, "small or least: units of map and chunk");
  scripts->add_option("--part", options.part, "at most so many of those that are left");
  scripts->add_option("--minutes", options.minutes, "begin no batch after so many minutes");
  scripts->add_option("--only", options.only, "the one script of this number, done or not");
  scripts->add_option("--seed", options.seed, "their order and what is written; default 1");
  add_parts(*scripts, options);
  CLI::App* stress = app.add_subcommand("stress", "random runs side by side, until the time is up");
  add_stress(*stress, options);
  CLI::App* classes =
      app.add_subcommand("classes", "classes of bugs, and the scenarios and mutants of each");
  classes->add_flag("--check", options.check,
                    "fail when docs/testing.md or the open list is stale");
  classes->add_flag("--write", options.write, "write the tables into docs/testing.md");
  classes->add_option("--scenarios", options.scenarios, "folder of the scenarios");
  CLI::App* list = app.add_subcommand("list", "the scenarios: name, tags, promise");
  list->add_option("--scenarios", options.scenarios, "folder of the scenarios");
  CLI::App* verify = app.add_subcommand("verify", "judge an archived run again");
  verify->add_option("dir", options.folder, "folder of the run")->required();
  CLI::App* explain = app.add_subcommand(
      "explain", "every finding of an archived run at length: timeline, neighbours, where to look");
  explain->add_option("dir", options.folder, "folder of the run")->required();
  CLI::App* journal = app.add_subcommand("journal", "print the journal of a run");
  journal->add_option("dir", options.folder, "folder of the run")->required();
  CLI::App* shell = app.add_subcommand("shell", "a shell in the guest, with the scenario's disks");
  shell->add_option("scenario", options.names, "file or name; default: storm")->expected(0, 1);
  add_parts(*shell, options);
  snapbed::cli::BenchOptions bench_options;
  CLI::App* bench = app.add_subcommand("bench", "how fast the module is");
  add_bench(*bench, options, bench_options);
  CLI::App* doctor = app.add_subcommand("doctor", "what this host can do, and why");
  doctor->add_option("--plugin", options.parts.plugin, "plugin of the recording server");
  doctor->add_option("--out", options.out, "folder for runs");
  doctor->add_flag("--force", options.force, "probe KVM again");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : snapbed::cli::kBadInput;
  }
  try {
    if (run->parsed()) return snapbed::cli::run(options);
    if (scripts->parsed()) return snapbed::cli::scripts(options);
    if (stress->parsed()) return snapbed::cli::stress(options);
    if (classes->parsed()) return snapbed::cli::classes(options);
    if (list->parsed()) return snapbed::cli::list(options);
    if (verify->parsed()) return snapbed::cli::verify(options);
    if (explain->parsed()) return snapbed::cli::explain(options);
    if (journal->parsed()) return snapbed::cli::print_journal(options);
    if (shell->parsed()) return snapbed::cli::shell(options);
    if (bench->parsed()) return snapbed::cli::bench(options, bench_options);
    return snapbed::cli::doctor(options);
  } catch (const snapbed::scenario::BadScenario& error) {
    std::cerr << error.what() << "\n";
    return snapbed::cli::kBadInput;
  } catch (const snapbed::runner::PartRefused& error) {
    std::cerr << error.what() << "\n";
    return snapbed::cli::kBadInput;
  } catch (const snapbed::runner::OutRefused& error) {
    std::cerr << error.what() << "\n";
    return snapbed::cli::kBadInput;
  } catch (const std::exception& error) {
    std::cerr << "snapbed: " << error.what() << "\n";
    return snapbed::cli::kBroken;
  }
}
