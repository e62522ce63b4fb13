// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-filter.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "params.h"
#include "trace.h"
#include "tracker.h"

static DEFINE_MUTEX(trackers_lock);
static LIST_HEAD(trackers);

/*
 * The whole policy of a write, inside the gate.
 *
 * Mark first: whatever becomes of the write, the map never says less than the
 * disk.  Then, while a snapshot holds the device, no sector is overwritten
 * before its old data is safe; until then the area has the bio.  A write that
 * must not wait is refused before it has left a mark or a claim, but the mere
 * copy of old data is no reason to refuse it.
 */
static enum blkfilter_verdict tracker_submit_bio(void *private,
						 struct bio *bio,
						 struct bio_list *own)
{
	struct tracker *tracker = private;
	struct diff_area *area = rcu_dereference(tracker->area);
	sector_t first = max(bio->bi_iter.bi_sector, tracker->start);
	sector_t end = bio_end_sector(bio);
	sector_t count;

	if (area && bio->bi_opf & REQ_NOWAIT && diff_area_would_block(area, bio_sectors(bio))) {
		trace_blksnap_refuse(tracker->dev, first, end - first);
		bio_wouldblock_error(bio);
		return BLKFILTER_TAKEN;
	}
	cbt_map_mark(&tracker->map, first - tracker->start, end - first);
	if (!area || !diff_area_range(area, bio, &first, &count))
		return BLKFILTER_PASS;
	if (diff_area_secure(area, first, count, bio, DIFF_WAITER_ORIGIN, own))
		return BLKFILTER_PASS;
	return BLKFILTER_TAKEN;
}

static const struct blkfilter_operations tracker_filter_ops = {
	.submit_bio = tracker_submit_bio,
};

void tracker_put(struct tracker *tracker)
{
	if (!refcount_dec_and_test(&tracker->refs))
		return;
	cbt_map_exit(&tracker->map);
	kfree(tracker);
}

/* Off the list and off the device; the last user frees the memory. */
static void drop(struct tracker *tracker)
{
	if (tracker->filter) {
		blkfilter_detach(tracker->filter);
		trace_blksnap_track(tracker->dev, 0);
	}
	tracker_put(tracker);
}

/*
 * Devices that have gone away are not tracked any more, whatever their number
 * is used for next.  Moves them to @gone, for drop() outside the lock.
 */
static void prune(struct list_head *gone)
{
	struct tracker *tracker, *next;

	lockdep_assert_held(&trackers_lock);
	list_for_each_entry_safe(tracker, next, &trackers, node)
		if (!tracker->owner && tracker->filter &&
		    blkfilter_is_gone(tracker->filter))
			list_move(&tracker->node, gone);
}

static void drop_all(struct list_head *list)
{
	struct tracker *tracker, *next;

	list_for_each_entry_safe(tracker, next, list, node) {
		list_del(&tracker->node);
		drop(tracker);
	}
}

static bool is_usable(const struct tracker *tracker)
{
	return tracker->filter && !blkfilter_is_gone(tracker->filter);
}

static struct tracker *find_locked(dev_t dev)
{
	struct tracker *tracker;

	lockdep_assert_held(&trackers_lock);
	list_for_each_entry(tracker, &trackers, node)
		if (tracker->dev == dev &&
		    (!tracker->filter || !blkfilter_is_gone(tracker->filter)))
			return tracker;
	return NULL;
}

/* A disk and one of its own partitions are not tracked together. */
static bool conflicts(struct block_device *bdev)
{
	struct tracker *tracker;

	lockdep_assert_held(&trackers_lock);
	list_for_each_entry(tracker, &trackers, node)
		if (tracker->disk == bdev->bd_disk &&
		    tracker->dev != bdev->bd_dev &&
		    (tracker->whole || !bdev_is_partition(bdev)) &&
		    (!tracker->filter || !blkfilter_is_gone(tracker->filter)))
			return true;
	return false;
}

static struct tracker *tracker_alloc(struct block_device *bdev,
				     const void *owner)
{
	struct tracker *tracker;
	int ret;

	tracker = kzalloc(sizeof(*tracker), GFP_KERNEL_ACCOUNT);
	if (!tracker)
		return ERR_PTR(-ENOMEM);
	ret = cbt_map_init(&tracker->map, bdev_nr_sectors(bdev));
	if (ret) {
		kfree(tracker);
		return ERR_PTR(ret);
	}
	tracker->dev = bdev->bd_dev;
	tracker->disk = bdev->bd_disk;
	tracker->start = bdev->bd_start_sect;
	tracker->whole = !bdev_is_partition(bdev);
	tracker->owner = owner;
	refcount_set(&tracker->refs, 1);
	return tracker;
}

/* Claims what exists, or puts @fresh on the list if there is one; -EBUSY. */
static struct tracker *claim_or_insert(struct block_device *bdev,
				       const void *owner,
				       struct tracker *fresh)
{
	struct tracker *tracker;
	LIST_HEAD(gone);

	mutex_lock(&trackers_lock);
	prune(&gone);
	tracker = find_locked(bdev->bd_dev);
	if (tracker) {
		if (tracker->owner)
			tracker = ERR_PTR(-EBUSY);
		else
			tracker->owner = owner;
	} else if (conflicts(bdev)) {
		tracker = ERR_PTR(-EBUSY);
	} else {
		tracker = fresh;
		if (fresh)
			list_add_tail(&fresh->node, &trackers);
	}
	mutex_unlock(&trackers_lock);
	drop_all(&gone);
	return tracker;
}

struct tracker *tracker_claim(struct block_device *bdev, const void *owner,
			      bool *made)
{
	struct tracker *fresh, *tracker;
	struct blkfilter *filter;

	*made = false;
	/* What is tracked needs no other map, even if none could be made now. */
	tracker = claim_or_insert(bdev, owner, NULL);
	if (tracker)
		return tracker;
	fresh = tracker_alloc(bdev, owner);
	if (IS_ERR(fresh))
		return fresh;
	tracker = claim_or_insert(bdev, owner, fresh);
	if (tracker != fresh) {
		tracker_put(fresh);
		return tracker;
	}
	/* Waits for writes in flight, so not under the lock: we own it. */
	filter = blkfilter_attach(bdev, &tracker_filter_ops, tracker,
				  param_take_timeout_ms());
	if (IS_ERR(filter)) {
		tracker_unclaim(tracker, true);
		return ERR_CAST(filter);
	}
	mutex_lock(&trackers_lock);
	tracker->filter = filter;
	mutex_unlock(&trackers_lock);
	trace_blksnap_track(tracker->dev, 1);
	*made = true;
	return tracker;
}

void tracker_unclaim(struct tracker *tracker, bool remove)
{
	mutex_lock(&trackers_lock);
	tracker->owner = NULL;
	remove = remove || !is_usable(tracker);
	if (remove)
		list_del(&tracker->node);
	mutex_unlock(&trackers_lock);
	if (remove)
		drop(tracker);
}

struct tracker *tracker_find(dev_t dev)
{
	struct tracker *tracker;

	mutex_lock(&trackers_lock);
	tracker = find_locked(dev);
	if (tracker && tracker->filter)
		refcount_inc(&tracker->refs);
	else
		tracker = ERR_PTR(-ENODEV);
	mutex_unlock(&trackers_lock);
	return tracker;
}

int tracker_remove(dev_t dev)
{
	struct tracker *tracker;
	LIST_HEAD(gone);
	int ret = 0;

	mutex_lock(&trackers_lock);
	prune(&gone);
	tracker = find_locked(dev);
	if (!tracker)
		ret = -ENODATA;
	else if (tracker->owner)
		ret = -EBUSY;
	else
		list_move(&tracker->node, &gone);
	mutex_unlock(&trackers_lock);
	drop_all(&gone);
	return ret;
}

static void fill_info(struct tracker *tracker, struct blk_snap_cbt_info *info)
{
	struct cbt_map *map = &tracker->map;

	memset(info, 0, sizeof(*info));
	info->dev_id.mj = MAJOR(tracker->dev);
	info->dev_id.mn = MINOR(tracker->dev);
	mutex_lock(&map->lock);
	info->blk_size = 1U << (map->shift + SECTOR_SHIFT);
	info->device_capacity = map->capacity << SECTOR_SHIFT;
	info->blk_count = map->count;
	memcpy(info->generation_id.b, map->generation.b,
	       sizeof(info->generation_id.b));
	info->snap_number = map->snap_number;
	mutex_unlock(&map->lock);
}

u32 tracker_collect(struct blk_snap_cbt_info *infos, u32 count)
{
	struct tracker *tracker;
	u32 found = 0;
	LIST_HEAD(gone);

	mutex_lock(&trackers_lock);
	prune(&gone);
	list_for_each_entry(tracker, &trackers, node) {
		if (!is_usable(tracker))
			continue;
		if (found < count)
			fill_info(tracker, &infos[found]);
		found++;
	}
	mutex_unlock(&trackers_lock);
	drop_all(&gone);
	return found;
}

static void show_tracker(struct tracker *tracker, struct seq_file *to)
{
	struct cbt_map *map = &tracker->map;

	seq_printf(to, "%d:%d %s%s%s%s\n", MAJOR(tracker->dev),
		   MINOR(tracker->dev), tracker->whole ? "disk" : "partition",
		   tracker->owner ? " in_snapshot" : "",
		   tracker_is_held(tracker) ? " held" : "",
		   !tracker->filter ? " attaching" :
		   blkfilter_is_gone(tracker->filter) ? " gone" : "");
	mutex_lock(&map->lock);
	seq_printf(to, " capacity %llu block_bytes %u blocks %u snap_number %u active_number %u generation %pUb generations %u\n",
		   map->capacity, 1U << (map->shift + SECTOR_SHIFT), map->count,
		   map->snap_number, map->active_number, &map->generation,
		   map->generations);
	mutex_unlock(&map->lock);
}

void tracker_show_all(struct seq_file *to)
{
	struct tracker *tracker;

	mutex_lock(&trackers_lock);
	list_for_each_entry(tracker, &trackers, node)
		show_tracker(tracker, to);
	mutex_unlock(&trackers_lock);
}

void tracker_remove_all(void)
{
	LIST_HEAD(all);

	mutex_lock(&trackers_lock);
	list_splice_init(&trackers, &all);
	mutex_unlock(&trackers_lock);
	drop_all(&all);
}

void tracker_set_area(struct tracker *tracker, struct diff_area *area)
{
	rcu_assign_pointer(tracker->area, area);
}
