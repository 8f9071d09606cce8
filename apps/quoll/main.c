/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - the command's verb table: `quoll VERB …`.
 */
#include <signal.h>
#include <string.h>

#include "cli.h"
#include "verbs.h"

static const struct cli_verb *const verbs[] = {
	&verb_groups,	     &verb_plan,      &verb_bind,	&verb_restore,
	&verb_doctor,	     &verb_fwd,	      &verb_gen,	&verb_nvme_list,
	&verb_nvme_identify, &verb_nvme_read, &verb_nvme_write, &verb_nvme_verify,
	&verb_nvme_perf,     &verb_target,    &verb_rpc,	NULL,
};

/* The verb that the first one or two words name. */
static const struct cli_verb *find(int argc, char **argv, int *nr_words)
{
	for (unsigned int i = 0; verbs[i]; i++) {
		const char *second = strchr(verbs[i]->name, ' ');
		size_t first_len = second ? (size_t)(second - verbs[i]->name) : strlen(verbs[i]->name);

		if (strlen(argv[1]) != first_len || strncmp(argv[1], verbs[i]->name, first_len))
			continue;
		*nr_words = second ? 2 : 1;
		if (!second || (argc > 2 && !strcmp(argv[2], second + 1)))
			return verbs[i];
	}
	return NULL;
}

/* The verbs of one family, or all: "quoll nvme" alone asks for the former. */
static void list_verbs(FILE *f, const char *family)
{
	size_t len = strlen(family);

	for (unsigned int i = 0; verbs[i]; i++)
		if (!strncmp(verbs[i]->name, family, len))
			fprintf(f, "  %-14s %s\n", verbs[i]->name, verbs[i]->summary);
}

static void help(FILE *f)
{
	fputs("usage: quoll VERB [OPTIONS] [ADDR…]\n\n"
	      "Userspace polled-mode drivers behind the IOMMU.\n\n",
	      f);
	list_verbs(f, "");
	fputs("\nAn ADDR is a PCI device: pci:0000:01:00.0, or only 01:00.0. fwd and gen take any port:\n"
	      "xdp:eth0, tap:NAME, vhost:/run/y.sock, virtio-user:/run/y.sock, null:, ring:NAME too;\n"
	      "nvme takes devices in other processes: vfio-user:/run/x.sock.\n"
	      "quoll VERB --help tells more.\n"
	      "Exit status: 0 done, 1 failed, 2 wrong use.\n",
	      f);
}

static int no_verb(int argc, char **argv, int nr_words)
{
	char family[32];

	if (nr_words == 1) {
		fprintf(stderr, "quoll: %s: no such verb\ntry: quoll --help\n", argv[1]);
		return CLI_WRONG_USE;
	}
	snprintf(family, sizeof(family), "%s ", argv[1]);
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
		printf("usage: quoll %s VERB [OPTIONS] [ADDR]\n\n", argv[1]);
		list_verbs(stdout, family);
		return CLI_DONE;
	}
	if (argc > 2)
		fprintf(stderr, "quoll: %s %s: no such verb\ntry: one of\n", argv[1], argv[2]);
	else
		fprintf(stderr, "quoll: %s: a verb is missing\ntry: one of\n", argv[1]);
	list_verbs(stderr, family);
	return CLI_WRONG_USE;
}

int main(int argc, char **argv)
{
	struct cli cli = {.out = stdout, .err = stderr};
	int nr_words = 1;

	signal(SIGPIPE, SIG_IGN); /* an error from write() instead, so that devices are shut down */
	if (argc < 2) {
		help(stderr);
		return CLI_WRONG_USE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return CLI_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("quoll " QUOLL_VERSION);
		return CLI_DONE;
	}
	cli.verb = find(argc, argv, &nr_words);
	if (!cli.verb)
		return no_verb(argc, argv, nr_words);
	return cli_run(&cli, argc - nr_words, argv + nr_words);
}
