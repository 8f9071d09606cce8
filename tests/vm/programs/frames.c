/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frames.c - sends frames from one of the kernel's interfaces, a burst at a time and at rest between them, so that
 * whatever forwards them is offered whole batches, and has them done before the next comes.
 *
 *   frames INTERFACE COUNT BURST BYTES REST_US [OUT]
 *
 * OUT is an interface that they are forwarded to: it ends when that one has sent as many. Without, 20 ms after the
 * last. Prints one JSON object: sent, and busy_ns: all that was not idle meanwhile on the machine's CPUs
 * (/proc/timer_list), which under `-icount shift=0` is instructions, the sender's own among them.
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

static uint64_t tx_packets(const char *interface)
{
	unsigned long long value;
	char path[128];
	bool good;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/tx_packets", interface);
	f = fopen(path, "re");
	good = f && fscanf(f, "%llu", &value) == 1;
	if (f)
		fclose(f);
	if (good)
		return value;
	fprintf(stderr, "frames: %s: cannot be read\n", path);
	exit(1);
}

/* How long QEMU takes to hand frames over is the host's affair. A look costs less than a frame. */
static void wait_until_sent(const char *interface, uint64_t want)
{
	static const struct timespec tail = {0, 20000000};
	unsigned int looks = 500;

	do {
		nanosleep(&tail, NULL);
	} while (interface && tx_packets(interface) < want && --looks);
	if (looks)
		return;
	fprintf(stderr, "frames: %s has not sent them all\n", interface);
	exit(1);
}

int main(int argc, char **argv)
{
	static struct mmsghdr msgs[MAX_BURST];
	unsigned long number[4] = {0}, sent = 0;
	uint8_t frame[MAX_BYTES] = {0};
	const char *out = argc == 7 ? argv[6] : NULL;
	uint64_t busy, before = 0;
	struct timespec rest;
	struct iovec vec;
	int fd;

	for (int i = 2; (argc == 6 || out) && i < 6; i++)
		number[i - 2] = strtoul(argv[i], NULL, 10);
	if (!number[0] || !number[1] || number[1] > MAX_BURST || number[2] < MIN_BYTES || number[2] > MAX_BYTES) {
		fprintf(stderr, "usage: frames INTERFACE COUNT BURST BYTES REST_US [OUT]\n");
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
	if (out)
		before = tx_packets(out);
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
	wait_until_sent(out, before + sent);
	busy = busy_ns() - busy;
	printf("{\"sent\": %lu, \"busy_ns\": %llu}\n", sent, (unsigned long long)busy);
	return 0;
}
