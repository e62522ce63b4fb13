// SPDX-License-Identifier: GPL-2.0
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ctl.h"
#include "snapshot.h"
#include "tracker.h"

/* Arrays of a client are bounded: no call makes the kernel allocate for ever. */
#define ARRAY_BYTES_MAX (16U << 20)

static_assert(IOCTL_BLK_SNAP_VERSION == 0x40085600);
static_assert(IOCTL_BLK_SNAP_TRACKER_REMOVE == 0x40085601);
static_assert(IOCTL_BLK_SNAP_TRACKER_COLLECT == 0x40105602);
static_assert(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP == 0x80185603);
static_assert(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS == 0x80185604);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_CREATE == 0x40205605);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY == 0x80105606);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE == 0x40285607);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_TAKE == 0x80105608);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT == 0x40105609);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES == 0x4020560a);
static_assert(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT == 0x5000560b);
static_assert(sizeof(struct blk_snap_cbt_info) == 48);

/* A client's array in kernel memory; kvfree() it. ERR_PTR(-EINVAL, ...). */
static void *copy_array(const void __user *from, u32 count, size_t size)
{
	size_t bytes = (size_t)count * size;
	void *array;

	if (bytes > ARRAY_BYTES_MAX)
		return ERR_PTR(-EINVAL);
	array = kvmalloc(max(bytes, size), GFP_KERNEL | __GFP_NOWARN);
	if (!array)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(array, from, bytes)) {
		kvfree(array);
		return ERR_PTR(-EFAULT);
	}
	return array;
}

/* Zeroed room for what a collect returns, never more than there can be. */
static void *collect_array(u32 *count, size_t size)
{
	*count = min_t(size_t, *count, ARRAY_BYTES_MAX / size);
	return kvcalloc(max(*count, 1U), size, GFP_KERNEL | __GFP_NOWARN);
}

/*
 * Ends a collect: @found entries exist, @array has the first @count of them.
 * The needed count is always written; the array only when all fit.
 */
static int return_array(void __user *to, const void *array, u32 count,
			int found, size_t size, u32 __user *count_to)
{
	if (found < 0)
		return found;
	if (to && found <= count && copy_to_user(to, array, found * size))
		return -EFAULT;
	if (put_user((u32)found, count_to))
		return -EFAULT;
	return to && found > count ? -ENODATA : 0;
}

static long ioctl_version(void __user *argument)
{
	struct blk_snap_version version = { .major = 1 };

	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static long ioctl_tracker_remove(void __user *argument)
{
	struct blk_snap_tracker_remove remove;
	struct block_device *bdev;
	dev_t dev;
	int ret;

	if (copy_from_user(&remove, argument, sizeof(remove)))
		return -EFAULT;
	if (!kernel_dev(remove.dev_id, &dev))
		return -ENXIO;
	ret = tracker_remove(dev);
	if (ret != -ENODATA)
		return ret;
	bdev = blkdev_get_by_dev(dev, FMODE_READ, NULL);
	if (!IS_ERR(bdev))
		blkdev_put(bdev, FMODE_READ);
	else if (PTR_ERR(bdev) == -ENXIO || PTR_ERR(bdev) == -ENODEV)
		return -ENXIO;
	return -ENODATA;
}

static long ioctl_tracker_collect(void __user *argument)
{
	struct blk_snap_tracker_collect __user *user = argument;
	struct blk_snap_tracker_collect collect;
	void *infos;
	int ret;

	if (copy_from_user(&collect, argument, sizeof(collect)))
		return -EFAULT;
	infos = collect_array(&collect.count, sizeof(struct blk_snap_cbt_info));
	if (!infos)
		return -ENOMEM;
	ret = tracker_collect(infos, collect.count);
	ret = return_array((void __user *)collect.cbt_info_array, infos,
			   collect.count, ret, sizeof(struct blk_snap_cbt_info),
			   &user->count);
	kvfree(infos);
	return ret;
}

/* Copies a window of the map, a page at a time and without a lock held. */
static long copy_map(struct cbt_map *map, u32 offset, u32 length,
		     u8 __user *to)
{
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL);
	long copied = 0;

	if (!page)
		return -ENOMEM;
	while (copied < length && (u64)offset + copied <= U32_MAX) {
		u32 want = min_t(u32, length - copied, PAGE_SIZE);
		u32 got = cbt_map_read(map, page, offset + copied, want);
		u32 left;

		if (!got)
			break;
		left = copy_to_user(to + copied, page, got);
		copied += got - left;
		if (left) {
			if (!copied)
				copied = -EFAULT;
			break;
		}
	}
	free_page((unsigned long)page);
	return copied;
}

static long ioctl_tracker_read_cbt_map(void __user *argument)
{
	struct blk_snap_tracker_read_cbt_bitmap window;
	struct tracker *tracker;
	dev_t dev;
	long ret;

	if (copy_from_user(&window, argument, sizeof(window)))
		return -EFAULT;
	if (!kernel_dev(window.dev_id, &dev))
		return -ENODEV;
	tracker = tracker_find(dev);
	if (IS_ERR(tracker))
		return PTR_ERR(tracker);
	if (tracker_is_held(tracker))
		ret = copy_map(&tracker->map, window.offset, window.length,
			       (u8 __user *)window.buff);
	else
		ret = -EPERM;
	tracker_put(tracker);
	return ret;
}

static int mark_ranges(struct cbt_map *map,
		       const struct blk_snap_block_range *ranges, u32 count)
{
	sector_t capacity = READ_ONCE(map->capacity);
	u32 i;

	for (i = 0; i < count; i++)
		if (!ranges[i].sector_count ||
		    ranges[i].sector_count > capacity ||
		    ranges[i].sector_offset > capacity - ranges[i].sector_count)
			return -EINVAL;
	for (i = 0; i < count; i++) {
		cbt_map_mark_both(map, ranges[i].sector_offset,
				  ranges[i].sector_count);
		cond_resched();
		/* A million ranges of a whole device take their time. */
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static long ioctl_tracker_mark_dirty(void __user *argument)
{
	struct blk_snap_tracker_mark_dirty_blocks mark;
	struct tracker *tracker;
	void *ranges;
	dev_t dev;
	long ret;

	if (copy_from_user(&mark, argument, sizeof(mark)))
		return -EFAULT;
	if (!kernel_dev(mark.dev_id, &dev))
		return -ENODEV;
	ranges = copy_array((void __user *)mark.dirty_blocks_array, mark.count,
			    sizeof(struct blk_snap_block_range));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	tracker = tracker_find(snapshot_origin_of(dev));
	if (IS_ERR(tracker)) {
		ret = PTR_ERR(tracker);
	} else {
		ret = mark_ranges(&tracker->map, ranges, mark.count);
		tracker_put(tracker);
	}
	kvfree(ranges);
	return ret;
}

static int deliver_id(const struct blk_snap_uuid *id, void __user *to)
{
	return copy_to_user(to, id, sizeof(*id)) ? -EFAULT : 0;
}

static long ioctl_snapshot_create(void __user *argument)
{
	struct blk_snap_snapshot_create __user *user = argument;
	struct blk_snap_snapshot_create create;
	void *devices;
	long ret;

	if (copy_from_user(&create, argument, sizeof(create)))
		return -EFAULT;
	devices = copy_array((void __user *)create.dev_id_array, create.count,
			     sizeof(struct blk_snap_dev));
	if (IS_ERR(devices))
		return PTR_ERR(devices);
	ret = snapshot_create(devices, create.count, deliver_id, &user->id);
	kvfree(devices);
	return ret;
}

static long ioctl_snapshot_destroy(void __user *argument)
{
	struct blk_snap_snapshot_destroy destroy;

	if (copy_from_user(&destroy, argument, sizeof(destroy)))
		return -EFAULT;
	return snapshot_destroy(&destroy.id);
}

static long ioctl_snapshot_append(void __user *argument)
{
	struct blk_snap_snapshot_append_storage append;
	void *ranges;
	long ret;

	if (copy_from_user(&append, argument, sizeof(append)))
		return -EFAULT;
	ranges = copy_array((void __user *)append.ranges, append.count,
			    sizeof(struct blk_snap_block_range));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	ret = snapshot_append(&append.id, append.dev_id, ranges, append.count);
	kvfree(ranges);
	return ret;
}

static long ioctl_snapshot_take(void __user *argument)
{
	struct blk_snap_snapshot_take take;

	if (copy_from_user(&take, argument, sizeof(take)))
		return -EFAULT;
	return snapshot_take(&take.id);
}

static long ioctl_snapshot_collect(void __user *argument)
{
	struct blk_snap_snapshot_collect __user *user = argument;
	struct blk_snap_snapshot_collect collect;
	void *ids;
	int ret;

	if (copy_from_user(&collect, argument, sizeof(collect)))
		return -EFAULT;
	ids = collect_array(&collect.count, sizeof(struct blk_snap_uuid));
	if (!ids)
		return -ENOMEM;
	ret = snapshot_collect(ids, collect.count);
	ret = return_array((void __user *)collect.ids, ids, collect.count, ret,
			   sizeof(struct blk_snap_uuid), &user->count);
	kvfree(ids);
	return ret;
}

static long ioctl_snapshot_collect_images(void __user *argument)
{
	struct blk_snap_snapshot_collect_images __user *user = argument;
	struct blk_snap_snapshot_collect_images collect;
	void *infos;
	int ret;

	if (copy_from_user(&collect, argument, sizeof(collect)))
		return -EFAULT;
	infos = collect_array(&collect.count,
			      sizeof(struct blk_snap_image_info));
	if (!infos)
		return -ENOMEM;
	ret = snapshot_collect_images(&collect.id, infos, collect.count);
	ret = return_array((void __user *)collect.image_info_array, infos,
			   collect.count, ret,
			   sizeof(struct blk_snap_image_info), &user->count);
	kvfree(infos);
	return ret;
}

/* The client's structure keeps its id and timeout: it is used again. */
static int deliver_event(const struct snap_event *event, void __user *to)
{
	struct blk_snap_snapshot_event __user *user = to;
	size_t size = event->code == blk_snap_event_code_corrupted ?
		      sizeof(event->corrupted) : sizeof(event->low);

	BUILD_BUG_ON(offsetof(struct snap_event, low) !=
		     offsetof(struct snap_event, corrupted));
	if (clear_user(user->data, sizeof(user->data)) ||
	    copy_to_user(user->data, &event->low, size) ||
	    put_user(event->code, &user->code) ||
	    put_user(event->time_ns, &user->time_label))
		return -EFAULT;
	return 0;
}

static long ioctl_snapshot_wait_event(void __user *argument)
{
	struct blk_snap_snapshot_event __user *user = argument;
	struct blk_snap_uuid id;
	u32 timeout_ms;

	if (copy_from_user(&id, &user->id, sizeof(id)) ||
	    get_user(timeout_ms, &user->timeout_ms))
		return -EFAULT;
	return snapshot_wait_event(&id, timeout_ms, deliver_event, user);
}

static const struct {
	unsigned int number;
	long (*handler)(void __user *argument);
} ctl_table[] = {
	{ IOCTL_BLK_SNAP_VERSION, ioctl_version },
	{ IOCTL_BLK_SNAP_TRACKER_REMOVE, ioctl_tracker_remove },
	{ IOCTL_BLK_SNAP_TRACKER_COLLECT, ioctl_tracker_collect },
	{ IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, ioctl_tracker_read_cbt_map },
	{ IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, ioctl_tracker_mark_dirty },
	{ IOCTL_BLK_SNAP_SNAPSHOT_CREATE, ioctl_snapshot_create },
	{ IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, ioctl_snapshot_destroy },
	{ IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, ioctl_snapshot_append },
	{ IOCTL_BLK_SNAP_SNAPSHOT_TAKE, ioctl_snapshot_take },
	{ IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, ioctl_snapshot_collect },
	{ IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES,
	  ioctl_snapshot_collect_images },
	{ IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, ioctl_snapshot_wait_event },
};

static long ctl_ioctl(struct file *file, unsigned int command,
		      unsigned long argument)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ctl_table); i++)
		if (ctl_table[i].number == command)
			return ctl_table[i].handler((void __user *)argument);
	return -ENOTTY;
}

static int ctl_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? nonseekable_open(inode, file) : -EPERM;
}

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.open = ctl_open,
	.unlocked_ioctl = ctl_ioctl,
	.llseek = no_llseek,
};

static struct miscdevice ctl_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "blksnap",
	.fops = &ctl_fops,
	.mode = 0600,
};

int __init ctl_init(void)
{
	return misc_register(&ctl_device);
}

void ctl_exit(void)
{
	misc_deregister(&ctl_device);
}
