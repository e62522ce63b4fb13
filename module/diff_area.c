// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-cgroup.h>
#include <linux/blk-filter.h>
#include <linux/blkdev.h>
#include <linux/interval_tree_generic.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "diff_area.h"
#include "geometry.h"
#include "params.h"
#include "trace.h"

/* A write over more chunks than this is worked off by the worker. */
#define HOOK_CHUNKS_MAX 16
/* So many reads and writes are submitted before the ended copies are looked at. */
#define ROUND_MAX 64
/* So many writes that wait for budget look again at a time, if there is some. */
#define KICK_MAX 256
/* With so many reads in flight the next ones wait until one of them has ended ... */
#define READS_AT_ONCE 1
/* ... but not longer than this. */
#define READS_WAIT_MS 4
/* Not what is kept for those who free memory: the worker has reserves of its own. */
#define GFP_HOOK (GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC)
#define GFP_WORKER (GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

void diff_area_get(struct diff_area *area)
{
	atomic_inc(&area->refs);
}

void diff_area_put(struct diff_area *area)
{
	if (atomic_dec_and_test(&area->refs))
		complete(&area->idle);
}

/* Nothing is saved any more: an unclaimed sub-block proves nothing. */
bool diff_area_is_over(const struct diff_area *area)
{
	return READ_ONCE(area->ended) || diff_storage_error(area->storage) ||
	       blkfilter_is_gone(area->filter);
}

sector_t diff_area_trusted(const struct diff_area *area)
{
	return min(area->capacity, blkfilter_least_sectors(area->filter));
}

bool diff_area_is_lost(const struct diff_area *area, unsigned long number)
{
	return READ_ONCE(area->any_lost) &&
	       test_bit(number >> area->lost_shift, area->lost);
}

static void lose_chunk(struct diff_area *area, unsigned long number)
{
	unsigned int shift = area->subs_shift + SUB_SECTOR_SHIFT;

	trace_blksnap_lose(area->bdev->bd_dev, (sector_t)number << shift,
			   1UL << shift);
	atomic64_inc(&area->lost_chunks);
	set_bit(number >> area->lost_shift, area->lost);
	WRITE_ONCE(area->any_lost, true);
	/* Before the write passes: pairs with the end of an origin read. */
	smp_mb__after_atomic();
}

static void note_parked(struct diff_area *area, const struct bio *bio,
			enum diff_waiter waiter, enum snap_trace_wait wait)
{
	atomic64_inc(&area->parked);
	trace_blksnap_park(area->bdev->bd_dev, bio->bi_iter.bi_sector,
			   bio_sectors(bio), waiter == DIFF_WAITER_IMAGE, wait);
}

static void queue_bio(struct diff_area *area, struct bio_list *list,
		      struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&area->lock, flags);
	bio_list_add(list, bio);
	spin_unlock_irqrestore(&area->lock, flags);
}

void diff_area_queue_image_bio(struct diff_area *area, struct bio *bio)
{
	queue_bio(area, &area->image_pending, bio);
	queue_work(area->image_wq, &area->image_work);
}

void diff_area_add_dirty(struct diff_area *area, struct run *run)
{
	unsigned long flags;

	/* Its place stays, so its store will free budget without any space. */
	if (run->region)
		diff_storage_add_restores(area->storage, 1);
	spin_lock_irqsave(&area->lock, flags);
	list_add_tail(&run->dirty_node,
		      run->region ? &area->again : &area->dirty);
	spin_unlock_irqrestore(&area->lock, flags);
	queue_work(area->store_wq, &area->store_work);
}

static void park_for_worker(struct diff_area *area, struct bio *bio,
			    enum diff_waiter waiter)
{
	note_parked(area, bio, waiter, SNAP_WAIT_WORKER);
	if (waiter == DIFF_WAITER_IMAGE) {
		diff_area_queue_image_bio(area, bio);
		return;
	}
	queue_bio(area, &area->pending, bio);
	queue_work(area->copy_wq, &area->copy_work);
}

/* A write to an image never corrupts the snapshot for want of space. */
void diff_area_wait_image_budget(struct diff_area *area, struct bio *bio,
				 unsigned int count)
{
	if (diff_area_is_over(area)) {
		diff_area_end_bio(bio, BLK_STS_IOERR);
		return;
	}
	if (!diff_storage_wait_budget(area->storage, count, false)) {
		diff_area_end_bio(bio, BLK_STS_NOSPC);
		return;
	}
	note_parked(area, bio, DIFF_WAITER_IMAGE, SNAP_WAIT_BUDGET);
	queue_bio(area, &area->image_budget, bio);
	/* The budget or the end may have come between the question and the queue. */
	diff_storage_wait_budget(area->storage, count, false);
	if (diff_area_is_over(area))
		queue_work(area->copy_wq, &area->kick_work);
}

/* A write waits for the memory that stores free; false when none are coming. */
static bool park_for_memory(struct diff_area *area, struct bio *bio)
{
	if (!diff_storage_wait_memory(area->storage))
		return false;
	note_parked(area, bio, DIFF_WAITER_ORIGIN, SNAP_WAIT_MEMORY);
	queue_bio(area, &area->budget, bio);
	/* The last of them may have ended before the bio was on the list. */
	diff_storage_wait_memory(area->storage);
	return true;
}

/* For any of it: a claim takes what there is. */
static void park_for_budget(struct diff_area *area, struct bio *bio,
			    enum diff_waiter waiter)
{
	if (waiter == DIFF_WAITER_IMAGE) {
		diff_area_wait_image_budget(area, bio, 1);
		return;
	}
	note_parked(area, bio, waiter, SNAP_WAIT_BUDGET);
	queue_bio(area, &area->budget, bio);
	diff_storage_wait_budget(area->storage, 1, true);
}

/* The chunk, made if need be; ERR_PTR(-ENOMEM). */
static struct chunk *get_chunk(struct diff_area *area, unsigned long number,
			       gfp_t gfp)
{
	struct chunk *chunk, *other;

	chunk = xa_load(&area->chunks, number);
	if (chunk)
		return chunk;
	chunk = chunk_alloc(gfp);
	if (!chunk)
		return ERR_PTR(-ENOMEM);
	other = xa_cmpxchg(&area->chunks, number, NULL, chunk, gfp);
	if (!other)
		return chunk;
	chunk_free(chunk);
	return xa_is_err(other) ? ERR_PTR(xa_err(other)) : other;
}

static void copy_read_end(struct bio *bio)
{
	struct copy *copy = bio->bi_private;
	struct diff_area *area = copy->area;

	copy->status = bio->bi_status;
	bio_put(bio);
	/* The copy and its reference may be gone once it is on the list. */
	diff_area_get(area);
	if (llist_add(&copy->done_node, &area->copied))
		queue_work(area->copy_wq, &area->copy_work);
	diff_area_put(area);
}

/* The read that fills the copy's buffer. */
static struct bio *copy_read_bio(struct diff_area *area, struct copy *copy,
				 const struct span *span, bool in_hook)
{
	sector_t first = span_sector(span, area->subs_shift);
	sector_t count = min_t(sector_t, area->capacity - first,
			       span->count << SUB_SECTOR_SHIFT);
	struct bio *bio;

	bio = bio_alloc_bioset(area->bdev, span->count, REQ_OP_READ,
			       in_hook ? GFP_HOOK : GFP_NOIO,
			       in_hook ? &area->hook_bios : &area->bios);
	if (!bio)
		return NULL;
	/* A limit on the reads of this writer must hold up no other. */
	bio_associate_blkg_from_css(bio, blkcg_root_css);
	bio->bi_iter.bi_sector = first;
	bio->bi_end_io = copy_read_end;
	bio->bi_private = copy;
	diff_buffer_add_to_bio(copy->run->buffer, 0, count << SECTOR_SHIFT,
			       bio);
	/* The last sub-block of the device may be a part of one. */
	diff_buffer_zero_from(copy->run->buffer, count << SECTOR_SHIFT);
	return bio;
}

/*
 * May the read of a claim leave now?  Else it is kept until one of those in flight
 * ends: what has piled up by then leaves as one batch with the writes that are let
 * go, and a device takes a batch for little more than a single request.  Those in
 * flight may be slow, and of another part of the device: none waits for them longer
 * than READS_WAIT_MS.
 *
 * Only the hook's @reads are kept: the worker, which sends them off, must not wait
 * for a bio that is among them.  What belongs to one write is a batch already.
 */
static bool read_goes_now(struct diff_area *area, struct bio *bio,
			  const struct bio_list *reads)
{
	unsigned long flags;
	bool now, first;

	spin_lock_irqsave(&area->lock, flags);
	now = !reads || !bio_list_empty(reads) ||
	      area->reading < READS_AT_ONCE;
	first = !area->reads_kept;
	if (now) {
		area->reading++;
	} else {
		area->reads_kept++;
		bio_list_add(&area->reads, bio);
	}
	spin_unlock_irqrestore(&area->lock, flags);
	if (!now && first)
		queue_delayed_work(area->copy_wq, &area->send_work,
				   msecs_to_jiffies(READS_WAIT_MS));
	return now;
}

static void send_work(struct work_struct *work)
{
	struct diff_area *area = container_of(to_delayed_work(work),
					      struct diff_area, send_work);

	queue_work(area->copy_wq, &area->copy_work);
}

/*
 * Claims neighbouring sub-blocks and starts to read them.  The budget comes last: who
 * reserved it, had no memory and gave it back would kick himself for ever.
 */
static int start_copy(struct diff_area *area, struct chunk *chunk,
		      const struct span *span, struct bio_list *reads)
{
	gfp_t gfp = reads ? GFP_HOOK : GFP_WORKER;
	bool reserve = !reads && span->count == 1;
	struct copy *copy;
	struct bio *bio;
	int ret = -ENOMEM;

	copy = copy_alloc(&area->pool, chunk, span->first, span->count, gfp,
			  reserve);
	if (!copy)
		return -ENOMEM;
	copy->area = area;
	copy->number = span->chunk;
	copy->first = span_sector(span, area->subs_shift);
	copy->count = span->count << SUB_SECTOR_SHIFT;
	bio = copy_read_bio(area, copy, span, reads);
	if (!bio)
		goto out_copy;
	ret = -EAGAIN;
	if (!diff_storage_reserve(area->storage, span->count))
		goto out_bio;
	ret = 0;
	if (!chunk_claim(chunk, copy))
		goto out_budget;
	trace_blksnap_claim(area->bdev->bd_dev, copy->first, copy->count);
	diff_area_get(area);
	if (!read_goes_now(area, bio, reads))
		return 0;
	if (reads)
		bio_list_add(reads, bio);
	else
		submit_bio(bio);
	return 0;

out_budget:
	diff_storage_unreserve(area->storage, span->count);
out_bio:
	bio_put(bio);
out_copy:
	copy_free(&area->pool, copy);
	return ret;
}

/*
 * Claims whatever in @span nobody has.
 * Return: reads begun, -EAGAIN (budget), -ENOMEM.
 */
static int claim_span(struct diff_area *area, const struct span *span,
		      struct bio_list *reads)
{
	struct chunk *chunk;
	struct span todo;
	int ret = 0, begun = 0;

	chunk = get_chunk(area, span->chunk, reads ? GFP_HOOK : GFP_WORKER);
	if (IS_ERR(chunk))
		return PTR_ERR(chunk);
	while (!ret &&
	       span_first_clear(span, READ_ONCE(chunk->claimed), &todo)) {
		/* As much as fits: else small writes take what a large one waits for. */
		todo.count = diff_storage_room(area->storage, todo.count);
		if (!todo.count)
			return -EAGAIN;
		ret = start_copy(area, chunk, &todo, reads);
		if (ret == -ENOMEM && !reads && todo.count > 1) {
			/* For a single one there is the reserve. */
			todo.count = 1;
			ret = start_copy(area, chunk, &todo, reads);
		}
		begun++;
	}
	return ret ?: begun;
}

/* True when the span is safe or lost, without taking a lock. */
static bool span_is_safe(struct diff_area *area, const struct span *span)
{
	struct chunk *chunk = xa_load(&area->chunks, span->chunk);

	return (chunk && chunk_is_safe(chunk, span_mask(span))) ||
	       diff_area_is_lost(area, span->chunk);
}

/* Parks the bio on a copy that the span needs; false when it needs none. */
static bool park_on_copy(struct diff_area *area, const struct span *span,
			 struct bio *bio, enum diff_waiter waiter)
{
	struct chunk *chunk = xa_load(&area->chunks, span->chunk);
	struct copy *copy = NULL;

	if (!chunk)
		return false;
	spin_lock(&chunk->lock);
	if (span_mask(span) & ~chunk->safe)
		copy = chunk_copy_of(chunk, span_mask(span));
	if (copy) {
		note_parked(area, bio, waiter, SNAP_WAIT_COPY);
		bio_list_add(waiter == DIFF_WAITER_IMAGE ?
			     &copy->image_waiters : &copy->waiters, bio);
	}
	spin_unlock(&chunk->lock);
	return copy;
}

bool diff_area_secure(struct diff_area *area, sector_t first, sector_t count,
		      struct bio *bio, enum diff_waiter waiter,
		      struct bio_list *reads)
{
	bool in_parts = !reads && waiter == DIFF_WAITER_ORIGIN &&
			count >> (area->subs_shift + SUB_SECTOR_SHIFT) >=
				HOOK_CHUNKS_MAX;
	sector_t end = first + count, sector;
	unsigned int chunks = 0;
	bool all_safe = true;
	struct span span;
	int ret;

	if (diff_area_is_over(area))
		return true;
	for (sector = first; sector < end;
	     sector = chunk_end(sector, area->subs_shift)) {
		span = span_at(sector, end, area->subs_shift);
		if (reads && ++chunks > HOOK_CHUNKS_MAX) {
			park_for_worker(area, bio, waiter);
			return false;
		}
		if (!reads)
			cond_resched();
		if (span_is_safe(area, &span))
			continue;
		all_safe = false;
		if (in_parts && area->begun >= ROUND_MAX) {
			park_for_worker(area, bio, waiter);
			return false;
		}
		ret = claim_span(area, &span, reads);
		if (ret >= 0) {
			if (in_parts)
				area->begun += ret;
			continue;
		}
		if (ret == -EAGAIN) {
			park_for_budget(area, bio, waiter);
			return false;
		}
		if (reads) {
			park_for_worker(area, bio, waiter);
			return false;
		}
		if (waiter == DIFF_WAITER_IMAGE) {
			diff_area_end_bio(bio, BLK_STS_RESOURCE);
			return false;
		}
		if (park_for_memory(area, bio))
			return false;
		lose_chunk(area, span.chunk);
	}
	if (all_safe) {
		if (reads)
			this_cpu_inc(*area->passed);
		return true;
	}
	for (sector = first; sector < end;
	     sector = chunk_end(sector, area->subs_shift)) {
		span = span_at(sector, end, area->subs_shift);
		if (!span_is_safe(area, &span) &&
		    park_on_copy(area, &span, bio, waiter))
			return false;
	}
	return true;
}

bool diff_area_would_block(struct diff_area *area, sector_t count)
{
	/* It may begin and end within a sub-block. */
	unsigned int subs = (min_t(sector_t, count, UINT_MAX / 2) +
			     2 * SUB_SECTORS - 2) / SUB_SECTORS;

	return !diff_area_is_over(area) &&
	       diff_storage_room(area->storage, subs) < subs;
}

bool diff_area_range(const struct diff_area *area, const struct bio *bio,
		     sector_t *first, sector_t *count)
{
	sector_t start = area->bdev->bd_start_sect;
	sector_t begin = max(bio->bi_iter.bi_sector, start) - start;
	sector_t end = bio_end_sector(bio);

	if (end <= start || begin >= area->capacity)
		return false;
	*first = begin;
	*count = min(end - start, area->capacity) - begin;
	return true;
}

/* The read has ended: publish what it brought, then let go who waited. */
static void end_copy(struct diff_area *area, struct copy *copy,
		     struct bio_list *released)
{
	struct run *run = copy->run;
	struct chunk *chunk = run->chunk;
	sector_t end = min(copy->first + copy->count, area->capacity);
	struct bio *bio;
	bool saved;

	/*
	 * Once the snapshot is corrupted or the chunk lost, writes pass without
	 * a claim: the read may have brought new data.
	 */
	saved = !copy->status && !diff_area_is_over(area) &&
		!diff_area_is_lost(area, copy->number) &&
		end <= diff_area_trusted(area);
	/* Storage that lies here may have been written before we read. */
	run->holes_seen = READ_ONCE(area->last_hole);
	chunk_end_copy(chunk, copy, saved);
	trace_blksnap_copied(area->bdev->bd_dev, copy->first, copy->count,
			     saved);
	if (saved) {
		atomic64_add(run->count, &area->copied_subs);
		diff_area_add_dirty(area, run);
	} else {
		atomic64_add(run->count, &area->lost_subs);
		diff_storage_unreserve(area->storage, run->count);
	}
	bio_list_merge(released, &copy->waiters);
	while ((bio = bio_list_pop(&copy->image_waiters)))
		diff_area_queue_image_bio(area, bio);
	copy_free(&area->pool, copy);
	diff_area_put(area);
}

static void release_origin_bio(struct diff_area *area, struct bio *bio)
{
	sector_t first, count;

	bio->bi_opf &= ~REQ_NOWAIT;
	if (diff_area_range(area, bio, &first, &count) &&
	    !diff_area_secure(area, first, count, bio, DIFF_WAITER_ORIGIN, NULL))
		return;
	trace_blksnap_resume(area->bdev->bd_dev, bio->bi_iter.bi_sector,
			     bio_sectors(bio));
	blkfilter_resume(bio);
}

/* Ends the copies whose reads have ended.  Return: how many. */
static unsigned int end_copies(struct diff_area *area, struct bio_list *released)
{
	struct copy *copy, *next;
	struct llist_node *done;
	unsigned int ended = 0;

	done = llist_reverse_order(llist_del_all(&area->copied));
	llist_for_each_entry_safe(copy, next, done, done_node) {
		end_copy(area, copy, released);
		ended++;
	}
	return ended;
}

/* A part of the reads, and then of the writes that were let go, as one batch. */
static void submit_round(struct diff_area *area, struct bio_list *reads,
			 struct bio_list *released)
{
	struct blk_plug plug;
	struct bio *bio;
	int n;

	area->begun = 0;
	blk_start_plug(&plug);
	for (n = 0; n < ROUND_MAX && (bio = bio_list_pop(reads)); n++)
		submit_bio(bio);
	for (n = 0; n < ROUND_MAX && (bio = bio_list_pop(released)); n++)
		release_origin_bio(area, bio);
	blk_finish_plug(&plug);
}

static void copy_work(struct work_struct *work)
{
	struct diff_area *area = container_of(work, struct diff_area,
					      copy_work);
	struct bio_list released = BIO_EMPTY_LIST;
	struct bio_list reads = BIO_EMPTY_LIST;
	unsigned int ended;

	/* Submitting waits for the device: copies that end meanwhile do not. */
	do {
		ended = end_copies(area, &released);
		spin_lock_irq(&area->lock);
		area->reading += area->reads_kept - ended;
		area->reads_kept = 0;
		bio_list_merge(&reads, &area->reads);
		bio_list_init(&area->reads);
		bio_list_merge(&released, &area->pending);
		bio_list_init(&area->pending);
		spin_unlock_irq(&area->lock);
		submit_round(area, &reads, &released);
		cond_resched();
	} while (!bio_list_empty(&reads) || !bio_list_empty(&released));
}

/*
 * Space, budget or the state has changed: who waits looks again.  Of very many only
 * as many as may find something: each look costs, and a little is freed at a time.
 */
static void kick_work(struct work_struct *work)
{
	struct diff_area *area = container_of(work, struct diff_area,
					      kick_work);
	struct bio *bio;
	unsigned int n;
	bool left;

	spin_lock_irq(&area->lock);
	for (n = 0; n < KICK_MAX || diff_area_is_over(area); n++) {
		bio = bio_list_pop(&area->budget);
		if (!bio)
			break;
		bio_list_add(&area->pending, bio);
	}
	left = !bio_list_empty(&area->budget);
	bio_list_merge(&area->image_pending, &area->image_budget);
	bio_list_init(&area->image_budget);
	spin_unlock_irq(&area->lock);
	/* The others wait on, as if they had looked. */
	if (left)
		diff_storage_wait_budget(area->storage, 1, true);
	queue_work(area->copy_wq, &area->copy_work);
	queue_work(area->store_wq, &area->store_work);
	queue_work(area->image_wq, &area->image_work);
}

/* The part of sectors of the disk that lies on the device, as its own. */
static bool on_device(const struct diff_area *area, sector_t *first,
		      sector_t *count)
{
	sector_t start = area->bdev->bd_start_sect;
	sector_t end = min(*first + *count, start + area->capacity);

	*first = max(*first, start);
	if (*first >= end)
		return false;
	*count = end - *first;
	*first -= start;
	return true;
}

static sector_t hole_first(const struct diff_hole *hole)
{
	return hole->first;
}

static sector_t hole_last(const struct diff_hole *hole)
{
	return hole->last;
}

INTERVAL_TREE_DEFINE(struct diff_hole, node, sector_t, subtree_last, hole_first,
		     hole_last, static, hole)

struct diff_hole *diff_area_first_hole(struct diff_area *area, sector_t first,
				       sector_t last)
{
	return hole_iter_first(&area->holes, first, last);
}

struct diff_hole *diff_area_next_hole(struct diff_hole *hole, sector_t first,
				      sector_t last)
{
	return hole_iter_next(hole, first, last);
}

static int hide(struct diff_client *client, sector_t first, sector_t count,
		bool zero)
{
	struct diff_area *area = container_of(client, struct diff_area, client);
	struct diff_hole *hole;

	if (!on_device(area, &first, &count))
		return 0;
	hole = kzalloc(sizeof(*hole), GFP_KERNEL);
	if (!hole)
		return -ENOMEM;
	trace_blksnap_hide(area->bdev->bd_dev, first, count);
	hole->first = first;
	hole->last = first + count - 1;
	hole->zero = zero;
	spin_lock_irq(&area->lock);
	hole->number = area->last_hole + 1;
	WRITE_ONCE(area->last_hole, hole->number);
	hole_insert(hole, &area->holes);
	WRITE_ONCE(area->hole_count, area->hole_count + 1);
	spin_unlock_irq(&area->lock);
	return 0;
}

static void unhide(struct diff_client *client, sector_t first, sector_t count)
{
	struct diff_area *area = container_of(client, struct diff_area, client);
	struct diff_hole *hole, *found = NULL;

	if (!on_device(area, &first, &count))
		return;
	spin_lock_irq(&area->lock);
	/* Of several the newest: that of this very call. */
	for (hole = hole_iter_first(&area->holes, first, first); hole;
	     hole = hole_iter_next(hole, first, first))
		if (!found || hole->number > found->number)
			found = hole;
	if (found) {
		hole_remove(found, &area->holes);
		WRITE_ONCE(area->hole_count, area->hole_count - 1);
	}
	spin_unlock_irq(&area->lock);
	kfree(found);
}

static bool has_hole(struct diff_area *area, sector_t first, sector_t count,
		     bool or_zero)
{
	sector_t last = first + count - 1;
	struct diff_hole *hole;
	unsigned long flags;
	bool found = false;

	if (!READ_ONCE(area->hole_count))
		return false;
	spin_lock_irqsave(&area->lock, flags);
	for (hole = hole_iter_first(&area->holes, first, last); hole && !found;
	     hole = hole_iter_next(hole, first, last))
		found = or_zero || !hole->zero;
	spin_unlock_irqrestore(&area->lock, flags);
	return found;
}

bool diff_area_has_hole(struct diff_area *area, sector_t first, sector_t count)
{
	return has_hole(area, first, count, true);
}

bool diff_area_is_hidden(struct diff_area *area, sector_t first, sector_t count)
{
	return has_hole(area, first, count, false);
}

static void init_fields(struct diff_area *area, struct block_device *bdev,
			sector_t capacity, struct diff_storage *storage)
{
	area->bdev = bdev;
	area->capacity = capacity;
	area->subs_shift = chunk_subs_shift(param_chunk_minimum_shift());
	area->storage = storage;
	xa_init(&area->chunks);
	atomic_set(&area->refs, 1);
	init_completion(&area->idle);
	spin_lock_init(&area->lock);
	bio_list_init(&area->reads);
	bio_list_init(&area->pending);
	bio_list_init(&area->budget);
	bio_list_init(&area->image_pending);
	bio_list_init(&area->image_budget);
	INIT_LIST_HEAD(&area->dirty);
	INIT_LIST_HEAD(&area->again);
	area->holes = RB_ROOT_CACHED;
	init_llist_head(&area->copied);
	init_llist_head(&area->stored);
	init_llist_head(&area->fetched);
	INIT_DELAYED_WORK(&area->send_work, send_work);
	INIT_WORK(&area->kick_work, kick_work);
	INIT_WORK(&area->copy_work, copy_work);
	INIT_WORK(&area->store_work, diff_area_store_work);
	INIT_WORK(&area->image_work, diff_area_image_work);
	snap_event_init(&area->client.corrupted);
	area->client.corrupted.code = blk_snap_event_code_corrupted;
	area->client.corrupted.corrupted.orig_dev_id.mj = MAJOR(bdev->bd_dev);
	area->client.corrupted.corrupted.orig_dev_id.mn = MINOR(bdev->bd_dev);
	area->client.work = &area->kick_work;
	area->client.disk = bdev->bd_disk;
	area->client.hide = hide;
	area->client.unhide = unhide;
}

static int alloc_lost_bitmap(struct diff_area *area)
{
	u64 chunks = DIV_ROUND_UP_ULL(area->capacity,
			1ULL << (area->subs_shift + SUB_SECTOR_SHIFT));

	area->lost_shift = shift_for_count(chunks, 0,
					   param_chunk_maximum_count());
	area->lost = kvcalloc(BITS_TO_LONGS((chunks >> area->lost_shift) + 1),
			      sizeof(long), GFP_KERNEL);
	return area->lost ? 0 : -ENOMEM;
}

static int alloc_pools(struct diff_area *area)
{
	int ret;

	ret = copy_pool_init(&area->pool);
	if (ret)
		return ret;
	area->spare_store = diff_area_alloc_store(GFP_KERNEL);
	if (!area->spare_store)
		return -ENOMEM;
	ret = bioset_init(&area->bios, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
	if (ret)
		return ret;
	ret = bioset_init(&area->hook_bios, BIO_POOL_SIZE, 0,
			  BIOSET_NEED_BVECS);
	if (ret)
		return ret;
	ret = bioset_init(&area->store_bios, BIO_POOL_SIZE, 0,
			  BIOSET_NEED_BVECS);
	if (ret)
		return ret;
	ret = bioset_init(&area->split_bios, BIO_POOL_SIZE, 0,
			  BIOSET_NEED_RESCUER);
	if (ret)
		return ret;
	return bioset_init(&area->clone_bios, BIO_POOL_SIZE,
			   diff_area_clone_pad(), BIOSET_NEED_RESCUER);
}

static void free_area(struct diff_area *area)
{
	struct diff_hole *hole, *next;
	unsigned long number;
	struct chunk *chunk;

	if (area->copy_wq)
		destroy_workqueue(area->copy_wq);
	if (area->store_wq)
		destroy_workqueue(area->store_wq);
	if (area->image_wq)
		destroy_workqueue(area->image_wq);
	xa_for_each(&area->chunks, number, chunk) {
		chunk_free(chunk);
		cond_resched();
	}
	xa_destroy(&area->chunks);
	rbtree_postorder_for_each_entry_safe(hole, next, &area->holes.rb_root,
					     node)
		kfree(hole);
	bioset_exit(&area->clone_bios);
	bioset_exit(&area->split_bios);
	bioset_exit(&area->store_bios);
	bioset_exit(&area->hook_bios);
	bioset_exit(&area->bios);
	kfree(area->spare_store);
	copy_pool_exit(&area->pool);
	kvfree(area->lost);
	free_percpu(area->passed);
	kfree(area);
}

struct diff_area *diff_area_create(struct block_device *bdev,
				   struct blkfilter *filter, sector_t capacity,
				   struct diff_storage *storage)
{
	struct diff_area *area;
	int ret = -ENOMEM;

	area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	if (!area)
		return ERR_PTR(-ENOMEM);
	init_fields(area, bdev, capacity, storage);
	area->filter = filter;
	area->copy_wq = alloc_workqueue("blksnap_copy", WQ_MEM_RECLAIM, 0);
	area->store_wq = alloc_workqueue("blksnap_store", WQ_MEM_RECLAIM, 0);
	area->image_wq = alloc_workqueue("blksnap_image", WQ_MEM_RECLAIM, 0);
	if (!area->copy_wq || !area->store_wq || !area->image_wq)
		goto out;
	area->passed = alloc_percpu(u64);
	if (!area->passed)
		goto out;
	ret = alloc_lost_bitmap(area);
	if (ret)
		goto out;
	ret = alloc_pools(area);
	if (ret)
		goto out;
	area->client.wq = area->copy_wq;
	ret = diff_storage_add_client(storage, &area->client);
	if (ret)
		goto out;
	return area;

out:
	free_area(area);
	return ERR_PTR(ret);
}

/* What all chunks of an area come to. */
struct chunk_sums {
	u64 chunks;
	u64 claimed;
	u64 safe;
	u64 lost;
	u64 copies;
	u64 runs;
	u64 in_memory;
	u64 waiting;
};

static void add_chunk(struct chunk *chunk, struct chunk_sums *sums)
{
	struct copy *copy;
	struct run *run;

	spin_lock(&chunk->lock);
	sums->chunks++;
	sums->claimed += hweight64(chunk->claimed);
	sums->safe += hweight64(chunk->safe);
	sums->lost += hweight64(chunk->lost);
	hlist_for_each_entry(copy, &chunk->copies, node) {
		sums->copies++;
		sums->waiting += bio_list_size(&copy->waiters) +
				 bio_list_size(&copy->image_waiters);
	}
	hlist_for_each_entry(run, &chunk->runs, node) {
		sums->runs++;
		sums->in_memory += run->buffer ? run->count : 0;
	}
	spin_unlock(&chunk->lock);
}

static void show_lists(struct diff_area *area, struct seq_file *to)
{
	struct run *run;
	unsigned int pending, budget, image_pending, image_budget;
	unsigned int reading, reads, holes;
	unsigned int dirty = 0;

	spin_lock_irq(&area->lock);
	reading = area->reading;
	reads = area->reads_kept;
	holes = area->hole_count;
	pending = bio_list_size(&area->pending);
	budget = bio_list_size(&area->budget);
	image_pending = bio_list_size(&area->image_pending);
	image_budget = bio_list_size(&area->image_budget);
	list_for_each_entry(run, &area->again, dirty_node)
		dirty++;
	list_for_each_entry(run, &area->dirty, dirty_node)
		dirty++;
	spin_unlock_irq(&area->lock);
	seq_printf(to, "  parked pending %u budget %u image_pending %u image_budget %u\n",
		   pending, budget, image_pending, image_budget);
	seq_printf(to, "  reading %u reads_kept %u dirty_runs %u holes %u refs %d\n",
		   reading, reads, dirty, holes, atomic_read(&area->refs));
}

void diff_area_show(struct diff_area *area, struct seq_file *to)
{
	struct chunk_sums sums = {};
	unsigned long number;
	struct chunk *chunk;
	u64 passed = 0;
	int cpu;

	xa_for_each(&area->chunks, number, chunk) {
		add_chunk(chunk, &sums);
		cond_resched();
	}
	for_each_possible_cpu(cpu) {
		/* Counts move on while they are added up. */
		passed += data_race(*per_cpu_ptr(area->passed, cpu));
	}
	seq_printf(to, "  capacity %llu chunk_bytes %u%s\n", area->capacity,
		   1U << (area->subs_shift + SUB_SHIFT),
		   diff_area_is_over(area) ? " over" : "");
	show_lists(area, to);
	seq_printf(to, "  chunks %llu claimed %llu safe %llu lost %llu copies %llu waiting_for_copies %llu runs %llu in_memory %llu\n",
		   sums.chunks, sums.claimed, sums.safe, sums.lost, sums.copies,
		   sums.waiting, sums.runs, sums.in_memory);
	seq_printf(to, "  bytes_read %llu bytes_stored %llu bytes_saved %llu bytes_lost %llu\n",
		   (u64)(atomic64_read(&area->copied_subs) +
			 atomic64_read(&area->lost_subs)) << SUB_SHIFT,
		   (u64)atomic64_read(&area->stored_subs) << SUB_SHIFT,
		   (u64)atomic64_read(&area->copied_subs) << SUB_SHIFT,
		   (u64)atomic64_read(&area->lost_subs) << SUB_SHIFT);
	seq_printf(to, "  bios_parked %llu copies_avoided %llu image_retries %llu doubt_chunks %llu\n",
		   (u64)atomic64_read(&area->parked), passed,
		   (u64)atomic64_read(&area->image_retries),
		   (u64)atomic64_read(&area->lost_chunks));
}

static void kick_and_flush(struct diff_area *area)
{
	queue_work(area->copy_wq, &area->kick_work);
	flush_work(&area->kick_work);
	flush_work(&area->copy_work);
}

void diff_area_stop_saving(struct diff_area *area)
{
	WRITE_ONCE(area->ended, true);
}

void diff_area_end(struct diff_area *area)
{
	diff_area_stop_saving(area);
	/* A worker that had not seen it has parked its last bio after this. */
	flush_work(&area->copy_work);
	kick_and_flush(area);
}

void diff_area_destroy(struct diff_area *area)
{
	diff_area_end(area);
	flush_work(&area->image_work);
	kick_and_flush(area);
	diff_area_put(area);
	wait_for_completion(&area->idle);
	cancel_delayed_work_sync(&area->send_work);
	diff_storage_remove_client(area->storage, &area->client);
	flush_work(&area->kick_work);
	flush_work(&area->copy_work);
	flush_work(&area->store_work);
	flush_work(&area->image_work);
	free_area(area);
}
