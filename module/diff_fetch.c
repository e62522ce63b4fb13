// SPDX-License-Identifier: GPL-2.0
/*
 * Image bios for which saved data must first come to memory: writes, and reads
 * that the storage cannot take as they are.
 *
 * A write changes the memory copy of a saved run, after claiming it like a
 * write to the origin does, and has it stored again.  What is only in the storage
 * is fetched; nobody waits for that in a worker, so a storage that hangs holds up
 * those bios that need it and no others.
 */
#include <linux/slab.h>

#include "diff_area.h"
#include "geometry.h"
#include "trace.h"

/**
 * struct run_view - A run as it was seen under the lock.
 * @run: the run; only its store may change it meanwhile.
 * @buffer: its data, with a reference, or NULL when it is in the storage.
 * @first: its first sector on the origin.
 * @count: its sub-blocks.
 * @changes: made to it by then.
 * @bdev: of its place.
 * @sector: of its place.
 */
struct run_view {
	struct run *run;
	struct diff_buffer *buffer;
	sector_t first;
	unsigned int count;
	u32 changes;
	struct block_device *bdev;
	sector_t sector;
};

/**
 * struct fetch - A read of the storage into a buffer, for an image bio.
 * @node: in diff_area.fetched when it has ended.
 * @area: the area.
 * @bio: the image's.
 * @buffer: filled by the read.
 * @skip: where @bio's data begins in it, in bytes; for reads.
 * @view: the run; for writes.
 * @sector: of the image, where the write goes on.
 * @status: of the read.
 */
struct fetch {
	struct llist_node node;
	struct diff_area *area;
	struct bio *bio;
	struct diff_buffer *buffer;
	unsigned int skip;
	struct run_view view;
	sector_t sector;
	blk_status_t status;
};

static void fetch_read_end(struct bio *bio)
{
	struct fetch *fetch = bio->bi_private;
	struct diff_area *area = fetch->area;

	fetch->status = bio->bi_status;
	bio_put(bio);
	diff_storage_io_end(area->storage);
	/* The fetch and its reference may be gone once it is on the list. */
	diff_area_get(area);
	if (llist_add(&fetch->node, &area->fetched))
		queue_work(area->image_wq, &area->image_work);
	diff_area_put(area);
}

/* Reads whole sub-blocks; false when the storage must not be used any more. */
static bool submit_fetch(struct fetch *fetch, struct block_device *bdev,
			 sector_t sector)
{
	struct diff_area *area = fetch->area;
	struct diff_buffer *buffer = fetch->buffer;
	struct bio *bio;

	if (!diff_storage_io_begin(area->storage))
		return false;
	trace_blksnap_image_fetch(bdev->bd_dev, sector,
				  buffer->count << SUB_SECTOR_SHIFT);
	diff_area_get(area);
	bio = bio_alloc_bioset(bdev, buffer->count, REQ_OP_READ, GFP_NOIO,
			       &area->store_bios);
	bio->bi_iter.bi_sector = sector;
	bio->bi_end_io = fetch_read_end;
	bio->bi_private = fetch;
	diff_buffer_add_to_bio(buffer, 0, buffer->count << SUB_SHIFT, bio);
	submit_bio_noacct(bio);
	return true;
}

static struct fetch *alloc_fetch(struct diff_area *area, struct bio *bio,
				 unsigned int count)
{
	struct fetch *fetch = kzalloc(sizeof(*fetch), GFP_NOIO);

	if (!fetch)
		return NULL;
	fetch->buffer = diff_buffer_alloc(&area->pool.buffers, count, GFP_NOIO);
	if (!fetch->buffer) {
		kfree(fetch);
		return NULL;
	}
	fetch->area = area;
	fetch->bio = bio;
	return fetch;
}

static void free_fetch(struct fetch *fetch)
{
	diff_buffer_put(fetch->buffer);
	kfree(fetch);
}

void diff_area_read_bounced(struct diff_area *area, struct bio *bio,
			    struct block_device *bdev, sector_t sector)
{
	unsigned int skip = bio->bi_iter.bi_sector & (SUB_SECTORS - 1);
	struct fetch *fetch;

	fetch = alloc_fetch(area, bio,
			    DIV_ROUND_UP(skip + bio_sectors(bio), SUB_SECTORS));
	if (!fetch) {
		diff_area_end_bio(bio, BLK_STS_RESOURCE);
		return;
	}
	fetch->skip = skip << SECTOR_SHIFT;
	if (!submit_fetch(fetch, bdev, sector - skip)) {
		free_fetch(fetch);
		diff_area_end_bio(bio, BLK_STS_IOERR);
	}
}

static void end_read(struct fetch *fetch)
{
	if (!fetch->status)
		diff_buffer_to_bio(fetch->buffer, fetch->skip, fetch->bio);
	diff_area_end_bio(fetch->bio,
			  fetch->status ? BLK_STS_IOERR : BLK_STS_OK);
}

static bool view_run(struct diff_area *area, sector_t sector,
		     struct run_view *view)
{
	struct span span = span_at(sector, sector + 1, area->subs_shift);
	struct chunk *chunk = xa_load(&area->chunks, span.chunk);

	memset(view, 0, sizeof(*view));
	if (!chunk || diff_area_is_lost(area, span.chunk))
		return false;
	spin_lock(&chunk->lock);
	view->run = chunk_run_at(chunk, span.first);
	if (view->run) {
		span.first = view->run->first;
		view->first = span_sector(&span, area->subs_shift);
		view->count = view->run->count;
		view->changes = view->run->changes;
		if (view->run->buffer) {
			view->buffer = diff_buffer_get(view->run->buffer);
		} else {
			view->bdev = view->run->region->bdev;
			view->sector = view->run->sector;
		}
	}
	spin_unlock(&chunk->lock);
	return view->run;
}

/*
 * Puts the new data in place; false when the run has changed since @view.  That
 * it has no buffer now as then does not tell: one may have come and been stored.
 */
static bool replace_buffer(struct diff_area *area, const struct run_view *view,
			   struct diff_buffer *new)
{
	struct chunk *chunk = view->run->chunk;
	struct run *run = view->run;
	bool same, queue = false;

	spin_lock(&chunk->lock);
	same = run->buffer == view->buffer && run->count == view->count &&
	       run->changes == view->changes;
	if (same) {
		swap(run->buffer, new);
		run->changes++;
		queue = !run->dirty && !run->storing;
		run->dirty = true;
	}
	spin_unlock(&chunk->lock);
	if (same)
		diff_buffer_put(new);
	if (queue)
		diff_area_add_dirty(area, run);
	return same;
}

/*
 * Writes the bio's part that lies in the run into @new, a copy of its old data.
 * Return: the sectors written, or 0 when the run has changed; @new is gone when
 * they are written.
 */
static sector_t change_run(struct diff_area *area, const struct run_view *view,
			   struct bio *bio, sector_t sector,
			   struct diff_buffer *new)
{
	sector_t skip = sector - view->first;
	sector_t count = min_t(sector_t,
			       (view->count << SUB_SECTOR_SHIFT) - skip,
			       bio_end_sector(bio) - sector);

	diff_buffer_from_bio(new, skip << SECTOR_SHIFT, count << SECTOR_SHIFT,
			     bio, (sector - bio->bi_iter.bi_sector)
			     << SECTOR_SHIFT);
	return replace_buffer(area, view, new) ? count : 0;
}

/* In memory: sectors written, 0 to look again, -ENOMEM. */
static int change_in_memory(struct diff_area *area, const struct run_view *view,
			    struct bio *bio, sector_t sector)
{
	struct diff_buffer *new;
	sector_t count;

	new = diff_buffer_alloc(&area->pool.buffers, view->count, GFP_NOIO);
	if (!new)
		return -ENOMEM;
	diff_buffer_copy(new, view->buffer);
	count = change_run(area, view, bio, sector, new);
	if (!count)
		diff_buffer_put(new);
	return count;
}

/* Return: -EINPROGRESS when the fetch has the bio, -ENOBUFS, or another errno. */
static int fetch_run(struct diff_area *area, const struct run_view *view,
		     struct bio *bio, sector_t sector)
{
	struct fetch *fetch;
	int ret = -ENOMEM;

	if (diff_area_is_over(area))
		return -EIO;
	/* Its place makes it a restore. */
	if (!diff_storage_reserve_restore(area->storage, view->count))
		return -ENOBUFS;
	fetch = alloc_fetch(area, bio, view->count);
	if (fetch) {
		fetch->view = *view;
		fetch->sector = sector;
		if (submit_fetch(fetch, view->bdev, view->sector))
			return -EINPROGRESS;
		free_fetch(fetch);
		ret = -EIO;
	}
	diff_storage_unreserve(area->storage, view->count);
	diff_storage_add_restores(area->storage, -1);
	return ret;
}

/* Writes from @sector on; ends the bio, or leaves it where it waits. */
static void write_from(struct diff_area *area, struct bio *bio, sector_t sector)
{
	struct run_view view = {};
	int ret = 0;

	while (ret >= 0 && sector < bio_end_sector(bio)) {
		ret = -EIO;
		if (!view_run(area, sector, &view))
			break;
		if (view.buffer)
			ret = change_in_memory(area, &view, bio, sector);
		else
			ret = fetch_run(area, &view, bio, sector);
		diff_buffer_put(view.buffer);
		if (ret > 0)
			sector += ret;
	}
	if (ret == -EINPROGRESS)
		return;
	if (ret != -ENOBUFS) {
		diff_area_end_bio(bio, errno_to_blk_status(min(ret, 0)));
		return;
	}
	/* What is written stays so: else it is fetched again with what was waited for. */
	bio_advance(bio, (sector - bio->bi_iter.bi_sector) << SECTOR_SHIFT);
	diff_area_wait_image_budget(area, bio, view.count);
}

static void end_write(struct diff_area *area, struct fetch *fetch)
{
	struct bio *bio = fetch->bio;
	sector_t count = 0;

	if (!fetch->status)
		count = change_run(area, &fetch->view, bio, fetch->sector,
				   fetch->buffer);
	if (count)
		fetch->buffer = NULL;
	else
		diff_storage_unreserve(area->storage, fetch->view.count);
	/* After the run is counted as one, or its budget is given back. */
	diff_storage_add_restores(area->storage, -1);
	if (fetch->status)
		diff_area_end_bio(bio, BLK_STS_IOERR);
	else
		write_from(area, bio, fetch->sector + count);
}

void diff_area_end_fetches(struct diff_area *area)
{
	struct llist_node *ended = llist_del_all(&area->fetched);
	struct fetch *fetch, *next;

	llist_for_each_entry_safe(fetch, next, ended, node) {
		if (READ_ONCE(area->ended))
			fetch->status = BLK_STS_IOERR;
		if (op_is_write(bio_op(fetch->bio)))
			end_write(area, fetch);
		else
			end_read(fetch);
		free_fetch(fetch);
		diff_area_put(area);
	}
}

void diff_area_image_write(struct diff_area *area, struct bio *bio)
{
	sector_t first = bio->bi_iter.bi_sector;

	/* What the image does not show cannot be written to it. */
	if (diff_area_has_hole(area, first, bio_sectors(bio)))
		diff_area_end_bio(bio, BLK_STS_IOERR);
	else if (diff_area_secure(area, first, bio_sectors(bio), bio,
				  DIFF_WAITER_IMAGE, NULL))
		write_from(area, bio, first);
}
