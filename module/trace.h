/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: one for every change of state, under /sys/kernel/tracing/events/
 * blksnap.  Sectors are of the device named; docs/debugging.md says how to read
 * them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM blksnap

#if !defined(BLKSNAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BLKSNAP_TRACE_H

#include <linux/blk_types.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

#ifndef BLKSNAP_TRACE_NAMES
#define BLKSNAP_TRACE_NAMES

/* Where a bio waits. */
enum snap_trace_wait {
	SNAP_WAIT_COPY,
	SNAP_WAIT_WORKER,
	SNAP_WAIT_BUDGET,
	SNAP_WAIT_MEMORY,
};

/* What happens to a snapshot. */
enum snap_trace_step {
	SNAP_STEP_CREATED,
	SNAP_STEP_FROZEN,
	SNAP_STEP_CLOSED,
	SNAP_STEP_TAKEN,
	SNAP_STEP_OPENED,
	SNAP_STEP_FAILED,
	SNAP_STEP_DESTROYING,
	SNAP_STEP_DESTROYED,
};

#endif /* BLKSNAP_TRACE_NAMES */

#define snap_wait_names                                                        \
	{ SNAP_WAIT_COPY, "copy" }, { SNAP_WAIT_WORKER, "worker" },            \
	{ SNAP_WAIT_BUDGET, "budget" }, { SNAP_WAIT_MEMORY, "memory" }

#define snap_step_names                                                        \
	{ SNAP_STEP_CREATED, "created" }, { SNAP_STEP_FROZEN, "frozen" },      \
	{ SNAP_STEP_CLOSED, "closed" }, { SNAP_STEP_TAKEN, "taken" },          \
	{ SNAP_STEP_OPENED, "opened" }, { SNAP_STEP_FAILED, "failed" },        \
	{ SNAP_STEP_DESTROYING, "destroying" },                                \
	{ SNAP_STEP_DESTROYED, "destroyed" }

/* @id: the first bytes of its uuid; @detail: level, errno or 0. */
TRACE_EVENT(blksnap_snapshot,
	TP_PROTO(const u8 *id, enum snap_trace_step step, int detail),
	TP_ARGS(id, step, detail),
	TP_STRUCT__entry(
		__array(u8, id, 16)
		__field(int, step)
		__field(int, detail)
	),
	TP_fast_assign(
		memcpy(__entry->id, id, 16);
		__entry->step = step;
		__entry->detail = detail;
	),
	TP_printk("%pUb %s %d", __entry->id,
		  __print_symbolic(__entry->step, snap_step_names),
		  __entry->detail)
);

DECLARE_EVENT_CLASS(blksnap_range,
	TP_PROTO(dev_t dev, sector_t first, sector_t count),
	TP_ARGS(dev, first, count),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, first)
		__field(u64, count)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->first = first;
		__entry->count = count;
	),
	TP_printk("%d,%d %llu + %llu", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->first, __entry->count)
);

#define DEFINE_RANGE_EVENT(name)                                               \
	DEFINE_EVENT(blksnap_range, name,                                      \
		TP_PROTO(dev_t dev, sector_t first, sector_t count),           \
		TP_ARGS(dev, first, count))

/* Old data is claimed and will be read. */
DEFINE_RANGE_EVENT(blksnap_claim);
/* A bio goes on to the origin after it had been parked. */
DEFINE_RANGE_EVENT(blksnap_resume);
/* A write is refused with EAGAIN. */
DEFINE_RANGE_EVENT(blksnap_refuse);
/* State of a chunk could not be kept. */
DEFINE_RANGE_EVENT(blksnap_lose);
/* Storage lies on a captured device: the image does not show it. */
DEFINE_RANGE_EVENT(blksnap_hide);
/* A range of storage is appended. */
DEFINE_RANGE_EVENT(blksnap_append);
/* A store begins. */
DEFINE_RANGE_EVENT(blksnap_store);
/* An image read of the origin was overtaken and is repeated. */
DEFINE_RANGE_EVENT(blksnap_image_retry);
/* A write to an image waits for data from the storage. */
DEFINE_RANGE_EVENT(blksnap_image_fetch);

DECLARE_EVENT_CLASS(blksnap_end,
	TP_PROTO(dev_t dev, sector_t first, sector_t count, int result),
	TP_ARGS(dev, first, count, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, first)
		__field(u64, count)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->first = first;
		__entry->count = count;
		__entry->result = result;
	),
	TP_printk("%d,%d %llu + %llu: %d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->first, __entry->count,
		  __entry->result)
);

/* A read of old data has ended: 1 saved, 0 lost. */
DEFINE_EVENT(blksnap_end, blksnap_copied,
	TP_PROTO(dev_t dev, sector_t first, sector_t count, int result),
	TP_ARGS(dev, first, count, result));
/* A store has ended, with a negative errno or 0. */
DEFINE_EVENT(blksnap_end, blksnap_stored,
	TP_PROTO(dev_t dev, sector_t first, sector_t count, int result),
	TP_ARGS(dev, first, count, result));

TRACE_EVENT(blksnap_park,
	TP_PROTO(dev_t dev, sector_t first, sector_t count, bool image,
		 enum snap_trace_wait wait),
	TP_ARGS(dev, first, count, image, wait),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, first)
		__field(u64, count)
		__field(bool, image)
		__field(int, wait)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->first = first;
		__entry->count = count;
		__entry->image = image;
		__entry->wait = wait;
	),
	TP_printk("%d,%d %llu + %llu%s for %s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->first, __entry->count,
		  __entry->image ? " (image)" : "",
		  __print_symbolic(__entry->wait, snap_wait_names))
);

DECLARE_EVENT_CLASS(blksnap_value,
	TP_PROTO(dev_t dev, long value),
	TP_ARGS(dev, value),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(long, value)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->value = value;
	),
	TP_printk("%d,%d %ld", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->value)
);

#define DEFINE_VALUE_EVENT(name)                                               \
	DEFINE_EVENT(blksnap_value, name,                                      \
		TP_PROTO(dev_t dev, long value), TP_ARGS(dev, value))

/* Tracking begins (1) or ends (0). */
DEFINE_VALUE_EVENT(blksnap_track);
/* The map was switched: number of the take. */
DEFINE_VALUE_EVENT(blksnap_map_switch);
/* An image is waiting (0), live (1), ended (2). */
DEFINE_VALUE_EVENT(blksnap_image);

/* Of one snapshot's storage; it has no device number. */
DECLARE_EVENT_CLASS(blksnap_storage,
	TP_PROTO(const void *storage, long value),
	TP_ARGS(storage, value),
	TP_STRUCT__entry(
		__field(const void *, storage)
		__field(long, value)
	),
	TP_fast_assign(
		__entry->storage = storage;
		__entry->value = value;
	),
	TP_printk("%p %ld", __entry->storage, __entry->value)
);

#define DEFINE_STORAGE_EVENT(name)                                             \
	DEFINE_EVENT(blksnap_storage, name,                                    \
		TP_PROTO(const void *storage, long value),                     \
		TP_ARGS(storage, value))

/* Somebody waits for the budget or for memory: sub-blocks unsaved. */
DEFINE_STORAGE_EVENT(blksnap_wait);
/* Who waits looks again: sub-blocks unsaved. */
DEFINE_STORAGE_EVENT(blksnap_kick);
/* The snapshot is corrupted: negative errno. */
DEFINE_STORAGE_EVENT(blksnap_corrupt);
/* An event is posted: its code. */
DEFINE_STORAGE_EVENT(blksnap_event);

#endif /* BLKSNAP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
