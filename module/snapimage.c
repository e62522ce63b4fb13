// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-filter.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "include/uapi/linux/blksnap.h"
#include "snapimage.h"
#include "trace.h"

enum image_state {
	IMAGE_WAITING,
	IMAGE_LIVE,
	IMAGE_ENDED,
};

/**
 * struct snapimage - See the header.
 * @disk: the device.
 * @area: serves the bios; not touched once @state is IMAGE_ENDED.
 * @map: marked by writes to the image.
 * @lock: protects @state and @waiting.
 * @state: as drawn in the header.
 * @waiting: bios that came before the flip.
 */
struct snapimage {
	struct gendisk *disk;
	struct diff_area *area;
	struct cbt_map *map;
	spinlock_t lock;
	enum image_state state;
	struct bio_list waiting;
};

static int image_major;
static DEFINE_IDA(image_minors);

static void serve(struct snapimage *image, struct bio *bio)
{
	if (op_is_write(bio_op(bio)))
		cbt_map_mark_both(image->map, bio->bi_iter.bi_sector,
				  bio_sectors(bio));
	diff_area_image_bio(image->area, bio);
}

static void snapimage_submit_bio(struct bio *bio)
{
	struct snapimage *image = bio->bi_bdev->bd_disk->private_data;
	enum image_state state;

	if (op_is_write(bio_op(bio)) && !bio_has_data(bio)) {
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		return;
	}
	spin_lock(&image->lock);
	state = image->state;
	if (state == IMAGE_WAITING)
		bio_list_add(&image->waiting, bio);
	spin_unlock(&image->lock);
	if (state == IMAGE_ENDED)
		bio_io_error(bio);
	else if (state == IMAGE_LIVE)
		serve(image, bio);
}

/* Changes the state and lets go the bios that waited for that. */
static void set_state(struct snapimage *image, enum image_state state)
{
	struct bio_list list;
	struct bio *bio;

	spin_lock(&image->lock);
	if (image->state != state)
		trace_blksnap_image(snapimage_dev(image), state);
	image->state = state;
	list = image->waiting;
	bio_list_init(&image->waiting);
	spin_unlock(&image->lock);
	while ((bio = bio_list_pop(&list))) {
		if (state == IMAGE_LIVE)
			blkfilter_resume(bio);
		else
			bio_io_error(bio);
	}
}

/* The last file on the device has been closed. */
static void snapimage_free_disk(struct gendisk *disk)
{
	struct snapimage *image = disk->private_data;

	ida_free(&image_minors, disk->first_minor);
	kfree(image);
}

static const struct block_device_operations snapimage_ops = {
	.owner = THIS_MODULE,
	.submit_bio = snapimage_submit_bio,
	.free_disk = snapimage_free_disk,
};

static void set_limits(struct gendisk *disk, struct block_device *origin)
{
	int alignment = queue_dma_alignment(bdev_get_queue(origin));
	struct request_queue *q = disk->queue;

	blk_set_stacking_limits(&q->limits);
	blk_queue_logical_block_size(q, bdev_logical_block_size(origin));
	blk_queue_physical_block_size(q, bdev_physical_block_size(origin));
	/* No discard, and zeroes come as data: there is something to save. */
	blk_queue_max_write_zeroes_sectors(q, 0);
	blk_queue_io_min(q, bdev_io_min(origin));
	blk_queue_dma_alignment(q, max(queue_dma_alignment(q), alignment));
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
}

static int name_disk(struct gendisk *disk, struct snapimage *image, int minor)
{
	disk->major = image_major;
	disk->first_minor = minor;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART | GENHD_FL_KEEP_SIZE;
	disk->fops = &snapimage_ops;
	disk->private_data = image;
	snprintf(disk->disk_name, DISK_NAME_LEN, BLK_SNAP_IMAGE_NAME "%d",
		 minor);
	/* ->free_disk() comes with the last reference, after the last close. */
	disk_keep_module(disk);
	/*
	 * add_disk() names the device again and does not look whether it could:
	 * an invalid argument is what it says then.
	 */
	return dev_set_name(disk_to_dev(disk), "%s", disk->disk_name);
}

struct snapimage *snapimage_create(struct block_device *origin,
				   sector_t capacity, struct diff_area *area,
				   struct cbt_map *map)
{
	struct snapimage *image;
	int minor, ret = -ENOMEM;

	image = kzalloc(sizeof(*image), GFP_KERNEL_ACCOUNT);
	if (!image)
		return ERR_PTR(-ENOMEM);
	image->area = area;
	image->map = map;
	spin_lock_init(&image->lock);
	bio_list_init(&image->waiting);
	minor = ida_alloc_max(&image_minors, MINORMASK, GFP_KERNEL);
	if (minor < 0) {
		ret = minor;
		goto out_image;
	}
	image->disk = blk_alloc_disk(NUMA_NO_NODE);
	if (!image->disk)
		goto out_minor;
	set_limits(image->disk, origin);
	ret = name_disk(image->disk, image, minor);
	if (ret)
		goto out_disk;
	set_capacity(image->disk, capacity);
	ret = add_disk(image->disk);
	if (ret)
		goto out_disk;
	return image;

out_disk:
	/* Not added: put_disk() calls ->free_disk() only for added disks. */
	put_disk(image->disk);
out_minor:
	ida_free(&image_minors, minor);
out_image:
	kfree(image);
	return ERR_PTR(ret);
}

void snapimage_start(struct snapimage *image)
{
	set_state(image, IMAGE_LIVE);
}

void snapimage_end(struct snapimage *image)
{
	set_state(image, IMAGE_ENDED);
}

void snapimage_destroy(struct snapimage *image)
{
	struct gendisk *disk = image->disk;

	set_state(image, IMAGE_ENDED);
	del_gendisk(disk);
	put_disk(disk);
}

struct block_device *snapimage_bdev(const struct snapimage *image)
{
	return image->disk->part0;
}

const char *snapimage_state(struct snapimage *image)
{
	static const char * const names[] = {
		[IMAGE_WAITING] = "waiting",
		[IMAGE_LIVE] = "live",
		[IMAGE_ENDED] = "ended",
	};

	return names[READ_ONCE(image->state)];
}

dev_t snapimage_dev(const struct snapimage *image)
{
	return disk_devt(image->disk);
}

int snapimage_major(void)
{
	return image_major;
}

int __init snapimage_init(void)
{
	image_major = register_blkdev(0, "blksnap");
	return image_major < 0 ? image_major : 0;
}

void snapimage_exit(void)
{
	unregister_blkdev(image_major, "blksnap");
	ida_destroy(&image_minors);
}
