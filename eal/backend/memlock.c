/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memlock.c - the memlock account of this process, read from where the kernel keeps it.
 *
 * Changes no limit: a library does not; it says which command does.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/capability.h>

#include "backend/memlock.h"

#define KIB 1024u
#define PASSWD_BYTES 1024

/* CAP_IPC_LOCK counts for the kernel only if held in the initial user namespace: the one that maps every id to itself.
 */
static bool in_initial_user_ns(const char *proc)
{
	unsigned long inside, outside, count;
	bool initial = false;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/self/uid_map", proc);
	f = fopen(path, "re");
	if (!f)
		return true; /* a kernel without user namespaces */
	if (fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3)
		initial = !inside && !outside && count == UINT32_MAX;
	fclose(f);
	return initial;
}

int memlock_read(const struct quoll_env *env, struct memlock *ml)
{
	const char *proc = quoll_env_proc(env);
	bool have_locked = false, have_caps = false;
	uint64_t caps = 0, kib = 0;
	struct rlimit limit;
	char text[512];
	FILE *f;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	snprintf(text, sizeof(text), "%s/self/status", proc);
	f = fopen(text, "re");
	if (!f)
		return -errno;
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "VmLck: %" SCNu64 " kB", &kib) == 1)
			have_locked = true;
		else if (sscanf(text, "CapEff: %" SCNx64, &caps) == 1)
			have_caps = true;
	}
	fclose(f);
	if (!have_locked || !have_caps || kib > UINT64_MAX / KIB)
		return -EPROTO;
	ml->soft_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	ml->hard_bytes = limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
	ml->locked_bytes = kib * KIB;
	ml->unlimited = ml->soft_bytes == UINT64_MAX || ((caps >> CAP_IPC_LOCK & 1) && in_initial_user_ns(proc));
	return 0;
}

uint64_t memlock_left(const struct memlock *ml)
{
	if (ml->unlimited)
		return UINT64_MAX;
	return ml->soft_bytes > ml->locked_bytes ? ml->soft_bytes - ml->locked_bytes : 0;
}

static void user_name(char *name, size_t size)
{
	char strings[PASSWD_BYTES];
	struct passwd pw, *found;

	if (!getpwuid_r(geteuid(), &pw, strings, sizeof(strings), &found) && found)
		snprintf(name, size, "%s", pw.pw_name);
	else
		snprintf(name, size, "%u", (unsigned int)geteuid());
}

int memlock_refuse(const struct memlock *ml, const char *subject, uint64_t need_bytes, struct quoll_error *err)
{
	uint64_t total = need_bytes > UINT64_MAX - ml->locked_bytes ? UINT64_MAX : ml->locked_bytes + need_bytes;
	uint64_t kib = total / KIB + (total % KIB ? 1 : 0);
	char user[64];

	quoll_error_set(err, ENOMEM, "map", subject,
			"locked memory limit too small: %" PRIu64 " bytes are to be pinned on top of %" PRIu64
			", which makes %" PRIu64 " KiB; the limit (RLIMIT_MEMLOCK) is %" PRIu64 " KiB",
			need_bytes, ml->locked_bytes, kib, ml->soft_bytes / KIB);
	/* Anybody may raise the soft limit up to the hard one; past that it takes root. */
	if (total <= ml->hard_bytes) {
		quoll_error_hint(err, "ulimit -l %" PRIu64 ", then start again from this shell", kib);
		return -ENOMEM;
	}
	user_name(user, sizeof(user));
	quoll_error_hint(err,
			 "sudo prlimit --pid $$ --memlock=%" PRIu64 ", then start again from this shell; for good: "
			 "echo '%s - memlock %" PRIu64
			 "' | sudo tee /etc/security/limits.d/quoll.conf, then log in again",
			 kib * KIB, user, kib);
	return -ENOMEM;
}
