// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>

#include "event_queue.h"
#include "trace.h"

void event_queue_init(struct event_queue *queue)
{
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->events);
	init_waitqueue_head(&queue->waiters);
	queue->closed = false;
}

void event_queue_close(struct event_queue *queue)
{
	spin_lock_irq(&queue->lock);
	queue->closed = true;
	spin_unlock_irq(&queue->lock);
	wake_up_all(&queue->waiters);
}

void event_queue_post(struct event_queue *queue, struct snap_event *event)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	/* What is linked when it is closed may have gone. */
	if (!queue->closed && list_empty(&event->node)) {
		event->time_ns = ktime_get_ns();
		list_add_tail(&event->node, &queue->events);
		trace_blksnap_event(queue, event->code);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	wake_up(&queue->waiters);
}

/* The oldest event, ERR_PTR(-ESRCH) when closed, NULL when there is none. */
static struct snap_event *try_fetch(struct event_queue *queue,
				    struct snap_event *copy)
{
	struct snap_event *event = NULL;

	spin_lock_irq(&queue->lock);
	if (queue->closed) {
		event = ERR_PTR(-ESRCH);
	} else if (!list_empty(&queue->events)) {
		event = list_first_entry(&queue->events, struct snap_event,
					 node);
		list_del_init(&event->node);
		*copy = *event;
	}
	spin_unlock_irq(&queue->lock);
	return event;
}

struct snap_event *event_queue_fetch(struct event_queue *queue, u32 timeout_ms,
				     struct snap_event *copy)
{
	long left = msecs_to_jiffies(timeout_ms);
	struct snap_event *event = NULL;

	left = wait_event_interruptible_timeout(queue->waiters,
						(event = try_fetch(queue, copy)),
						left);
	if (event)
		return event;
	return ERR_PTR(left < 0 ? -EINTR : -ENOENT);
}

void event_queue_unfetch(struct event_queue *queue, struct snap_event *event)
{
	spin_lock_irq(&queue->lock);
	/* It may have been posted again meanwhile: then it waits already. */
	if (!queue->closed && list_empty(&event->node))
		list_add(&event->node, &queue->events);
	spin_unlock_irq(&queue->lock);
	wake_up(&queue->waiters);
}
