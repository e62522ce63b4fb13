// SPDX-License-Identifier: GPL-2.0
/*
 * Stores: saved runs go to the storage behind the writes that caused them.
 *
 * One worker takes dirty runs in the order they were saved, gives each a place
 * (the storage hands out neighbours, so runs from all over the origin lie side
 * by side) and writes as many as fit into one bio.  A run that a write to the
 * image changes meanwhile is stored again, to the same place, when its store
 * has ended: never are two stores to one sector in flight.
 */
#include <linux/blk-filter.h>
#include <linux/slab.h>

#include "diff_area.h"
#include "geometry.h"
#include "trace.h"

#define STORE_RUNS_MAX 64
#define STORE_PAGES_MAX BIO_MAX_VECS

struct store {
	struct llist_node node;
	struct diff_area *area;
	struct bio *bio;
	dev_t dev;
	sector_t first;
	sector_t sectors;
	blk_status_t status;
	unsigned int count;
	struct run *runs[STORE_RUNS_MAX];
	struct diff_buffer *buffers[STORE_RUNS_MAX];
};

static void store_write_end(struct bio *bio)
{
	struct store *store = bio->bi_private;
	struct diff_area *area = store->area;

	store->status = bio->bi_status;
	bio_put(bio);
	/* The store and its reference may be gone once it is on the list. */
	diff_area_get(area);
	if (llist_add(&store->node, &area->stored))
		queue_work(area->store_wq, &area->store_work);
	diff_area_put(area);
}

/*
 * The next run, of @wanted if there is one; without @space it must have its place.
 * What has none is not behind what image writes change again and again, and what has
 * one is not behind what gets none.
 */
static struct run *next_dirty(struct diff_area *area, struct list_head *wanted,
			      bool space)
{
	struct run *run;

	spin_lock_irq(&area->lock);
	if (!space)
		wanted = &area->again;
	else if (list_empty(wanted))
		wanted = wanted == &area->again ? &area->dirty : &area->again;
	run = list_first_entry_or_null(wanted, struct run, dirty_node);
	if (run)
		list_del_init(&run->dirty_node);
	spin_unlock_irq(&area->lock);
	return run;
}

static void put_back(struct diff_area *area, struct run *run)
{
	spin_lock_irq(&area->lock);
	list_add(&run->dirty_node, run->region ? &area->again : &area->dirty);
	spin_unlock_irq(&area->lock);
}

/*
 * Gives the run a place, with which its I/O begins; what does not fit there
 * becomes a run of its own.
 */
static bool place(struct diff_area *area, struct run *run)
{
	struct diff_region *region;
	struct run *rest;
	sector_t sector;
	sector_t got;

	got = diff_storage_alloc(area->storage, run->count << SUB_SECTOR_SHIFT,
				 &region, &sector);
	if (!got)
		return false;
	if (got >> SUB_SECTOR_SHIFT < run->count) {
		rest = run_split(&area->pool.buffers, run,
				 got >> SUB_SECTOR_SHIFT,
				 GFP_NOIO | __GFP_NOFAIL);
		put_back(area, rest);
	}
	spin_lock(&run->chunk->lock);
	run->region = region;
	run->sector = sector;
	spin_unlock(&run->chunk->lock);
	return true;
}

/* Begins the I/O of a run, in the place it has or gets; false when it cannot. */
static bool begin_io(struct diff_area *area, struct run *run)
{
	if (!run->region)
		return place(area, run);
	if (!diff_storage_store_begin(area->storage))
		return false;
	diff_storage_add_restores(area->storage, -1);
	return true;
}

/* It has its place but cannot be stored now. */
static void unbegin_io(struct diff_area *area, struct run *run)
{
	diff_storage_add_restores(area->storage, 1);
	diff_storage_store_end(area->storage, false);
	put_back(area, run);
}

static bool fits(const struct store *store, const struct run *run)
{
	const struct bio *bio = store->bio;

	return store->count < STORE_RUNS_MAX &&
	       bio->bi_bdev == run->region->bdev &&
	       bio_end_sector(bio) == run->sector &&
	       bio->bi_vcnt + run->count <= STORE_PAGES_MAX;
}

/* From now on the run is dirty again only if it changes after this. */
static void add_run(struct store *store, struct run *run)
{
	struct diff_buffer *buffer;

	spin_lock(&run->chunk->lock);
	buffer = diff_buffer_get(run->buffer);
	run->dirty = false;
	run->storing = true;
	spin_unlock(&run->chunk->lock);
	store->runs[store->count] = run;
	store->buffers[store->count++] = buffer;
	diff_buffer_add_to_bio(buffer, 0, run->count << SUB_SHIFT, store->bio);
}

struct store *diff_area_alloc_store(gfp_t gfp)
{
	return kmalloc(sizeof(struct store), gfp);
}

/* NULL without memory while the spare one is in flight: its end tries again. */
static struct store *begin_store(struct diff_area *area, struct run *run)
{
	struct store *store;

	store = diff_area_alloc_store(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!store)
		swap(store, area->spare_store);
	if (!store)
		return NULL;
	store->area = area;
	store->count = 0;
	store->bio = bio_alloc_bioset(run->region->bdev, STORE_PAGES_MAX,
				      REQ_OP_WRITE, GFP_NOIO, &area->store_bios);
	store->bio->bi_iter.bi_sector = run->sector;
	store->bio->bi_private = store;
	store->bio->bi_end_io = store_write_end;
	add_run(store, run);
	return store;
}

/* Only the store worker comes here and above. */
static void free_store(struct diff_area *area, struct store *store)
{
	if (!area->spare_store)
		swap(store, area->spare_store);
	kfree(store);
}

static void submit_store(struct diff_area *area, struct store *store)
{
	if (!store)
		return;
	store->dev = store->bio->bi_bdev->bd_dev;
	store->first = store->bio->bi_iter.bi_sector;
	store->sectors = bio_sectors(store->bio);
	trace_blksnap_store(store->dev, store->first, store->sectors);
	diff_area_get(area);
	blkfilter_submit_bypass(store->bio);
}

/* True when the memory copy has gone. */
static bool end_run(struct diff_area *area, struct run *run)
{
	struct diff_buffer *buffer = NULL;
	bool again;

	spin_lock(&run->chunk->lock);
	run->storing = false;
	again = run->dirty;
	if (!again)
		swap(buffer, run->buffer);
	spin_unlock(&run->chunk->lock);
	if (again)
		diff_area_add_dirty(area, run);
	diff_buffer_put(buffer);
	return buffer;
}

static void end_store(struct diff_area *area, struct store *store)
{
	unsigned int i, freed = 0;

	trace_blksnap_stored(store->dev, store->first, store->sectors,
			     blk_status_to_errno(store->status));
	/*
	 * The memory copies stay when the store has failed, and when the snapshot is
	 * corrupted and no storage read any more: image reads still use them.
	 */
	if (store->status)
		diff_storage_corrupt(area->storage,
				     blk_status_to_errno(store->status));
	for (i = 0; i < store->count; i++) {
		diff_buffer_put(store->buffers[i]);
		if (diff_storage_error(area->storage))
			continue;
		atomic64_add(store->runs[i]->count, &area->stored_subs);
		if (end_run(area, store->runs[i]))
			freed += store->runs[i]->count;
	}
	/* The budget first: who finds no I/O in flight must find it given back. */
	if (freed)
		diff_storage_unreserve(area->storage, freed);
	diff_storage_store_end(area->storage, freed);
	free_store(area, store);
	diff_area_put(area);
}

static void end_stores(struct diff_area *area)
{
	struct llist_node *done;
	struct store *store, *next;

	done = llist_reverse_order(llist_del_all(&area->stored));
	llist_for_each_entry_safe(store, next, done, node)
		end_store(area, store);
}

/*
 * Stores what is dirty, as long as there is space and storage may be used.  The
 * I/O of a run begins with its place: or else who looks between the two sees
 * neither space nor I/O in flight, and takes the snapshot for stuck.
 */
static void store_dirty(struct diff_area *area)
{
	struct list_head *turn = &area->again;
	struct store *store = NULL;
	unsigned int taken = 0;
	struct blk_plug plug;
	bool space = true;
	struct run *run;

	blk_start_plug(&plug);
	while ((run = next_dirty(area, turn, space))) {
		/* As many as one store may hold: else they would not be merged. */
		if (++taken % STORE_RUNS_MAX == 0)
			turn = turn == &area->again ? &area->dirty :
						      &area->again;
		if (!begin_io(area, run)) {
			put_back(area, run);
			if (run->region)
				break;
			space = false;
			continue;
		}
		if (store && fits(store, run)) {
			add_run(store, run);
			/* One I/O for both: that of the store goes on. */
			diff_storage_store_end(area->storage, false);
			continue;
		}
		submit_store(area, store);
		/* Submitting waits for the storage: stores that end meanwhile do not. */
		end_stores(area);
		store = begin_store(area, run);
		if (!store) {
			unbegin_io(area, run);
			break;
		}
	}
	submit_store(area, store);
	blk_finish_plug(&plug);
}

void diff_area_store_work(struct work_struct *work)
{
	struct diff_area *area = container_of(work, struct diff_area,
					      store_work);
	end_stores(area);
	store_dirty(area);
}
