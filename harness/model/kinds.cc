// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/kinds.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>

namespace snapbed::model {

namespace {

struct Row {
  Kind kind;
  const char* check;
  const char* name;
  const char* advice;
};

constexpr Row kRows[] = {
    {Kind::cut_no_drain, "cut", "no-drain",
     "TAKE has to stop new writes at the door and wait until those inside have ended; here some "
     "write was on its way to the disk at every moment of the call. Look at what TAKE waits for: a "
     "count that a write enters before it is asked about and leaves when it has ended (not when "
     "it was submitted), on every device of the set, and one door that stays closed on all of "
     "them until the last is empty."},
    {Kind::cut_younger, "cut", "younger",
     "New data stand where the old ones belong. Either the old data were not copied before they "
     "were overwritten (the write was let go too early, bypassed the hook, was not counted as a "
     "change, or two copies were made and the second one won), or the image read the origin while "
     "a write overtook it and did not look again afterwards. The rows above tell which: is there "
     "a read of the sector that ended before the younger write began?"},
    {Kind::cut_older, "cut", "older",
     "The image shows data that had been replaced before TAKE was called. The copy is older than "
     "the snapshot: state of an earlier snapshot survived its DESTROY, the sector was looked up in "
     "a place that belongs to another one, or storage was read that nothing had been written to "
     "yet."},
    {Kind::cut_unknown, "cut", "unknown-content",
     "The sector never held these bytes. If the text says whose they are, follow that: a wrong "
     "offset (partition, chunk, 32-bit arithmetic) shows a neighbour's data, storage handed out "
     "twice shows another copy's. Bytes that nobody wrote are memory that was never filled: a "
     "last chunk that is not whole, an error that was dropped, a page read before its I/O ended."},
    {Kind::cut_no_common_instant, "cut", "no-common-instant",
     "Each sector alone could be right, but not both at one moment: the snapshot is torn. Two "
     "devices: they were captured one after the other while writes went on. One device: the state "
     "\"held\" became visible to some writers before others, or a write that had passed the hook "
     "before TAKE landed after it."},
    {Kind::cut_ledger_bound, "cut", "ledger-bound",
     "The image shows a write that was submitted after another one had reached the disk, and does "
     "not show that other one: no moment of capture explains both. TAKE captured one device, or "
     "one CPU's writers, later than another."},
    {Kind::cut_read_error, "cut", "read-error",
     "The image refuses data although nothing was reported lost and no request below failed. Look "
     "for states that are treated as lost by mistake: an allocation failure, a copy that is still "
     "running, a read that a write has overtaken and that has to be served again, an end of the "
     "device that is not a whole chunk."},
    {Kind::cut_image_write, "cut", "image-write",
     "A write through the image was answered with success and is not what the image shows. It lost "
     "against the late store of the old data, or the read came from the older copy in memory."},
    {Kind::cut_image_size, "cut", "image-size",
     "An image is as large as its device was when TAKE captured it, and stays so. Look at where "
     "its capacity comes from: the device as it is now, the one of a CREATE before it changed its "
     "size, or a number that lost its upper half."},
    {Kind::twice_moved, "twice", "moved",
     "A frozen image changed between two reads. The version shown first was right for a while: the "
     "sector was not copied when it was overwritten in between (look for the read of it among the "
     "rows), or the copy was, but the image went on reading the origin, or it came back from "
     "storage at the wrong place."},
    {Kind::map_numbers, "map", "numbers",
     "Block size and count follow from the capacity and the parameters by formula, the snapshot "
     "number counts the takes of one generation. Look for a shift that is applied twice, limits "
     "that are ignored, a number that goes up on a take that failed."},
    {Kind::map_lost_change, "map", "lost-change",
     "A backup made from this map would miss a change, the worst a change tracker can do. The "
     "write named was marked too late (after the flip, or outside the gate), not at all (another "
     "operation, a path past the hook, a wrong range), or a neighbour's mark overwrote its byte."},
    {Kind::map_too_much, "map", "too-much",
     "The map calls blocks changed that nobody wrote. Harmless for the data but it makes backups "
     "larger and hides real marks: look at rounding at both ends of a range, at marks of the "
     "module's own writes to storage, and at numbers above the current one."},
    {Kind::map_unstable, "map", "unstable",
     "The readable map belongs to the take and must not move until the next one; writes of the "
     "hold are marked in the other map. Look at which of the two a write marks, and when they "
     "are exchanged."},
    {Kind::map_generation, "map", "generation",
     "The name of a generation tells a backup program whether its chain still holds. It must be "
     "new exactly when tracking started afresh: after creation, after the wrap, after a change of "
     "size or contents."},
    {Kind::chain_lost_change, "chain", "lost-change",
     "Restoring the older image plus the increment gives wrong data. The change map or the image "
     "is wrong: if `cut` passes, it is the map, and the write between the two takes is among the "
     "rows above. Look at when it was marked."},
    {Kind::order_overtaken, "order", "overtaken",
     "The write reached the disk before its old data were read. It must wait until every part of "
     "it that is not yet safe has been read: not until the read is submitted, not until the first "
     "of several chunks is there, and also when somebody else is already copying the same part."},
    {Kind::order_flush, "order", "flush",
     "Nothing in the plan flushes, so the flush came from the module: a flag that was copied from "
     "a "
     "write to its reads or stores. It costs the client a flush of the whole disk cache each "
     "time."},
    {Kind::order_hold_missed, "order", "hold-missed",
     "Requests that have nothing to do with the held one should have come meanwhile, and none "
     "came: "
     "somebody waits for the held request who must not. Look at locks and single work queues that "
     "readers, writers or devices share."},
    {Kind::store_in_flight_together, "store", "in-flight-together",
     "Two writes to one sector of the storage race, and the disk may keep either. A second store "
     "of "
     "a sub-block has to wait for the first, or two sub-blocks were given one place."},
    {Kind::store_outside, "store", "outside",
     "The module wrote to sectors that nobody gave to it: somebody else's data are gone. Look at "
     "the arithmetic from range to sector, at ranges that another snapshot appended, and at what "
     "happens when a range is used up."},
    {Kind::store_after_destroy, "store", "after-destroy",
     "After DESTROY returned the storage belongs to its owner again, who may delete the file. The "
     "call has to wait for every store that is queued or running, also on the error paths."},
    {Kind::store_after_corrupted, "store", "after-corrupted",
     "Who is told CORRUPTED may delete the storage at once. The event may be handed out only when "
     "every store of the snapshot has ended and no other can start."},
    {Kind::store_foreign_content, "store", "foreign-content",
     "What was stored is not the old data of any sector: a copy was made after the overwrite (then "
     "the bytes are a younger version), memory was stored before it was read, or a page was used "
     "again too early."},
    {Kind::store_budget, "store", "budget",
     "Old data pile up in memory while the storage is slower than the writers. Writers have to "
     "wait once the budget is used up, also the second half of a large write."},
    {Kind::second_image, "second", "image",
     "QEMU kept the same moment by means of its own and has other data. The journal agrees with "
     "QEMU, so the image is wrong; what `cut` and `twice` say of the same sectors tells how."},
    {Kind::second_map, "second", "map",
     "QEMU counted the writes to the disk by itself, below the guest, and the change map differs. "
     "A block that QEMU calls changed and the map does not is a lost change; the other way round "
     "something was marked that nobody wrote."},
    {Kind::origin_outside_disk, "origin", "outside-disk",
     "A request beyond the end of its disk: an offset was added twice, or a last chunk was not "
     "cut to the device."},
    {Kind::origin_plan_disk, "origin", "plan-disk",
     "Somebody wrote to a disk that is read only by agreement. Only a stray sector number or "
     "device in the module can do that."},
    {Kind::origin_unlicensed, "origin", "unlicensed",
     "No step of the plan was writing to this disk, so the write came from the module: an image "
     "write that reached the origin, a store on the wrong device, or a bio submitted twice and "
     "late."},
    {Kind::origin_never_arrived, "origin", "never-arrived",
     "The guest was told that its data are written, and they are not on the disk. A bio was ended "
     "without being submitted (NOWAIT, an error path, a release that lost one), or another bio's "
     "pages went down in its place."},
    {Kind::origin_told_more, "origin", "told-more",
     "fio got success for more bytes than reached the disks: some writes were completed without "
     "having been submitted. NOWAIT paths and error paths that end a parked bio are the usual "
     "suspects."},
    {Kind::origin_told_early, "origin", "told-early",
     "The writer heard of success before the disk had its data. A bio was ended by whoever parked "
     "it, or an end was counted twice: of the parts of a split bio the last one has to end it."},
    {Kind::origin_invented_error, "origin", "invented-error",
     "The writer was told of an error that no request below had. An error of the copying (reading "
     "old data, storing them, memory) must corrupt the snapshot, never fail the origin's write."},
    {Kind::origin_stray, "origin", "stray",
     "A write of the guest came to a sector or disk that it was not for, or came a second time. "
     "Look at bios that are sent on twice, at an offset of a partition that is added twice, and at "
     "a bio that is used again after it was ended."},
    {Kind::origin_foreign_content, "origin", "foreign-content",
     "Bytes that no writer of the plan has written reached a data disk. Old data or an image "
     "write went to the origin instead of the storage, or pages were changed under a write."},
    {Kind::power_lost_promise, "power", "lost-promise",
     "The guest was told that a flush is done, and then the power was cut: what had been written "
     "before "
     "the flush must be there. The disk was never asked to flush, or too early: a flush that was "
     "ended "
     "by whoever parked it, a flag that was dropped when a bio was split or sent on, or a flush "
     "that "
     "overtook the write that it stands behind."},
    {Kind::power_foreign, "power", "foreign",
     "After the cut a sector holds what nobody ever wrote there. The disk keeps or loses whole "
     "sectors "
     "of its own, so the bytes came from elsewhere: another sector's data, or old data of a "
     "snapshot "
     "that were put back."},
    {Kind::power_read_error, "power", "read-error",
     "The device itself cannot be read after the cut, although no request below failed. A snapshot "
     "that is gone may fail its image, never the origin."},
    {Kind::power_stale, "power", "stale",
     "Nothing that the module knew outlives a cut of the power: what was written after the last "
     "state "
     "that it could have saved is not in any map. A tracker, a generation or a snapshot of before "
     "that "
     "is still usable makes the next backup miss changes."},
    {Kind::events_low_missing, "events", "low-missing",
     "A new snapshot has no storage, so the first LOW event is due right after CREATE. Look at who "
     "queues it and whether a waiter that comes later still gets it."},
    {Kind::events_low_size, "events", "low-size",
     "LOW asks for diff_storage_minimum sectors, no more and no less."},
    {Kind::events_low_count, "events", "low-count",
     "Between two appends LOW may come only once; it is armed again by the append. Two CPUs that "
     "both see the last space go, or an append that arms it twice."},
    {Kind::events_low_early, "events", "low-early",
     "LOW came while more was free than half of what the last append left. What is given out and "
     "what is free are counted apart somewhere; look at the unit, and at what an append adds."},
    {Kind::events_overflow_unannounced, "events", "overflow-unannounced",
     "The storage ran out and the client had not been told that it would. LOW has to be queued "
     "when the threshold is crossed, also when one allocation jumps over it, before the one that "
     "fails."},
    {Kind::events_corrupted_device, "events", "corrupted-device",
     "CORRUPTED carries the device number of a member of its snapshot. Look at which device is "
     "named on the error path: the storage, or a partition's disk?"},
    {Kind::events_corrupted_errno, "events", "corrupted-errno",
     "CORRUPTED carries a positive errno: a sign was lost or turned twice, or the error was "
     "overwritten by a later success."},
    {Kind::events_corrupted_twice, "events", "corrupted-twice",
     "A device is corrupted once. The first error has to win with one atomic step; every later "
     "one is only counted."},
    {Kind::events_corrupted_unexpected, "events", "corrupted-unexpected",
     "The snapshot gave up although no request had failed and the plan did not mean to use up the "
     "storage. An allocation failure, an append that came in time but was not seen, or an error "
     "that belongs to somebody else."},
    {Kind::events_corrupted_missing, "events", "corrupted-missing",
     "Old data could not be stored and nobody was told: a backup made from this image would be "
     "taken for a good one. Look at who reads the status of a store that has ended, and at which "
     "devices of the snapshot the event is queued for."},
    {Kind::errno_result, "errno", "result",
     "A call or a program gave a result that the plan does not allow. docs/interface.md tells the "
     "errors of every ioctl; the kernel's last words before the step ended are in console.log."},
    {Kind::abi_case, "abi", "case",
     "One call of the interface with one kind of arguments gave a result that docs/interface.md "
     "does "
     "not allow. The text names both; the case is made in harness/agent/ and can be run alone."},
    {Kind::leak_left, "leak", "left",
     "The module is gone and something of it is still there: a reference that nobody gave back, or "
     "a "
     "removal that was not waited for."},
    {Kind::log_kernel, "log", "kernel-message",
     "The kernel complained. The first report counts, later ones are often its echo. Decode the "
     "addresses with scripts/faddr2line of the kernel's source against blksnap.ko or vmlinux."},
    {Kind::watchdog_stuck, "watchdog", "stuck",
     "Nothing moved any more, and the recording server owed nobody an answer: the guest waits for "
     "itself. A bio that was parked and never let go, a wait without a wake-up, or a lock. The "
     "requests without an end, if any are listed, are held by a rule; everything else waits in "
     "the guest. `snapbed run ... --keep` and a debug kernel (VARIANT=debug) tell more."},
};

const Row& row_of(Kind kind) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const Row& row) { return row.kind == kind; });
  if (found == std::end(kRows))
    throw std::logic_error("a kind of finding without a row in kinds.cc");
  return *found;
}

constexpr auto kAll = [] {
  std::array<Kind, std::size(kRows)> kinds{};
  for (std::size_t i = 0; i < kinds.size(); ++i) kinds[i] = kRows[i].kind;
  return kinds;
}();
static_assert(kAll.size() == static_cast<std::size_t>(Kind::watchdog_stuck) + 1,
              "every kind has a row");

}  // namespace

std::span<const Kind> all_kinds() {
  return kAll;
}

const char* check_of(Kind kind) {
  return row_of(kind).check;
}

const char* name_of(Kind kind) {
  return row_of(kind).name;
}

const char* advice_of(Kind kind) {
  return row_of(kind).advice;
}

}  // namespace snapbed::model
