/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * addr.h - the one address notation: SCHEME:TARGET[?key=value[&key=value]...]
 *
 * pci:0000:01:00.0 · vfio-user:/run/x.sock · tcp:127.0.0.1:4420/nqn… · vhost:/run/y.sock · virtio-user:/run/y.sock ·
 * xdp:eth0 · tap:name · packet:eth0 · pcap:in.pcap[,out.pcap] · null: · ring:name · mem:1G · file:/path.
 * Options are their drivers': xdp:eth0?queues=0-3&zerocopy=on, null:?size=1514; who opens a port refuses others.
 * A bare BDF (0000:01:00.0 or 01:00.0) means pci:, and is stored in its canonical four-part, lower-case form.
 */
#ifndef QUOLL_ADDR_H
#define QUOLL_ADDR_H

#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_addr_scheme {
	QUOLL_ADDR_PCI,
	QUOLL_ADDR_VFIO_USER,
	QUOLL_ADDR_TCP,
	QUOLL_ADDR_VHOST,
	QUOLL_ADDR_VIRTIO_USER,
	QUOLL_ADDR_XDP,
	QUOLL_ADDR_TAP,
	QUOLL_ADDR_PACKET,
	QUOLL_ADDR_PCAP,
	QUOLL_ADDR_NULL,
	QUOLL_ADDR_RING,
	QUOLL_ADDR_MEM,
	QUOLL_ADDR_FILE,
};

#define QUOLL_ADDR_MAX_OPTIONS 16
#define QUOLL_ADDR_MAX_BYTES 512

/**
 * struct quoll_addr - a parsed address
 * @scheme:     which kind
 * @target:     what follows the scheme, up to '?'; for PCI the canonical "dddd:bb:dd.f", for pcap the first file
 * @host:       tcp only: host name, IPv4 or (without its brackets) IPv6 address
 * @port:       tcp only: 1..65535
 * @path:       tcp: the subsystem NQN after '/'; pcap: the second file; else ""
 * @size_bytes: mem only: the size, suffixes K, M, G and T being powers of 1024
 * @nr_options: entries used in @keys and @values
 *
 * All strings point into the struct itself: it may not be copied by assignment; parse again instead.
 */
struct quoll_addr {
	enum quoll_addr_scheme scheme;
	const char *target;
	const char *host;
	const char *path;
	uint16_t port;
	uint64_t size_bytes;
	unsigned int nr_options;
	const char *keys[QUOLL_ADDR_MAX_OPTIONS];
	const char *values[QUOLL_ADDR_MAX_OPTIONS];
	/* private: */
	char text[2 * QUOLL_ADDR_MAX_BYTES];
};

/**
 * quoll_addr_parse() - text to address
 * @text: what the user wrote
 * @addr: filled in; undefined on error
 * @err:  on error names the position of the wrong character, counted from 1, and what could stand there
 *
 * Return: 0, -EINVAL (malformed, unknown scheme), -ENAMETOOLONG. Thread rule: any thread, does not block, no
 * allocation.
 */
QUOLL_API int quoll_addr_parse(const char *text, struct quoll_addr *addr, struct quoll_error *err);

/**
 * quoll_addr_option() - the value of an option, or NULL if it was not given
 */
QUOLL_API const char *quoll_addr_option(const struct quoll_addr *addr, const char *key);

/**
 * quoll_addr_options_known() - refuse options that nobody reads
 * @known: names, NULL-terminated
 *
 * Return: 0, or -EINVAL with the unknown option named in @err.
 */
QUOLL_API int quoll_addr_options_known(const struct quoll_addr *addr, const char *const *known,
				       struct quoll_error *err);

/**
 * quoll_addr_scheme_name() - "pci", "vfio-user", … for messages
 */
QUOLL_API const char *quoll_addr_scheme_name(enum quoll_addr_scheme scheme);

/**
 * quoll_addr_short() - as a person writes it, without options: "0000:01:00.0", "vfio-user:/run/x.sock", "ring:a"
 * @text: @size bytes; what does not fit is cut
 */
QUOLL_API void quoll_addr_short(const struct quoll_addr *addr, char *text, size_t size);

/**
 * quoll_hex_digit() - '0' to 'f', in either case, as a number; -1 for any other character, whatever the locale says
 */
static inline int quoll_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/**
 * quoll_size_parse() - "4096", "4k", "1G" to bytes (powers of 1024, either case)
 * Return: 0, -EINVAL (not a size), -ERANGE (over 64 bits).
 */
QUOLL_API int quoll_size_parse(const char *text, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
