/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parameters of the module, writable by root while it runs.  A value out of
 * range is refused with -EINVAL; what exists keeps the values it was made with.
 */
#ifndef BLKSNAP_PARAMS_H
#define BLKSNAP_PARAMS_H

/* log2 of the least tracking block in bytes, 9 to 31. */
unsigned int param_tracking_block_minimum_shift(void);
/* Most tracking blocks of a device, 1 to 2^26; the block grows beyond. */
unsigned int param_tracking_block_maximum_count(void);
/* log2 of a chunk in bytes, 12 to 26; bookkeeping only, capped at 64 sub-blocks. */
unsigned int param_chunk_minimum_shift(void);
/* Most bits of the bitmap of lost chunks of a device, 1 to 2^26. */
unsigned int param_chunk_maximum_count(void);
/* Sectors asked for by LOW_FREE_SPACE, 16 to 2^31. */
unsigned int param_diff_storage_minimum(void);
/* Old data of one snapshot that is not stored yet, in MiB, 1 to 65536. */
unsigned int param_unsaved_limit_mib(void);
/* Milliseconds after which TAKE gives up, 1 to 3600000. */
unsigned int param_take_timeout_ms(void);
/* Milliseconds without a finished store while writers wait, 1 to 3600000. */
unsigned int param_storage_stall_ms(void);

#endif /* BLKSNAP_PARAMS_H */
