// SPDX-License-Identifier: GPL-2.0
/*
 * Widens races in the guest: puts pauses of random length at instructions of a
 * module that knows nothing of it. The agent says where (step amplify_probes).
 *
 * A kprobe's handler must not sleep. So it sends the thread through a
 * trampoline instead: there the context is the probed code's own, and the pause
 * is what that allows - sleeping; giving the CPU away again and again, inside
 * RCU and wherever a plug must not be flushed; spinning with interrupts or
 * preemption off, where another CPU can make use of it. The trampoline returns
 * to the probed instruction, and the handler, which meets the thread a second
 * time, lets it pass.
 *
 * Interface: module parameters (/sys/module/snapbed_amplifier/parameters/).
 *   add     write "SYMBOL+OFFSET MAX_US SHARE SEED": pause up to MAX_US
 *           microseconds at SHARE of 1024 hits; -EILSEQ when the offset is no
 *           instruction that can be probed
 *   clear   write anything: all probes are gone when the write returns
 *   report  read: hits and pauses of all probes since they were added
 */
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/objtool.h>
#include <asm/text-patching.h>

#define PROBES_MAX 64
#define PASSES_MAX 32	/* threads between their pause and the instruction */
#define PAUSE_US_MAX 100000U
#define SPIN_US_MAX 2000U	/* with interrupts off the machine should live on */
#define SHARE_WHOLE 1024U

/* A thread that has paused and may pass: the stack tells it from an interrupt on top. */
struct pass {
	struct task_struct *task;
	unsigned long sp;
};

struct amplified {
	struct kprobe kp;
	char symbol[KSYM_NAME_LEN];
	u32 max_us;
	u32 share;
	u64 seed;
	atomic64_t hits;
	struct pass passes[PASSES_MAX];
};

static struct amplified *probes[PROBES_MAX];
static unsigned int probe_count;
static DEFINE_MUTEX(probes_lock);
static atomic_t inside = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(outside);
static atomic64_t all_hits, slept, yielded, spun, skipped;

static bool take_pass(struct amplified *probe, unsigned long sp)
{
	int i;

	for (i = 0; i < PASSES_MAX; i++) {
		struct pass *pass = &probe->passes[i];

		if (READ_ONCE(pass->task) == current && pass->sp == sp) {
			/* Whoever takes the slot next finds `sp` read. */
			smp_store_release(&pass->task, NULL);
			return true;
		}
	}
	return false;
}

static bool give_pass(struct amplified *probe, unsigned long sp)
{
	int i;

	for (i = 0; i < PASSES_MAX; i++) {
		struct pass *pass = &probe->passes[i];

		if (!cmpxchg(&pass->task, NULL, current)) {
			pass->sp = sp;
			return true;
		}
	}
	return false;
}

/* Voluntary sleep: nothing may be held, planned or half-queued by this thread. */
static bool can_sleep(void)
{
	return preemptible() && !rcu_preempt_depth() && !current->plug && !current->bio_list &&
	       get_current_state() == TASK_RUNNING;
}

static void spin_until(u64 end)
{
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
}

/* Involuntary preemption is allowed where sleeping is not. */
static void yield_until(u64 end)
{
	while (ktime_get_mono_fast_ns() < end) {
		preempt_disable();
		set_tsk_need_resched(current);
		set_preempt_need_resched();
		preempt_enable();
		cpu_relax();
	}
}

static void amplifier_pause(u32 us)
{
	u64 end = ktime_get_mono_fast_ns() + (u64)us * NSEC_PER_USEC;

	if (can_sleep()) {
		atomic64_inc(&slept);
		usleep_range(us, us + us / 4 + 1);
	} else if (preemptible()) {
		atomic64_inc(&yielded);
		yield_until(end);
	} else if (num_online_cpus() > 1) {
		atomic64_inc(&spun);
		spin_until(min(end, end - (u64)us * NSEC_PER_USEC +
				    (u64)SPIN_US_MAX * NSEC_PER_USEC));
	} else {
		atomic64_inc(&skipped);
	}
}

/* What the trampoline calls. A pause is a whole number of microseconds, at least one. */
static void __used amplifier_arrive(struct amplified *probe)
{
	u64 draw = hash_64(probe->seed ^ hash_64(atomic64_read(&probe->hits), 64), 64);

	amplifier_pause(1 + (u32)((draw >> 20) % probe->max_us));
	if (atomic_dec_and_test(&inside))
		wake_up_all(&outside);
}

/*
 * Stack on entry: the probe, then the probed instruction's address, to which it
 * returns with every register and flag as they were.
 */
void amplifier_trampoline(void);
asm(".pushsection .text\n"
	".type amplifier_trampoline, @function\n"
	"amplifier_trampoline:\n"
	"	pushfq\n"
	"	push %rax\n	push %rcx\n	push %rdx\n	push %rsi\n	push %rdi\n"
	"	push %r8\n	push %r9\n	push %r10\n	push %r11\n"
	"	push %rbx\n	push %rbp\n"
	"	mov 96(%rsp), %rdi\n"
	"	mov %rsp, %rbp\n"
	"	and $-16, %rsp\n"
	"	cld\n"
	"	call amplifier_arrive\n"
	"	mov %rbp, %rsp\n"
	"	pop %rbp\n	pop %rbx\n"
	"	pop %r11\n	pop %r10\n	pop %r9\n	pop %r8\n"
	"	pop %rdi\n	pop %rsi\n	pop %rdx\n	pop %rcx\n	pop %rax\n"
	"	popfq\n"
	"	lea 8(%rsp), %rsp\n"
	ASM_RET
	".size amplifier_trampoline, .-amplifier_trampoline\n"
	".popsection\n");
STACK_FRAME_NON_STANDARD(amplifier_trampoline);

static int amplifier_hit(struct kprobe *kp, struct pt_regs *regs)
{
	struct amplified *probe = container_of(kp, struct amplified, kp);
	unsigned long sp = regs->sp;
	u64 hit;

	if (take_pass(probe, sp))
		return 0;
	hit = atomic64_inc_return(&probe->hits);
	atomic64_inc(&all_hits);
	if (hash_64(probe->seed + hit, 10) >= probe->share)
		return 0;
	if (!give_pass(probe, sp))
		return 0;
	atomic_inc(&inside);
	int3_emulate_push(regs, (unsigned long)kp->addr);
	int3_emulate_push(regs, (unsigned long)probe);
	int3_emulate_jmp(regs, (unsigned long)amplifier_trampoline);
	return 1;
}

NOKPROBE_SYMBOL(amplifier_hit);

/* With a handler behind the instruction the probe stays a breakpoint, which may change the way. */
static void amplifier_after(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

static int parse_probe(const char *text, struct amplified *probe)
{
	char place[KSYM_NAME_LEN];
	char *plus;
	int ret;

	if (sscanf(text, "%511s %u %u %llu", place, &probe->max_us, &probe->share,
		   &probe->seed) != 4)
		return -EINVAL;
	if (!probe->max_us || probe->max_us > PAUSE_US_MAX || probe->share > SHARE_WHOLE)
		return -ERANGE;
	plus = strchr(place, '+');
	if (!plus)
		return -EINVAL;
	*plus++ = '\0';
	ret = kstrtouint(plus, 0, &probe->kp.offset);
	if (ret)
		return ret;
	strscpy(probe->symbol, place, sizeof(probe->symbol));
	return 0;
}

static int add_set(const char *text, const struct kernel_param *param)
{
	struct amplified *probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	int ret;

	if (!probe)
		return -ENOMEM;
	ret = parse_probe(text, probe);
	if (ret)
		goto out_free;
	probe->kp.symbol_name = probe->symbol;
	probe->kp.pre_handler = amplifier_hit;
	probe->kp.post_handler = amplifier_after;
	mutex_lock(&probes_lock);
	ret = probe_count < PROBES_MAX ? register_kprobe(&probe->kp) : -ENOSPC;
	if (!ret)
		probes[probe_count++] = probe;
	mutex_unlock(&probes_lock);
	if (!ret)
		return 0;
out_free:
	kfree(probe);
	return ret;
}

/* Nobody is on the way to a pause or in it when this returns. */
static void clear_probes(void)
{
	unsigned int i;

	mutex_lock(&probes_lock);
	for (i = 0; i < probe_count; i++)
		unregister_kprobe(&probes[i]->kp);
	wait_event(outside, !atomic_read(&inside));
	for (i = 0; i < probe_count; i++)
		kfree(probes[i]);
	probe_count = 0;
	mutex_unlock(&probes_lock);
}

static int clear_set(const char *text, const struct kernel_param *param)
{
	clear_probes();
	return 0;
}

static int report_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "hits %lld slept %lld yielded %lld spun %lld skipped %lld\n",
			  atomic64_read(&all_hits), atomic64_read(&slept),
			  atomic64_read(&yielded), atomic64_read(&spun),
			  atomic64_read(&skipped));
}

static const struct kernel_param_ops add_ops = { .set = add_set };
static const struct kernel_param_ops clear_ops = { .set = clear_set };
static const struct kernel_param_ops report_ops = { .get = report_get };
module_param_cb(add, &add_ops, NULL, 0200);
module_param_cb(clear, &clear_ops, NULL, 0200);
module_param_cb(report, &report_ops, NULL, 0400);

static int __init amplifier_init(void)
{
	return 0;
}

static void __exit amplifier_exit(void)
{
	clear_probes();
	/* Whoever has paused is at most a few instructions from the trampoline's end. */
	synchronize_rcu_tasks();
}

module_init(amplifier_init);
module_exit(amplifier_exit);
MODULE_DESCRIPTION("Pauses at instructions of the module under test, to widen its races");
MODULE_LICENSE("GPL");
