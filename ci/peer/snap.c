// SPDX-License-Identifier: GPL-2.0
/* Trackers and snapshots: create, append storage, take, destroy. */
#include <linux/blk-integrity.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "peer.h"

DEFINE_MUTEX(big);
static DEFINE_MUTEX(life_lock);
LIST_HEAD(snapshots);
LIST_HEAD(trackers);
struct workqueue_struct *freeze_wq;

dev_t dev_of(struct blk_snap_dev id)
{
	/* Numbers that do not fit name nothing: 0 is no device. */
	if (id.mj > MINORMASK >> 8 || id.mn > MINORMASK)
		return 0;
	return MKDEV(id.mj, id.mn);
}

/* --- trackers --- */

static int geometry(sector_t capacity, unsigned int *shift, u32 *count)
{
	*shift = tracking_block_minimum_shift;
	while (DIV_ROUND_UP(capacity, 1ULL << (*shift - 9)) >
	       tracking_block_maximum_count)
		(*shift)++;
	if (*shift > 31)
		return -EFBIG;
	*count = DIV_ROUND_UP(capacity, 1ULL << (*shift - 9));
	return 0;
}

static void tracker_free(struct kref *ref)
{
	struct tracker *t = container_of(ref, struct tracker, ref);

	kvfree(t->active);
	kvfree(t->readable);
	kfree(t);
}

void tracker_put(struct tracker *t)
{
	kref_put(&t->ref, tracker_free);
}

/* Under big; one whose device has gone is not found. */
static struct tracker *tracker_lookup(dev_t dev)
{
	struct tracker *t;

	list_for_each_entry(t, &trackers, node)
		if (t->dev == dev && !blkfilter_is_gone(t->filter))
			return t;
	return NULL;
}

/* By the number of a device or of an image; with a reference. */
struct tracker *tracker_find(struct blk_snap_dev id)
{
	struct tracker *t = NULL;
	struct snapshot *snap;
	struct member *m;

	mutex_lock(&big);
	if (dev_of(id))
		t = tracker_lookup(dev_of(id));
	if (!t && id.mj == image_major)
		list_for_each_entry(snap, &snapshots, node)
			list_for_each_entry(m, &snap->members, node)
				if (snap->taken && !snap->dying &&
				    m->minor == id.mn)
					t = m->t;
	if (t)
		kref_get(&t->ref);
	mutex_unlock(&big);
	return t;
}

/* Under life_lock, not under big. */
static void tracker_end(struct tracker *t)
{
	mutex_lock(&big);
	list_del(&t->node);
	mutex_unlock(&big);
	blkfilter_detach(t->filter);
	tracker_put(t);
}

static void trackers_reap(bool all)
{
	struct tracker *t, *next;

	list_for_each_entry_safe(t, next, &trackers, node)
		if (!t->owner && (all || blkfilter_is_gone(t->filter)))
			tracker_end(t);
}

static struct tracker *tracker_begin(struct block_device *bdev)
{
	struct tracker *t = kzalloc(sizeof(*t), GFP_KERNEL);
	struct blkfilter *filter;
	int ret;

	if (!t)
		return ERR_PTR(-ENOMEM);
	kref_init(&t->ref);
	mutex_init(&t->map_lock);
	t->dev = bdev->bd_dev;
	t->disk = bdev->bd_disk;
	t->partition = bdev_is_partition(bdev);
	t->start = get_start_sect(bdev);
	t->capacity = bdev_nr_sectors(bdev);
	t->number = 1;
	generate_random_uuid(t->generation.b);
	ret = t->capacity ? geometry(t->capacity, &t->shift, &t->count) : -ENODEV;
	if (ret)
		goto fail;
	ret = -ENOMEM;
	t->active = kvzalloc(t->count, GFP_KERNEL);
	t->readable = kvzalloc(t->count, GFP_KERNEL);
	if (!t->active || !t->readable)
		goto fail;
	filter = blkfilter_attach(bdev, &peer_filter_ops, t, take_timeout_ms);
	ret = PTR_ERR_OR_ZERO(filter);
	if (ret)
		goto fail;
	t->filter = filter;
	mutex_lock(&big);
	list_add_tail(&t->node, &trackers);
	mutex_unlock(&big);
	return t;
fail:
	tracker_put(t);
	return ERR_PTR(ret);
}

int tracker_remove(struct blk_snap_dev id)
{
	struct block_device *bdev;
	struct tracker *t;
	int ret = 0;

	mutex_lock(&life_lock);
	mutex_lock(&big);
	t = dev_of(id) ? tracker_lookup(dev_of(id)) : NULL;
	mutex_unlock(&big);
	if (!t) {
		bdev = dev_of(id) ? blkdev_get_by_dev(dev_of(id), FMODE_READ,
						      NULL) : ERR_PTR(-ENXIO);
		ret = -ENODATA;
		if (!IS_ERR(bdev))
			blkdev_put(bdev, FMODE_READ);
		else if (PTR_ERR(bdev) == -ENXIO || PTR_ERR(bdev) == -ENODEV)
			ret = -ENXIO;
	} else if (t->owner) {
		ret = -EBUSY;
	} else {
		tracker_end(t);
	}
	trackers_reap(false);
	mutex_unlock(&life_lock);
	return ret;
}

/* --- snapshots --- */

static void snapshot_free(struct kref *ref)
{
	kfree(container_of(ref, struct snapshot, ref));
}

void snapshot_put(struct snapshot *snap)
{
	kref_put(&snap->ref, snapshot_free);
}

static struct snapshot *snapshot_lookup(const struct blk_snap_uuid *id)
{
	struct snapshot *snap;

	list_for_each_entry(snap, &snapshots, node)
		if (!memcmp(&snap->id, id, sizeof(*id)) && !snap->dying)
			return snap;
	return NULL;
}

struct snapshot *snapshot_find(const struct blk_snap_uuid *id)
{
	struct snapshot *snap;

	mutex_lock(&big);
	snap = snapshot_lookup(id);
	if (snap)
		kref_get(&snap->ref);
	mutex_unlock(&big);
	return snap;
}

/* Ends a snapshot that nobody finds any more (or never did). */
static void snapshot_end(struct snapshot *snap)
{
	struct store_dev *dev, *next_dev;
	struct store_range *r, *next_r;
	struct member *m, *next;

	list_for_each_entry(m, &snap->members, node)
		image_remove(m);
	mutex_lock(&big);
	list_for_each_entry(m, &snap->members, node)
		m->captured = false;
	mutex_unlock(&big);
	list_for_each_entry(m, &snap->members, node)
		if (m->t)
			RCU_INIT_POINTER(m->t->hold, NULL);
	synchronize_rcu();
	list_for_each_entry(m, &snap->members, node)
		wait_event(snap->wait, !atomic_read(&m->pending));
	if (snap->store_wq)
		destroy_workqueue(snap->store_wq);

	mutex_lock(&big);
	if (!list_empty(&snap->node))
		list_del_init(&snap->node);
	list_for_each_entry(m, &snap->members, node)
		if (m->t)
			m->t->owner = NULL;
	mutex_unlock(&big);
	list_for_each_entry_safe(r, next_r, &snap->ranges, node)
		kfree(r);
	list_for_each_entry_safe(dev, next_dev, &snap->store_devs, node) {
		blkdev_put(dev->bdev, FMODE_READ | FMODE_WRITE);
		kfree(dev);
	}
	/* A fetch that goes on has a reference and looks at m->corrupted. */
	mutex_lock(&snap->lock);
	INIT_LIST_HEAD(&snap->events);
	mutex_unlock(&snap->lock);
	list_for_each_entry_safe(m, next, &snap->members, node) {
		if (m->cow_wq)
			destroy_workqueue(m->cow_wq);
		if (m->image_wq)
			destroy_workqueue(m->image_wq);
		member_free_chunks(m);
		if (m->bdev)
			blkdev_put(m->bdev, FMODE_READ);
		if (m->t)
			tracker_put(m->t);
		kfree(m);
	}
	INIT_LIST_HEAD(&snap->members);
	snapshot_put(snap);
	module_put(THIS_MODULE);
}

static int device_check(struct block_device *bdev)
{
	if (bdev->bd_disk->major == image_major)
		return -EINVAL;
	if (bdev_read_only(bdev))
		return -EROFS;
	if (bdev_is_zoned(bdev) || blk_queue_dax(bdev_get_queue(bdev)) ||
	    bdev_get_integrity(bdev))
		return -EOPNOTSUPP;
#ifdef CONFIG_BLK_INLINE_ENCRYPTION
	if (bdev_get_queue(bdev)->crypto_profile)
		return -EOPNOTSUPP;
#endif
	if (bdev_held_by_requests(bdev))
		return -EBUSY;
	return 0;
}

/* Under life_lock. */
static int member_add(struct snapshot *snap, struct blk_snap_dev id,
		      bool *new_tracker)
{
	struct member *m = kzalloc(sizeof(*m), GFP_KERNEL);
	struct tracker *t;
	int ret;

	*new_tracker = false;
	if (!m)
		return -ENOMEM;
	list_add_tail(&m->node, &snap->members);
	m->snap = snap;
	m->minor = -1;
	m->corrupted.code = blk_snap_event_code_corrupted;
	m->corrupted.u.corrupted.orig_dev_id = id;
	ret = member_init(m);
	if (ret)
		return ret;
	if (!dev_of(id))
		return -ENXIO;
	m->bdev = blkdev_get_by_dev(dev_of(id), FMODE_READ, NULL);
	if (IS_ERR(m->bdev)) {
		ret = PTR_ERR(m->bdev);
		m->bdev = NULL;
		return ret;
	}
	ret = device_check(m->bdev);
	if (ret)
		return ret;

	mutex_lock(&big);
	t = tracker_lookup(m->bdev->bd_dev);
	if (t && t->owner)
		ret = -EBUSY;
	if (!ret && !t) {
		list_for_each_entry(t, &trackers, node)
			if (t->disk == m->bdev->bd_disk &&
			    !blkfilter_is_gone(t->filter) &&
			    (!t->partition || !bdev_is_partition(m->bdev)))
				ret = -EBUSY;
		t = NULL;
	}
	mutex_unlock(&big);
	if (ret)
		return ret;
	if (!t) {
		t = tracker_begin(m->bdev);
		if (IS_ERR(t))
			return PTR_ERR(t);
		*new_tracker = true;
	}
	kref_get(&t->ref);
	m->t = t;
	mutex_lock(&big);
	t->owner = m;
	mutex_unlock(&big);
	return 0;
}

static struct snapshot *snapshot_alloc(void)
{
	struct snapshot *snap = kzalloc(sizeof(*snap), GFP_KERNEL);

	if (!snap)
		return NULL;
	kref_init(&snap->ref);
	generate_random_uuid(snap->id.b);
	mutex_init(&snap->op);
	mutex_init(&snap->lock);
	init_waitqueue_head(&snap->wait);
	INIT_LIST_HEAD(&snap->node);
	INIT_LIST_HEAD(&snap->members);
	INIT_LIST_HEAD(&snap->events);
	INIT_LIST_HEAD(&snap->ranges);
	INIT_LIST_HEAD(&snap->store_devs);
	INIT_LIST_HEAD(&snap->dirty);
	INIT_LIST_HEAD(&snap->starved);
	INIT_WORK(&snap->store_work, store_fn);
	snap->last_store = jiffies;
	snap->minimum = diff_storage_minimum;
	snap->low.code = blk_snap_event_code_low_free_space;
	snap->low.u.low.requested_nr_sect = snap->minimum;
	__module_get(THIS_MODULE);	/* the caller's file holds one */
	return snap;
}

int snapshot_create(struct blk_snap_dev *ids, u32 count,
		    struct blk_snap_uuid __user *user_id)
{
	struct snapshot *snap;
	struct tracker **new;
	u32 i, j, made = 0;
	int ret = 0;

	for (i = 0; i < count; i++)
		for (j = 0; j < i; j++)
			if (ids[i].mj == ids[j].mj && ids[i].mn == ids[j].mn)
				return -EINVAL;
	new = kcalloc(count, sizeof(*new), GFP_KERNEL);
	snap = snapshot_alloc();
	if (!new || !snap) {
		ret = -ENOMEM;
		goto fail_early;
	}
	mutex_lock(&life_lock);
	trackers_reap(false);
	snap->store_wq = alloc_ordered_workqueue("blksnap_store",
						 WQ_MEM_RECLAIM);
	if (!snap->store_wq)
		ret = -ENOMEM;
	for (i = 0; i < count && !ret; i++) {
		bool is_new;

		ret = member_add(snap, ids[i], &is_new);
		if (!ret && is_new)
			new[made++] = list_last_entry(&snap->members,
						      struct member, node)->t;
	}
	/* All members may be there and the caller's memory still bad. */
	if (!ret && copy_to_user(user_id, &snap->id, sizeof(snap->id)))
		ret = -EFAULT;
	if (ret) {
		snap->dying = true;
		snapshot_end(snap);
		while (made)
			tracker_end(new[--made]);
	} else {
		mutex_lock(&snap->lock);
		post_event(snap, &snap->low);
		mutex_unlock(&snap->lock);
		mutex_lock(&big);
		list_add_tail(&snap->node, &snapshots);
		mutex_unlock(&big);
	}
	mutex_unlock(&life_lock);
	kfree(new);
	return ret;
fail_early:
	if (snap)
		snapshot_end(snap);
	kfree(new);
	return ret;
}

int snapshot_destroy(const struct blk_snap_uuid *id)
{
	struct snapshot *snap;

	mutex_lock(&big);
	snap = snapshot_lookup(id);
	if (snap) {
		WRITE_ONCE(snap->dying, true);
		kref_get(&snap->ref);
	}
	mutex_unlock(&big);
	if (!snap)
		return -ENODEV;
	wake_up_all(&snap->wait);
	mutex_lock(&snap->op);		/* a TAKE gives up */
	mutex_lock(&snap->lock);	/* nobody is in the middle of a step */
	mutex_unlock(&snap->lock);
	mutex_unlock(&snap->op);
	snapshot_end(snap);
	snapshot_put(snap);
	return 0;
}

/* --- storage --- */

static bool ranges_meet(sector_t a, sector_t a_count, sector_t b,
			sector_t b_count)
{
	return a < b + b_count && b < a + a_count;
}

/* Under big. */
static int range_check(struct block_device *bdev,
		       struct blk_snap_block_range *ranges, u32 n)
{
	sector_t start = get_start_sect(bdev), size = bdev_nr_sectors(bdev);
	u32 block = bdev_logical_block_size(bdev) >> 9;
	sector_t first = ranges[n].sector_offset;
	sector_t count = ranges[n].sector_count;
	struct snapshot *snap;
	struct store_range *r;
	u32 i;

	if (!count || first >= size || count > size - first ||
	    (first | count) & (block - 1))
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (ranges_meet(first, count, ranges[i].sector_offset,
				ranges[i].sector_count))
			return -EINVAL;
	list_for_each_entry(snap, &snapshots, node)
		list_for_each_entry(r, &snap->ranges, node)
			if (r->bdev->bd_disk == bdev->bd_disk &&
			    ranges_meet(first + start, count, r->first +
					get_start_sect(r->bdev), r->count))
				return -EINVAL;
	return 0;
}

/* Hides what of @r lies on @m; under big. */
static int hide_range(struct member *m, struct block_device *bdev,
		      sector_t first, sector_t count, u32 seq)
{
	sector_t from = max(first + get_start_sect(bdev), m->t->start);
	sector_t to = min(first + count + get_start_sect(bdev),
			  m->t->start + m->capacity);

	if (bdev->bd_disk != m->bdev->bd_disk || from >= to)
		return 0;
	return hide(m, from - m->t->start, to - from, seq);
}

static int hide_on_captured(struct block_device *bdev, sector_t first,
			    sector_t count)
{
	struct snapshot *snap;
	struct member *m;
	int ret = 0;

	list_for_each_entry(snap, &snapshots, node) {
		mutex_lock(&snap->lock);
		list_for_each_entry(m, &snap->members, node)
			if (m->captured && !ret)
				ret = hide_range(m, bdev, first, count,
						 ++m->hide_seq);
		mutex_unlock(&snap->lock);
	}
	return ret;
}

/* Under big: does @bdev reach a captured device through another driver? */
static bool reaches_captured(struct block_device *bdev)
{
	struct snapshot *snap;
	struct member *m;

	list_for_each_entry(snap, &snapshots, node)
		list_for_each_entry(m, &snap->members, node)
			if (bdev_stacked_on(bdev, m->bdev) ||
			    (m->disk && bdev_stacked_on(bdev, m->disk->part0)))
				return true;
	return false;
}

int snapshot_append(struct snapshot *snap, dev_t dev,
		    struct blk_snap_block_range *ranges, u32 count)
{
	fmode_t mode = FMODE_READ | FMODE_WRITE;
	struct store_dev *sd = kzalloc(sizeof(*sd), GFP_KERNEL);
	struct block_device *bdev;
	struct store_range *r, *next;
	LIST_HEAD(list);
	u64 added = 0;
	u32 i;
	int ret;

	if (!sd)
		return -ENOMEM;
	bdev = dev ? blkdev_get_by_dev(dev, mode, NULL) : ERR_PTR(-ENXIO);
	if (IS_ERR(bdev)) {
		kfree(sd);
		return PTR_ERR(bdev);
	}
	sd->bdev = bdev;
	mutex_lock(&big);
	ret = snap->dying ? -ESRCH :
	      bdev->bd_disk->major == image_major ? -EINVAL :
	      bdev_read_only(bdev) ? -EROFS : 0;
	for (i = 0; i < count && !ret; i++) {
		ret = range_check(bdev, ranges, i);
		r = ret ? NULL : kzalloc(sizeof(*r), GFP_NOIO);
		if (!r) {
			ret = ret ?: -ENOMEM;
			break;
		}
		r->bdev = bdev;
		r->first = ranges[i].sector_offset;
		r->count = ranges[i].sector_count;
		added += r->count;
		list_add_tail(&r->node, &list);
	}
	if (!ret && reaches_captured(bdev))
		ret = -EOPNOTSUPP;
	/* Before the first use. */
	list_for_each_entry(r, &list, node)
		if (!ret)
			ret = hide_on_captured(bdev, r->first, r->count);
	if (ret) {
		mutex_unlock(&big);
		list_for_each_entry_safe(r, next, &list, node)
			kfree(r);
		blkdev_put(bdev, mode);
		kfree(sd);
		return ret;
	}
	mutex_lock(&snap->lock);
	list_splice_tail(&list, &snap->ranges);
	list_add_tail(&sd->node, &snap->store_devs);
	snap->free += added;
	snap->low_mark = min(snap->minimum, snap->free) / 2;
	snap->low_armed = true;
	list_splice_init(&snap->starved, &snap->dirty);
	queue_work(snap->store_wq, &snap->store_work);
	wake_up_all(&snap->wait);
	mutex_unlock(&snap->lock);
	mutex_unlock(&big);
	return 0;
}

/* --- TAKE --- */

struct freeze_job {
	struct list_head node;
	struct work_struct work;
	struct completion done, thawed;
	struct block_device *bdev;
	struct kref ref;
	enum { FJ_RUNS, FJ_DONE, FJ_ABANDONED } state;
	bool frozen;
	int level;
};

static void freeze_free(struct kref *ref)
{
	struct freeze_job *job = container_of(ref, struct freeze_job, ref);

	put_device(&job->bdev->bd_device);
	kfree(job);
}

static void thaw(struct block_device *bdev)
{
	if (thaw_bdev(bdev) != -EINVAL)
		return;
	/* Its user has thawed it: ours is to take our count back. */
	mutex_lock(&bdev->bd_fsfreeze_mutex);
	if (bdev->bd_fsfreeze_count && !--bdev->bd_fsfreeze_count)
		bdev->bd_fsfreeze_sb = NULL;
	mutex_unlock(&bdev->bd_fsfreeze_mutex);
}

static void job_end(struct freeze_job *job, struct completion *done)
{
	complete(done);
	kref_put(&job->ref, freeze_free);
	module_put(THIS_MODULE);	/* freeze_wq is drained at exit */
}

static void freeze_fn(struct work_struct *work)
{
	struct freeze_job *job = container_of(work, struct freeze_job, work);

	job->frozen = !freeze_bdev(job->bdev);
	if (cmpxchg(&job->state, FJ_RUNS, FJ_DONE) == FJ_ABANDONED &&
	    job->frozen)
		thaw(job->bdev);
	job_end(job, &job->done);
}

static void thaw_fn(struct work_struct *work)
{
	struct freeze_job *job = container_of(work, struct freeze_job, work);

	thaw(job->bdev);
	job_end(job, &job->thawed);
}

static void job_start(struct freeze_job *job, work_func_t fn)
{
	kref_get(&job->ref);
	__module_get(THIS_MODULE);
	INIT_WORK(&job->work, fn);
	queue_work(freeze_wq, &job->work);
}

/* All file systems on a device: for a disk those on its partitions too. */
static int jobs_collect(struct member *m, struct list_head *jobs)
{
	struct block_device *bdev;
	unsigned long index;
	int ret = 0;

	rcu_read_lock();
	xa_for_each(&m->bdev->bd_disk->part_tbl, index, bdev) {
		struct freeze_job *job;

		if (bdev_is_partition(m->bdev) && bdev != m->bdev)
			continue;
		if (!kobject_get_unless_zero(&bdev->bd_device.kobj))
			continue;
		job = kzalloc(sizeof(*job), GFP_ATOMIC);
		if (!job) {
			put_device(&bdev->bd_device);
			ret = -ENOMEM;
			break;
		}
		kref_init(&job->ref);
		init_completion(&job->done);
		init_completion(&job->thawed);
		job->bdev = bdev;
		job->level = m->level;
		job->state = FJ_DONE;
		list_add_tail(&job->node, jobs);
	}
	rcu_read_unlock();
	return ret;
}

/* Waits in steps: for @done, a fatal signal, DESTROY or the end of time. */
static int given_up(struct snapshot *snap, unsigned long deadline)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (READ_ONCE(snap->dying))
		return -ESRCH;
	if (time_after_eq(jiffies, deadline))
		return -ETIMEDOUT;
	return 0;
}

static int freeze_level(struct snapshot *snap, struct list_head *jobs,
			int level, unsigned long deadline)
{
	struct freeze_job *job;
	int ret = 0;

	list_for_each_entry(job, jobs, node)
		if (job->level == level) {
			job->state = FJ_RUNS;
			job_start(job, freeze_fn);
		}
	list_for_each_entry(job, jobs, node) {
		if (job->level != level)
			continue;
		while (READ_ONCE(job->state) == FJ_RUNS && !ret) {
			wait_for_completion_killable_timeout(&job->done, HZ / 20);
			if (READ_ONCE(job->state) == FJ_RUNS)
				ret = given_up(snap, deadline);
		}
		/* One that ends soon is thawed before we return. */
		if (ret)
			wait_for_completion_timeout(&job->done, 2 * HZ);
		if (ret)
			cmpxchg(&job->state, FJ_RUNS, FJ_ABANDONED);
	}
	return ret;
}

static void thaw_all(struct list_head *jobs)
{
	struct freeze_job *job, *next;

	list_for_each_entry_reverse(job, jobs, node)
		if (job->state == FJ_DONE && job->frozen)
			job_start(job, thaw_fn);
	list_for_each_entry_safe(job, next, jobs, node) {
		/* A device that hangs thaws when it can. */
		if (job->state == FJ_DONE && job->frozen)
			wait_for_completion_timeout(&job->thawed, 5 * HZ);
		list_del(&job->node);
		kref_put(&job->ref, freeze_free);
	}
}

static int close_level(struct snapshot *snap, int level, unsigned long deadline)
{
	struct member *m;
	int ret = 0;

	list_for_each_entry(m, &snap->members, node)
		if (m->level == level) {
			blkfilter_close(m->t->filter);
			m->closed = true;
		}
	list_for_each_entry(m, &snap->members, node)
		while (m->level == level && !ret &&
		       blkfilter_wait_drained(m->t->filter, HZ / 20) <= 0)
			ret = given_up(snap, deadline);
	return ret;
}

static int find_levels(struct snapshot *snap)
{
	struct member *up, *low;
	bool changed = true;
	int deepest = 0;

	list_for_each_entry(up, &snap->members, node)
		up->level = 0;
	while (changed && deepest < 64) {
		changed = false;
		list_for_each_entry(up, &snap->members, node)
			list_for_each_entry(low, &snap->members, node)
				if (up != low && low->level <= up->level &&
				    bdev_stacked_on(up->bdev, low->bdev)) {
					low->level = up->level + 1;
					deepest = max(deepest, low->level);
					changed = true;
				}
	}
	return deepest;
}

static int member_prepare(struct member *m)
{
	int ret;

	if (blkfilter_is_gone(m->t->filter))
		return -ENODEV;
	m->capacity = bdev_nr_sectors(m->bdev);
	if (!m->capacity)
		return -ENODEV;
	m->chunk_shift = chunk_minimum_shift - 9;
	while (m->capacity >> m->chunk_shift >= chunk_maximum_count &&
	       m->chunk_shift < 22 - 9)
		m->chunk_shift++;
	if (m->capacity != m->t->capacity) {
		ret = geometry(m->capacity, &m->new_shift, &m->new_count);
		if (ret)
			return ret;
		m->new_active = kvzalloc(m->new_count, GFP_KERNEL);
		m->new_readable = kvzalloc(m->new_count, GFP_KERNEL);
		if (!m->new_active || !m->new_readable)
			return -ENOMEM;
	}
	return image_create(m);
}

/* Storage that is there already is not shown. */
static int hide_before(struct snapshot *snap)
{
	struct snapshot *other;
	struct member *m;
	struct store_range *r;
	int ret = 0;

	mutex_lock(&big);
	list_for_each_entry(m, &snap->members, node) {
		list_for_each_entry(other, &snapshots, node)
			list_for_each_entry(r, &other->ranges, node)
				if (!ret)
					ret = hide_range(m, r->bdev, r->first,
							 r->count, 0);
		m->captured = true;
	}
	mutex_unlock(&big);
	return ret;
}

/* All gates are closed and all devices quiet: the instant. */
static void flip(struct snapshot *snap)
{
	struct member *m;

	list_for_each_entry(m, &snap->members, node) {
		struct tracker *t = m->t;

		mutex_lock(&t->map_lock);
		if (m->new_active) {
			swap(t->active, m->new_active);
			swap(t->readable, m->new_readable);
			t->capacity = m->capacity;
			t->shift = m->new_shift;
			t->count = m->new_count;
		}
		if (m->new_active || t->number > 255) {
			memset(t->active, 0, t->count);
			generate_random_uuid(t->generation.b);
			t->number = 1;
		}
		memcpy(t->readable, t->active, t->count);
		t->snap_number = t->number++;
		rcu_assign_pointer(t->hold, m);
		mutex_unlock(&t->map_lock);
	}
	/* Without big: its owner may wait for a file system that we froze. */
	smp_store_release(&snap->taken, true);
}

int snapshot_take(struct snapshot *snap)
{
	unsigned long deadline;
	LIST_HEAD(jobs);
	struct member *m;
	int ret, level, deepest;

	if (mutex_lock_killable(&snap->op))
		return -EINTR;
	ret = snap->dying ? -ESRCH : snap->taken ? -EALREADY : 0;
	if (ret) {
		mutex_unlock(&snap->op);
		return ret;
	}
	deadline = jiffies + msecs_to_jiffies(take_timeout_ms);
	list_for_each_entry(m, &snap->members, node) {
		ret = member_prepare(m);
		if (ret)
			goto out;
	}
	deepest = find_levels(snap);
	list_for_each_entry(m, &snap->members, node)
		ret = ret ?: jobs_collect(m, &jobs);
	ret = ret ?: hide_before(snap);
	for (level = 0; level <= deepest && !ret; level++) {
		ret = freeze_level(snap, &jobs, level, deadline);
		ret = ret ?: close_level(snap, level, deadline);
	}
	if (!ret)
		flip(snap);
	list_for_each_entry(m, &snap->members, node)
		if (m->closed) {
			blkfilter_open(m->t->filter);
			m->closed = false;
		}
	thaw_all(&jobs);
out:
	if (ret) {
		WRITE_ONCE(snap->aborting, true);
		wake_up_all(&snap->wait);
		list_for_each_entry(m, &snap->members, node) {
			image_remove(m);
			mutex_lock(&big);
			m->captured = false;
			mutex_unlock(&big);
			member_free_chunks(m);	/* forgets what is hidden */
		}
		WRITE_ONCE(snap->aborting, false);
	}
	wake_up_all(&snap->wait);
	list_for_each_entry(m, &snap->members, node) {
		kvfree(m->new_active);
		kvfree(m->new_readable);
		m->new_active = m->new_readable = NULL;
	}
	mutex_unlock(&snap->op);
	return ret;
}

int snaps_init(void)
{
	freeze_wq = alloc_workqueue("blksnap_freeze", WQ_UNBOUND, 0);
	return freeze_wq ? 0 : -ENOMEM;
}

void snaps_exit(void)
{
	mutex_lock(&life_lock);
	trackers_reap(true);
	mutex_unlock(&life_lock);
	destroy_workqueue(freeze_wq);
}
