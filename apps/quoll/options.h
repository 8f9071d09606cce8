/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - from a verb's option table to getopt_long(), values and --help.
 */
#ifndef QUOLL_APPS_OPTIONS_H
#define QUOLL_APPS_OPTIONS_H

#include "cli.h"

#define OPTIONS_GO_ON (-1)

/**
 * options_parse() - read options and arguments into @values and @cli
 * Return: OPTIONS_GO_ON, or the exit status: help was printed, or wrong use was reported.
 */
int options_parse(struct cli *cli, int argc, char **argv, void *values);

/**
 * options_help() - print a verb's help
 */
void options_help(FILE *f, const struct cli_verb *verb);

/* The library's log lines, to cli->err. */
void cli_log(void *arg, enum quoll_log_level level, const char *area, const char *line);

#endif
