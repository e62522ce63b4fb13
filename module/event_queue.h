/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events of one snapshot, waiting to be fetched.
 *
 * Every event that can happen has its own node, made beforehand, so posting
 * never allocates and an event is never twice in the queue.
 */
#ifndef BLKSNAP_EVENT_QUEUE_H
#define BLKSNAP_EVENT_QUEUE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "include/uapi/linux/blksnap.h"

/**
 * struct snap_event - One event that may happen.
 * @node: in the queue while posted and not fetched.
 * @time_ns: monotonic time of the post.
 * @code: enum blk_snap_event_codes.
 * @low: body of low_free_space.
 * @corrupted: body of corrupted.
 */
struct snap_event {
	struct list_head node;
	s64 time_ns;
	u32 code;
	union {
		struct blk_snap_event_low_free_space low;
		struct blk_snap_event_corrupted corrupted;
	};
};

/**
 * struct event_queue - The posted events, oldest first.
 * @lock: protects all; may be taken in interrupts.
 * @events: of struct snap_event.
 * @waiters: threads in event_queue_fetch().
 * @closed: the snapshot is being destroyed.
 */
struct event_queue {
	spinlock_t lock;
	struct list_head events;
	wait_queue_head_t waiters;
	bool closed;
};

void event_queue_init(struct event_queue *queue);
/* Wakes all waiters; from now on they get -ESRCH. */
void event_queue_close(struct event_queue *queue);

static inline void snap_event_init(struct snap_event *event)
{
	INIT_LIST_HEAD(&event->node);
}

/* Posts @event unless it is still waiting from last time.  Any context. */
void event_queue_post(struct event_queue *queue, struct snap_event *event);

/*
 * Takes the oldest event out, waiting up to @timeout_ms, interruptibly, and
 * copies it to @copy.  The caller gives it back with event_queue_unfetch() if
 * it cannot deliver it; the event itself may be gone with its snapshot.
 * Return: the event, ERR_PTR(-ENOENT, -EINTR, -ESRCH).
 */
struct snap_event *event_queue_fetch(struct event_queue *queue, u32 timeout_ms,
				     struct snap_event *copy);
void event_queue_unfetch(struct event_queue *queue, struct snap_event *event);

#endif /* BLKSNAP_EVENT_QUEUE_H */
