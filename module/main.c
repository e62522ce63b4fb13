// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading, in the order of the ranks. */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "chunk.h"
#include "ctl.h"
#include "debugfs.h"
#include "snapimage.h"
#include "snapshot.h"
#include "tracker.h"

static ssize_t major_show(struct class *class, struct class_attribute *attr,
			  char *buffer)
{
	return sysfs_emit(buffer, "%d\n", snapimage_major());
}
static CLASS_ATTR_RO(major);

static struct attribute *blksnap_class_attrs[] = {
	&class_attr_major.attr,
	NULL
};
ATTRIBUTE_GROUPS(blksnap_class);

static struct class blksnap_class = {
	.owner = THIS_MODULE,
	.name = "blksnap",
	.class_groups = blksnap_class_groups,
};

static int __init blksnap_init(void)
{
	int ret;

	ret = chunk_caches_create();
	if (ret)
		return ret;
	ret = snapimage_init();
	if (ret)
		goto out_caches;
	ret = snapshot_init();
	if (ret)
		goto out_image;
	ret = class_register(&blksnap_class);
	if (ret)
		goto out_snapshot;
	ret = ctl_init();
	if (ret)
		goto out_class;
	debugfs_views_init();
	return 0;

out_class:
	class_unregister(&blksnap_class);
out_snapshot:
	snapshot_exit();
out_image:
	snapimage_exit();
out_caches:
	chunk_caches_destroy();
	return ret;
}

/* No snapshot is held and no image open: each has a reference to the module. */
static void __exit blksnap_exit(void)
{
	debugfs_views_exit();
	ctl_exit();
	class_unregister(&blksnap_class);
	tracker_remove_all();
	snapshot_exit();
	snapimage_exit();
	chunk_caches_destroy();
}

module_init(blksnap_init);
module_exit(blksnap_exit);
MODULE_DESCRIPTION("Block device snapshots and change tracking");
MODULE_VERSION("1.0.0.0");
MODULE_AUTHOR("The snapbed authors");
MODULE_LICENSE("GPL");
/* What a test may look at in /sys/kernel/debug/blksnap. */
MODULE_INFO(debugfs, "trackers snapshots regions");
