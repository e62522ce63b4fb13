// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "params.h"

struct ranged_param {
	unsigned int value;
	unsigned int least;
	unsigned int most;
};

static int ranged_param_set(const char *text, const struct kernel_param *kp)
{
	struct ranged_param *param = kp->arg;
	unsigned int value;
	int ret;

	ret = kstrtouint(text, 0, &value);
	if (ret == -ERANGE)
		ret = -EINVAL;
	if (ret)
		return ret;
	if (value < param->least || value > param->most)
		return -EINVAL;
	WRITE_ONCE(param->value, value);
	return 0;
}

static int ranged_param_get(char *buffer, const struct kernel_param *kp)
{
	const struct ranged_param *param = kp->arg;

	return sysfs_emit(buffer, "%u\n", READ_ONCE(param->value));
}

static const struct kernel_param_ops ranged_param_ops = {
	.set = ranged_param_set,
	.get = ranged_param_get,
};

#define RANGED_PARAM(name, initial, lo, hi, text)                              \
	static struct ranged_param name##_range = {                            \
		.value = (initial), .least = (lo), .most = (hi)                \
	};                                                                     \
	module_param_cb(name, &ranged_param_ops, &name##_range, 0644);         \
	MODULE_PARM_DESC(name, text);                                          \
	unsigned int param_##name(void)                                        \
	{                                                                      \
		return READ_ONCE(name##_range.value);                          \
	}

RANGED_PARAM(tracking_block_minimum_shift, 16, 9, 31,
	     "log2 of the least tracking block in bytes (9-31)")
RANGED_PARAM(tracking_block_maximum_count, 2097152, 1, 1U << 26,
	     "most tracking blocks of a device (1-67108864)")
RANGED_PARAM(chunk_minimum_shift, 18, 12, 26,
	     "log2 of a chunk in bytes (12-26)")
RANGED_PARAM(chunk_maximum_count, 2097152, 1, 1U << 26,
	     "most bits of a device's bitmap of lost chunks (1-67108864)")
RANGED_PARAM(diff_storage_minimum, 2097152, 16, 1U << 31,
	     "sectors asked for when storage runs low (16-2147483648)")
RANGED_PARAM(unsaved_limit_mib, 64, 1, 65536,
	     "old data of a snapshot not stored yet, MiB (1-65536)")
RANGED_PARAM(take_timeout_ms, 10000, 1, 3600000,
	     "milliseconds after which TAKE gives up (1-3600000)")
RANGED_PARAM(storage_stall_ms, 30000, 1, 3600000,
	     "milliseconds without a finished store while writers wait (1-3600000)")
