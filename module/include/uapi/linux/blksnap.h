/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The interface of the blksnap module: twelve ioctls on /dev/blksnap.
 *
 * A frozen ABI.  Names, numbers, sizes and layouts are those of blksnap v2
 * (December 2022); the direction bits of some numbers look swapped and stay so,
 * because they are part of the numbers.
 */
#ifndef _UAPI_LINUX_BLK_SNAP_H
#define _UAPI_LINUX_BLK_SNAP_H

#include <linux/types.h>

#define BLK_SNAP_CTL "/dev/blksnap"
#define BLK_SNAP_IMAGE_NAME "blksnap-image"
#define BLK_SNAP 'V'

enum blk_snap_ioctl {
	blk_snap_ioctl_version,
	blk_snap_ioctl_tracker_remove,
	blk_snap_ioctl_tracker_collect,
	blk_snap_ioctl_tracker_read_cbt_map,
	blk_snap_ioctl_tracker_mark_dirty_blocks,
	blk_snap_ioctl_snapshot_create,
	blk_snap_ioctl_snapshot_destroy,
	blk_snap_ioctl_snapshot_append_storage,
	blk_snap_ioctl_snapshot_take,
	blk_snap_ioctl_snapshot_collect,
	blk_snap_ioctl_snapshot_collect_images,
	blk_snap_ioctl_snapshot_wait_event,
};

/* For logs; a client must not derive behaviour from it. */
struct blk_snap_version {
	__u16 major;
	__u16 minor;
	__u16 revision;
	__u16 build;
};

/* Return: 0. */
#define IOCTL_BLK_SNAP_VERSION                                                 \
	_IOW(BLK_SNAP, blk_snap_ioctl_version, struct blk_snap_version)

/* A block device by its numbers, independent of how either side packs dev_t. */
struct blk_snap_dev {
	__u32 mj;
	__u32 mn;
};

struct blk_snap_tracker_remove {
	struct blk_snap_dev dev_id;
};

/*
 * Ends change tracking of a device that is in no snapshot.
 * Return: 0, -ENXIO, -ENODATA (not tracked), -EBUSY (in a snapshot).
 */
#define IOCTL_BLK_SNAP_TRACKER_REMOVE                                          \
	_IOW(BLK_SNAP, blk_snap_ioctl_tracker_remove,                          \
	     struct blk_snap_tracker_remove)

struct blk_snap_uuid {
	__u8 b[16];
};

/*
 * One tracked device.  @blk_size and @device_capacity are in bytes; bytes of
 * two maps can be compared only while @generation_id stays the same;
 * @snap_number is that of the newest take.
 */
struct blk_snap_cbt_info {
	struct blk_snap_dev dev_id;
	__u32 blk_size;
	__u64 device_capacity;
	__u32 blk_count;
	struct blk_snap_uuid generation_id;
	__u8 snap_number;
};

/* @count: in, entries that fit; out, entries written or needed. */
struct blk_snap_tracker_collect {
	__u32 count;
	struct blk_snap_cbt_info *cbt_info_array;
};

/*
 * Lists all tracked devices; ask with a null array for the count.
 * Return: 0, -ENODATA when the array is too small (it is left alone).
 */
#define IOCTL_BLK_SNAP_TRACKER_COLLECT                                         \
	_IOW(BLK_SNAP, blk_snap_ioctl_tracker_collect,                         \
	     struct blk_snap_tracker_collect)

/* A window of the map: @length bytes from byte @offset. */
struct blk_snap_tracker_read_cbt_bitmap {
	struct blk_snap_dev dev_id;
	__u32 offset;
	__u32 length;
	__u8 *buff;
};

/*
 * Reads the map as it was when the held snapshot was taken: a byte per block,
 * the number of the take before which the block last changed.
 * Return: bytes copied, -ENODEV (not tracked), -EPERM (no taken snapshot),
 * -EIO (map invalid).
 */
#define IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP                                    \
	_IOR(BLK_SNAP, blk_snap_ioctl_tracker_read_cbt_map,                    \
	     struct blk_snap_tracker_read_cbt_bitmap)

/* In sectors of 512 bytes. */
struct blk_snap_block_range {
	__u64 sector_offset;
	__u64 sector_count;
};

struct blk_snap_tracker_mark_dirty_blocks {
	struct blk_snap_dev dev_id;
	__u32 count;
	struct blk_snap_block_range *dirty_blocks_array;
};

/*
 * Marks ranges as changed in both maps; all of them or none.
 * Return: 0, -EINVAL (a range outside the device or empty), -ENODEV.
 */
#define IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS                               \
	_IOR(BLK_SNAP, blk_snap_ioctl_tracker_mark_dirty_blocks,               \
	     struct blk_snap_tracker_mark_dirty_blocks)

/* @id is returned. */
struct blk_snap_snapshot_create {
	__u32 count;
	struct blk_snap_dev *dev_id_array;
	struct blk_snap_uuid id;
};

/*
 * Puts devices into a new snapshot and starts to track those that were not.
 * Return: 0, -EINVAL, -EBUSY, -EROFS, -EOPNOTSUPP, -EFBIG, or why a device
 * could not be opened.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_CREATE                                         \
	_IOW(BLK_SNAP, blk_snap_ioctl_snapshot_create,                         \
	     struct blk_snap_snapshot_create)

struct blk_snap_snapshot_destroy {
	struct blk_snap_uuid id;
};

/*
 * Ends a snapshot: images fail from now on, storage is no longer used when the
 * call returns, tracking goes on.
 * Return: 0, -ENODEV (unknown id).
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_DESTROY                                        \
	_IOR(BLK_SNAP, blk_snap_ioctl_snapshot_destroy,                        \
	     struct blk_snap_snapshot_destroy)

struct blk_snap_snapshot_append_storage {
	struct blk_snap_uuid id;
	struct blk_snap_dev dev_id;
	__u32 count;
	struct blk_snap_block_range *ranges;
};

/*
 * Gives the snapshot ranges of a device to keep old data in, at any time.
 * Return: 0, -ESRCH (unknown id), -EINVAL, -EOPNOTSUPP.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE                                 \
	_IOW(BLK_SNAP, blk_snap_ioctl_snapshot_append_storage,                 \
	     struct blk_snap_snapshot_append_storage)

struct blk_snap_snapshot_take {
	struct blk_snap_uuid id;
};

/*
 * Captures all devices of the snapshot at one instant and makes the images.
 * Return: 0, -ESRCH, -EALREADY, -EINTR, -ETIMEDOUT.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_TAKE                                           \
	_IOR(BLK_SNAP, blk_snap_ioctl_snapshot_take,                           \
	     struct blk_snap_snapshot_take)

struct blk_snap_snapshot_collect {
	__u32 count;
	struct blk_snap_uuid *ids;
};

/* Lists all snapshots.  Return: 0, -ENODATA when the array is too small. */
#define IOCTL_BLK_SNAP_SNAPSHOT_COLLECT                                        \
	_IOW(BLK_SNAP, blk_snap_ioctl_snapshot_collect,                        \
	     struct blk_snap_snapshot_collect)

struct blk_snap_image_info {
	struct blk_snap_dev orig_dev_id;
	struct blk_snap_dev image_dev_id;
};

struct blk_snap_snapshot_collect_images {
	struct blk_snap_uuid id;
	__u32 count;
	struct blk_snap_image_info *image_info_array;
};

/*
 * Lists the images of a taken snapshot beside their origins.
 * Return: 0, -ESRCH, -ENODATA when the array is too small.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES                                 \
	_IOW(BLK_SNAP, blk_snap_ioctl_snapshot_collect_images,                 \
	     struct blk_snap_snapshot_collect_images)

/*
 * low_free_space: storage is running out, append more.  corrupted: old data of
 * a device could not be kept; what an image has lost reads as an error.
 */
enum blk_snap_event_codes {
	blk_snap_event_code_low_free_space,
	blk_snap_event_code_corrupted,
};

/* @time_label: monotonic nanoseconds at which the event happened. */
struct blk_snap_snapshot_event {
	struct blk_snap_uuid id;
	__u32 timeout_ms;
	__u32 code;
	__s64 time_label;
	__u8 data[4096 - 32];
};

static_assert(sizeof(struct blk_snap_snapshot_event) == 4096,
	      "An event fills one page.");

/*
 * Waits, interruptibly, for the next event.
 * Return: 0, -ESRCH (unknown or destroyed), -ENOENT (time over), -EINTR.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT                                     \
	_IOW(BLK_SNAP, blk_snap_ioctl_snapshot_wait_event,                     \
	     struct blk_snap_snapshot_event)

/* Body of low_free_space: sectors that should be appended. */
struct blk_snap_event_low_free_space {
	__u64 requested_nr_sect;
};

/* Body of corrupted: @err_code is a positive errno. */
struct blk_snap_event_corrupted {
	struct blk_snap_dev orig_dev_id;
	__s32 err_code;
};

#endif /* _UAPI_LINUX_BLK_SNAP_H */
