// SPDX-License-Identifier: GPL-2.0
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "diff_storage.h"
#include "geometry.h"
#include "params.h"
#include "trace.h"

/* One opened device of a storage. */
struct storage_holder {
	struct list_head node;
	struct block_device *bdev;
};

/* Every region of every snapshot: no two may overlap on their disk. */
static DEFINE_MUTEX(all_regions_lock);
static struct rb_root all_regions = RB_ROOT;
/* Every captured device: images do not show storage that lies on them. */
static LIST_HEAD(all_clients);

static void kick_clients(struct diff_storage *storage)
{
	struct diff_client *client;

	lockdep_assert_held(&storage->lock);
	list_for_each_entry(client, &storage->clients, node)
		queue_work(client->wq, client->work);
}

static void post_corrupted(struct diff_storage *storage)
{
	struct diff_client *client;

	lockdep_assert_held(&storage->lock);
	list_for_each_entry(client, &storage->clients, node) {
		client->corrupted.corrupted.err_code = -storage->error;
		event_queue_post(storage->queue, &client->corrupted);
	}
}

static void corrupt_locked(struct diff_storage *storage, int error)
{
	lockdep_assert_held(&storage->lock);
	if (storage->error)
		return;
	WRITE_ONCE(storage->error, error);
	trace_blksnap_corrupt(storage, error);
	if (!storage->inflight)
		post_corrupted(storage);
	kick_clients(storage);
	pr_warn("blksnap: a snapshot is corrupted: error %d, %llu sectors of storage were free\n",
		error, (u64)storage->free);
}

void diff_storage_corrupt(struct diff_storage *storage, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&storage->lock, flags);
	corrupt_locked(storage, error);
	spin_unlock_irqrestore(&storage->lock, flags);
}

/* On a queue that goes on without memory: that may be what everybody waits for. */
static void start_stall_timer(struct diff_storage *storage)
{
	kblockd_mod_delayed_work_on(WORK_CPU_UNBOUND, &storage->stall_work,
				    msecs_to_jiffies(param_storage_stall_ms()));
}

static bool may_do_io(const struct diff_storage *storage)
{
	return !storage->error && !storage->stopped;
}

/*
 * Writers wait for the budget.  If no store has given any back since we last
 * looked, none is coming: the origin must not wait any longer.
 */
static void stall_check(struct work_struct *work)
{
	struct diff_storage *storage = container_of(to_delayed_work(work),
					struct diff_storage, stall_work);
	bool stalled = false;

	spin_lock_irq(&storage->lock);
	if (storage->origin_waits && may_do_io(storage)) {
		stalled = storage->stall_seq == storage->stored_seq;
		storage->stall_seq = storage->stored_seq;
		if (!stalled)
			start_stall_timer(storage);
	}
	spin_unlock_irq(&storage->lock);
	if (stalled)
		diff_storage_corrupt(storage, -ETIMEDOUT);
}

void diff_storage_init(struct diff_storage *storage, struct event_queue *queue)
{
	memset(storage, 0, sizeof(*storage));
	spin_lock_init(&storage->lock);
	INIT_LIST_HEAD(&storage->regions);
	INIT_LIST_HEAD(&storage->holders);
	INIT_LIST_HEAD(&storage->clients);
	INIT_DELAYED_WORK(&storage->stall_work, stall_check);
	init_waitqueue_head(&storage->idle);
	storage->queue = queue;
	storage->unsaved_limit = (unsigned long)param_unsaved_limit_mib()
				 << (20 - SUB_SHIFT);
	snap_event_init(&storage->low);
	storage->low.code = blk_snap_event_code_low_free_space;
	storage->low.low.requested_nr_sect = param_diff_storage_minimum();
	/* A new snapshot has no storage: its first event asks for some. */
	event_queue_post(queue, &storage->low);
}

void diff_storage_exit(struct diff_storage *storage)
{
	struct diff_region *region, *next_region;
	struct storage_holder *holder, *next_holder;

	cancel_delayed_work_sync(&storage->stall_work);
	mutex_lock(&all_regions_lock);
	list_for_each_entry_safe(region, next_region, &storage->regions, node) {
		rb_erase(&region->all_node, &all_regions);
		kfree(region);
		cond_resched();
	}
	mutex_unlock(&all_regions_lock);
	list_for_each_entry_safe(holder, next_holder, &storage->holders, node) {
		blkdev_put(holder->bdev, FMODE_READ | FMODE_WRITE);
		kfree(holder);
	}
}

static sector_t region_begin(const struct diff_region *region)
{
	return region->bdev->bd_start_sect + region->first;
}

/* Before (-1), overlapping (0) or after (1) another region. */
static int compare_regions(const struct diff_region *a,
			   const struct diff_region *b)
{
	if (a->bdev->bd_disk != b->bdev->bd_disk)
		return a->bdev->bd_disk < b->bdev->bd_disk ? -1 : 1;
	if (region_begin(a) + a->count <= region_begin(b))
		return -1;
	return region_begin(a) >= region_begin(b) + b->count;
}

/* False when the region overlaps one that is there. */
static bool insert_region(struct diff_region *region)
{
	struct rb_node **link = &all_regions.rb_node, *parent = NULL;
	const struct diff_region *other;
	int order;

	lockdep_assert_held(&all_regions_lock);
	while (*link) {
		parent = *link;
		other = rb_entry(parent, struct diff_region, all_node);
		order = compare_regions(region, other);
		if (!order)
			return false;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&region->all_node, parent, link);
	rb_insert_color(&region->all_node, &all_regions);
	return true;
}

static void unhide_from(struct diff_client *client,
			const struct diff_region *region)
{
	if (client->disk == region->bdev->bd_disk)
		client->unhide(client, region_begin(region), region->count);
}

static void unhide_region(const struct diff_region *region)
{
	struct diff_client *client;

	list_for_each_entry(client, &all_clients, all_node)
		unhide_from(client, region);
}

/* From all clients or, without memory, from none. */
static int hide_region(const struct diff_region *region)
{
	struct diff_client *client;
	int ret = 0;

	lockdep_assert_held(&all_regions_lock);
	list_for_each_entry(client, &all_clients, all_node) {
		if (client->disk == region->bdev->bd_disk)
			ret = client->hide(client, region_begin(region),
					   region->count, false);
		if (ret)
			break;
	}
	if (ret)
		list_for_each_entry_continue_reverse(client, &all_clients,
						     all_node)
			unhide_from(client, region);
	return ret;
}

static int check_range(struct block_device *bdev,
		       const struct blk_snap_block_range *range)
{
	u64 capacity = bdev_nr_sectors(bdev);
	u64 mask = (bdev_logical_block_size(bdev) >> SECTOR_SHIFT) - 1;

	if (!range->sector_count || range->sector_count > capacity ||
	    range->sector_offset > capacity - range->sector_count ||
	    (range->sector_offset | range->sector_count) & mask)
		return -EINVAL;
	return 0;
}

static void drop_regions(struct list_head *regions)
{
	struct diff_region *region, *next;

	list_for_each_entry_safe(region, next, regions, node) {
		if (region->hidden)
			unhide_region(region);
		rb_erase(&region->all_node, &all_regions);
		kfree(region);
		cond_resched();
	}
}

/* Makes regions of all ranges, on the list of all but not yet in use. */
static int insert_regions(struct block_device *bdev,
			  const struct blk_snap_block_range *ranges, u32 count,
			  struct list_head *regions)
{
	struct diff_region *region;
	u32 i;
	int ret;

	lockdep_assert_held(&all_regions_lock);
	for (i = 0; i < count; i++) {
		ret = check_range(bdev, &ranges[i]);
		if (ret)
			return ret;
		region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
		if (!region)
			return -ENOMEM;
		region->bdev = bdev;
		region->first = ranges[i].sector_offset;
		region->count = ranges[i].sector_count;
		if (!insert_region(region)) {
			kfree(region);
			return -EINVAL;
		}
		list_add_tail(&region->node, regions);
		cond_resched();
	}
	return 0;
}

/* From now on images do not show them: not before all of them are good. */
static int hide_regions(struct list_head *regions)
{
	struct diff_region *region;
	int ret;

	list_for_each_entry(region, regions, node) {
		ret = hide_region(region);
		if (ret)
			return ret;
		region->hidden = true;
		cond_resched();
	}
	return 0;
}

static void publish_regions(struct diff_storage *storage,
			    struct list_head *regions)
{
	struct diff_region *region, *first;

	first = list_first_entry(regions, struct diff_region, node);
	list_for_each_entry(region, regions, node)
		trace_blksnap_append(region->bdev->bd_dev, region->first,
				     region->count);
	spin_lock_irq(&storage->lock);
	list_for_each_entry(region, regions, node)
		storage->free += region->count;
	if (!storage->current_region)
		storage->current_region = first;
	list_splice_tail(regions, &storage->regions);
	/* 0 would disarm the event. */
	storage->low_below = max_t(sector_t, 1,
				   min_t(sector_t, storage->free / 2,
					 storage->low.low.requested_nr_sect / 2));
	kick_clients(storage);
	spin_unlock_irq(&storage->lock);
}

int diff_storage_append(struct diff_storage *storage, dev_t dev,
			const struct blk_snap_block_range *ranges, u32 count)
{
	struct storage_holder *holder;
	LIST_HEAD(regions);
	int ret;

	holder = kzalloc(sizeof(*holder), GFP_KERNEL_ACCOUNT);
	if (!holder)
		return -ENOMEM;
	holder->bdev = blkdev_get_by_dev(dev, FMODE_READ | FMODE_WRITE, NULL);
	if (IS_ERR(holder->bdev)) {
		ret = PTR_ERR(holder->bdev);
		goto out_holder;
	}
	if (bdev_read_only(holder->bdev)) {
		ret = -EROFS;
		goto out_bdev;
	}
	mutex_lock(&all_regions_lock);
	ret = insert_regions(holder->bdev, ranges, count, &regions) ?:
	      hide_regions(&regions);
	if (ret)
		drop_regions(&regions);
	mutex_unlock(&all_regions_lock);
	if (ret || !count)
		goto out_bdev;
	list_add(&holder->node, &storage->holders);
	publish_regions(storage, &regions);
	return 0;

out_bdev:
	blkdev_put(holder->bdev, FMODE_READ | FMODE_WRITE);
out_holder:
	kfree(holder);
	return ret;
}

static void post_low(struct diff_storage *storage)
{
	lockdep_assert_held(&storage->lock);
	if (!storage->low_below || storage->free >= storage->low_below)
		return;
	storage->low_below = 0;
	event_queue_post(storage->queue, &storage->low);
}

/* Steps over regions that have no room for a sub-block left. */
static struct diff_region *usable_region(struct diff_storage *storage)
{
	struct diff_region *region = storage->current_region;

	while (region && region->count - region->used < SUB_SECTORS) {
		storage->free -= region->count - region->used;
		region->used = region->count;
		region = list_is_last(&region->node, &storage->regions) ?
			 NULL : list_next_entry(region, node);
	}
	storage->current_region = region;
	post_low(storage);
	return region;
}

sector_t diff_storage_alloc(struct diff_storage *storage, sector_t want,
			    struct diff_region **region, sector_t *sector)
{
	sector_t got = 0;

	spin_lock_irq(&storage->lock);
	*region = NULL;
	if (may_do_io(storage))
		*region = usable_region(storage);
	if (*region) {
		got = min(want, round_down((*region)->count - (*region)->used,
					   SUB_SECTORS));
		*sector = (*region)->first + (*region)->used;
		(*region)->used += got;
		storage->free -= got;
		storage->inflight++;
		storage->stores++;
	}
	post_low(storage);
	spin_unlock_irq(&storage->lock);
	return got;
}

/* Who waits for budget or memory looks again. */
static void kick_waiting(struct diff_storage *storage)
{
	lockdep_assert_held(&storage->lock);
	if (!storage->waiting)
		return;
	trace_blksnap_kick(storage, storage->unsaved);
	storage->waiting = false;
	if (storage->origin_waits)
		storage->kicked = jiffies;
	storage->origin_waits = false;
	kick_clients(storage);
}

static bool has_budget(const struct diff_storage *storage, unsigned int count)
{
	return !storage->unsaved ||
	       storage->unsaved + count <= storage->unsaved_limit;
}

unsigned int diff_storage_room(const struct diff_storage *storage,
			       unsigned int want)
{
	unsigned long unsaved = READ_ONCE(storage->unsaved);

	if (!unsaved)
		return want;
	if (unsaved >= storage->unsaved_limit)
		return 0;
	return min_t(unsigned long, want, storage->unsaved_limit - unsaved);
}

static bool reserve(struct diff_storage *storage, unsigned int count,
		    unsigned int restores)
{
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&storage->lock, flags);
	ok = has_budget(storage, count);
	if (ok) {
		storage->unsaved += count;
		storage->unsaved_peak = max(storage->unsaved_peak,
					    storage->unsaved);
		storage->restores += restores;
	}
	spin_unlock_irqrestore(&storage->lock, flags);
	return ok;
}

bool diff_storage_reserve(struct diff_storage *storage, unsigned int count)
{
	return reserve(storage, count, 0);
}

/* Nobody is kicked when it fails: who waits would kick himself for ever. */
bool diff_storage_reserve_restore(struct diff_storage *storage,
				  unsigned int count)
{
	return reserve(storage, count, 1);
}

void diff_storage_unreserve(struct diff_storage *storage, unsigned int count)
{
	unsigned long flags;

	spin_lock_irqsave(&storage->lock, flags);
	storage->unsaved -= count;
	kick_waiting(storage);
	spin_unlock_irqrestore(&storage->lock, flags);
}

/* No budget will be given back unless storage is appended. */
static bool is_stuck(struct diff_storage *storage)
{
	lockdep_assert_held(&storage->lock);
	return !storage->stores && !storage->restores &&
	       !usable_region(storage);
}

/*
 * Clients are kicked when budget is given back or the last store ends.  An origin
 * that was kicked just now, and not because of a store, is waiting still.
 */
static void begin_waiting(struct diff_storage *storage, bool origin)
{
	lockdep_assert_held(&storage->lock);
	if (!storage->waiting)
		trace_blksnap_wait(storage, storage->unsaved);
	storage->waiting = true;
	if (!origin || storage->origin_waits)
		return;
	storage->origin_waits = true;
	if (storage->stall_seq == storage->stored_seq &&
	    delayed_work_pending(&storage->stall_work) &&
	    time_before(jiffies, storage->kicked + HZ))
		return;
	storage->stall_seq = storage->stored_seq;
	start_stall_timer(storage);
}

bool diff_storage_wait_budget(struct diff_storage *storage, unsigned int count,
			      bool may_corrupt)
{
	bool stuck;

	spin_lock_irq(&storage->lock);
	stuck = is_stuck(storage) && !has_budget(storage, count);
	if (storage->error || has_budget(storage, count) ||
	    (stuck && !may_corrupt))
		kick_clients(storage);
	else if (stuck)
		/* Nothing is being stored and there is nowhere to store to. */
		corrupt_locked(storage, -ENOSPC);
	else
		begin_waiting(storage, may_corrupt);
	spin_unlock_irq(&storage->lock);
	return !stuck;
}

bool diff_storage_wait_memory(struct diff_storage *storage)
{
	bool moving;

	spin_lock_irq(&storage->lock);
	moving = storage->unsaved && may_do_io(storage) && !is_stuck(storage);
	if (moving)
		begin_waiting(storage, true);
	else
		kick_clients(storage);
	spin_unlock_irq(&storage->lock);
	return moving;
}

void diff_storage_add_restores(struct diff_storage *storage, int count)
{
	unsigned long flags;

	spin_lock_irqsave(&storage->lock, flags);
	storage->restores += count;
	if (!storage->restores && !storage->stores)
		kick_waiting(storage);
	spin_unlock_irqrestore(&storage->lock, flags);
}

static bool begin_io(struct diff_storage *storage, unsigned int stores)
{
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&storage->lock, flags);
	ok = may_do_io(storage);
	if (ok) {
		storage->inflight++;
		storage->stores += stores;
	}
	spin_unlock_irqrestore(&storage->lock, flags);
	return ok;
}

static void end_io(struct diff_storage *storage)
{
	lockdep_assert_held(&storage->lock);
	if (--storage->inflight)
		return;
	/* Clients delete their storage on this event: not before. */
	if (storage->error)
		post_corrupted(storage);
	wake_up_all(&storage->idle);
}

bool diff_storage_io_begin(struct diff_storage *storage)
{
	return begin_io(storage, 0);
}

void diff_storage_io_end(struct diff_storage *storage)
{
	unsigned long flags;

	spin_lock_irqsave(&storage->lock, flags);
	end_io(storage);
	spin_unlock_irqrestore(&storage->lock, flags);
}

bool diff_storage_store_begin(struct diff_storage *storage)
{
	return begin_io(storage, 1);
}

void diff_storage_store_end(struct diff_storage *storage, bool freed)
{
	unsigned long flags;

	spin_lock_irqsave(&storage->lock, flags);
	storage->stored_seq += freed;
	/* Who waits may now be the one that is stuck. */
	if (!--storage->stores)
		kick_waiting(storage);
	end_io(storage);
	spin_unlock_irqrestore(&storage->lock, flags);
}

int diff_storage_add_client(struct diff_storage *storage,
			    struct diff_client *client)
{
	struct rb_node *node;
	int ret = 0;

	mutex_lock(&all_regions_lock);
	for (node = rb_first(&all_regions); node && !ret;
	     node = rb_next(node)) {
		struct diff_region *region = rb_entry(node, struct diff_region,
						      all_node);

		if (region->bdev->bd_disk == client->disk)
			ret = client->hide(client, region_begin(region),
					   region->count, true);
	}
	if (!ret) {
		list_add_tail(&client->all_node, &all_clients);
		spin_lock_irq(&storage->lock);
		list_add_tail(&client->node, &storage->clients);
		spin_unlock_irq(&storage->lock);
	}
	mutex_unlock(&all_regions_lock);
	return ret;
}

void diff_storage_remove_client(struct diff_storage *storage,
				struct diff_client *client)
{
	mutex_lock(&all_regions_lock);
	list_del(&client->all_node);
	spin_lock_irq(&storage->lock);
	list_del(&client->node);
	spin_unlock_irq(&storage->lock);
	mutex_unlock(&all_regions_lock);
}

void diff_storage_show(struct diff_storage *storage, struct seq_file *to)
{
	spin_lock_irq(&storage->lock);
	seq_printf(to, " storage free %llu low_below %llu inflight %u restores %u stores %u stored %llu%s%s\n",
		   storage->free, storage->low_below, storage->inflight,
		   storage->restores, storage->stores, storage->stored_seq,
		   storage->stopped ? " stopped" : "",
		   storage->waiting ? " waited_for" : "");
	seq_printf(to, " budget unsaved %lu peak %lu limit %lu (4 KiB each)\n",
		   storage->unsaved, storage->unsaved_peak,
		   storage->unsaved_limit);
	seq_printf(to, " error %d\n", storage->error);
	spin_unlock_irq(&storage->lock);
}

void diff_storage_show_regions(struct seq_file *to)
{
	const struct diff_region *region;
	struct rb_node *node;

	mutex_lock(&all_regions_lock);
	for (node = rb_first(&all_regions); node; node = rb_next(node)) {
		region = rb_entry(node, struct diff_region, all_node);
		/* Whoever hands out sectors holds another lock. */
		seq_printf(to, "%d:%d first %llu count %llu used %llu\n",
			   MAJOR(region->bdev->bd_dev),
			   MINOR(region->bdev->bd_dev), region->first,
			   region->count, READ_ONCE(region->used));
		cond_resched();
	}
	mutex_unlock(&all_regions_lock);
}

void diff_storage_stop(struct diff_storage *storage)
{
	spin_lock_irq(&storage->lock);
	storage->stopped = true;
	kick_clients(storage);
	spin_unlock_irq(&storage->lock);
	wait_event(storage->idle, !READ_ONCE(storage->inflight));
	/* The last one has left the lock when we get it. */
	spin_lock_irq(&storage->lock);
	spin_unlock_irq(&storage->lock);
}
