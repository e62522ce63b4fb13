// SPDX-License-Identifier: GPL-2.0-or-later
// The plan: what the host tells the guest to do, as one JSON document on the plan disk.
// The runner writes it, the agent obeys it, the model reads it back from the journal to
// know what each step was. Nothing here knows how a step is carried out.
//
// Plan disk layout: sector 0 is a header {char magic[8]="SNAPPLAN", u32 version=1, u32 reserved,
// u64 length, u64 xxh3 of the text}, little endian; the JSON text follows from sector 1.
//
// A device name in a step is a key of `devices`. Every disk of the VM is a device of its own name
// at /dev/snapbed/<export> (the agent makes these links from the virtio serials); other names
// (dm-linear, partitions) are declared with the linear map the judge needs.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace snapbed::plan {

inline constexpr std::uint32_t kPlanVersion = 1;

// One of the disks over which a device's stripes go round.
struct Stripe {
  std::string disk;
  std::uint64_t first = 0;  // sector of the disk at which its stripes begin
};

struct Device {
  std::string path;         // in the guest, e.g. /dev/snapbed/data0 or /dev/mapper/linear0
  std::string disk;         // export that holds its sectors; "": none does sector by sector (crypt,
                            // thin, parity, memory), or several do (`stripes`)
  std::uint64_t first = 0;  // device sector s is sector first + s of the disk
  std::uint64_t sectors = 0;
  std::uint64_t stripe_sectors = 0;     // length of a stripe; 0 without stripes
  std::vector<Stripe> stripes = {};     // stripe n lies on stripes[n % size]; empty, or at least 2
  std::vector<std::string> below = {};  // disks that a write to it may change; `disk` among them
};

// One step. `op` and the arguments in `args` are listed below; `expect` holds the errno values
// (0 = success, positive) or exit codes that are right; the check `errno` judges the result.
struct Step {
  std::uint32_t id = 0;  // index in Plan::steps
  std::uint32_t cycle =
      0;  // 0 is set-up, 1.. are cycles, the tear-down has the last cycle's number
  std::string op;
  nlohmann::json args = nlohmann::json::object();
  std::vector<std::int32_t> expect = {0};
};

struct Plan {
  std::uint32_t version = kPlanVersion;
  std::uint64_t seed = 0;
  std::string scenario;
  std::map<std::string, Device> devices;
  std::map<std::string, std::string> module_parameters;  // as given to insmod
  std::vector<Step> steps;
};

// Both directions; from_text throws std::runtime_error naming what is wrong and where.
std::string to_text(const Plan& plan);
Plan from_text(const std::string& text);
// Whether a step of this name is listed below; from_text refuses any other.
bool is_op(std::string_view op);
// The plan disk's bytes, a multiple of 512.
std::vector<std::uint8_t> to_disk(const std::string& text);
// The way back, for the agent. Both throw std::runtime_error saying what is wrong. The first needs
// the header sector only and gives the text's length in bytes (at most kPlanTextLimit); the second
// needs the whole disk or at least the sectors of the text, and checks the checksum.
inline constexpr std::size_t kPlanSector = 512;
inline constexpr std::uint64_t kPlanTextLimit = 16u << 20;  // a plan is read into guest memory
std::uint64_t disk_text_length(std::span<const std::uint8_t> bytes);
std::string from_disk(std::span<const std::uint8_t> bytes);

// A range in sectors, [first, first + count).
struct Range {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
// Most bytes of one write of a step, alone and beside others in a lane, for which less memory is
// kept.
inline constexpr std::uint64_t kWriteBytes = 1u << 20;
inline constexpr std::uint64_t kLaneWriteBytes = 128u << 10;
// `writes` ranges of 1..max_units units inside [0, units), a function of the arguments; they may
// overlap. Throws std::runtime_error when nothing fits, or for more than kWritesLimit writes.
inline constexpr std::uint32_t kWritesLimit = 1u << 22;  // ranges are held in memory
std::vector<Range> scattered_ranges(std::uint64_t seed, std::uint32_t step, std::uint64_t units,
                                    std::uint32_t writes, std::uint64_t max_units);
// The ranges that a step `write` or `write_image` touches on a device of `sectors`: args.writes
// ranges of 1..args.max_sectors sectors inside [args.first, +args.count) (left out: the device),
// in multiples of args.unit (left out: 1). A later write of a sector within the step carries the
// same bytes (fill_sector(step_key(plan seed, step id), sector)), so their order does not matter.
// Throws std::runtime_error when nothing fits.
std::vector<Range> written_ranges(std::uint64_t seed, const Step& step, std::uint64_t sectors);

// clang-format off
// Steps (args -> what the step_end mark's JSON reports beside "result"). "result" is an errno (positive, 0 = success) for calls
// and an exit code for programs. "guest" holds the guest counter (ledger.h) before and after
// the step. Sizes in sectors of 512 bytes unless the name ends in _bytes or _ms.
//
//   selftest {device}                  prove that a write, a discard, a write-zeroes and a flush of the exact ranges arrive:
//                                      in this order on sectors [64,72) write, [128,192) discard, [256,320) write zeroes, then flush.
//   insmod {} / rmmod {}               the module under test. rmmod retries EBUSY/EAGAIN never; without live event threads it closes the control node first.
//                                      What is left of the module gives `leak` marks; -> {looked, left, kmemleak_scans, kmemleak_foreign}.
//   fio_start {name, job, iodepth..}   `job` is the fio file's text; --output-format=json; returns once fio runs.
//   fio_stop {name}                    SIGINT, wait (60 s of guest time), ship the JSON -> {base, bytes} on the files disk, {writes, bytes_written, errors}.
//   fio_wait {name}                    the same without the signal.
//   ledger_start {name, devices, writers, depth, max_sectors, first?, count?, overlap, discards, zeroes, flushes, durables, rate, operations}
//                                      writers of the agent that keep `depth` writes each in flight, of 1..max_sectors at random places of [first, +count)
//                                      of the devices; overlap, discards, zeroes, flushes, durables (writes with RWF_DSYNC) in percent; `rate` operations a second in all (0: no limit), at most
//                                      `operations`. Every sector is stamped and every operation kept in a ledger (ledger.h) on the files disk -> {base, blocks_limit},
//                                      once every writer has seen an operation end.
//   ledger_stop {name}                 ends the writers and ships the rest -> {blocks, issued, errors}
//   wait_writes {device, sectors}      until the device's completed write+discard sectors grew by `sectors` since the step began -> {sectors}
//   write {device, writes, max_sectors, first?, count?, unit?}      O_DIRECT, pattern as above.
//   discard {device, first, count} / zero {device, first, count}      BLKDISCARD / BLKZEROOUT (a WRITE_ZEROES request).
//   flush {device}
//   mkfs {device, type, options}       type ext4 or xfs. mount {device, type, at, options} / umount {at}
//   dm_create {name, table}            `table` with %name% for a device's path, e.g. "0 20480 linear %data0% 2048"
//   dm_reload {name, table, sectors}    load another table and resume: the device has `sectors` from then on. dm_suspend {name} / dm_resume {name}: what has not
//                                      reached the disk waits in between; file systems are not frozen.
//   dm_remove {name}
//   partition {device, parts:[{name, number, first, count}]}      an MBR of primary partitions, read by the kernel; /dev/snapbed/NAME for each.
//   md_create {name, number, level, chunk_sectors, devices:[name]} / md_stop (the same)      an array without superblocks at /dev/mdNUMBER,
//                                      clean as it is; of a mirror (level 1) only the first device is read.
//   run {command, writes?:"no"}        /bin/sh -c in the guest, output to the console -> exit code; "no": neither it nor what it leaves behind writes to a disk,
//                                      other than through an image: a promise that `origin`, `map` and `order` build on
//   kunit {suites:"name name .."}      inserts the module disk's module, which runs its KUnit suites, and removes it; result EPROTO unless each suite
//                                      named was run and none of its cases failed or was skipped -> {kunit_cases, failed:[suite or suite.case]}
//   create {snapshot, devices:[name], low?:{device, first, piece, pieces, limit}}
//                                      SNAPSHOT_CREATE -> {id:hex}. Starts an event thread for the snapshot: each event gives an `event` mark. With
//                                      `low`, each LOW event is answered by APPEND of `pieces` ranges of `piece` sectors, bump-allocated from `first` on, not past `limit`;
//                                      each such append gives marks append_begin {snapshot, device, ranges} and append_end {snapshot, result}.
//                                      With events:"no" nobody fetches events and no file of ours is open in between.
//   append {snapshot, device, ranges:[[first,count],...]}
//   take {snapshot, killed?:"yes"}     with `killed` a child calls it and gets SIGKILL once it sleeps in it: result EINTR, or the call's own when it was faster.
//   collect_images {snapshot}          -> {images:[{device, image:"blksnap-imageN"}]}; a wrong or missing pairing is result EPROTO
//   collect_trackers {shows?:[names]}  -> {trackers:[names seen], foreign: count of others, snapshots: count of them}
//   copy_image {snapshot, device, mode:"sequential"|"shuffled", threads, block_bytes, base, first?, count?, room?}
//                                      copy image sectors [first, +count) (left out: all, but no more than `room`), O_DIRECT both sides, to the evidence disk: sector s goes to evidence sector base + s - first, each exactly once.
//                                      shuffled: pieces of 512 bytes to block_bytes in an order and sizes from the plan's seed and step id, `threads` workers.
//                                      A piece that fails to read is read again sector by sector; each run of bad sectors gives a read_error mark, and so does a
//                                      piece of which all came at that second try, with "again":true. -> {sectors, bad, image_sectors: its size}
//   read_map {snapshot, device, window_bytes}   TRACKER_COLLECT + READ_CBT_MAP in windows -> {base, bytes, blk_size, blk_count, capacity, generation:hex, snap_number};
//                                      the map's bytes on the files disk at byte `base`.
//   mark_dirty {device, ranges}        write_image {snapshot, device, writes, max_sectors, first?, count?, unit?}   (O_DIRECT on the image; pattern as `write`) -> {sectors}
//   check_image {snapshot, device, type}   a writable overlay (dm-snapshot) over the image: mount, umount, fsck -> result 0 when all three are clean.
//   destroy {snapshot}    remove_tracker {device}
//   wait_event {snapshot, code:"low"|"corrupted", count, timeout_ms}  until the event thread has seen `count` of them in all -> {seen}
//   abi {devices:[name,name], storage, part}   calls of the interface, right and wrong ones; each case gives an `abi_case` mark -> {cases}. `part` is
//                                      one of those that harness/agent/abi.cc lists, or "all". Nothing of the module must be in use.
//   call_storm {devices:[name...], storage, threads, calls}   `calls` random calls by each of `threads` threads on shared ids, then all that
//                                      lives is destroyed -> {cases, storm_calls, storm_creates, storm_takes, storm_destroys}
//   fail_allocations {devices:[name], storage, call}   create, append, take, first write, image I/O and destroy with every allocation failing in turn, by fail-nth of
//                                      the caller and of the kernel's workers -> {cases, sites, worker_sites}. Needs a kernel with fault injection.
//   amplify_code {functions, count, pause_us, share}   pauses of up to pause_us at `count` instructions of the module drawn by the seed (of each function
//                                      named in functions "a,b+0x1f", or of all), in share of 1024 passages; the amplifier's module is inserted for it.
//   amplify_cpus {every_ms}            a CPU but the first goes or comes back. amplify_priority {every_ms}: random nice values over fio and kworkers, one thread at a time below all.
//   amplify_memory {leave}             memory taken until `leave` bytes are available, and given back in part. amplify_kill {device, writers, every_ms}: processes that
//                                      write to the device without end, each killed by SIGKILL. All go on in the background until
//   calm {}                            -> {what they did}; fatal (the testbed's) when one of them did nothing.
//   limit_group {device, rate, memory} programs started from now on share a control group: io.max wbps on the device, memory.max.
//   plug {device} / unplug {device}    the host plugs the disk in, or pulls it, when it sees the step begin; the guest waits until it is there, or gone.
//                                      A disk whose first such step is `plug` is not there at boot.
//   power_cut {device?, writes?}       the server cuts the power: at once, or when the writes-th write, discard or write-zeroes that comes to `device` (left out:
//                                      to any data disk) arrives. The step never ends; another machine boots with what its disks kept, and goes on behind it.
//   copy_origin {device, base}         the device itself to the evidence disk, as copy_image does -> {sectors, bad}
//   cycle_end {}                       the `cycle_end` mark; the server answers it when the cycle has been judged.
//
// Steps that follow each other and have a `lane` run side by side, those of one lane in their order. A `label` is told in the step_begin mark, for
// rules of the server. Lanes take the steps of one disk and its snapshots only (scenario/steps.cc has the list).
//
// Every step also takes timeout_ms (guest time that its own waits have, where the usual is not enough) and hang_ms (guest time
// after which a step that hangs in the kernel is given up: `fatal` mark with "late":true, then power off; 300 s more than
// timeout_ms if not given; cycle_end is never given up).
// clang-format on

}  // namespace snapbed::plan
