/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Snapshots: a set of devices, their storage, and the instant at which they are
 * captured together.
 *
 *	created -> taken -> destroyed
 *	        -> destroyed
 */
#ifndef BLKSNAP_SNAPSHOT_H
#define BLKSNAP_SNAPSHOT_H

#include <linux/kdev_t.h>
#include <linux/types.h>

#include "event_queue.h"
#include "include/uapi/linux/blksnap.h"

struct seq_file;

int snapshot_init(void);
void snapshot_exit(void);

/*
 * The calls as interface.md has them; return 0 or a negative errno.  CREATE
 * hands the id to @deliver; when that fails nothing is left behind.
 */
int snapshot_create(const struct blk_snap_dev *devices, u32 count,
		    int (*deliver)(const struct blk_snap_uuid *id,
				   void __user *to),
		    void __user *to);
int snapshot_destroy(const struct blk_snap_uuid *id);
int snapshot_append(const struct blk_snap_uuid *id, struct blk_snap_dev device,
		    const struct blk_snap_block_range *ranges, u32 count);
int snapshot_take(const struct blk_snap_uuid *id);

/* Fills up to @count entries.  Return: how many there are, or -ESRCH. */
int snapshot_collect(struct blk_snap_uuid *ids, u32 count);
int snapshot_collect_images(const struct blk_snap_uuid *id,
			    struct blk_snap_image_info *infos, u32 count);

/*
 * Waits for an event and hands it to @deliver; when that fails the event stays
 * the oldest.  Return: 0, -ESRCH, -ENOENT, -EINTR, or what @deliver returned.
 */
int snapshot_wait_event(const struct blk_snap_uuid *id, u32 timeout_ms,
			int (*deliver)(const struct snap_event *event,
				       void __user *to),
			void __user *to);

/* The device of a client's number; false when there can be none. */
static inline bool kernel_dev(struct blk_snap_dev number, dev_t *dev)
{
	if (number.mj >= 1U << (32 - MINORBITS) || number.mn > MINORMASK)
		return false;
	*dev = MKDEV(number.mj, number.mn);
	return true;
}

/* The origin's number for the number of an image; any other as it is. */
dev_t snapshot_origin_of(dev_t dev);

/* For people: every snapshot, its storage, budget, devices and areas. */
void snapshot_show_all(struct seq_file *to);

#endif /* BLKSNAP_SNAPSHOT_H */
