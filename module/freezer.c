// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "freezer.h"

/*
 *	idle -> running -> done
 *	                -> abandoned (the worker undoes and frees)
 */
enum freeze_state {
	FREEZE_IDLE,
	FREEZE_RUNNING,
	FREEZE_DONE,
	FREEZE_ABANDONED,
};

struct freeze_item {
	struct list_head node;
	struct block_device *bdev;
	unsigned int level;
	struct work_struct work;
	struct completion done;
	atomic_t state;
	int error;
};

static struct workqueue_struct *freezer_wq;

static void free_item(struct freeze_item *item)
{
	blkdev_put(item->bdev, FMODE_READ);
	kfree(item);
}

/*
 * A file system that its user thawed meanwhile cannot be thawed again, and
 * thaw_bdev() keeps the count for another try that would not come.
 */
static void thaw(struct block_device *bdev)
{
	struct super_block *sb;

	if (thaw_bdev(bdev) != -EINVAL)
		return;
	mutex_lock(&bdev->bd_fsfreeze_mutex);
	sb = bdev->bd_fsfreeze_sb;
	if (bdev->bd_fsfreeze_count == 1 && sb &&
	    sb->s_writers.frozen == SB_UNFROZEN) {
		bdev->bd_fsfreeze_count = 0;
		bdev->bd_fsfreeze_sb = NULL;
	}
	mutex_unlock(&bdev->bd_fsfreeze_mutex);
}

static void freeze_work(struct work_struct *work)
{
	struct freeze_item *item = container_of(work, struct freeze_item, work);
	unsigned int noio = memalloc_noio_save();

	/* Not to wait for writes to what has been frozen before. */
	item->error = freeze_bdev(item->bdev);
	memalloc_noio_restore(noio);
	if (atomic_cmpxchg(&item->state, FREEZE_RUNNING, FREEZE_DONE) ==
	    FREEZE_RUNNING) {
		complete_all(&item->done);
		return;
	}
	if (!item->error)
		thaw(item->bdev);
	free_item(item);
}

static int add_one(struct list_head *items, dev_t dev, unsigned int level)
{
	struct freeze_item *item;

	item = kzalloc(sizeof(*item), GFP_KERNEL);
	if (!item)
		return -ENOMEM;
	item->bdev = blkdev_get_by_dev(dev, FMODE_READ, NULL);
	if (IS_ERR(item->bdev)) {
		/* The partition went away: there is nothing to freeze. */
		kfree(item);
		return 0;
	}
	item->level = level;
	INIT_WORK(&item->work, freeze_work);
	init_completion(&item->done);
	list_add_tail(&item->node, items);
	return 0;
}

int freezer_add(struct list_head *items, struct block_device *bdev,
		unsigned int level)
{
	struct block_device *part;
	unsigned long index = 0;
	int ret;

	ret = add_one(items, bdev->bd_dev, level);
	while (!ret && !bdev_is_partition(bdev)) {
		dev_t dev = 0;

		rcu_read_lock();
		index++;
		part = xa_find(&bdev->bd_disk->part_tbl, &index, ULONG_MAX,
			       XA_PRESENT);
		if (part)
			dev = part->bd_dev;
		rcu_read_unlock();
		if (!dev)
			break;
		ret = add_one(items, dev, level);
	}
	return ret;
}

int freezer_freeze(struct list_head *items, unsigned int level,
		   unsigned long deadline)
{
	struct freeze_item *item;
	long left;

	list_for_each_entry(item, items, node) {
		if (item->level != level)
			continue;
		left = (long)(deadline - jiffies);
		if (left <= 0)
			return -ETIMEDOUT;
		atomic_set(&item->state, FREEZE_RUNNING);
		queue_work(freezer_wq, &item->work);
		left = wait_for_completion_killable_timeout(&item->done, left);
		if (left < 0)
			return -EINTR;
		if (!left)
			return -ETIMEDOUT;
	}
	return 0;
}

void freezer_thaw(struct list_head *items)
{
	struct freeze_item *item, *next;

	list_for_each_entry_safe(item, next, items, node) {
		list_del(&item->node);
		if (atomic_cmpxchg(&item->state, FREEZE_RUNNING,
				   FREEZE_ABANDONED) == FREEZE_RUNNING)
			continue;
		if (atomic_read(&item->state) == FREEZE_DONE) {
			/* The worker may not have left the completion yet. */
			wait_for_completion(&item->done);
			if (!item->error)
				thaw(item->bdev);
		}
		free_item(item);
	}
}

int __init freezer_init(void)
{
	freezer_wq = alloc_workqueue("blksnap_freeze", WQ_UNBOUND, 0);
	return freezer_wq ? 0 : -ENOMEM;
}

/* Waits for freezes that were given up. */
void freezer_exit(void)
{
	destroy_workqueue(freezer_wq);
}
