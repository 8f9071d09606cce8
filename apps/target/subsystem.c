/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subsystem.c - the NVM subsystem's lists: namespaces, controllers, hosts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "subsystem.h"

/* Base 2.0, 1.5 (ASCII strings): 20h to 7Eh. */
static int name_set(char *dst, size_t size, const char *name, const char *what, struct quoll_error *err)
{
	size_t len = strlen(name);

	if (!len || len >= size)
		return quoll_error_set(err, EINVAL, "subsystem", name, "a %s has 1 to %zu characters, not %zu", what,
				       size - 1, len);
	for (const char *c = name; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return quoll_error_set(err, EINVAL, "subsystem", name,
					       "byte 0x%02x at %zu is no printable ASCII", (unsigned char)*c,
					       (size_t)(c - name) + 1);
	memcpy(dst, name, len + 1);
	return 0;
}

/* Base 2.0, 4.5: "nqn." and a date, or a UUID; whether the domain is right is not ours to say. */
static int nqn_set(char *dst, const char *nqn, struct quoll_error *err)
{
	if (strncmp(nqn, "nqn.", 4)) {
		quoll_error_set(err, EINVAL, "subsystem", nqn, "an NVMe qualified name begins with 'nqn.'");
		quoll_error_hint(err, "nqn.2014-08.org.nvmexpress:uuid:UUID");
		return -EINVAL;
	}
	return name_set(dst, TGT_NQN_BYTES, nqn, "name", err);
}

int tgt_subsys_create(const struct quoll_env *env, const struct tgt_subsys_opts *opts, struct tgt_subsys **subsys,
		      struct quoll_error *err)
{
	static const struct tgt_subsys_opts defaults;
	struct tgt_subsys *made = calloc(1, sizeof(*made));
	int rc;

	opts = opts ? opts : &defaults;
	if (!made)
		return quoll_error_set(err, ENOMEM, "subsystem", "", "out of memory");
	rc = nqn_set(made->nqn, opts->nqn ? opts->nqn : "nqn.2026-01.io.quoll:target", err);
	if (!rc)
		rc = name_set(made->serial, sizeof(made->serial), opts->serial ? opts->serial : "QUOLL1",
			      "serial number", err);
	if (!rc)
		rc = name_set(made->model, sizeof(made->model), opts->model ? opts->model : "Quoll target", "model",
			      err);
	if (rc) {
		free(made);
		return rc;
	}
	if (env)
		made->env = *env;
	made->any_host = true;
	pthread_mutex_init(&made->lock, NULL);
	*subsys = made;
	return 0;
}

void tgt_subsys_destroy(struct tgt_subsys *subsys)
{
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		if (subsys->ns[i])
			subsys->ns[i]->ops->destroy(subsys->ns[i]);
	pthread_mutex_destroy(&subsys->lock);
	free(subsys);
}

/* Controllers read it in each poll; what it announces is under the lock. */
static void subsys_changed(struct tgt_subsys *subsys)
{
	__atomic_store_n(&subsys->generation, subsys->generation + 1, __ATOMIC_RELAXED);
}

/* Under the lock. Return: the NSID or -errno. */
static int subsys_place(struct tgt_subsys *subsys, struct tgt_ns *ns, uint32_t nsid)
{
	if (nsid > TGT_MAX_NAMESPACES)
		return -ERANGE;
	if (!nsid)
		for (nsid = 1; nsid <= TGT_MAX_NAMESPACES && subsys->ns[nsid - 1];)
			nsid++;
	if (nsid > TGT_MAX_NAMESPACES)
		return -ENOSPC;
	if (subsys->ns[nsid - 1])
		return -EEXIST;
	ns->nsid = nsid;
	ns->refs = 1;
	subsys->ns[nsid - 1] = ns;
	subsys_changed(subsys);
	return (int)nsid;
}

int tgt_subsys_add_ns(struct tgt_subsys *subsys, struct tgt_ns *ns, uint32_t nsid, struct quoll_error *err)
{
	int rc;

	pthread_mutex_lock(&subsys->lock);
	rc = subsys_place(subsys, ns, nsid);
	pthread_mutex_unlock(&subsys->lock);
	if (rc == -ERANGE)
		quoll_error_set(err, ERANGE, "namespace", ns->text, "NSID %u is not 1 to %u", nsid, TGT_MAX_NAMESPACES);
	if (rc == -EEXIST)
		quoll_error_set(err, EEXIST, "namespace", ns->text, "NSID %u is taken", nsid);
	if (rc == -ENOSPC)
		quoll_error_set(err, ENOSPC, "namespace", ns->text, "all %u NSIDs are taken", TGT_MAX_NAMESPACES);
	if (rc < 0)
		ns->ops->destroy(ns);
	return rc;
}

int tgt_subsys_remove_ns(struct tgt_subsys *subsys, uint32_t nsid, struct quoll_error *err)
{
	struct tgt_ns *ns = NULL;

	pthread_mutex_lock(&subsys->lock);
	if (nsid && nsid <= TGT_MAX_NAMESPACES)
		ns = subsys->ns[nsid - 1];
	if (ns) {
		subsys->ns[nsid - 1] = NULL;
		subsys_changed(subsys);
	}
	pthread_mutex_unlock(&subsys->lock);
	if (!ns)
		return quoll_error_set(err, ENOENT, "namespace", subsys->nqn, "there is no NSID %u", nsid);
	tgt_subsys_put_ns(subsys, ns);
	return 0;
}

int tgt_subsys_allow_host(struct tgt_subsys *subsys, const char *nqn, struct quoll_error *err)
{
	char name[TGT_NQN_BYTES];
	int rc = nqn_set(name, nqn, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&subsys->lock);
	for (unsigned int i = 0; i < subsys->nr_hosts; i++)
		if (!strcmp(subsys->hosts[i], name))
			rc = -EEXIST;
	if (!rc && subsys->nr_hosts == TGT_MAX_HOSTS)
		rc = -ENOSPC;
	if (!rc) {
		memcpy(subsys->hosts[subsys->nr_hosts++], name, sizeof(name));
		subsys->any_host = false;
	}
	pthread_mutex_unlock(&subsys->lock);
	if (rc)
		quoll_error_set(err, -rc, "subsystem", nqn,
				rc == -EEXIST ? "this host may connect already" : "the list of hosts is full");
	return rc;
}

bool tgt_subsys_host_allowed(struct tgt_subsys *subsys, const char *nqn)
{
	bool allowed;

	pthread_mutex_lock(&subsys->lock);
	allowed = subsys->any_host;
	for (unsigned int i = 0; i < subsys->nr_hosts && !allowed; i++)
		allowed = !strcmp(subsys->hosts[i], nqn);
	pthread_mutex_unlock(&subsys->lock);
	return allowed;
}

int tgt_subsys_attach(struct tgt_subsys *subsys, struct tgt_ctrl *ctrl)
{
	int id = -ENOSPC;

	pthread_mutex_lock(&subsys->lock);
	for (unsigned int i = 0; i < TGT_MAX_CONTROLLERS && id < 0; i++) {
		if (subsys->ctrls[i])
			continue;
		subsys->ctrls[i] = ctrl;
		id = (int)i + 1;
	}
	pthread_mutex_unlock(&subsys->lock);
	return id;
}

void tgt_subsys_detach(struct tgt_subsys *subsys, uint16_t cntlid)
{
	pthread_mutex_lock(&subsys->lock);
	subsys->ctrls[cntlid - 1] = NULL;
	pthread_mutex_unlock(&subsys->lock);
}

unsigned int tgt_subsys_ids(struct tgt_subsys *subsys, uint16_t first, uint16_t *ids, unsigned int max)
{
	unsigned int n = 0;

	pthread_mutex_lock(&subsys->lock);
	for (unsigned int i = first ? first - 1u : 0; i < TGT_MAX_CONTROLLERS && n < max; i++)
		if (subsys->ctrls[i])
			ids[n++] = (uint16_t)(i + 1);
	pthread_mutex_unlock(&subsys->lock);
	return n;
}

bool tgt_subsys_shared(struct tgt_subsys *subsys)
{
	uint16_t ids[2];

	return tgt_subsys_ids(subsys, 1, ids, 2) > 1;
}

struct tgt_ns *tgt_subsys_get_ns(struct tgt_subsys *subsys, uint32_t nsid)
{
	struct tgt_ns *ns;

	pthread_mutex_lock(&subsys->lock);
	ns = subsys->ns[nsid - 1];
	if (ns)
		ns->refs++;
	pthread_mutex_unlock(&subsys->lock);
	return ns;
}

void tgt_subsys_put_ns(struct tgt_subsys *subsys, struct tgt_ns *ns)
{
	bool last;

	pthread_mutex_lock(&subsys->lock);
	last = !--ns->refs;
	pthread_mutex_unlock(&subsys->lock);
	if (last)
		ns->ops->destroy(ns);
}
