/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The difference of one captured device: which old data has been saved, how a
 * write waits until its own is, and how an image is read and written.
 *
 * A write to the origin asks diff_area_secure() with its range.  What nobody has
 * claimed is claimed and read; the bio is parked on the first copy it needs and
 * looks again when that has ended.  The store follows behind.
 */
#ifndef BLKSNAP_DIFF_AREA_H
#define BLKSNAP_DIFF_AREA_H

#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/llist.h>
#include <linux/xarray.h>

#include "chunk.h"

struct blkfilter;
struct seq_file;
struct store;

/*
 * Sectors that an image does not show: storage on the captured device.  Storage of
 * another snapshot may come to lie where that of one lay that has gone: two overlap.
 */
struct diff_hole {
	struct rb_node node;
	sector_t subtree_last;
	sector_t first;
	sector_t last;
	u32 number;	/* 1, 2, ... in order of arrival */
	bool zero;	/* reads as zeroes, not as an error where not saved */
};

/**
 * struct diff_area - See above.
 * @bdev: the origin, held open by the snapshot.
 * @filter: on the origin; once it is gone the origin shows other contents.
 * @capacity: of the image, in sectors.
 * @subs_shift: log2 of sub-blocks in a chunk.
 * @storage: of the snapshot.
 * @client: how @storage reaches us.
 * @chunks: touched chunks by number; none is removed before the end.
 * @lost: bit per 2^@lost_shift chunks: state could not be kept for it.
 * @any_lost: a bit is set.
 * @ended: the snapshot is being destroyed; nothing is copied any more.
 * @refs: one of the owner, one per copy, store and image bio in flight.
 * @idle: completed when @refs becomes zero.
 * @lock: protects the lists; taken in interrupts.
 * @reading: reads of old data in flight; zero only while @reads is empty.
 * @reads: of old data, that leave when one of those in flight has ended, or when
 *	@send_work finds that none has for READS_WAIT_MS.
 * @reads_kept: how many those are.
 * @begun: copies that large writes have begun in this round of the worker, which
 *	alone uses it: a discard may need more than all other writes together.
 * @pending: origin writes for the worker to look at.
 * @budget: origin writes that wait for the budget.
 * @image_pending: image bios for the worker to look at.
 * @image_budget: image writes that wait for the budget.
 * @dirty: runs to store that have no place yet.
 * @again: runs to store again, in the place they have.
 * @holes: tree of struct diff_hole; changed before the flip or under @lock.
 * @hole_count: how many those are.
 * @last_hole: number of the newest.
 * @copied: copies whose read has ended.
 * @stored: stores that have ended.
 * @fetched: reads of the storage for image bios that have ended.
 * @copy_wq: ends copies and releases writes; never waits for a store.
 * @store_wq: stores.
 * @image_wq: image bios that need a process; what these wait for, a store may give.
 * @hook_bios: for reads of old data that the hook begins.
 * @bios: the same for the worker.
 * @store_bios: for storage; apart, so that a hung storage holds up no release.
 * @split_bios: for parts of image bios.
 * @clone_bios: for reads below the image.
 * @pool: for copies when there is no memory.
 * @spare_store: the same for a store; NULL while it is used.
 * @passed: per CPU: writes that found all they touch safe already.
 * @parked: bios that were parked, each time they were.
 * @copied_subs: sub-blocks of old data read and saved.
 * @stored_subs: sub-blocks stored, again after each change.
 * @lost_subs: sub-blocks whose old data could not be read or came too late.
 * @lost_chunks: times that state or memory for a chunk could not be had.
 * @image_retries: image reads of the origin that were overtaken.
 */
struct diff_area {
	struct block_device *bdev;
	struct blkfilter *filter;
	sector_t capacity;
	unsigned int subs_shift;
	struct diff_storage *storage;
	struct diff_client client;
	struct xarray chunks;
	unsigned long *lost;
	unsigned int lost_shift;
	bool any_lost;
	bool ended;
	atomic_t refs;
	struct completion idle;

	spinlock_t lock;
	unsigned int reading;
	unsigned int reads_kept;
	unsigned int begun;
	struct bio_list reads;
	struct bio_list pending;
	struct bio_list budget;
	struct bio_list image_pending;
	struct bio_list image_budget;
	struct list_head dirty;
	struct list_head again;
	struct rb_root_cached holes;
	unsigned int hole_count;
	u32 last_hole;

	struct llist_head copied;
	struct llist_head stored;
	struct llist_head fetched;
	struct workqueue_struct *copy_wq;
	struct workqueue_struct *store_wq;
	struct workqueue_struct *image_wq;
	struct delayed_work send_work;
	struct work_struct kick_work;
	struct work_struct copy_work;
	struct work_struct store_work;
	struct work_struct image_work;

	struct bio_set hook_bios;
	struct bio_set bios;
	struct bio_set store_bios;
	struct bio_set split_bios;
	struct bio_set clone_bios;
	struct copy_pool pool;
	struct store *spare_store;

	u64 __percpu *passed;
	atomic64_t parked;
	atomic64_t copied_subs;
	atomic64_t stored_subs;
	atomic64_t lost_subs;
	atomic64_t lost_chunks;
	atomic64_t image_retries;
};

/* Who waits: a write to the origin, or a bio to the image. */
enum diff_waiter {
	DIFF_WAITER_ORIGIN,
	DIFF_WAITER_IMAGE,
};

/* May sleep. ERR_PTR(-ENOMEM). The snapshot keeps @bdev open and @storage. */
struct diff_area *diff_area_create(struct block_device *bdev,
				   struct blkfilter *filter, sector_t capacity,
				   struct diff_storage *storage);
/* Copies that are being read are not published, and new ones not begun. */
void diff_area_stop_saving(struct diff_area *area);
/*
 * Saves nothing any more and releases the writes to the origin that wait for
 * storage.  No hook can reach the area any more.
 */
void diff_area_end(struct diff_area *area);
/*
 * Waits for everything in flight and frees.  Neither hook nor image can reach
 * the area any more; the storage has been stopped.
 */
void diff_area_destroy(struct diff_area *area);

/*
 * Makes sure that the old data of [first, first + count) is safe.
 * Return: true when it is and @bio may go on; false when the area has taken
 * @bio and will go on with it.
 *
 * With @reads the caller must not sleep (the hook): reads to be submitted are
 * put there.  With NULL, from the worker, they are submitted at once.
 */
bool diff_area_secure(struct diff_area *area, sector_t first, sector_t count,
		      struct bio *bio, enum diff_waiter waiter,
		      struct bio_list *reads);

/*
 * Might a REQ_NOWAIT write of so many sectors have to wait for more than a copy? Then it is to be
 * refused before anything is marked or claimed.
 */
bool diff_area_would_block(struct diff_area *area, sector_t count);

/* The part of an origin bio that the image shows; false when there is none. */
bool diff_area_range(const struct diff_area *area, const struct bio *bio,
		     sector_t *first, sector_t *count);

/* A read or write of the image.  Process context; ends the bio some time. */
void diff_area_image_bio(struct diff_area *area, struct bio *bio);

/* For people: what the area holds and did.  Sleeps; walks all chunks. */
void diff_area_show(struct diff_area *area, struct seq_file *to);

/* Shared by the files of the area only. */
void diff_area_get(struct diff_area *area);
void diff_area_put(struct diff_area *area);
bool diff_area_is_over(const struct diff_area *area);
/* The origin shows what it held at TAKE below this sector only: it has been smaller. */
sector_t diff_area_trusted(const struct diff_area *area);
/* Holes among sectors first..last, in order of their beginning; with @lock held. */
struct diff_hole *diff_area_first_hole(struct diff_area *area, sector_t first,
				       sector_t last);
struct diff_hole *diff_area_next_hole(struct diff_hole *hole, sector_t first,
				      sector_t last);
/* Is storage among these sectors: of any kind, or appended after the take? */
bool diff_area_has_hole(struct diff_area *area, sector_t first, sector_t count);
bool diff_area_is_hidden(struct diff_area *area, sector_t first,
			 sector_t count);
bool diff_area_is_lost(const struct diff_area *area, unsigned long number);
void diff_area_queue_image_bio(struct diff_area *area, struct bio *bio);
void diff_area_wait_image_budget(struct diff_area *area, struct bio *bio,
				 unsigned int count);
void diff_area_add_dirty(struct diff_area *area, struct run *run);
struct store *diff_area_alloc_store(gfp_t gfp);
void diff_area_store_work(struct work_struct *work);
void diff_area_image_work(struct work_struct *work);
void diff_area_image_write(struct diff_area *area, struct bio *bio);
void diff_area_end_fetches(struct diff_area *area);
/* Reads @count sectors at @sector of the storage through a buffer, for all of @bio. */
void diff_area_read_bounced(struct diff_area *area, struct bio *bio,
			    struct block_device *bdev, sector_t sector);
void diff_area_end_bio(struct bio *bio, blk_status_t status);
unsigned int diff_area_clone_pad(void);

#endif /* BLKSNAP_DIFF_AREA_H */
