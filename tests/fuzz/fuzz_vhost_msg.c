/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vhost_msg.c - a front end whose messages come from the input: the port survives, closes every file that it was
 * sent, and serves the next one.
 *
 * The input is records: request, flags (low three bits) and files (upper five: how many, from which on), length of the
 * payload, payload. After each the port works, its queues too.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../unit/eal/vfio_user/open_fds.h"
#include "vhost_port.h"

#define MEMORY_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int files[8];

/* Memory that may not be cut, twice; events; what is neither. */
static void make_files(void)
{
	int pipes[2];

	for (unsigned int i = 0; i < 2; i++) {
		files[i] = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ftruncate(files[i], MEMORY_BYTES) || fcntl(files[i], F_ADD_SEALS, F_SEAL_SHRINK))
			abort();
	}
	for (unsigned int i = 2; i < 6; i++)
		files[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pipe2(pipes, O_CLOEXEC))
		abort();
	files[6] = pipes[0];
	files[7] = pipes[1];
}

static int connect_port(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, fuzz.path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		abort();
	return fd;
}

/* Return: bytes of the record; 0: the connection is at its end. */
static size_t send_record(struct vhost_conn *conn, const uint8_t *data, size_t size)
{
	struct vhost_out out = {
		.request = data[0], .flags = (data[1] & 3u) << 2, .payload = data + 3, .bytes = data[2]};
	unsigned int first = data[1] >> 3 & 3;

	if (out.bytes > size - 3)
		out.bytes = (uint32_t)(size - 3);
	out.fds = files + 2 * first;
	out.nr_fds = data[1] >> 5;
	if (out.nr_fds > 8 - 2 * first)
		out.nr_fds = 8 - 2 * first;
	if (data[1] & 4) { /* cut short */
		struct vhost_header header = {out.request, VHOST_FLAG_VERSION, (uint32_t)data[2] * 3};

		return send(conn->fd, &header, sizeof(header), MSG_NOSIGNAL) == sizeof(header) ? 3 : 0;
	}
	return vhost_send(conn, &out, 0) ? 0 : 3 + out.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_conn conn;
	unsigned int before;
	size_t n = 1;

	if (!fuzz.port) {
		fuzz_port_make();
		make_files();
	}
	before = open_fds();
	vhost_conn_init(&conn, connect_port());
	for (; size >= 3 && n; data += n, size -= n) {
		n = send_record(&conn, data, size);
		if (quoll_port_check(fuzz.port))
			abort();
		while (!conn.error && vhost_recv_step(&conn) > 0)
			;
		fuzz_port_poll();
	}
	vhost_conn_close(&conn);
	for (unsigned int i = 0; i < 20; i++)
		(void)quoll_port_check(fuzz.port);
	if (!open_fds_become(before) || ((struct vhost_port *)fuzz.port)->connected)
		abort();
	return 0;
}
