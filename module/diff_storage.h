/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The storage of one snapshot: the ranges that clients appended, what is free
 * in them, the budget of data that is not stored yet, and whether storage may
 * be used at all.
 *
 * It knows nothing of chunks: it hands out sectors front to back, so that what
 * is stored one after the other lies side by side.
 */
#ifndef BLKSNAP_DIFF_STORAGE_H
#define BLKSNAP_DIFF_STORAGE_H

#include <linux/blkdev.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "event_queue.h"

struct seq_file;

/**
 * struct diff_region - One appended range.
 * @node: in diff_storage.regions, in order of use.
 * @all_node: in the tree of all regions of all snapshots, by place on disk.
 * @bdev: as appended; held open by @holder.
 * @first: on @bdev, in sectors.
 * @count: in sectors.
 * @used: sectors handed out, from @first on.
 * @hidden: from the images of its disk.
 */
struct diff_region {
	struct list_head node;
	struct rb_node all_node;
	struct block_device *bdev;
	sector_t first;
	sector_t count;
	sector_t used;
	bool hidden;
};

/**
 * struct diff_client - A captured device, as storages see it.
 * @node: in diff_storage.clients of its own storage.
 * @all_node: in the list of all clients of all snapshots.
 * @disk: that it is on.
 * @hide: sectors of @disk, of any snapshot's storage, that the image must not
 *	show: as zeroes, or as an error where they are not saved.  -ENOMEM.
 * @unhide: takes back a @hide that was not with @zero.
 * @work: queued on @wq when space, budget or the state has changed.
 * @wq: where.
 * @corrupted: its event.
 */
struct diff_client {
	struct list_head node;
	struct list_head all_node;
	struct gendisk *disk;
	int (*hide)(struct diff_client *client, sector_t first, sector_t count,
		    bool zero);
	void (*unhide)(struct diff_client *client, sector_t first,
		       sector_t count);
	struct work_struct *work;
	struct workqueue_struct *wq;
	struct snap_event corrupted;
};

/**
 * struct diff_storage - Storage of one snapshot.
 * @lock: protects what follows; taken in interrupts.
 * @regions: of struct diff_region; those before @current_region are full.
 * @holders: opened block devices.
 * @clients: of struct diff_client.
 * @current_region: the next sectors come from here, or NULL.
 * @free: sectors not handed out.
 * @low_below: LOW is posted when @free falls under this; 0 when disarmed.
 * @inflight: storage bios, reads and writes, from the moment they have a place.
 * @stores: those of them that will give budget back.
 * @restores: runs that have a place and are, or are about to be, changed: they
 *	will be stored again and free budget without any space.
 * @error: negative errno once the snapshot is corrupted.
 * @stored_seq: stores finished that gave budget back, to see progress.
 * @unsaved: sub-blocks claimed and not stored yet.
 * @unsaved_peak: the most that @unsaved has been.
 * @unsaved_limit: budget of @unsaved.
 * @waiting: a client has bios waiting for the budget or memory.
 * @origin_waits: writes to an origin among them: not for ever.
 * @kicked: jiffies when @origin_waits was last taken back.
 * @low: its event.
 * @queue: where events are posted.
 * @stall_work: corrupts a snapshot whose storage does not move.
 * @idle: woken when @inflight becomes zero.
 * @stopped: the snapshot is being destroyed: no storage I/O is started.
 */
struct diff_storage {
	spinlock_t lock;
	struct list_head regions;
	struct list_head holders;
	struct list_head clients;
	struct diff_region *current_region;
	sector_t free;
	sector_t low_below;
	unsigned int inflight;
	unsigned int stores;
	unsigned int restores;
	int error;
	bool stopped;
	u64 stored_seq;
	u64 stall_seq;
	unsigned long unsaved;
	unsigned long unsaved_peak;
	unsigned long unsaved_limit;
	bool waiting;
	bool origin_waits;
	unsigned long kicked;
	struct snap_event low;
	struct event_queue *queue;
	struct delayed_work stall_work;
	wait_queue_head_t idle;
};

void diff_storage_init(struct diff_storage *storage, struct event_queue *queue);
/* No I/O in flight, no clients. Closes the devices. */
void diff_storage_exit(struct diff_storage *storage);

/*
 * Adds ranges of a device, all or none, hidden from the images of the disk they
 * are on before the first of them is used.
 * Return: 0, -EINVAL, -EROFS, -ENOMEM, or why the device cannot be opened.
 */
int diff_storage_append(struct diff_storage *storage, dev_t dev,
			const struct blk_snap_block_range *ranges, u32 count);

/*
 * Up to @want sectors in one region, a multiple of a sub-block, for a store that
 * begins with this: no moment between the two in which space is gone and nothing
 * is in flight.  diff_storage_store_end() ends it.
 * Return: sectors got, 0 when there is no space or storage must not be used.
 */
sector_t diff_storage_alloc(struct diff_storage *storage, sector_t want,
			    struct diff_region **region, sector_t *sector);

/* Budget, in sub-blocks; how much of @want there is just now, for who can do with less. */
unsigned int diff_storage_room(const struct diff_storage *storage,
			       unsigned int want);
bool diff_storage_reserve(struct diff_storage *storage, unsigned int count);
/* The same, and counts one in @restores. */
bool diff_storage_reserve_restore(struct diff_storage *storage,
				  unsigned int count);
void diff_storage_unreserve(struct diff_storage *storage, unsigned int count);
/*
 * Bios of a client wait for @count of the budget: kicks the clients when it is
 * there, and watches that it moves.  When nothing is being stored and there is
 * no space, writers to the origin (@may_corrupt) must not wait: the snapshot is
 * corrupted.
 * Return: false when the wait is in vain.
 */
bool diff_storage_wait_budget(struct diff_storage *storage, unsigned int count,
			      bool may_corrupt);

/*
 * A bio of a client waits for memory that stores will free.
 * Return: false when no store is coming; the clients have been kicked then.
 */
bool diff_storage_wait_memory(struct diff_storage *storage);

/* Counts in @restores; negative when they are stored or given up. */
void diff_storage_add_restores(struct diff_storage *storage, int count);

/* Brackets one read of the storage; false: it must not be used any more. */
bool diff_storage_io_begin(struct diff_storage *storage);
void diff_storage_io_end(struct diff_storage *storage);
/* The same for a store in a place that is there; @freed: it gave budget back. */
bool diff_storage_store_begin(struct diff_storage *storage);
void diff_storage_store_end(struct diff_storage *storage, bool freed);

/* The snapshot has lost data it should have kept; @error is negative. */
void diff_storage_corrupt(struct diff_storage *storage, int error);
static inline int diff_storage_error(const struct diff_storage *storage)
{
	return READ_ONCE(storage->error);
}

/*
 * Hides from the client what storage there is on its disk, and will be.
 * Return: 0, -ENOMEM.
 */
int diff_storage_add_client(struct diff_storage *storage,
			    struct diff_client *client);
void diff_storage_remove_client(struct diff_storage *storage,
				struct diff_client *client);
/* Starts no more I/O and waits for what is in flight. */
void diff_storage_stop(struct diff_storage *storage);

/* For people: the state of one storage; every region there is. */
void diff_storage_show(struct diff_storage *storage, struct seq_file *to);
void diff_storage_show_regions(struct seq_file *to);

#endif /* BLKSNAP_DIFF_STORAGE_H */
