/*
 * pool.h - running the tasks of one step on several threads.
 */
#ifndef LN_POOL_H
#define LN_POOL_H

#include "base.h"

/*
 * Call task(context, i, worker) once for every i in [0, count), in any order, and return when all
 * have returned. p NULL: on the calling thread. A call from inside a task runs on that
 * task's thread. Calls from several threads take turns. No allocation.
 */
void ln_pool_run(linnet_pool *p, size_t count, linnet_task_fn task, void *context);

/* True for a pool with threads of its own: its tasks never wait for what the caller holds. */
bool ln_pool_owned(const linnet_pool *p);

#endif
