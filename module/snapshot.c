// SPDX-License-Identifier: GPL-2.0
/*
 * snapshot.lock is held through a call on one snapshot; snapshots_lock guards the
 * list and is never held across anything that waits.  No other snapshot's call
 * needs a lock that is held while a device is frozen or drained.  The order of all
 * locks is in docs/design.md.
 */
#include <linux/blk-filter.h>
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "freezer.h"
#include "params.h"
#include "snapimage.h"
#include "snapshot.h"
#include "trace.h"
#include "tracker.h"

#define SNAPSHOT_DEVICES_MAX 1024

enum snapshot_state {
	SNAPSHOT_CREATED,
	SNAPSHOT_TAKEN,
	SNAPSHOT_DESTROYED,
};

/**
 * struct snap_device - One device of a snapshot.
 * @bdev: held open from CREATE to DESTROY.
 * @tracker: claimed by the snapshot.
 * @made: the tracker was made for this snapshot.
 * @capacity: of the image, in sectors; read before the first freeze.
 * @area: from TAKE on.
 * @image: from TAKE on.
 * @level: in the order of freezing and closing; less than that of each device of
 *	the set that this one is stacked on.
 * @closed: its gate is closed.
 */
struct snap_device {
	struct block_device *bdev;
	struct tracker *tracker;
	bool made;
	sector_t capacity;
	struct diff_area *area;
	struct snapimage *image;
	unsigned int level;
	bool closed;
};

struct snapshot {
	struct list_head node;
	struct kref refs;
	struct blk_snap_uuid id;
	struct mutex lock;
	enum snapshot_state state;
	struct event_queue events;
	struct diff_storage storage;
	u32 count;
	struct snap_device devices[];
};

static DEFINE_MUTEX(snapshots_lock);
static LIST_HEAD(snapshots);

static void snapshot_free(struct kref *refs)
{
	kvfree(container_of(refs, struct snapshot, refs));
}

static void snapshot_put(struct snapshot *snapshot)
{
	kref_put(&snapshot->refs, snapshot_free);
}

static struct snapshot *snapshot_get(const struct blk_snap_uuid *id)
{
	struct snapshot *snapshot;

	mutex_lock(&snapshots_lock);
	list_for_each_entry(snapshot, &snapshots, node)
		if (!memcmp(&snapshot->id, id, sizeof(*id))) {
			kref_get(&snapshot->refs);
			mutex_unlock(&snapshots_lock);
			return snapshot;
		}
	mutex_unlock(&snapshots_lock);
	return NULL;
}

/* By id, locked; NULL when it is unknown or destroyed. */
static struct snapshot *snapshot_get_locked(const struct blk_snap_uuid *id)
{
	struct snapshot *snapshot = snapshot_get(id);

	if (!snapshot)
		return NULL;
	mutex_lock(&snapshot->lock);
	if (snapshot->state != SNAPSHOT_DESTROYED)
		return snapshot;
	mutex_unlock(&snapshot->lock);
	snapshot_put(snapshot);
	return NULL;
}

static void snapshot_unlock_put(struct snapshot *snapshot)
{
	mutex_unlock(&snapshot->lock);
	snapshot_put(snapshot);
}

/* -- CREATE ------------------------------------------------------------- */

static bool has_duplicates(const struct blk_snap_dev *devices, u32 count)
{
	u32 i, k;

	for (i = 0; i < count; i++)
		for (k = 0; k < i; k++)
			if (devices[i].mj == devices[k].mj &&
			    devices[i].mn == devices[k].mn)
				return true;
	return false;
}

/* What we cannot keep the promises for is refused. */
static int check_device(struct block_device *bdev)
{
	struct request_queue *q = bdev_get_queue(bdev);

	if (MAJOR(bdev->bd_dev) == snapimage_major())
		return -EINVAL;
	if (bdev_read_only(bdev))
		return -EROFS;
	/* What comes as requests from above would not be seen. */
	if (bdev_held_by_requests(bdev))
		return -EBUSY;
	if (bdev_is_zoned(bdev) || blk_queue_dax(q))
		return -EOPNOTSUPP;
#ifdef CONFIG_BLK_DEV_INTEGRITY
	if (bdev_get_integrity(bdev))
		return -EOPNOTSUPP;
#endif
#ifdef CONFIG_BLK_INLINE_ENCRYPTION
	if (q->crypto_profile)
		return -EOPNOTSUPP;
#endif
	return 0;
}

static int open_device(struct snapshot *snapshot, struct snap_device *device,
		       struct blk_snap_dev number)
{
	struct block_device *bdev;
	struct tracker *tracker;
	dev_t dev;
	int ret;

	if (!kernel_dev(number, &dev))
		return -ENXIO;
	bdev = blkdev_get_by_dev(dev, FMODE_READ, NULL);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	ret = check_device(bdev);
	if (ret)
		goto out;
	tracker = tracker_claim(bdev, snapshot, &device->made);
	if (IS_ERR(tracker)) {
		ret = PTR_ERR(tracker);
		goto out;
	}
	device->bdev = bdev;
	device->tracker = tracker;
	return 0;

out:
	blkdev_put(bdev, FMODE_READ);
	return ret;
}

/* @undo: CREATE has failed, trackers that it made go again. */
static void close_devices(struct snapshot *snapshot, bool undo)
{
	u32 i;

	for (i = 0; i < snapshot->count; i++) {
		struct snap_device *device = &snapshot->devices[i];

		if (!device->bdev)
			continue;
		tracker_unclaim(device->tracker, undo && device->made);
		blkdev_put(device->bdev, FMODE_READ);
		device->bdev = NULL;
	}
}

static struct snapshot *snapshot_alloc(u32 count)
{
	struct snapshot *snapshot;
	uuid_t id;

	snapshot = kvzalloc(struct_size(snapshot, devices, count), GFP_KERNEL);
	if (!snapshot)
		return NULL;
	kref_init(&snapshot->refs);
	mutex_init(&snapshot->lock);
	event_queue_init(&snapshot->events);
	diff_storage_init(&snapshot->storage, &snapshot->events);
	generate_random_uuid(id.b);
	memcpy(snapshot->id.b, id.b, sizeof(snapshot->id.b));
	snapshot->count = count;
	return snapshot;
}

int snapshot_create(const struct blk_snap_dev *devices, u32 count,
		    int (*deliver)(const struct blk_snap_uuid *id,
				   void __user *to),
		    void __user *to)
{
	struct snapshot *snapshot;
	int ret = 0;
	u32 i;

	if (!count || count > SNAPSHOT_DEVICES_MAX ||
	    has_duplicates(devices, count))
		return -EINVAL;
	snapshot = snapshot_alloc(count);
	if (!snapshot)
		return -ENOMEM;
	for (i = 0; i < count && !ret; i++)
		ret = open_device(snapshot, &snapshot->devices[i], devices[i]);
	/* Before anybody else can know the id, so that all of it can be undone. */
	if (!ret)
		ret = deliver(&snapshot->id, to);
	if (ret) {
		close_devices(snapshot, true);
		diff_storage_exit(&snapshot->storage);
		snapshot_put(snapshot);
		return ret;
	}
	__module_get(THIS_MODULE);
	mutex_lock(&snapshots_lock);
	list_add_tail(&snapshot->node, &snapshots);
	mutex_unlock(&snapshots_lock);
	trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_CREATED, count);
	return 0;
}

/* -- APPEND ------------------------------------------------------------- */

/* Old data stored there would be written to the device, or to its image. */
static bool reaches_device(struct block_device *bdev,
			   const struct snap_device *device)
{
	return bdev_stacked_on(bdev, device->bdev) ||
	       (device->image &&
		bdev_stacked_on(bdev, snapimage_bdev(device->image)));
}

static int check_storage(struct snapshot *snapshot, dev_t dev)
{
	struct block_device *bdev;
	int ret = 0;
	u32 i;

	if (MAJOR(dev) == snapimage_major())
		return -EINVAL;
	bdev = blkdev_get_by_dev(dev, FMODE_READ, NULL);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	for (i = 0; i < snapshot->count && !ret; i++)
		if (reaches_device(bdev, &snapshot->devices[i]))
			ret = -EOPNOTSUPP;
	blkdev_put(bdev, FMODE_READ);
	return ret;
}

int snapshot_append(const struct blk_snap_uuid *id, struct blk_snap_dev device,
		    const struct blk_snap_block_range *ranges, u32 count)
{
	struct snapshot *snapshot = snapshot_get_locked(id);
	unsigned int noio;
	dev_t dev;
	int ret;

	if (!snapshot)
		return -ESRCH;
	/* Whoever frees memory by writing may wait for this very storage. */
	noio = memalloc_noio_save();
	ret = -ENXIO;
	if (!kernel_dev(device, &dev))
		goto out;
	ret = check_storage(snapshot, dev);
	if (!ret)
		ret = diff_storage_append(&snapshot->storage, dev, ranges,
					  count);
out:
	memalloc_noio_restore(noio);
	snapshot_unlock_put(snapshot);
	return ret;
}

/* -- TAKE --------------------------------------------------------------- */

static int prepare_device(struct snapshot *snapshot, struct snap_device *device)
{
	int ret;

	/* With the size of that moment: who changes it later finds an image to distrust. */
	cbt_map_note_size(&device->tracker->map,
			  blkfilter_forget_size(device->tracker->filter,
						&device->capacity));
	ret = cbt_map_prepare(&device->tracker->map, device->capacity);
	if (ret)
		return ret;
	device->area = diff_area_create(device->bdev, device->tracker->filter,
					device->capacity, &snapshot->storage);
	if (IS_ERR(device->area)) {
		ret = PTR_ERR(device->area);
		device->area = NULL;
		return ret;
	}
	device->image = snapimage_create(device->bdev, device->capacity,
					 device->area, &device->tracker->map);
	if (IS_ERR(device->image)) {
		ret = PTR_ERR(device->image);
		device->image = NULL;
	}
	return ret;
}

/* Images, areas and what the maps had prepared go; waits for their I/O. */
static void release_devices(struct snapshot *snapshot)
{
	struct snap_device *device;
	struct snap_device *end = snapshot->devices + snapshot->count;

	for (device = snapshot->devices; device < end; device++)
		if (device->image)
			snapimage_end(device->image);
	/* Before a write passes uncopied: what is read after it may be new. */
	for (device = snapshot->devices; device < end; device++)
		if (device->area)
			diff_area_stop_saving(device->area);
	for (device = snapshot->devices; device < end; device++)
		if (device->tracker && tracker_is_held(device->tracker))
			tracker_set_area(device->tracker, NULL);
	/* Nobody in a hook uses an area any more. */
	synchronize_rcu();
	/*
	 * Writes to the origins first: they do not wait for a storage that may
	 * be hung, nor for the sync of a mounted image.
	 */
	for (device = snapshot->devices; device < end; device++)
		if (device->area)
			diff_area_end(device->area);
	for (device = snapshot->devices; device < end; device++) {
		if (device->image)
			snapimage_destroy(device->image);
		device->image = NULL;
	}
	if (snapshot->state == SNAPSHOT_DESTROYED)
		diff_storage_stop(&snapshot->storage);
	for (device = snapshot->devices; device < end; device++) {
		if (device->area)
			diff_area_destroy(device->area);
		device->area = NULL;
		if (device->tracker)
			cbt_map_unprepare(&device->tracker->map);
	}
}

/*
 * A device comes after all those of the set that are stacked above it, and as late
 * as it may: the file system on one of the last may have its journal on another.
 */
static unsigned int compute_levels(struct snapshot *snapshot)
{
	struct snap_device *devices = snapshot->devices;
	unsigned int deepest = 0;
	bool changed = true;
	u32 i, k;

	/* First the longest chain below. */
	for (i = 0; i < snapshot->count; i++)
		devices[i].level = 0;
	while (changed && deepest < snapshot->count) {
		changed = false;
		for (i = 0; i < snapshot->count; i++)
			for (k = 0; k < snapshot->count; k++) {
				if (devices[k].level > devices[i].level ||
				    !bdev_stacked_on(devices[k].bdev,
						     devices[i].bdev))
					continue;
				devices[k].level = devices[i].level + 1;
				deepest = max(deepest, devices[k].level);
				changed = true;
			}
	}
	for (i = 0; i < snapshot->count; i++)
		devices[i].level = deepest - min(deepest, devices[i].level);
	return deepest;
}

static int close_level(struct snapshot *snapshot, unsigned int level,
		       unsigned long deadline)
{
	struct snap_device *device;
	long left;
	u32 i;

	for (i = 0; i < snapshot->count; i++) {
		device = &snapshot->devices[i];
		if (device->level != level)
			continue;
		blkfilter_close(device->tracker->filter);
		device->closed = true;
	}
	for (i = 0; i < snapshot->count; i++) {
		device = &snapshot->devices[i];
		if (device->level != level)
			continue;
		left = max(0L, (long)(deadline - jiffies));
		left = blkfilter_wait_drained(device->tracker->filter, left);
		if (left <= 0)
			return left ? -EINTR : -ETIMEDOUT;
	}
	return 0;
}

static void open_all(struct snapshot *snapshot)
{
	u32 i;

	for (i = 0; i < snapshot->count; i++) {
		struct snap_device *device = &snapshot->devices[i];

		if (device->closed)
			blkfilter_open(device->tracker->filter);
		device->closed = false;
	}
}

/* A device that has lost its contents cannot be captured any more. */
static bool any_gone(struct snapshot *snapshot)
{
	u32 i;

	for (i = 0; i < snapshot->count; i++)
		if (blkfilter_is_gone(snapshot->devices[i].tracker->filter))
			return true;
	return false;
}

/* All gates are closed and nothing is inside: this is the instant. */
static void flip(struct snapshot *snapshot)
{
	u32 i;

	for (i = 0; i < snapshot->count; i++) {
		struct snap_device *device = &snapshot->devices[i];

		/* Cut since then, it was written past its gate. */
		cbt_map_note_size(&device->tracker->map,
				  blkfilter_least_sectors(device->tracker->filter));
		cbt_map_switch(&device->tracker->map);
		tracker_set_area(device->tracker, device->area);
		trace_blksnap_map_switch(device->tracker->dev,
					 device->tracker->map.snap_number);
	}
	WRITE_ONCE(snapshot->state, SNAPSHOT_TAKEN);
	trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_TAKEN, 0);
}

/*
 * Level by level, each frozen before it is closed: a device above may need the
 * file system of the one below to finish its writes, as loop does.
 */
static int quiesce(struct snapshot *snapshot, struct list_head *frozen,
		   unsigned int deepest)
{
	unsigned long deadline = jiffies +
				 msecs_to_jiffies(param_take_timeout_ms());
	unsigned int level;
	int ret = 0;

	for (level = 0; !ret && level <= deepest; level++) {
		ret = freezer_freeze(frozen, level, deadline);
		if (ret)
			break;
		trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_FROZEN, level);
		ret = close_level(snapshot, level, deadline);
		trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_CLOSED, level);
	}
	return ret;
}

static int capture(struct snapshot *snapshot, struct list_head *frozen,
		   unsigned int deepest)
{
	unsigned int noio = memalloc_noio_save();
	int ret;

	ret = quiesce(snapshot, frozen, deepest);
	if (!ret && any_gone(snapshot))
		ret = -ENODEV;
	if (!ret)
		flip(snapshot);
	open_all(snapshot);
	trace_blksnap_snapshot(snapshot->id.b,
			       ret ? SNAP_STEP_FAILED : SNAP_STEP_OPENED, ret);
	freezer_thaw(frozen, msecs_to_jiffies(param_take_timeout_ms()));
	memalloc_noio_restore(noio);
	return ret;
}

static int take_locked(struct snapshot *snapshot, struct list_head *frozen)
{
	unsigned int deepest;
	int ret = 0;
	u32 i;

	if (snapshot->state == SNAPSHOT_TAKEN)
		return -EALREADY;
	deepest = compute_levels(snapshot);
	for (i = 0; i < snapshot->count && !ret; i++)
		ret = prepare_device(snapshot, &snapshot->devices[i]);
	for (i = 0; i < snapshot->count && !ret; i++)
		ret = freezer_add(frozen, snapshot->devices[i].bdev,
				  snapshot->devices[i].level);
	if (!ret)
		ret = capture(snapshot, frozen, deepest);
	if (ret) {
		release_devices(snapshot);
		return ret;
	}
	for (i = 0; i < snapshot->count; i++) {
		cbt_map_unprepare(&snapshot->devices[i].tracker->map);
		snapimage_start(snapshot->devices[i].image);
	}
	return 0;
}

int snapshot_take(const struct blk_snap_uuid *id)
{
	struct snapshot *snapshot = snapshot_get_locked(id);
	LIST_HEAD(frozen);
	int ret;

	if (!snapshot)
		return -ESRCH;
	ret = take_locked(snapshot, &frozen);
	snapshot_unlock_put(snapshot);
	freezer_free(&frozen);
	return ret;
}

/* -- DESTROY ------------------------------------------------------------ */

int snapshot_destroy(const struct blk_snap_uuid *id)
{
	struct snapshot *snapshot = snapshot_get_locked(id);

	if (!snapshot)
		return -ENODEV;
	WRITE_ONCE(snapshot->state, SNAPSHOT_DESTROYED);
	trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_DESTROYING, 0);
	mutex_lock(&snapshots_lock);
	list_del(&snapshot->node);
	mutex_unlock(&snapshots_lock);
	event_queue_close(&snapshot->events);
	release_devices(snapshot);
	close_devices(snapshot, false);
	diff_storage_exit(&snapshot->storage);
	trace_blksnap_snapshot(snapshot->id.b, SNAP_STEP_DESTROYED, 0);
	snapshot_unlock_put(snapshot);
	/* The reference of the list. */
	snapshot_put(snapshot);
	module_put(THIS_MODULE);
	return 0;
}

/* -- Lists and events --------------------------------------------------- */

int snapshot_collect(struct blk_snap_uuid *ids, u32 count)
{
	struct snapshot *snapshot;
	u32 found = 0;

	mutex_lock(&snapshots_lock);
	list_for_each_entry(snapshot, &snapshots, node) {
		if (found < count)
			ids[found] = snapshot->id;
		found++;
	}
	mutex_unlock(&snapshots_lock);
	return found;
}

static struct blk_snap_dev user_dev(dev_t dev)
{
	return (struct blk_snap_dev){ .mj = MAJOR(dev), .mn = MINOR(dev) };
}

int snapshot_collect_images(const struct blk_snap_uuid *id,
			    struct blk_snap_image_info *infos, u32 count)
{
	struct snapshot *snapshot = snapshot_get_locked(id);
	u32 i, found = 0;

	if (!snapshot)
		return -ESRCH;
	if (snapshot->state == SNAPSHOT_TAKEN)
		found = snapshot->count;
	for (i = 0; i < min(found, count); i++) {
		struct snap_device *device = &snapshot->devices[i];

		infos[i].orig_dev_id = user_dev(device->bdev->bd_dev);
		infos[i].image_dev_id = user_dev(snapimage_dev(device->image));
	}
	snapshot_unlock_put(snapshot);
	return found;
}

int snapshot_wait_event(const struct blk_snap_uuid *id, u32 timeout_ms,
			int (*deliver)(const struct snap_event *event,
				       void __user *to),
			void __user *to)
{
	struct snapshot *snapshot = snapshot_get(id);
	struct snap_event copy, *event;
	int ret;

	if (!snapshot)
		return -ESRCH;
	event = event_queue_fetch(&snapshot->events, timeout_ms, &copy);
	if (IS_ERR(event)) {
		ret = PTR_ERR(event);
	} else {
		ret = deliver(&copy, to);
		if (ret)
			event_queue_unfetch(&snapshot->events, event);
	}
	snapshot_put(snapshot);
	return ret;
}

dev_t snapshot_origin_of(dev_t dev)
{
	struct snapshot *snapshot;
	dev_t origin = dev;
	u32 i;

	if (MAJOR(dev) != snapimage_major())
		return dev;
	mutex_lock(&snapshots_lock);
	list_for_each_entry(snapshot, &snapshots, node)
		for (i = 0; i < snapshot->count; i++) {
			struct snap_device *device = &snapshot->devices[i];

			if (READ_ONCE(snapshot->state) == SNAPSHOT_TAKEN &&
			    snapimage_dev(device->image) == dev)
				origin = device->tracker->dev;
		}
	mutex_unlock(&snapshots_lock);
	return origin;
}

/* -- For people --------------------------------------------------------- */

static void show_device(struct snap_device *device, struct seq_file *to)
{
	dev_t dev = device->tracker->dev;

	seq_printf(to, " device %d:%d", MAJOR(dev), MINOR(dev));
	if (device->image)
		seq_printf(to, " image %d:%d %s",
			   MAJOR(snapimage_dev(device->image)),
			   MINOR(snapimage_dev(device->image)),
			   snapimage_state(device->image));
	seq_putc(to, '\n');
	if (device->area)
		diff_area_show(device->area, to);
}

static void show_snapshot(struct snapshot *snapshot, struct seq_file *to)
{
	static const char * const names[] = {
		[SNAPSHOT_CREATED] = "created",
		[SNAPSHOT_TAKEN] = "taken",
		[SNAPSHOT_DESTROYED] = "destroyed",
	};
	u32 i;

	seq_printf(to, "%pUb %s\n", &snapshot->id,
		   names[READ_ONCE(snapshot->state)]);
	diff_storage_show(&snapshot->storage, to);
	/* A call that hangs is what one may be looking for: do not join it. */
	if (!mutex_trylock(&snapshot->lock)) {
		seq_puts(to, " a call is at work on it\n");
		return;
	}
	if (snapshot->state != SNAPSHOT_DESTROYED)
		for (i = 0; i < snapshot->count; i++)
			show_device(&snapshot->devices[i], to);
	mutex_unlock(&snapshot->lock);
}

/* The one at place @index of the list, with a reference, or NULL. */
static struct snapshot *snapshot_at(unsigned int index)
{
	struct snapshot *snapshot, *found = NULL;

	mutex_lock(&snapshots_lock);
	list_for_each_entry(snapshot, &snapshots, node)
		if (!index--) {
			kref_get(&snapshot->refs);
			found = snapshot;
			break;
		}
	mutex_unlock(&snapshots_lock);
	return found;
}

void snapshot_show_all(struct seq_file *to)
{
	struct snapshot *snapshot;
	unsigned int i;

	for (i = 0; (snapshot = snapshot_at(i)); i++) {
		show_snapshot(snapshot, to);
		snapshot_put(snapshot);
	}
}

int __init snapshot_init(void)
{
	return freezer_init();
}

void snapshot_exit(void)
{
	freezer_exit();
}
