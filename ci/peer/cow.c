// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write, whole chunks: the filter takes a bio that touches a chunk not
 * yet saved, a worker reads the chunk into memory, then gives the bio back.
 * Another worker stores what is in memory, one chunk at a time.  And the image.
 */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "peer.h"

#ifdef QUIET_LOSS
static const bool quiet_loss = true;
#else
static const bool quiet_loss;
#endif
#define APPEND_WAIT (2 * HZ)

static DEFINE_IDA(image_minors);

struct cow {
	struct work_struct work;
	struct member *m;
	struct bio *bio;
};

/* --- the change map --- */

/* @first, @count: in the device, inside its capacity, count > 0 */
void mark_range(struct tracker *t, sector_t first, sector_t count, bool both)
{
	u32 i = first >> (t->shift - 9);
	u32 last = (first + count - 1) >> (t->shift - 9);

	for (; i <= last; i++) {
		WRITE_ONCE(t->active[i], min(t->number, 255u));
		if (both)
			WRITE_ONCE(t->readable[i], t->snap_number);
	}
}

/* --- plain I/O --- */

static void io_done(struct bio *bio)
{
	complete(bio->bi_private);
}

static int io_sync(struct block_device *bdev, enum req_op op, sector_t sector,
		   char *buf, unsigned int bytes)
{
	while (bytes) {
		unsigned int left = min(bytes, 512u << 10);
		DECLARE_COMPLETION_ONSTACK(done);
		struct bio *bio;
		int ret;

		bio = bio_alloc(bdev, left / PAGE_SIZE + 2, op, GFP_NOIO);
		bio->bi_iter.bi_sector = sector;
		bio->bi_private = &done;
		bio->bi_end_io = io_done;
		bytes -= left;
		sector += left >> 9;
		while (left) {
			unsigned int off = offset_in_page(buf);
			unsigned int len = min_t(unsigned int, left,
						 PAGE_SIZE - off);

			__bio_add_page(bio, is_vmalloc_addr(buf) ?
				       vmalloc_to_page(buf) : virt_to_page(buf),
				       len, off);
			buf += len;
			left -= len;
		}
		if (op_is_write(op))
			blkfilter_submit_bypass(bio);
		else
			submit_bio(bio);
		wait_for_completion_io(&done);
		ret = blk_status_to_errno(bio->bi_status);
		bio_put(bio);
		if (ret)
			return ret;
	}
	return 0;
}

/* --- events, corruption; all under snap->lock --- */

void post_event(struct snapshot *snap, struct event *ev)
{
	if (ev->state != EV_IDLE)
		return;
	ev->state = EV_QUEUED;
	ev->label = ktime_get_ns();
	list_add_tail(&ev->node, &snap->events);
	wake_up_all(&snap->wait);
}

static void post_corrupted(struct snapshot *snap)
{
	struct member *m;

	if (!snap->err || snap->io)
		return;
	list_for_each_entry(m, &snap->members, node)
		if (!m->corrupted.u.corrupted.err_code) {
			m->corrupted.u.corrupted.err_code = snap->err;
			post_event(snap, &m->corrupted);
		}
}

static void corrupt(struct snapshot *snap, int err)
{
	if (snap->err || snap->dying)
		return;
	pr_warn("blksnap: snapshot %pUb is corrupted: %d\n", &snap->id, err);
	WRITE_ONCE(snap->err, err);
	wake_up_all(&snap->wait);
	post_corrupted(snap);
}

static void storage_io_end(struct snapshot *snap)
{
	snap->io--;
	post_corrupted(snap);
}

/* --- hiding storage on captured devices --- */

int hide(struct member *m, sector_t first, sector_t count, u32 seq)
{
	struct hidden *h = kmalloc(sizeof(*h), GFP_NOIO);

	if (!h)
		return -ENOMEM;
	*h = (struct hidden){ .first = first, .count = count, .seq = seq };
	list_add_tail(&h->node, &m->hiding);
	return 0;
}

/*
 * Applies what is hidden to data of a chunk @c, or of the origin when it is not
 * saved.  With @buf NULL says only whether something is hidden.
 */
static int apply_hiding(struct member *m, struct chunk *c, sector_t first,
			unsigned int count, char *buf)
{
	struct hidden *h;

	list_for_each_entry(h, &m->hiding, node) {
		sector_t from = max(first, h->first);
		sector_t to = min(first + count, h->first + h->count);

		if (from >= to)
			continue;
		if (!h->seq && buf)
			memset(buf + ((from - first) << 9), 0, (to - from) << 9);
		else if (!h->seq || !c || c->state == C_NONE || h->seq <= c->seq)
			return -EIO;
	}
	return 0;
}

/* --- chunks; under snap->lock --- */

static unsigned int chunk_sectors(struct member *m, u64 index)
{
	sector_t first = index << m->chunk_shift;

	return min_t(sector_t, m->capacity - first, 1 << m->chunk_shift);
}

static size_t buf_size(struct member *m)
{
	/* The last piece is rounded up to the storage's logical block. */
	return (512UL << m->chunk_shift) + PAGE_SIZE;
}

static bool chunk_saved(struct chunk *c)
{
	return c && smp_load_acquire(&c->state) != C_NONE;
}

static void set_dirty(struct snapshot *snap, struct chunk *c)
{
	if (list_empty(&c->node))
		list_add_tail(&c->node, &snap->dirty);
	queue_work(snap->store_wq, &snap->store_work);
}

static bool room(struct snapshot *snap, size_t size, bool image)
{
	return snap->unsaved + size <=
	       (image ? UNSAVED_LIMIT / 2 : UNSAVED_LIMIT) || !snap->unsaved;
}

static bool may_get_room(struct snapshot *snap)
{
	return !list_empty(&snap->dirty) || snap->storing || snap->copying;
}

/* Room for a buffer; may drop the lock to wait. */
static int reserve(struct snapshot *snap, size_t size, bool image)
{
	unsigned long since = jiffies;

	while (!room(snap, size, image)) {
		unsigned long stall = msecs_to_jiffies(storage_stall_ms);

		if (snap->err || snap->dying)
			return -EIO;
		/* Whoever answers LOW_FREE_SPACE gets a moment to append. */
		if (!may_get_room(snap) &&
		    (image || time_after(jiffies, since + APPEND_WAIT)))
			return -ENOSPC;
		if (time_after(snap->last_store, since))
			since = snap->last_store;
		if (!image && time_after(jiffies, since + stall))
			return -ETIMEDOUT;
		mutex_unlock(&snap->lock);
		wait_event_timeout(snap->wait,
				   snap->err || snap->dying ||
				   room(snap, size, image) ||
				   (image && !may_get_room(snap)), HZ / 4);
		mutex_lock(&snap->lock);
	}
	if (snap->err || snap->dying)
		return -EIO;
	snap->unsaved += size;
	snap->copying++;
	return 0;
}

static int extents_read(struct chunk *c, char *buf, u32 from, u32 to)
{
	struct extent *e;
	int ret = 0;

	for (e = c->extents; e && !ret; e = e->next) {
		u32 block = bdev_logical_block_size(e->bdev) >> 9;
		u32 a = max(from, e->offset), b = min(to, e->offset + e->count);

		if (a >= b)
			continue;
		a = e->offset + round_down(a - e->offset, block);
		b = e->offset + round_up(b - e->offset, block);
		ret = io_sync(e->bdev, REQ_OP_READ, e->sector + a - e->offset,
			      buf + (a << 9), (b - a) << 9);
	}
	return ret;
}

/* Takes and drops the lock around the I/O. */
static int chunk_load(struct chunk *c, char *buf)
{
	struct member *m = c->m;
	struct snapshot *snap = m->snap;
	unsigned int count = chunk_sectors(m, c->index);
	int ret;

	if (c->state == C_NONE) {
		mutex_unlock(&snap->lock);
		ret = io_sync(m->bdev, REQ_OP_READ, c->index << m->chunk_shift,
			      buf, count << 9);
		mutex_lock(&snap->lock);
	} else {
		snap->io++;
		mutex_unlock(&snap->lock);
		ret = extents_read(c, buf, 0, count);
		mutex_lock(&snap->lock);
		storage_io_end(snap);
	}
	if (snap->err || snap->dying)
		ret = -EIO;
	return ret;
}

static struct chunk *chunk_get(struct member *m, u64 index)
{
	struct chunk *c = xa_load(&m->chunks, index);
	int ret;

	if (c)
		return c;
	c = kzalloc(sizeof(*c), GFP_NOIO);
	if (!c)
		return ERR_PTR(-ENOMEM);
	c->m = m;
	c->index = index;
	c->tail = &c->extents;
	INIT_LIST_HEAD(&c->node);
	ret = xa_err(xa_store(&m->chunks, index, c, GFP_NOIO));
	if (ret) {
		kfree(c);
		return ERR_PTR(ret);
	}
	return c;
}

/* Brings a chunk into memory: under the lock, which it drops meanwhile. */
static int chunk_fill(struct chunk *c, bool image)
{
	struct snapshot *snap = c->m->snap;
	size_t size = buf_size(c->m);
	char *buf;
	int ret;

	c->busy = true;
	ret = reserve(snap, size, image);
	if (ret)
		goto out;
	mutex_unlock(&snap->lock);
	buf = __vmalloc(size, GFP_NOIO | __GFP_ZERO | __GFP_NOWARN);
	mutex_lock(&snap->lock);
	ret = buf ? chunk_load(c, buf) : -ENOMEM;
	snap->copying--;
	if (ret) {
		snap->unsaved -= size;
		vfree(buf);
		/* The other reading of the contract: only the chunk is lost. */
		if (quiet_loss && buf && !image && !snap->err && !snap->dying) {
			smp_store_release(&c->state, C_LOST);
			ret = 0;
		}
		goto out;
	}
	c->buf = buf;
	if (c->state == C_NONE)
		c->seq = c->m->hide_seq;
	/* Whoever sees the state without the lock may let a write go. */
	smp_store_release(&c->state, C_MEM);
	set_dirty(snap, c);
out:
	c->busy = false;
	wake_up_all(&snap->wait);
	return ret;
}

/*
 * Makes sure that a chunk is saved; for a write to the image, that it is in
 * memory.  Returns with the lock held on success.
 */
static struct chunk *chunk_save(struct member *m, u64 index, bool image)
{
	struct snapshot *snap = m->snap;
	struct chunk *c;
	int ret;

	mutex_lock(&snap->lock);
	for (;;) {
		ret = -EIO;
		if (snap->err || snap->dying)
			break;
		c = chunk_get(m, index);
		ret = PTR_ERR_OR_ZERO(c);
		if (ret) {
			if (!image)
				corrupt(snap, -ret);
			break;
		}
		if (c->busy) {
			mutex_unlock(&snap->lock);
			wait_event(snap->wait, !READ_ONCE(c->busy));
			mutex_lock(&snap->lock);
			continue;
		}
		if (c->state == C_MEM || (c->state != C_NONE && !image))
			return c;
		ret = -EIO;
		if (c->state == C_LOST)
			break;
		ret = chunk_fill(c, image);
		if (ret) {
			if (!image)
				corrupt(snap, -ret);
			break;
		}
	}
	mutex_unlock(&snap->lock);
	return ERR_PTR(ret);
}

/* --- storing --- */

static int allocate(struct snapshot *snap, struct chunk *c)
{
	u32 need = chunk_sectors(c->m, c->index);
	struct store_range *r;

	list_for_each_entry(r, &snap->ranges, node) {
		u32 block = bdev_logical_block_size(r->bdev) >> 9;
		struct extent *e;

		if (c->allocated >= need)
			break;
		if (r->used == r->count)
			continue;
		e = kmalloc(sizeof(*e), GFP_NOIO | __GFP_NOFAIL);
		e->next = NULL;
		e->bdev = r->bdev;
		e->sector = r->first + r->used;
		e->offset = c->allocated;
		e->count = min_t(sector_t, r->count - r->used,
				 round_up(need - c->allocated, block));
		*c->tail = e;
		c->tail = &e->next;
		r->used += e->count;
		c->allocated += e->count;
		snap->free -= e->count;
	}
	if (snap->low_armed && snap->free < snap->low_mark) {
		snap->low_armed = false;
		post_event(snap, &snap->low);
	}
	return c->allocated >= need ? 0 : -ENOSPC;
}

void store_fn(struct work_struct *work)
{
	struct snapshot *snap = container_of(work, struct snapshot, store_work);
	unsigned int noio = memalloc_noio_save();
	struct extent *e;
	struct chunk *c;
	int ret;

	mutex_lock(&snap->lock);
	while (!snap->err && !snap->dying &&
	       (c = list_first_entry_or_null(&snap->dirty, struct chunk, node))) {
		if (allocate(snap, c)) {
			list_move_tail(&c->node, &snap->starved);
			wake_up_all(&snap->wait);
			continue;
		}
		list_del_init(&c->node);
		snap->storing = true;
		snap->io++;
		mutex_unlock(&snap->lock);
		ret = 0;
		for (e = c->extents; e && !ret; e = e->next)
			ret = io_sync(e->bdev, REQ_OP_WRITE, e->sector,
				      c->buf + (e->offset << 9), e->count << 9);
		mutex_lock(&snap->lock);
		snap->storing = false;
		if (ret) {
			/* Before the count: no new storage I/O may begin. */
			corrupt(snap, -ret);
		} else if (list_empty(&c->node)) {
			vfree(c->buf);
			c->buf = NULL;
			c->state = C_STORED;
			snap->unsaved -= buf_size(c->m);
		}
		snap->last_store = jiffies;
		storage_io_end(snap);
		wake_up_all(&snap->wait);
	}
	mutex_unlock(&snap->lock);
	memalloc_noio_restore(noio);
}

/* --- the filter --- */

static void cow_bio(struct member *m, struct bio *bio)
{
	sector_t first = bio->bi_iter.bi_sector - m->t->start;
	sector_t end = first + bio_sectors(bio);
	unsigned int noio = memalloc_noio_save();
	u64 i, last;

	/* A bio to the disk may begin before a partition and end behind it. */
	if (bio->bi_iter.bi_sector < m->t->start)
		first = 0;
	last = (min(end, m->capacity) - 1) >> m->chunk_shift;
	for (i = first >> m->chunk_shift; i <= last; i++) {
		struct chunk *c;

		if (chunk_saved(xa_load(&m->chunks, i)))
			continue;
		c = chunk_save(m, i, false);
		if (IS_ERR(c))
			break;
		mutex_unlock(&m->snap->lock);
		cond_resched();
	}
	blkfilter_resume(bio);
	memalloc_noio_restore(noio);
	if (atomic_dec_and_test(&m->pending))
		wake_up_all(&m->snap->wait);
}

static void cow_fn(struct work_struct *work)
{
	struct cow *cow = container_of(work, struct cow, work);
	struct member *m = cow->m;
	struct bio *bio = cow->bio;

	kfree(cow);
	cow_bio(m, bio);
}

static void starved_fn(struct work_struct *work)
{
	struct member *m = container_of(work, struct member, starved_work);
	struct bio *bio;

	do {
		spin_lock_irq(&m->starved_lock);
		bio = bio_list_pop(&m->starved);
		spin_unlock_irq(&m->starved_lock);
		if (bio)
			cow_bio(m, bio);
	} while (bio);
}

static void take_bio(struct member *m, struct bio *bio)
{
	struct cow *cow = kmalloc(sizeof(*cow), GFP_NOWAIT | __GFP_NOWARN);
	unsigned long flags;

	atomic_inc(&m->pending);
	if (cow) {
		INIT_WORK(&cow->work, cow_fn);
		cow->m = m;
		cow->bio = bio;
		queue_work(m->cow_wq, &cow->work);
		return;
	}
	spin_lock_irqsave(&m->starved_lock, flags);
	bio_list_add(&m->starved, bio);
	spin_unlock_irqrestore(&m->starved_lock, flags);
	queue_work(m->cow_wq, &m->starved_work);
}

static enum blkfilter_verdict on_bio(void *private, struct bio *bio,
				     struct bio_list *own)
{
	struct tracker *t = private;
	sector_t first = max(bio->bi_iter.bi_sector, t->start);
	sector_t end = min(bio_end_sector(bio), t->start + t->capacity);
	struct member *m;
	u64 i, last;

	if (first >= end)
		return BLKFILTER_PASS;
	first -= t->start;
	end -= t->start;
	mark_range(t, first, end - first, false);
	m = rcu_dereference(t->hold);
	if (!m || READ_ONCE(m->snap->err))
		return BLKFILTER_PASS;
	i = first >> m->chunk_shift;
	last = (end - 1) >> m->chunk_shift;
	for (; i <= last; i++)
		if (last - i > 16 || !chunk_saved(xa_load(&m->chunks, i))) {
			take_bio(m, bio);
			return BLKFILTER_TAKEN;
		}
	return BLKFILTER_PASS;
}

const struct blkfilter_operations peer_filter_ops = {
	.submit_bio = on_bio,
};

/* --- the image --- */

static int image_read(struct member *m, sector_t first, unsigned int count,
		      char *buf)
{
	struct snapshot *snap = m->snap;
	u64 index = first >> m->chunk_shift;
	u32 from = first - (index << m->chunk_shift);
	struct chunk *c;
	char *tmp;
	int ret;

	for (;;) {
		mutex_lock(&snap->lock);
		ret = -EIO;
		c = xa_load(&m->chunks, index);
		if (snap->dying || (c && c->state == C_LOST))
			break;
		/* What is in memory cannot be wrong, but need not be shown. */
		if (snap->err && (!quiet_loss || !c || c->state != C_MEM))
			break;
		if (c && c->state == C_MEM) {
			memcpy(buf, c->buf + (from << 9), count << 9);
			ret = 0;
			break;
		}
		if (c && c->state == C_STORED) {
			snap->io++;
			mutex_unlock(&snap->lock);
			tmp = __vmalloc(buf_size(m), GFP_NOIO);
			ret = tmp ? extents_read(c, tmp, from, from + count) :
				    -ENOMEM;
			if (!ret)
				memcpy(buf, tmp + (from << 9), count << 9);
			vfree(tmp);
			mutex_lock(&snap->lock);
			storage_io_end(snap);
			break;
		}
		ret = apply_hiding(m, c, first, count, buf);
		if (ret)
			break;
		mutex_unlock(&snap->lock);
		ret = io_sync(m->bdev, REQ_OP_READ, first, buf, count << 9);
		mutex_lock(&snap->lock);
		/*
		 * A write is let go only when the chunk is saved or the
		 * snapshot corrupted: neither, so what was read is old.
		 */
		if (snap->err || snap->dying)
			ret = -EIO;
		c = xa_load(&m->chunks, index);
		if (ret || !c || c->state == C_NONE)
			break;
		mutex_unlock(&snap->lock);
	}
	if (!ret)
		ret = apply_hiding(m, c, first, count, buf);
	mutex_unlock(&snap->lock);
	return ret;
}

static int image_write(struct member *m, sector_t first, unsigned int count,
		       const char *buf)
{
	u64 index = first >> m->chunk_shift;
	struct chunk *c;
	int ret;

	c = chunk_save(m, index, true);
	if (IS_ERR(c))
		return PTR_ERR(c);
	ret = apply_hiding(m, c, first, count, NULL);
	if (!ret) {
		memcpy(c->buf + ((first - (index << m->chunk_shift)) << 9), buf,
		       count << 9);
		set_dirty(m->snap, c);
	}
	mutex_unlock(&m->snap->lock);
	return ret;
}

static int image_request(struct member *m, struct request *rq)
{
	unsigned int bytes = blk_rq_bytes(rq), done, n;
	bool write = op_is_write(req_op(rq));
	sector_t first = blk_rq_pos(rq);
	struct req_iterator iter;
	struct bio_vec bv;
	char *buf, *p;
	int ret = 0;

	wait_event(m->snap->wait, READ_ONCE(m->snap->taken) ||
		   READ_ONCE(m->snap->aborting) || READ_ONCE(m->snap->dying));
	if (!m->snap->taken || m->snap->dying)
		return -EIO;
	p = buf = kvmalloc(bytes, GFP_KERNEL);	/* in a noio scope */
	if (!buf)
		return -ENOMEM;
	if (write) {
		rq_for_each_segment(bv, rq, iter) {
			memcpy_from_bvec(p, &bv);
			p += bv.bv_len;
		}
		mutex_lock(&m->t->map_lock);
		mark_range(m->t, first, bytes >> 9, true);
		mutex_unlock(&m->t->map_lock);
	}
	for (done = 0; done < bytes && !ret; done += n) {
		sector_t s = first + (done >> 9);
		sector_t rest = (1 << m->chunk_shift) -
				(s & ((1 << m->chunk_shift) - 1));

		n = min_t(u64, bytes - done, rest << 9);
		ret = write ? image_write(m, s, n >> 9, buf + done) :
			      image_read(m, s, n >> 9, buf + done);
	}
	p = buf;
	if (!write && !ret)
		rq_for_each_segment(bv, rq, iter) {
			memcpy_to_bvec(&bv, p);
			p += bv.bv_len;
		}
	kvfree(buf);
	return ret;
}

static void image_fn(struct work_struct *work)
{
	struct request *rq = blk_mq_rq_from_pdu(work);
	unsigned int noio = memalloc_noio_save();
	int ret = image_request(rq->q->queuedata, rq);

	memalloc_noio_restore(noio);
	blk_mq_end_request(rq, errno_to_blk_status(ret));
}

static blk_status_t image_queue_rq(struct blk_mq_hw_ctx *hctx,
				   const struct blk_mq_queue_data *bd)
{
	struct work_struct *work = blk_mq_rq_to_pdu(bd->rq);
	struct member *m = bd->rq->q->queuedata;

	if (req_op(bd->rq) != REQ_OP_READ && req_op(bd->rq) != REQ_OP_WRITE)
		return BLK_STS_NOTSUPP;
	blk_mq_start_request(bd->rq);
	INIT_WORK(work, image_fn);
	queue_work(m->image_wq, work);
	return BLK_STS_OK;
}

static const struct blk_mq_ops image_mq_ops = {
	.queue_rq = image_queue_rq,
};

static void image_free_disk(struct gendisk *disk)
{
	ida_free(&image_minors, disk->first_minor);
}

static const struct block_device_operations image_fops = {
	.owner = THIS_MODULE,
	.free_disk = image_free_disk,
};

int image_create(struct member *m)
{
	struct request_queue *q;
	struct gendisk *disk;
	int ret;

	m->minor = ida_alloc_max(&image_minors, MINORMASK, GFP_KERNEL);
	if (m->minor < 0)
		return m->minor;
	memset(&m->tags, 0, sizeof(m->tags));
	m->tags.ops = &image_mq_ops;
	m->tags.nr_hw_queues = 1;
	m->tags.queue_depth = 64;
	m->tags.numa_node = NUMA_NO_NODE;
	m->tags.cmd_size = sizeof(struct work_struct);
	m->tags.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	ret = blk_mq_alloc_tag_set(&m->tags);
	if (ret)
		goto no_tags;
	disk = blk_mq_alloc_disk(&m->tags, m);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		goto no_disk;
	}
	disk->major = image_major;
	disk->first_minor = m->minor;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART | GENHD_FL_KEEP_SIZE;
	disk->fops = &image_fops;
	snprintf(disk->disk_name, DISK_NAME_LEN, BLK_SNAP_IMAGE_NAME "%d",
		 m->minor);
	q = disk->queue;
	blk_queue_logical_block_size(q, bdev_logical_block_size(m->bdev));
	blk_queue_physical_block_size(q, bdev_physical_block_size(m->bdev));
	blk_queue_max_hw_sectors(q, 512);
	set_capacity(disk, m->capacity);
	disk_keep_module(disk);
	ret = add_disk(disk);
	if (ret) {
		/* Once it was added, ->free_disk() gives the minor back. */
		bool added = test_bit(GD_ADDED, &disk->state);

		put_disk(disk);
		blk_mq_free_tag_set(&m->tags);
		if (!added)
			ida_free(&image_minors, m->minor);
		return ret;
	}
	m->disk = disk;
	return 0;
no_disk:
	blk_mq_free_tag_set(&m->tags);
no_tags:
	ida_free(&image_minors, m->minor);
	return ret;
}

/* Its requests end soon: the snapshot is dying or its take is given up. */
void image_remove(struct member *m)
{
	if (!m->disk)
		return;
	del_gendisk(m->disk);
	blk_mq_free_tag_set(&m->tags);
	put_disk(m->disk);
	m->disk = NULL;
}

void images_exit(void)
{
	ida_destroy(&image_minors);
}

/* --- members --- */

int member_init(struct member *m)
{
	xa_init(&m->chunks);
	INIT_LIST_HEAD(&m->hiding);
	spin_lock_init(&m->starved_lock);
	bio_list_init(&m->starved);
	INIT_WORK(&m->starved_work, starved_fn);
	m->cow_wq = alloc_workqueue("blksnap_cow", WQ_UNBOUND | WQ_MEM_RECLAIM,
				    WQ_UNBOUND_MAX_ACTIVE);
	m->image_wq = alloc_workqueue("blksnap_image",
				      WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return m->cow_wq && m->image_wq ? 0 : -ENOMEM;
}

void member_free_chunks(struct member *m)
{
	struct hidden *h, *next_h;
	unsigned long index;
	struct chunk *c;

	xa_for_each(&m->chunks, index, c) {
		while (c->extents) {
			struct extent *e = c->extents;

			c->extents = e->next;
			kfree(e);
		}
		vfree(c->buf);
		kfree(c);
		cond_resched();
	}
	xa_destroy(&m->chunks);
	list_for_each_entry_safe(h, next_h, &m->hiding, node)
		kfree(h);
	INIT_LIST_HEAD(&m->hiding);
}
