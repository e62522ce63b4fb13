// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "diff_storage.h"
#include "snapshot.h"
#include "tracker.h"

static struct dentry *folder;

static int snapshots_show(struct seq_file *to, void *unused)
{
	snapshot_show_all(to);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(snapshots);

static int trackers_show(struct seq_file *to, void *unused)
{
	tracker_show_all(to);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(trackers);

static int regions_show(struct seq_file *to, void *unused)
{
	diff_storage_show_regions(to);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(regions);

void debugfs_views_init(void)
{
	folder = debugfs_create_dir("blksnap", NULL);
	debugfs_create_file("snapshots", 0400, folder, NULL, &snapshots_fops);
	debugfs_create_file("trackers", 0400, folder, NULL, &trackers_fops);
	debugfs_create_file("regions", 0400, folder, NULL, &regions_fops);
}

void debugfs_views_exit(void)
{
	debugfs_remove(folder);
}
