/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * addr.c - the parser of the one address notation (addr.h), and of sizes.
 *
 * First half of addr->text: what the user wrote, cut into target and options by terminators. Second half: strings that
 * are not a stretch of that text (canonical BDF, host, second file). Text comes from outside and is not trusted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <quoll/addr.h>

#define IF_NAME_CHARS 15   /* IFNAMSIZ less the terminator (linux/if.h) */
#define SOCKET_CHARS 107   /* sun_path less the terminator (unix(7)) */
#define HOST_CHARS 253	   /* RFC 1035, 2.3.4, in text form */
#define NQN_CHARS 223	   /* NVM Express Base Specification 2.0, 4.5 */
#define RING_NAME_CHARS 63 /* ours */

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdefABCDEF"

struct parse {
	const char *text; /* as the user wrote it; positions in messages are in this */
	size_t start;	  /* of the target */
	size_t end;	  /* one past it */
	struct quoll_addr *addr;
	size_t used; /* of the second half of addr->text */
	struct quoll_error *err;
};

struct scheme {
	const char *name;
	enum quoll_addr_scheme scheme;
	int (*target)(struct parse *p);
	const char *example;
};

/* What stands at pos, and what could: the one sentence of every refusal. */
static int QUOLL_PRINTF(3, 4) wrong(const struct parse *p, size_t pos, const char *fmt, ...)
{
	char found[48], expected[256], subject[sizeof(p->err->subject)];
	unsigned char c = (unsigned char)p->text[pos];
	size_t i;
	va_list ap;

	if (!p->err)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(expected, sizeof(expected), fmt, ap);
	va_end(ap);
	for (i = 0; i < sizeof(subject) - 1 && p->text[i]; i++)
		subject[i] = (unsigned char)p->text[i] < 0x20 || p->text[i] == 0x7f ? '?' : p->text[i];
	subject[i] = '\0';
	if (c == '\0')
		snprintf(found, sizeof(found), "the address ends");
	else if (c < 0x20 || c > 0x7e)
		snprintf(found, sizeof(found), "character %zu is byte 0x%02x", pos + 1, c);
	else
		snprintf(found, sizeof(found), "character %zu is '%c'", pos + 1, c);
	if (c == '\0')
		return quoll_error_set(p->err, EINVAL, "address", subject, "%s at character %zu where %s is expected",
				       found, pos + 1, expected);
	return quoll_error_set(p->err, EINVAL, "address", subject, "%s where %s is expected", found, expected);
}

static int too_long(const struct parse *p, const char *what, size_t len, size_t max)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%.40s...", p->text);
	for (char *s = subject; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	return quoll_error_set(p->err, ENAMETOOLONG, "address", subject,
			       "%s has %zu characters, at most %zu are possible", what, len, max);
}

/* Copies of pieces of the target and a terminator each: never longer than the target and two terminators, see parse. */
static const char *keep(struct parse *p, const char *s, size_t len)
{
	char *to = p->addr->text + QUOLL_ADDR_MAX_BYTES + p->used;

	memcpy(to, s, len);
	to[len] = '\0';
	p->used += len + 1;
	return to;
}

/* A hexadecimal field of min to max digits at *pos; what names it in messages. */
static int hex_field(struct parse *p, size_t *pos, unsigned int digits_min_max[2], const char *what, uint32_t *value)
{
	size_t i = *pos;

	*value = 0;
	for (; i < p->end && i - *pos < digits_min_max[1] && quoll_hex_digit(p->text[i]) >= 0; i++)
		*value = *value << 4 | (uint32_t)quoll_hex_digit(p->text[i]);
	if (i - *pos < digits_min_max[0])
		return wrong(p, i, "a hexadecimal digit of the %s", what);
	*pos = i;
	return 0;
}

static int punct(struct parse *p, size_t *pos, char c, const char *between)
{
	if (*pos >= p->end || p->text[*pos] != c)
		return wrong(p, *pos, "'%c' %s", c, between);
	++*pos;
	return 0;
}

/* [dddd:]bb:dd.f, the domain of four to eight digits (VMD numbers its domains from 10000 on) */
static int target_pci(struct parse *p)
{
	uint32_t domain = 0, bus, dev, fn;
	size_t pos = p->start, dev_pos, len = strcspn(p->text + pos, ":?");
	char canonical[24];
	int rc = 0;

	if (len > 2)
		rc = hex_field(p, &pos, (unsigned int[]){4, 8}, "PCI domain", &domain);
	if (!rc && len > 2)
		rc = punct(p, &pos, ':', "between PCI domain and bus");
	if (!rc)
		rc = hex_field(p, &pos, (unsigned int[]){2, 2}, "PCI bus", &bus);
	if (!rc)
		rc = punct(p, &pos, ':', "between PCI bus and device");
	dev_pos = pos;
	if (!rc)
		rc = hex_field(p, &pos, (unsigned int[]){2, 2}, "PCI device", &dev);
	if (!rc && dev > 0x1f)
		rc = wrong(p, dev_pos, "a PCI device from 00 to 1f");
	if (!rc)
		rc = punct(p, &pos, '.', "between PCI device and function");
	if (!rc && (pos >= p->end || p->text[pos] < '0' || p->text[pos] > '7'))
		rc = wrong(p, pos, "a PCI function from 0 to 7");
	if (rc)
		return rc;
	fn = (uint32_t)(p->text[pos++] - '0');
	if (pos != p->end)
		return wrong(p, pos, "the end of the PCI address");
	snprintf(canonical, sizeof(canonical), "%04x:%02x:%02x.%x", domain, bus, dev, fn);
	p->addr->target = keep(p, canonical, strlen(canonical));
	return 0;
}

static int target_socket(struct parse *p)
{
	size_t len = p->end - p->start;

	if (!len)
		return wrong(p, p->start, "the path of a socket");
	if (len > SOCKET_CHARS)
		return too_long(p, "the path of the socket", len, SOCKET_CHARS);
	return 0;
}

static int target_file(struct parse *p)
{
	if (p->start == p->end)
		return wrong(p, p->start, "the path of a file");
	return 0;
}

/* The rules of the kernel's dev_valid_name() */
static int target_interface(struct parse *p)
{
	size_t len = p->end - p->start;

	if (!len)
		return wrong(p, p->start, "the name of a network interface");
	if (len > IF_NAME_CHARS)
		return too_long(p, "the name of the interface", len, IF_NAME_CHARS);
	for (size_t i = p->start; i < p->end; i++)
		if (strchr("/: %", p->text[i]))
			return wrong(p, i, "a character of an interface's name");
	if (p->text[p->start] == '.' && (len == 1 || (len == 2 && p->text[p->start + 1] == '.')))
		return wrong(p, p->start, "the name of a network interface");
	return 0;
}

static int target_pcap(struct parse *p)
{
	const char *in = p->text + p->start;
	const char *comma = memchr(in, ',', p->end - p->start);
	size_t in_len = comma ? (size_t)(comma - in) : p->end - p->start;

	if (!in_len && !comma)
		return wrong(p, p->start, "the path of a file");
	p->addr->target = keep(p, in, in_len);
	if (!comma)
		return 0;
	comma++;
	if (comma == p->text + p->end)
		return wrong(p, p->end, "the path of the second file");
	p->addr->path = keep(p, comma, (size_t)(p->text + p->end - comma));
	return 0;
}

static int target_null(struct parse *p)
{
	if (p->start != p->end)
		return wrong(p, p->start, "nothing, or '?' and options,");
	return 0;
}

static int target_ring(struct parse *p)
{
	size_t len = p->end - p->start, ok = strspn(p->text + p->start, LOWER UPPER DIGITS "_-.");

	if (ok < len)
		return wrong(p, p->start + ok, "a letter, a digit, '_', '-' or '.'");
	if (!len)
		return wrong(p, p->start, "the name of a ring");
	if (len > RING_NAME_CHARS)
		return too_long(p, "the name of the ring", len, RING_NAME_CHARS);
	return 0;
}

/* What is wrong with a size, or 0; *ok is then the number of good characters. */
static int size_scan(const char *s, size_t len, uint64_t *bytes, size_t *ok)
{
	static const char suffixes[] = "KkMmGgTt";
	const char *suffix;
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v)) {
			*ok = i;
			return -ERANGE;
		}
	}
	*ok = i;
	if (!i)
		return -EINVAL;
	if (i < len) {
		suffix = strchr(suffixes, s[i]);
		if (!suffix || !s[i])
			return -EINVAL;
		if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * ((suffix - suffixes) / 2 + 1)), &v))
			return -ERANGE;
		*ok = ++i;
	}
	if (i < len)
		return -EINVAL;
	*bytes = v;
	return 0;
}

static int target_mem(struct parse *p)
{
	size_t len = p->end - p->start, ok;
	int rc = size_scan(p->text + p->start, len, &p->addr->size_bytes, &ok);

	if (rc == -ERANGE)
		return wrong(p, p->start + ok, "a size below 2^64 bytes");
	if (rc && ok && ok < len && strchr(DIGITS, p->text[p->start + ok - 1]))
		return wrong(p, p->start + ok, "a digit, or K, M, G or T,");
	if (rc)
		return wrong(p, p->start + ok, ok ? "the end of the size" : "a size such as 1G");
	if (!p->addr->size_bytes)
		return wrong(p, p->start, "a size above 0");
	return 0;
}

/* Host and where its text ends: a name or an IPv4 address, or an IPv6 address in brackets. */
static int tcp_host(struct parse *p, size_t *pos)
{
	bool v6 = *pos < p->end && p->text[*pos] == '[';
	size_t first = *pos + (v6 ? 1 : 0);
	size_t len = strspn(p->text + first, v6 ? HEX ":." : LOWER UPPER DIGITS "-._");
	struct in6_addr unused;

	if (!len)
		return wrong(p, first, v6 ? "an IPv6 address" : "a host name, or an IP address (IPv6 in brackets),");
	if (len > HOST_CHARS)
		return too_long(p, "the host", len, HOST_CHARS);
	p->addr->host = keep(p, p->text + first, len);
	*pos = first + len;
	if (!v6)
		return 0;
	if (*pos >= p->end || p->text[*pos] != ']')
		return wrong(p, *pos, "a hexadecimal digit, ':' or ']' of an IPv6 address");
	if (inet_pton(AF_INET6, p->addr->host, &unused) != 1)
		return wrong(p, first, "an IPv6 address that is valid");
	++*pos;
	return 0;
}

static int target_tcp(struct parse *p)
{
	size_t pos = p->start, first;
	uint32_t port = 0;
	int rc = tcp_host(p, &pos);

	if (!rc)
		rc = punct(p, &pos, ':', "between host and port");
	if (rc)
		return rc;
	first = pos;
	for (; pos < p->end && p->text[pos] >= '0' && p->text[pos] <= '9' && port <= UINT16_MAX; pos++)
		port = port * 10 + (uint32_t)(p->text[pos] - '0');
	if (pos == first)
		return wrong(p, pos, "a port from 1 to 65535");
	if (!port || port > UINT16_MAX)
		return wrong(p, first, "a port from 1 to 65535");
	p->addr->port = (uint16_t)port;
	if (pos == p->end)
		return 0;
	if (p->text[pos] != '/')
		return wrong(p, pos, "a digit of the port, '/' and a subsystem's NQN, or the end");
	pos++;
	for (size_t i = 0; i < 4; i++)
		if (pos + i >= p->end || p->text[pos + i] != "nqn."[i])
			return wrong(p, pos + i, "a subsystem's NQN, which begins with \"nqn.\",");
	if (p->end - pos > NQN_CHARS)
		return too_long(p, "the NQN", p->end - pos, NQN_CHARS);
	p->addr->path = keep(p, p->text + pos, p->end - pos);
	return 0;
}

static const struct scheme schemes[] = {
	{"pci", QUOLL_ADDR_PCI, target_pci, "0000:01:00.0"},
	{"vfio-user", QUOLL_ADDR_VFIO_USER, target_socket, "vfio-user:/run/nvme.sock"},
	{"tcp", QUOLL_ADDR_TCP, target_tcp, "tcp:192.0.2.1:4420/nqn.2014-08.org.example:disk"},
	{"vhost", QUOLL_ADDR_VHOST, target_socket, "vhost:/run/net.sock"},
	{"virtio-user", QUOLL_ADDR_VIRTIO_USER, target_socket, "virtio-user:/run/net.sock"},
	{"xdp", QUOLL_ADDR_XDP, target_interface, "xdp:eth0"},
	{"tap", QUOLL_ADDR_TAP, target_interface, "tap:tap0"},
	{"packet", QUOLL_ADDR_PACKET, target_interface, "packet:eth0"},
	{"pcap", QUOLL_ADDR_PCAP, target_pcap, "pcap:in.pcap,out.pcap"},
	{"null", QUOLL_ADDR_NULL, target_null, "null:"},
	{"ring", QUOLL_ADDR_RING, target_ring, "ring:name"},
	{"mem", QUOLL_ADDR_MEM, target_mem, "mem:1G"},
	{"file", QUOLL_ADDR_FILE, target_file, "file:/tmp/disk.img"},
};

#define NR_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

/* Everything before the first ':' is hexadecimal, as no scheme's name is: a bare BDF. */
static bool looks_like_bdf(const char *text)
{
	size_t len = strspn(text, HEX);

	return len >= 2 && text[len] == ':';
}

/* Where text and the name part ways, for the message about an unknown scheme. */
static size_t common_length(const char *text, const char *name)
{
	size_t i = 0;

	while (name[i] && text[i] == name[i])
		i++;
	return i;
}

static const struct scheme *find_scheme(struct parse *p)
{
	const struct scheme *s;
	size_t len, best = 0;

	if (looks_like_bdf(p->text))
		return &schemes[0];
	for (s = schemes; s < schemes + NR_SCHEMES; s++) {
		len = common_length(p->text, s->name);
		if (!s->name[len] && p->text[len] == ':') {
			p->start = len + 1;
			return s;
		}
		best = len > best ? len : best;
	}
	wrong(p, best, "a PCI address or a scheme and ':'");
	quoll_error_hint(p->err,
			 "write a PCI address (0000:01:00.0), or one of pci: vfio-user: tcp: vhost: virtio-user: "
			 "xdp: tap: packet: pcap: null: ring: mem: file: and what it needs");
	return NULL;
}

/* One key=value from pos to end; terminators go into the copy in addr->text. */
static int parse_option(struct parse *p, size_t pos, size_t end)
{
	struct quoll_addr *addr = p->addr;
	size_t key_len = strspn(p->text + pos, LOWER DIGITS "_-");

	if (addr->nr_options == QUOLL_ADDR_MAX_OPTIONS)
		return wrong(p, pos, "the end, as %d options are the most that fit,", QUOLL_ADDR_MAX_OPTIONS);
	if (!key_len)
		return wrong(p, pos, "the name of an option");
	if (p->text[pos + key_len] != '=')
		return wrong(p, pos + key_len, "'=' and the option's value");
	if (pos + key_len + 1 == end)
		return wrong(p, end, "the option's value");
	addr->text[pos + key_len] = '\0';
	addr->text[end] = '\0';
	if (quoll_addr_option(addr, addr->text + pos))
		return wrong(p, pos, "an option other than %s, which was given before,", addr->text + pos);
	addr->keys[addr->nr_options] = addr->text + pos;
	addr->values[addr->nr_options++] = addr->text + pos + key_len + 1;
	return 0;
}

static int parse_options(struct parse *p, size_t pos)
{
	size_t end;
	int rc = 0;

	for (; !rc; pos = end + 1) {
		end = pos + strcspn(p->text + pos, "&");
		rc = parse_option(p, pos, end);
		if (!p->text[end])
			break;
	}
	return rc;
}

int quoll_addr_parse(const char *text, struct quoll_addr *addr, struct quoll_error *err)
{
	struct parse p = {.text = text ? text : "", .addr = addr, .err = err};
	size_t len = strnlen(p.text, QUOLL_ADDR_MAX_BYTES);
	const struct scheme *s;
	int rc;

	if (len >= QUOLL_ADDR_MAX_BYTES)
		return too_long(&p, "the address", strlen(p.text), QUOLL_ADDR_MAX_BYTES - 1);
	memset(addr, 0, sizeof(*addr));
	memcpy(addr->text, p.text, len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p.text[i] < 0x20 || p.text[i] == 0x7f)
			return wrong(&p, i, "a printable character");
	s = find_scheme(&p);
	if (!s)
		return -EINVAL;
	addr->scheme = s->scheme;
	addr->host = addr->path = "";
	p.end = p.start + strcspn(p.text + p.start, "?");
	addr->text[p.end] = '\0';
	addr->target = addr->text + p.start;
	rc = s->target(&p);
	if (!rc && p.text[p.end] == '?')
		rc = parse_options(&p, p.end + 1);
	if (rc)
		quoll_error_hint(err, "such an address looks like %s, options like %s?key=value&key=value", s->example,
				 s->example);
	return rc;
}

const char *quoll_addr_option(const struct quoll_addr *addr, const char *key)
{
	for (unsigned int i = 0; i < addr->nr_options; i++)
		if (!strcmp(addr->keys[i], key))
			return addr->values[i];
	return NULL;
}

int quoll_addr_options_known(const struct quoll_addr *addr, const char *const *known, struct quoll_error *err)
{
	char name[QUOLL_ADDR_MAX_BYTES];

	for (unsigned int i = 0; i < addr->nr_options; i++) {
		const char *const *k = known;

		while (*k && strcmp(*k, addr->keys[i]))
			k++;
		if (*k)
			continue;
		quoll_addr_short(addr, name, sizeof(name));
		quoll_error_set(err, EINVAL, "address", name, "there is no option \"%s\" for %s: addresses here",
				addr->keys[i], quoll_addr_scheme_name(addr->scheme));
		if (*known)
			quoll_error_hint(err, "known options: %s", *known);
		for (k = known; err && *k && k[1]; k++) {
			size_t used = strlen(err->hint);

			snprintf(err->hint + used, sizeof(err->hint) - used, ", %s", k[1]);
		}
		return -EINVAL;
	}
	return 0;
}

const char *quoll_addr_scheme_name(enum quoll_addr_scheme scheme)
{
	for (const struct scheme *s = schemes; s < schemes + NR_SCHEMES; s++)
		if (s->scheme == scheme)
			return s->name;
	return "?";
}

void quoll_addr_short(const struct quoll_addr *addr, char *text, size_t size)
{
	if (addr->scheme == QUOLL_ADDR_PCI)
		snprintf(text, size, "%s", addr->target);
	else
		snprintf(text, size, "%s:%s", quoll_addr_scheme_name(addr->scheme), addr->target);
}

int quoll_size_parse(const char *text, uint64_t *bytes)
{
	size_t ok;

	return size_scan(text, strlen(text), bytes, &ok);
}
