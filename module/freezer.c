// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "freezer.h"

/*
 *	idle -> running -> done       freezing; then, when that went well,
 *	done -> running -> done       thawing
 *	        running -> abandoned  the worker undoes what it did and frees
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
	struct super_block *sb; /* its user may thaw and unmount it meanwhile */
	unsigned int level;
	struct work_struct work;
	struct completion done;
	atomic_t state;
	int error;
};

/* Nothing else frees the memory that a frozen file system holds: thawing has a rescuer. */
static struct workqueue_struct *freezer_wq, *thaw_wq;

static void free_item(struct freeze_item *item)
{
	if (item->sb)
		deactivate_super(item->sb);
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

/* The worker has come to its end; false when it was not waited for: @item is ours. */
static bool hand_over(struct freeze_item *item)
{
	if (atomic_cmpxchg(&item->state, FREEZE_RUNNING, FREEZE_DONE) !=
	    FREEZE_RUNNING)
		return false;
	complete_all(&item->done);
	return true;
}

static void freeze_work(struct work_struct *work)
{
	struct freeze_item *item = container_of(work, struct freeze_item, work);
	unsigned int noio = memalloc_noio_save();

	item->sb = get_active_super(item->bdev);
	/* Not to wait for writes to what has been frozen before. */
	item->error = freeze_bdev(item->bdev);
	memalloc_noio_restore(noio);
	/* It was mounted in between. */
	if (!item->error && !item->sb)
		item->sb = get_active_super(item->bdev);
	if (hand_over(item))
		return;
	if (!item->error)
		thaw(item->bdev);
	free_item(item);
}

static void thaw_work(struct work_struct *work)
{
	struct freeze_item *item = container_of(work, struct freeze_item, work);
	unsigned int noio = memalloc_noio_save();

	thaw(item->bdev);
	memalloc_noio_restore(noio);
	if (!hand_over(item))
		free_item(item);
}

static void start(struct freeze_item *item, struct workqueue_struct *wq,
		  work_func_t func)
{
	INIT_WORK(&item->work, func);
	init_completion(&item->done);
	atomic_set(&item->state, FREEZE_RUNNING);
	queue_work(wq, &item->work);
}

/* Takes an item that is running off the list; false when it has ended by now. */
static bool abandon(struct list_head *items, struct freeze_item *item)
{
	/* First: then it may be gone. */
	list_del(&item->node);
	if (atomic_cmpxchg(&item->state, FREEZE_RUNNING, FREEZE_ABANDONED) ==
	    FREEZE_RUNNING)
		return true;
	list_add(&item->node, items);
	return false;
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
		start(item, freezer_wq, freeze_work);
		left = wait_for_completion_killable_timeout(&item->done, left);
		if (left < 0)
			return -EINTR;
		if (!left)
			return -ETIMEDOUT;
	}
	return 0;
}

/*
 * All at once: a file system writes when it is thawed, and waits for the one that it
 * is stacked on.  One that cannot write, because what lies below is still being frozen
 * or was frozen by others, is thawed when it can; nobody waits for that.
 */
void freezer_thaw(struct list_head *items, unsigned long timeout)
{
	unsigned long deadline = jiffies + timeout;
	struct freeze_item *item, *next;
	unsigned int given_up = 0, level;

	list_for_each_entry_safe(item, next, items, node) {
		level = item->level;
		if (atomic_read(&item->state) == FREEZE_RUNNING &&
		    abandon(items, item))
			given_up = max(given_up, level);
	}
	list_for_each_entry(item, items, node) {
		if (atomic_read(&item->state) != FREEZE_DONE || item->error)
			continue;
		/* The worker may not have left the completion yet. */
		wait_for_completion(&item->done);
		start(item, thaw_wq, thaw_work);
	}
	list_for_each_entry_safe(item, next, items, node) {
		if (atomic_read(&item->state) != FREEZE_RUNNING)
			continue;
		if (item->level < given_up ||
		    !wait_for_completion_timeout(&item->done,
				max(0L, (long)(deadline - jiffies))))
			abandon(items, item);
	}
}

void freezer_free(struct list_head *items)
{
	struct freeze_item *item, *next;

	list_for_each_entry_safe(item, next, items, node) {
		list_del(&item->node);
		free_item(item);
	}
}

int __init freezer_init(void)
{
	freezer_wq = alloc_workqueue("blksnap_freeze", WQ_UNBOUND, 0);
	if (!freezer_wq)
		return -ENOMEM;
	thaw_wq = alloc_workqueue("blksnap_thaw", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!thaw_wq) {
		destroy_workqueue(freezer_wq);
		return -ENOMEM;
	}
	return 0;
}

/* Waits for freezes and thaws that were given up. */
void freezer_exit(void)
{
	destroy_workqueue(thaw_wq);
	destroy_workqueue(freezer_wq);
}
