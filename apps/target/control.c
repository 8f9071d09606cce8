/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.c - the control socket and its clients. A client may send several documents without waiting; they are
 * answered in their order, one line each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quoll/listen.h>

#include "control.h"

/**
 * struct control_client - one connection
 * @buf: what it sent and wasn't answered yet: at most one document that isn't complete, after each read
 */
struct control_client {
	int fd;
	char *buf;
	size_t len;
	struct rpc_scanner scanner;
};

struct control {
	struct target *target;
	struct quoll_loop *loop;
	struct quoll_listen listen;
	struct control_client clients[CONTROL_MAX_CLIENTS];
};

int control_connect(const char *path, struct quoll_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return quoll_error_set(err, ENAMETOOLONG, "control", path, "a socket's path has at most %zu bytes",
				       sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	rc = quoll_error_set(err, errno, "control", path, "can't be connected to: %s", strerrordesc_np(errno));
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		quoll_error_hint(err, "quoll target --control %s …, or the path of one that runs", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

static void client_close(struct control *control, struct control_client *client)
{
	quoll_loop_unwatch(control->loop, client->fd);
	close(client->fd);
	free(client->buf);
	*client = (struct control_client){.fd = -1};
}

/* Whole, or the client is one that doesn't read. */
static bool client_send(const struct control_client *client, char *line)
{
	size_t len = strlen(line);

	line[len++] = '\n'; /* in place of the terminator */
	return send(client->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

/* Answer each document that is complete. Return: false: the client has to go. */
static bool client_answer(const struct control *control, struct control_client *client)
{
	size_t len;

	while ((len = rpc_scan(&client->scanner, client->buf, client->len))) {
		char *line = rpc_answer(control_methods, control->target, client->buf, len);
		bool sent = !line || client_send(client, line);

		free(line);
		if (!sent)
			return false;
		client->len -= len;
		memmove(client->buf, client->buf + len, client->len);
		client->scanner = (struct rpc_scanner){.at = 0};
	}
	return client->len < RPC_MAX_BYTES;
}

static int on_client(void *arg, int fd)
{
	struct control *control = arg;
	struct control_client *client = control->clients;
	ssize_t got;

	while (client->fd != fd)
		client++;
	got = recv(fd, client->buf + client->len, RPC_MAX_BYTES - client->len, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got > 0)
		client->len += (size_t)got;
	if (got <= 0 || !client_answer(control, client))
		client_close(control, client);
	return 0;
}

static struct control_client *free_client(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static int on_connect(void *arg, int fd)
{
	struct control *control = arg;
	struct control_client *client = free_client(control);
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client_fd < 0)
		return 0;
	if (client)
		client->buf = malloc(RPC_MAX_BYTES);
	if (!client || !client->buf || quoll_loop_watch(control->loop, client_fd, on_client, control)) {
		if (client)
			free(client->buf);
		close(client_fd);
		return 0;
	}
	client->fd = client_fd;
	return 0;
}

int control_create(struct target *target, const char *path, struct quoll_loop *loop, struct control **control,
		   struct quoll_error *err)
{
	struct control *made = calloc(1, sizeof(*made));
	int rc;

	if (!made)
		return quoll_error_set(err, ENOMEM, "control", path, "out of memory");
	made->target = target;
	made->loop = loop;
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		made->clients[i].fd = -1;
	rc = quoll_listen_open(path, &made->listen, err);
	if (!rc) {
		rc = quoll_loop_watch(loop, made->listen.fd, on_connect, made);
		if (rc)
			quoll_error_set(err, -rc, "control", path, "can't be watched");
	}
	if (rc)
		control_destroy(made);
	else
		*control = made;
	return rc;
}

void control_destroy(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			client_close(control, &control->clients[i]);
	if (control->listen.fd >= 0)
		quoll_loop_unwatch(control->loop, control->listen.fd);
	quoll_listen_close(&control->listen);
	free(control);
}
