/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Freezing the file systems of a set of devices, so that it can be given up.
 *
 * A freeze improves an image and is never a condition of it: what is frozen by
 * its owner, has no file system or cannot be frozen is captured as it is.
 */
#ifndef BLKSNAP_FREEZER_H
#define BLKSNAP_FREEZER_H

#include <linux/blkdev.h>
#include <linux/list.h>

int freezer_init(void);
void freezer_exit(void);

/*
 * File systems to freeze with those of @level: of @bdev, and of its partitions
 * when it is a disk.  Return: 0, -ENOMEM.
 */
int freezer_add(struct list_head *items, struct block_device *bdev,
		unsigned int level);
/*
 * Freezes those of @level, until jiffies reach @deadline.
 * Return: 0, -EINTR (fatal signal), -ETIMEDOUT.  After any of them
 * freezer_thaw() undoes what was done.
 */
int freezer_freeze(struct list_head *items, unsigned int level,
		   unsigned long deadline);
/*
 * Thaws each as often as it was frozen here.  Waits for @timeout jiffies at most: one
 * that lies above what others keep frozen is thawed when they let go, without us.
 */
void freezer_thaw(struct list_head *items, unsigned long timeout);
/*
 * Empties the list.  After the thaw, and with no lock that a write to one of the
 * devices may wait for: the last reference to a device writes back what is dirty,
 * that to a file system which was unmounted meanwhile ends it.
 */
void freezer_free(struct list_head *items);

#endif /* BLKSNAP_FREEZER_H */
