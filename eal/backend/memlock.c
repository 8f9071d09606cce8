/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memlock.c - the memlock accounts of this process and its user, read from where the kernel shows them.
 *
 * Changes no limit: a library does not; it says which command does.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
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

/* What a process's status says of it, as far as it is there. */
struct status {
	bool have_locked, have_caps;
	uint64_t locked_kib, pinned_kib, caps;
	unsigned long uid;
};

static int status_read(const char *proc, const char *pid, struct status *st)
{
	char text[512];
	FILE *f;

	memset(st, 0, sizeof(*st));
	st->uid = ULONG_MAX;
	snprintf(text, sizeof(text), "%s/%s/status", proc, pid);
	f = fopen(text, "re");
	if (!f)
		return -errno;
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "VmLck: %" SCNu64 " kB", &st->locked_kib) == 1)
			st->have_locked = true;
		else if (sscanf(text, "CapEff: %" SCNx64, &st->caps) == 1)
			st->have_caps = true;
		else if (sscanf(text, "VmPin: %" SCNu64 " kB", &st->pinned_kib) != 1)
			sscanf(text, "Uid: %lu", &st->uid);
	}
	fclose(f);
	if (st->locked_kib > UINT64_MAX / KIB || st->pinned_kib > UINT64_MAX / KIB)
		return -EPROTO;
	return 0;
}

static bool exempt(const struct status *st)
{
	return st->caps >> CAP_IPC_LOCK & 1;
}

int memlock_read(const struct quoll_env *env, struct memlock *ml)
{
	const char *proc = quoll_env_proc(env);
	struct rlimit limit;
	struct status st;
	int rc;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	rc = status_read(proc, "self", &st);
	if (!rc && (!st.have_locked || !st.have_caps))
		rc = -EPROTO;
	if (rc)
		return rc;
	ml->soft_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	ml->hard_bytes = limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
	ml->locked_bytes = st.locked_kib * KIB;
	ml->per_user = false;
	ml->unlimited = ml->soft_bytes == UINT64_MAX || (exempt(&st) && in_initial_user_ns(proc));
	return 0;
}

/* Processes with CAP_IPC_LOCK pin without being charged. */
static uint64_t user_pinned_bytes(const char *proc)
{
	DIR *dir = opendir(proc);
	struct dirent *entry;
	uint64_t sum = 0;
	struct status st;

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && !status_read(proc, entry->d_name, &st) &&
		    st.uid == getuid() && !exempt(&st))
			sum = st.pinned_kib * KIB > UINT64_MAX - sum ? UINT64_MAX : sum + st.pinned_kib * KIB;
	if (dir)
		closedir(dir);
	return sum;
}

int memlock_read_user(const struct quoll_env *env, struct memlock *ml)
{
	int rc = memlock_read(env, ml);

	if (rc)
		return rc;
	ml->per_user = true;
	ml->locked_bytes = ml->unlimited ? 0 : user_pinned_bytes(quoll_env_proc(env));
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
			"%s, which makes %" PRIu64 " KiB; the limit (RLIMIT_MEMLOCK) is %" PRIu64 " KiB",
			need_bytes, ml->locked_bytes, ml->per_user ? " of all of the user's processes" : "", kib,
			ml->soft_bytes / KIB);
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
