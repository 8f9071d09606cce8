/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw_send.h - bytes and fds as a peer that keeps to nothing would send them.
 */
#ifndef QUOLL_TESTS_RAW_SEND_H
#define QUOLL_TESTS_RAW_SEND_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <CUnit/CUnit.h>

#define RAW_MAX_FDS 253u /* the kernel's limit */

/* Bytes as they are, with nr copies of fd. */
static inline void send_raw(int socket, const void *bytes, size_t len, int fd, unsigned int nr)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(RAW_MAX_FDS * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (nr) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
		for (unsigned int i = 0; i < nr; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(fd), &fd, sizeof(fd));
	}
	CU_ASSERT_EQUAL_FATAL(sendmsg(socket, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

#endif
