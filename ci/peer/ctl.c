// SPDX-License-Identifier: GPL-2.0
/* /dev/blksnap: the twelve ioctls, parameters, module. */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "peer.h"

#define COPY_MAX (16u << 20)

static_assert(sizeof(struct blk_snap_cbt_info) == 48);
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

int image_major;
static struct class *peer_class;

/* --- parameters --- */

#define PARAM(name, value, low, high, text)				\
	unsigned long name = value;					\
	static int name##_set(const char *val, const struct kernel_param *kp) \
	{								\
		unsigned long v;					\
		int ret = kstrtoul(val, 0, &v);				\
									\
		if (ret)						\
			return -EINVAL;					\
		if (v < (low) || v > (high))				\
			return -EINVAL;					\
		WRITE_ONCE(name, v);					\
		return 0;						\
	}								\
	static const struct kernel_param_ops name##_ops = {		\
		.set = name##_set, .get = param_get_ulong,		\
	};								\
	module_param_cb(name, &name##_ops, &name, 0644);		\
	MODULE_PARM_DESC(name, text)

PARAM(tracking_block_minimum_shift, 16, 9, 31,
      "log2 of the smallest tracking block, 9-31");
PARAM(tracking_block_maximum_count, 2097152, 1, 67108864,
      "most tracking blocks of a device");
PARAM(chunk_minimum_shift, 18, 12, 24, "log2 of the smallest chunk (12-24)");
PARAM(chunk_maximum_count, 2097152, 1, 67108864,
      "most chunks of a device, as long as they stay below 4 MiB");
PARAM(diff_storage_minimum, 2097152, 16, 2147483648,
      "sectors that a low free space event asks for");
PARAM(take_timeout_ms, 10000, 1, 3600000, "ms until TAKE gives up");
PARAM(unsaved_limit_mib, 64, 1, 65536,
      "MiB of a snapshot's old data that is not yet stored");
PARAM(storage_stall_ms, 30000, 1, 3600000,
      "ms that writes wait for a storage that stores nothing");

/* --- calls --- */

static void *copy_array(const void __user *from, u32 count, size_t size)
{
	if ((u64)count * size > COPY_MAX)
		return ERR_PTR(-EINVAL);
	return vmemdup_user(from, count * size);
}

static long do_version(void __user *arg)
{
	struct blk_snap_version version = { .major = 1 };

	return copy_to_user(arg, &version, sizeof(version)) ? -EFAULT : 0;
}

static long do_tracker_remove(void __user *arg)
{
	struct blk_snap_tracker_remove karg;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	return tracker_remove(karg.dev_id);
}

/* The end of every collect: @n entries of @size, of which @room fit. */
static long give(void __user *to, u32 room, u32 __user *count, void *from,
		 u32 n, size_t size)
{
	long ret = 0;

	if (to && room < n)
		ret = -ENODATA;
	else if (to && copy_to_user(to, from, n * size))
		return -EFAULT;
	return put_user(n, count) ? -EFAULT : ret;
}

static void fill_info(struct tracker *t, struct blk_snap_cbt_info *info)
{
	memset(info, 0, sizeof(*info));
	info->dev_id.mj = MAJOR(t->dev);
	info->dev_id.mn = MINOR(t->dev);
	mutex_lock(&t->map_lock);
	info->blk_size = 1u << t->shift;
	info->device_capacity = t->capacity << 9;
	info->blk_count = t->count;
	memcpy(&info->generation_id, &t->generation, sizeof(t->generation));
	info->snap_number = t->snap_number;
	mutex_unlock(&t->map_lock);
}

static long do_tracker_collect(void __user *arg)
{
	struct blk_snap_tracker_collect __user *uarg = arg;
	struct blk_snap_tracker_collect karg;
	struct blk_snap_cbt_info *infos;
	struct tracker *t;
	u32 n = 0, max = 0;
	long ret;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	mutex_lock(&big);
	list_for_each_entry(t, &trackers, node)
		max++;
	infos = kvcalloc(max ?: 1, sizeof(*infos), GFP_NOIO);
	if (infos)
		list_for_each_entry(t, &trackers, node)
			if (!blkfilter_is_gone(t->filter))
				fill_info(t, &infos[n++]);
	mutex_unlock(&big);
	if (!infos)
		return -ENOMEM;
	ret = give((void __user *)karg.cbt_info_array, karg.count, &uarg->count,
		   infos, n, sizeof(*infos));
	kvfree(infos);
	return ret;
}

static bool tracker_is_held(struct tracker *t)
{
	bool held;

	mutex_lock(&big);
	held = t->owner && t->owner->snap->taken && !t->owner->snap->dying;
	mutex_unlock(&big);
	return held;
}

static long do_read_cbt_map(void __user *arg)
{
	struct blk_snap_tracker_read_cbt_bitmap karg;
	struct tracker *t;
	long ret = 0;
	u32 done = 0;
	u8 *buf;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	t = karg.dev_id.mj == image_major ? NULL : tracker_find(karg.dev_id);
	if (!t) {
		kfree(buf);
		return -ENODEV;
	}
	if (!tracker_is_held(t))
		ret = -EPERM;
	while (!ret && done < karg.length) {
		u32 n = min_t(u32, karg.length - done, PAGE_SIZE), left;

		mutex_lock(&t->map_lock);
		if ((u64)karg.offset + done >= t->count)
			n = 0;
		else
			n = min(n, t->count - karg.offset - done);
		memcpy(buf, t->readable + karg.offset + done, n);
		mutex_unlock(&t->map_lock);
		if (!n)
			break;
		left = copy_to_user((void __user *)karg.buff + done, buf, n);
		done += n - left;
		if (left) {
			ret = done ? 0 : -EFAULT;
			break;
		}
	}
	tracker_put(t);
	kfree(buf);
	return ret ?: done;
}

static long do_mark_dirty(void __user *arg)
{
	struct blk_snap_tracker_mark_dirty_blocks karg;
	struct blk_snap_block_range *ranges;
	struct tracker *t;
	long ret = 0;
	u32 i;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	ranges = copy_array((void __user *)karg.dirty_blocks_array, karg.count,
			    sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	t = tracker_find(karg.dev_id);
	if (!t) {
		kvfree(ranges);
		return -ENODEV;
	}
	mutex_lock(&t->map_lock);
	for (i = 0; i < karg.count; i++)
		if (!ranges[i].sector_count ||
		    ranges[i].sector_offset >= t->capacity ||
		    ranges[i].sector_count >
				t->capacity - ranges[i].sector_offset)
			ret = -EINVAL;
	for (i = 0; i < karg.count && !ret; i++)
		mark_range(t, ranges[i].sector_offset, ranges[i].sector_count,
			   true);
	mutex_unlock(&t->map_lock);
	tracker_put(t);
	kvfree(ranges);
	return ret;
}

static long do_create(void __user *arg)
{
	struct blk_snap_snapshot_create __user *uarg = arg;
	struct blk_snap_snapshot_create karg;
	struct blk_snap_dev *ids;
	long ret;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	if (!karg.count || karg.count > 1024)
		return -EINVAL;
	ids = copy_array((void __user *)karg.dev_id_array, karg.count,
			 sizeof(*ids));
	if (IS_ERR(ids))
		return PTR_ERR(ids);
	ret = snapshot_create(ids, karg.count, &uarg->id);
	kvfree(ids);
	return ret;
}

static long do_destroy(void __user *arg)
{
	struct blk_snap_snapshot_destroy karg;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	return snapshot_destroy(&karg.id);
}

static long do_append(void __user *arg)
{
	struct blk_snap_snapshot_append_storage karg;
	struct blk_snap_block_range *ranges;
	struct snapshot *snap;
	long ret;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	snap = snapshot_find(&karg.id);
	if (!snap)
		return -ESRCH;
	ranges = karg.count ? copy_array((void __user *)karg.ranges, karg.count,
					 sizeof(*ranges)) : NULL;
	if (IS_ERR(ranges))
		ret = PTR_ERR(ranges);
	else
		ret = karg.count ? snapshot_append(snap, dev_of(karg.dev_id),
						   ranges, karg.count) : 0;
	if (!IS_ERR(ranges))
		kvfree(ranges);
	snapshot_put(snap);
	return ret;
}

static long do_take(void __user *arg)
{
	struct blk_snap_snapshot_take karg;
	struct snapshot *snap;
	long ret;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	snap = snapshot_find(&karg.id);
	if (!snap)
		return -ESRCH;
	ret = snapshot_take(snap);
	snapshot_put(snap);
	return ret;
}

static long do_collect(void __user *arg)
{
	struct blk_snap_snapshot_collect __user *uarg = arg;
	struct blk_snap_snapshot_collect karg;
	struct blk_snap_uuid *ids;
	struct snapshot *snap;
	u32 n = 0, max = 0;
	long ret;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	mutex_lock(&big);
	list_for_each_entry(snap, &snapshots, node)
		max++;
	ids = kvcalloc(max ?: 1, sizeof(*ids), GFP_NOIO);
	if (ids)
		list_for_each_entry(snap, &snapshots, node)
			if (!snap->dying)
				memcpy(&ids[n++], &snap->id, sizeof(*ids));
	mutex_unlock(&big);
	if (!ids)
		return -ENOMEM;
	ret = give((void __user *)karg.ids, karg.count, &uarg->count, ids, n,
		   sizeof(*ids));
	kvfree(ids);
	return ret;
}

static long do_collect_images(void __user *arg)
{
	struct blk_snap_snapshot_collect_images __user *uarg = arg;
	struct blk_snap_snapshot_collect_images karg;
	struct blk_snap_image_info *infos;
	struct snapshot *snap;
	struct member *m;
	u32 n = 0, max = 0;
	long ret = -ESRCH;

	if (copy_from_user(&karg, arg, sizeof(karg)))
		return -EFAULT;
	snap = snapshot_find(&karg.id);
	if (!snap)
		return -ESRCH;
	infos = kvcalloc(1024, sizeof(*infos), GFP_KERNEL);
	mutex_lock(&big);
	/* The members stay while the snapshot is not dying. */
	if (infos && !snap->dying) {
		ret = 0;
		list_for_each_entry(m, &snap->members, node) {
			if (!snap->taken)
				break;
			infos[n].orig_dev_id = m->corrupted.u.corrupted.orig_dev_id;
			infos[n].image_dev_id.mj = image_major;
			infos[n++].image_dev_id.mn = m->minor;
		}
	}
	mutex_unlock(&big);
	max = n;
	if (!infos)
		ret = -ENOMEM;
	if (!ret)
		ret = give((void __user *)karg.image_info_array, karg.count,
			   &uarg->count, infos, max, sizeof(*infos));
	kvfree(infos);
	snapshot_put(snap);
	return ret;
}

/* Takes the oldest event off the queue and into the caller's memory. */
static long fetch(struct snapshot *snap, struct blk_snap_snapshot_event *buf,
		  void __user *arg)
{
	const size_t start = offsetof(struct blk_snap_snapshot_event, code);
	struct event *ev;
	long ret;

	mutex_lock(&snap->lock);
	ev = snap->dying ? NULL : list_first_entry_or_null(&snap->events,
							   struct event, node);
	if (ev) {
		list_del_init(&ev->node);
		ev->state = EV_FETCHING;
		buf->code = ev->code;
		buf->time_label = ev->label;
		if (ev->code == blk_snap_event_code_corrupted)
			memcpy(buf->data, &ev->u.corrupted,
			       sizeof(ev->u.corrupted));
		else
			memcpy(buf->data, &ev->u.low, sizeof(ev->u.low));
	}
	ret = snap->dying ? -ESRCH : ev ? 0 : -EAGAIN;
	mutex_unlock(&snap->lock);
	if (ret)
		return ret;
	if (copy_to_user(arg + start, (char *)buf + start, sizeof(*buf) - start))
		ret = -EFAULT;
	mutex_lock(&snap->lock);
	/* With DESTROY on its way the event may not be there any more. */
	if (!snap->dying) {
		ev->state = ret ? EV_QUEUED : EV_IDLE;
		if (ret) {
			list_add(&ev->node, &snap->events);
			wake_up_all(&snap->wait);
		}
	}
	mutex_unlock(&snap->lock);
	return ret;
}

static long do_wait_event(void __user *arg)
{
	struct blk_snap_snapshot_event *buf;
	struct snapshot *snap;
	long ret, left;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = -EFAULT;
	if (copy_from_user(buf, arg, offsetof(struct blk_snap_snapshot_event,
					      code)))
		goto out;
	ret = -ESRCH;
	snap = snapshot_find(&buf->id);
	if (!snap)
		goto out;
	left = msecs_to_jiffies(buf->timeout_ms);
	do {
		left = wait_event_interruptible_timeout(snap->wait,
				READ_ONCE(snap->dying) ||
				!list_empty_careful(&snap->events), left);
		ret = left < 0 ? -EINTR : fetch(snap, buf, arg);
	} while (ret == -EAGAIN && left > 0);
	if (ret == -EAGAIN)
		ret = -ENOENT;
	snapshot_put(snap);
out:
	kfree(buf);
	return ret;
}

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case IOCTL_BLK_SNAP_VERSION:
		return do_version(uarg);
	case IOCTL_BLK_SNAP_TRACKER_REMOVE:
		return do_tracker_remove(uarg);
	case IOCTL_BLK_SNAP_TRACKER_COLLECT:
		return do_tracker_collect(uarg);
	case IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP:
		return do_read_cbt_map(uarg);
	case IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS:
		return do_mark_dirty(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_CREATE:
		return do_create(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_DESTROY:
		return do_destroy(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE:
		return do_append(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_TAKE:
		return do_take(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT:
		return do_collect(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES:
		return do_collect_images(uarg);
	case IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT:
		return do_wait_event(uarg);
	}
	return -ENOTTY;
}

static int ctl_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.open = ctl_open,
	.unlocked_ioctl = ctl_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice ctl_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "blksnap",
	.mode = 0600,
	.fops = &ctl_fops,
};

static ssize_t major_show(struct class *class, struct class_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%d\n", image_major);
}
static CLASS_ATTR_RO(major);

static int __init peer_init(void)
{
	int ret;

	ret = snaps_init();
	if (ret)
		return ret;
	image_major = register_blkdev(0, BLK_SNAP_IMAGE_NAME);
	ret = image_major;
	if (ret < 0)
		goto no_blkdev;
	peer_class = class_create(THIS_MODULE, "blksnap");
	ret = PTR_ERR_OR_ZERO(peer_class);
	if (ret)
		goto no_class;
	ret = class_create_file(peer_class, &class_attr_major);
	if (ret)
		goto no_file;
	ret = misc_register(&ctl_misc);
	if (!ret)
		return 0;
no_file:
	class_destroy(peer_class);
no_class:
	unregister_blkdev(image_major, BLK_SNAP_IMAGE_NAME);
no_blkdev:
	snaps_exit();
	return ret;
}

static void __exit peer_exit(void)
{
	misc_deregister(&ctl_misc);
	snaps_exit();
	class_destroy(peer_class);
	unregister_blkdev(image_major, BLK_SNAP_IMAGE_NAME);
	images_exit();
}

module_init(peer_init);
module_exit(peer_exit);
MODULE_DESCRIPTION("A second, simple implementation of the blksnap interface");
MODULE_LICENSE("GPL");
