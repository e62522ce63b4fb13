/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second, simple implementation of the blksnap interface.
 *
 * Locks, outermost first: life_lock (trackers come and go), snapshot.op (TAKE,
 * DESTROY), big (lists, owners, ranges), snapshot.lock (everything of the
 * copying), tracker.map_lock.  User memory is touched under none of them.
 */
#ifndef PEER_H
#define PEER_H
#include <linux/blk-filter.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/kref.h>
#include <linux/uuid.h>
#include <linux/xarray.h>
#include <uapi/linux/blksnap.h>

#define UNSAVED_LIMIT (unsaved_limit_mib << 20)

/* An event lives in what it is about: at most one of each is unfetched. */
struct event {
	struct list_head node;
	enum { EV_IDLE, EV_QUEUED, EV_FETCHING } state;
	u32 code;
	s64 label;
	union {
		struct blk_snap_event_low_free_space low;
		struct blk_snap_event_corrupted corrupted;
	} u;
};

/* A piece of a chunk in the storage; all in sectors. */
struct extent {
	struct extent *next;
	struct block_device *bdev;
	sector_t sector;
	u32 offset, count;
};

/* C_LOST: only when built with QUIET_LOSS. */
enum chunk_state { C_NONE, C_MEM, C_STORED, C_LOST };

struct chunk {
	struct list_head node;	/* on snapshot.dirty or .starved */
	struct member *m;
	u64 index;
	enum chunk_state state;	/* leaves C_NONE once, read without a lock */
	bool busy;		/* somebody fills @buf; others wait */
	u32 seq;		/* of the member's hiding when it was saved */
	u32 allocated;		/* sectors in @extents */
	struct extent *extents, **tail;
	char *buf;
};

/* Storage that lies on a captured device. */
struct hidden {
	struct list_head node;
	sector_t first, count;	/* in the device */
	u32 seq;		/* 0: from before TAKE, reads as zeroes */
};

struct store_range {
	struct list_head node;
	struct block_device *bdev;
	sector_t first, count, used;
};

struct store_dev {
	struct list_head node;
	struct block_device *bdev;
};

struct tracker {
	struct list_head node;
	struct kref ref;
	dev_t dev;
	struct gendisk *disk;		/* compared only */
	bool partition;
	sector_t start;
	struct blkfilter *filter;
	struct member *owner;		/* under big: in a live snapshot */
	struct member __rcu *hold;	/* ... that was taken */

	struct mutex map_lock;
	/* Those below change while the gate is closed and drained. */
	sector_t capacity;
	unsigned int shift;
	u32 count;
	u8 *active, *readable;
	unsigned int number;		/* active; 256 after take 255 */
	u8 snap_number;
	uuid_t generation;
};

struct member {
	struct list_head node;
	struct snapshot *snap;
	struct tracker *t;
	struct block_device *bdev;
	sector_t capacity;
	unsigned int chunk_shift;	/* in sectors */
	struct xarray chunks;
	struct list_head hiding;	/* snapshot.lock */
	u32 hide_seq;
	bool captured;			/* big: storage is to be hidden */
	atomic_t pending;		/* bios that we have taken */
	struct workqueue_struct *cow_wq, *image_wq;
	struct event corrupted;
	/* cow_failed: bios for which there was no memory */
	spinlock_t starved_lock;
	struct bio_list starved;
	struct work_struct starved_work;
	/* image */
	struct gendisk *disk;
	struct blk_mq_tag_set tags;
	int minor;
	/* TAKE */
	int level;
	bool closed, drained;
	u8 *new_active, *new_readable;
	unsigned int new_shift;
	u32 new_count;
};

struct snapshot {
	struct list_head node;
	struct kref ref;
	uuid_t id;
	struct mutex op;
	struct list_head members;
	bool taken, dying, aborting;

	struct mutex lock;
	wait_queue_head_t wait;		/* for everything */
	int err;			/* positive: corrupted */
	unsigned int io;		/* storage I/O in flight */
	struct list_head events;
	struct event low;
	u64 minimum;			/* diff_storage_minimum at CREATE */
	bool low_armed;
	u64 low_mark, free;
	struct list_head ranges, store_devs;
	struct list_head dirty, starved;
	bool storing;
	unsigned long last_store;
	unsigned int copying;		/* buffers reserved, not yet dirty */
	size_t unsaved;
	struct workqueue_struct *store_wq;
	struct work_struct store_work;
};

extern unsigned long tracking_block_minimum_shift, tracking_block_maximum_count;
extern unsigned long chunk_minimum_shift, chunk_maximum_count;
extern unsigned long diff_storage_minimum, take_timeout_ms;
extern unsigned long unsaved_limit_mib, storage_stall_ms;
extern int image_major;
extern struct mutex big;
extern struct list_head snapshots, trackers;
extern struct workqueue_struct *freeze_wq;

/* cow.c */
extern const struct blkfilter_operations peer_filter_ops;
void mark_range(struct tracker *t, sector_t first, sector_t count, bool both);
void post_event(struct snapshot *snap, struct event *ev);
int member_init(struct member *m);
void member_free_chunks(struct member *m);
int hide(struct member *m, sector_t first, sector_t count, u32 seq);
void store_fn(struct work_struct *work);
int image_create(struct member *m);
void image_remove(struct member *m);
void images_exit(void);

/* snap.c */
struct snapshot *snapshot_find(const struct blk_snap_uuid *id);
void snapshot_put(struct snapshot *snap);
struct tracker *tracker_find(struct blk_snap_dev id);
void tracker_put(struct tracker *t);
dev_t dev_of(struct blk_snap_dev id);
int tracker_remove(struct blk_snap_dev id);
int snapshot_create(struct blk_snap_dev *ids, u32 count,
		    struct blk_snap_uuid __user *user_id);
int snapshot_append(struct snapshot *snap, dev_t dev,
		    struct blk_snap_block_range *ranges, u32 count);
int snapshot_take(struct snapshot *snap);
int snapshot_destroy(const struct blk_snap_uuid *id);
int snaps_init(void);
void snaps_exit(void);

#endif
