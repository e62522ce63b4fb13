/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The image of one captured device, as a block device /dev/blksnap-imageN.
 *
 *	waiting -> live -> ended
 *	        -> ended
 *
 * Made before the take, so that the take itself cannot fail: bios that come
 * before the flip wait for it.
 */
#ifndef BLKSNAP_SNAPIMAGE_H
#define BLKSNAP_SNAPIMAGE_H

#include <linux/blkdev.h>

#include "cbt_map.h"
#include "diff_area.h"

struct snapimage;

int snapimage_init(void);
void snapimage_exit(void);
int snapimage_major(void);

/* The device appears at once. ERR_PTR(-ENOMEM, -ENOSPC, ...). May sleep. */
struct snapimage *snapimage_create(struct block_device *origin,
				   sector_t capacity, struct diff_area *area,
				   struct cbt_map *map);
/* The flip: from now on bios are served, those that wait first. */
void snapimage_start(struct snapimage *image);
/* Bios end with an error from now on. */
void snapimage_end(struct snapimage *image);
/*
 * Ends it if need be; the device goes.  When this returns no new bio reaches
 * the area.  Memory goes with the last open file.
 */
void snapimage_destroy(struct snapimage *image);
dev_t snapimage_dev(const struct snapimage *image);
/* For people: as in the drawing above. */
const char *snapimage_state(struct snapimage *image);
/* Valid as long as the image; not opened. */
struct block_device *snapimage_bdev(const struct snapimage *image);

#endif /* BLKSNAP_SNAPIMAGE_H */
