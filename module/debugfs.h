/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/debug/blksnap: every object, for people. */
#ifndef BLKSNAP_DEBUGFS_H
#define BLKSNAP_DEBUGFS_H

/* Cannot fail: without debugfs there is nothing to see, and no more. */
void debugfs_views_init(void);
void debugfs_views_exit(void);

#endif /* BLKSNAP_DEBUGFS_H */
