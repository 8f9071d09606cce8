/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frames.c - sends frames from one of the kernel's interfaces, a burst at a time and at rest between them, so that
 * whatever forwards them is offered whole batches, and has them done before the next comes.
 *
 *   frames INTERFACE COUNT BURST BYTES REST_US
 *
 * Prints one JSON object: sent, and busy_ns: all that was not idle meanwhile on the machine's CPUs (/proc/timer_list),
 * which under `-icount shift=0` is instructions, the sender's own among them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_packet.h>

#define ETHERTYPE 0x88b5 /* for local experiments */
#define HEADER_BYTES 14
#define MIN_BYTES 60
#define MAX_BYTES 1514
#define MAX_BURST 256

/* Time since boot less what all CPUs slept, in ns; /proc/stat would round to 10 ms. */
static uint64_t busy_ns(void)
{
	FILE *f = fopen("/proc/timer_list", "re");
	unsigned long long value, now = 0, idle = 0, nr_cpus = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "now at %llu", &value) == 1)
			now = value;
		else if (sscanf(line, " .idle_sleeptime : %llu", &value) == 1 && ++nr_cpus)
			idle += value;
		else if (sscanf(line, " .iowait_sleeptime : %llu", &value) == 1)
			idle += value;
	}
	if (f)
		fclose(f);
	return nr_cpus * now - idle;
}

static int open_socket(const char *interface)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	at.sll_ifindex = (int)if_nametoindex(interface);
	if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		fprintf(stderr, "frames: %s: %s\n", interface, strerror(errno));
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	static struct mmsghdr msgs[MAX_BURST];
	unsigned long number[4] = {0}, sent = 0;
	uint8_t frame[MAX_BYTES] = {0};
	static const struct timespec tail = {0, 20000000}; /* until what was sent is forwarded, too */
	struct timespec rest;
	struct iovec vec;
	uint64_t busy;
	int fd;

	for (int i = 2; argc == 6 && i < 6; i++)
		number[i - 2] = strtoul(argv[i], NULL, 10);
	if (!number[0] || !number[1] || number[1] > MAX_BURST || number[2] < MIN_BYTES || number[2] > MAX_BYTES) {
		fprintf(stderr, "usage: frames INTERFACE COUNT BURST BYTES REST_US\n");
		return 2;
	}
	fd = open_socket(argv[1]);
	/* To an address that nobody has: a bridge that has not learned it sends the frame out of its other port. */
	memcpy(frame, "\x02\0\0\0\0\2\x02\0\0\0\0\1", 12);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	vec = (struct iovec){frame, number[2]};
	for (unsigned int i = 0; i < number[1]; i++)
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &vec, .msg_iovlen = 1};
	rest = (struct timespec){(time_t)(number[3] / 1000000), (long)(number[3] % 1000000 * 1000)};
	busy = busy_ns();
	while (sent < number[0]) {
		unsigned int n = (unsigned int)(number[0] - sent < number[1] ? number[0] - sent : number[1]);

		if (sendmmsg(fd, msgs, n, 0) != (int)n) {
			fprintf(stderr, "frames: %s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		sent += n;
		if (number[3])
			nanosleep(&rest, NULL);
	}
	nanosleep(&tail, NULL);
	busy = busy_ns() - busy;
	printf("{\"sent\": %lu, \"busy_ns\": %llu}\n", sent, (unsigned long long)busy);
	return 0;
}
