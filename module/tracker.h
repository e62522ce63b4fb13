/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A tracker: one block device whose writes we see.  Its change map, and while
 * a snapshot holds the device the area that keeps its old data.
 *
 * Trackers live on one list.  A snapshot claims the trackers of its devices;
 * claimed ones are neither removed nor given to another snapshot.
 */
#ifndef BLKSNAP_TRACKER_H
#define BLKSNAP_TRACKER_H

#include <linux/blkdev.h>
#include <linux/list.h>

#include "cbt_map.h"
#include "diff_area.h"
#include "include/uapi/linux/blksnap.h"

struct blkfilter;
struct seq_file;

/**
 * struct tracker - See above.
 * @node: in the list of trackers.
 * @dev: number of the device.
 * @disk: of the device; compared only, while @filter is not gone.
 * @start: first sector of the device on @disk.
 * @filter: NULL while it is being attached.
 * @map: what has changed.
 * @area: RCU; set while a taken snapshot holds the device.
 * @owner: the snapshot that has claimed the tracker, or NULL.
 * @whole: the device is a whole disk.
 * @refs: of the list and of calls that use the tracker.
 */
struct tracker {
	struct list_head node;
	dev_t dev;
	struct gendisk *disk;
	sector_t start;
	struct blkfilter *filter;
	struct cbt_map map;
	struct diff_area __rcu *area;
	const void *owner;
	bool whole;
	refcount_t refs;
};

/*
 * Claims the tracker of @bdev for @owner, made and attached if there is none.
 * The caller keeps @bdev open.  ERR_PTR(-EBUSY, -EFBIG, -ENOMEM, -ETIMEDOUT,
 * ...).  @made says whether tracker_unclaim() should remove it again on errors.
 */
struct tracker *tracker_claim(struct block_device *bdev, const void *owner,
			      bool *made);
void tracker_unclaim(struct tracker *tracker, bool remove);

/* By number; with a reference. ERR_PTR(-ENODEV) when it is not tracked. */
struct tracker *tracker_find(dev_t dev);
void tracker_put(struct tracker *tracker);

/* 0, -ENODATA, -EBUSY. */
int tracker_remove(dev_t dev);
/* Fills up to @count infos. Return: how many trackers there are. */
u32 tracker_collect(struct blk_snap_cbt_info *infos, u32 count);
/* Detaches and frees all, at unload. */
void tracker_remove_all(void);
/* For people: every tracker and its map. */
void tracker_show_all(struct seq_file *to);

/*
 * With the gate closed and drained; NULL at any time: after a grace period of
 * RCU nobody in the hook uses the old area any more.
 */
void tracker_set_area(struct tracker *tracker, struct diff_area *area);
static inline bool tracker_is_held(const struct tracker *tracker)
{
	return rcu_access_pointer(tracker->area);
}

#endif /* BLKSNAP_TRACKER_H */
