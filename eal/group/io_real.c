/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_real.c - struct group_io on the machine itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <quoll_uapi.h>

#include "internal.h"

static int real_write(void *arg, const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;
	size_t len = strlen(text);
	ssize_t n;

	(void)arg;
	if (fd < 0)
		return -errno;
	/* not again after EINTR: part of the work may be done, and what counts is what is seen afterwards */
	n = write(fd, text, len);
	if (n < 0)
		rc = -errno;
	else if ((size_t)n != len)
		rc = -EIO;
	close(fd);
	return rc;
}

static int real_open_node(void *arg, const char *path, int flags)
{
	int fd = open(path, flags);

	(void)arg;
	return fd < 0 ? -errno : fd;
}

static int real_chown(void *arg, const char *path, uid_t uid, gid_t gid)
{
	(void)arg;
	return chown(path, uid, gid) ? -errno : 0;
}

static int real_user(void *arg, const char *name, uid_t *uid, gid_t *gid)
{
	char buf[16384];
	struct passwd pw, *found = NULL;
	int rc = getpwnam_r(name, &pw, buf, sizeof(buf), &found);

	(void)arg;
	if (!found)
		return rc ? -rc : -ENOENT;
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return 0;
}

static bool address_text(const struct sockaddr *sa, char *text, size_t size)
{
	const void *raw;

	if (!sa)
		return false;
	if (sa->sa_family == AF_INET)
		raw = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	else if (sa->sa_family == AF_INET6)
		raw = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	else
		return false;
	return inet_ntop(sa->sa_family, raw, text, (socklen_t)size);
}

static int real_addresses(void *arg, struct net_address **list, unsigned int *nr)
{
	struct net_address a, *grown;
	struct ifaddrs *all;
	int rc = 0;

	(void)arg;
	*list = NULL;
	*nr = 0;
	if (getifaddrs(&all))
		return -errno;
	for (struct ifaddrs *i = all; i && !rc; i = i->ifa_next) {
		if (!address_text(i->ifa_addr, a.text, sizeof(a.text)))
			continue;
		snprintf(a.interface, sizeof(a.interface), "%s", i->ifa_name);
		/* an address with a label of its own ("eth0:1") is on the interface before the colon */
		a.interface[strcspn(a.interface, ":")] = '\0';
		grown = array_grow(*list, *nr, sizeof(*grown));
		if (!grown) {
			rc = -ENOMEM;
			continue;
		}
		*list = grown;
		(*list)[(*nr)++] = a;
	}
	freeifaddrs(all);
	if (rc) {
		free(*list);
		*list = NULL;
		*nr = 0;
	}
	return rc;
}

static int real_kmod_owned(void *arg, const char *control, int id)
{
	struct quoll_group_info info = {.argsz = sizeof(info), .group = (uint32_t)id};
	int fd = open(control, O_RDWR | O_CLOEXEC), rc;

	(void)arg;
	if (fd < 0)
		return -errno;
	rc = ioctl(fd, QUOLL_GROUP_GET_INFO, &info) ? -errno : !!(info.flags & QUOLL_GROUP_OWNED);
	close(fd);
	return rc;
}

static void real_pause(void *arg, unsigned int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)arg;
	nanosleep(&ts, NULL);
}

const struct group_io group_io_real = {
	.write = real_write,
	.open_node = real_open_node,
	.chown = real_chown,
	.user = real_user,
	.addresses = real_addresses,
	.kmod_owned = real_kmod_owned,
	.pause = real_pause,
};
