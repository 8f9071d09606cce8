/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record.c - what was there before a change: a small text file a device in run_root/bound, written before the first
 * change and synced, so that a restore works after a crash.
 *
 * Files are not trusted when read: another's file, a link, a wrong name or one unexpected byte, and it is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define RECORDS_DIR "bound"
#define RECORD_HEAD "quoll record 1\n"
#define RECORD_BYTES 256
#define LOCK_TRIES 100
#define LOCK_PAUSE_MS 100

static int no_right(const char *path, int rc, struct quoll_error *err)
{
	quoll_error_set(err, -rc, "records", path, "it cannot be written: %s", strerror(-rc));
	quoll_error_hint(err, rc == -EROFS ? "the folder must be writable"
					   : "changing drivers is for root: run it as root or with sudo");
	return rc;
}

/* Ours or root's, and nobody else may write to it. */
static bool trusted(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* A folder below parent_fd, made if need be. */
static int open_dir(int parent_fd, const char *name, bool create)
{
	struct stat st;
	int fd;

	if (create && mkdirat(parent_fd, name, 0755) && errno != EEXIST)
		return -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !trusted(&st)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

static int lock(int run_fd, const struct group_io *io)
{
	int fd = openat(run_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		return -errno;
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (rc != -EBUSY || i == LOCK_TRIES) {
			close(fd);
			return rc;
		}
		io->pause(io->arg, LOCK_PAUSE_MS);
	}
	return fd;
}

int records_open(const struct quoll_env *env, const struct group_io *io, bool create, struct records *records,
		 struct quoll_error *err)
{
	const char *run = quoll_env_run(env);
	int run_fd = open_dir(AT_FDCWD, run, create), rc = 0;

	*records = (struct records){.dir_fd = -1, .lock_fd = -1};
	if (run_fd < 0)
		rc = run_fd;
	if (!rc)
		records->dir_fd = open_dir(run_fd, RECORDS_DIR, create);
	if (!rc && records->dir_fd < 0)
		rc = records->dir_fd;
	if (!rc)
		records->lock_fd = lock(run_fd, io);
	if (!rc && records->lock_fd < 0)
		rc = records->lock_fd;
	if (run_fd >= 0)
		close(run_fd);
	if (!rc)
		return 0;
	records_close(records);
	if (rc == -ENOENT && !create)
		return rc;
	if (rc == -EBUSY)
		return quoll_error_set(err, EBUSY, "records", run, "another bind or restore has been at work for %d s",
				       LOCK_TRIES * LOCK_PAUSE_MS / 1000);
	if (rc != -EPERM)
		return no_right(run, rc, err);
	quoll_error_set(err, EPERM, "records", run, "others than root could write there, so it cannot be trusted");
	quoll_error_hint(err, "chown -R root: %s && chmod -R go-w %s", run, run);
	return rc;
}

void records_close(struct records *records)
{
	if (records->dir_fd >= 0)
		close(records->dir_fd);
	if (records->lock_fd >= 0)
		close(records->lock_fd);
	records->dir_fd = records->lock_fd = -1;
}

static int write_file(int dir_fd, const char *tmp, const char *text)
{
	size_t len = strlen(text);
	int fd, rc = 0;

	unlinkat(dir_fd, tmp, 0);
	fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	errno = EIO; /* for a short write, which sets none */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	return rc;
}

int record_write(const struct records *records, const struct record *r, struct quoll_error *err)
{
	char text[RECORD_BYTES], tmp[QUOLL_NAME_BYTES + 8];
	int rc;

	snprintf(tmp, sizeof(tmp), ".%s.tmp", r->name);
	snprintf(text, sizeof(text), RECORD_HEAD "driver=%s\noverride=%s\nbound=%s\n", r->driver, r->override,
		 r->bound);
	rc = write_file(records->dir_fd, tmp, text);
	if (!rc && renameat(records->dir_fd, tmp, records->dir_fd, r->name))
		rc = -errno;
	if (!rc && fsync(records->dir_fd))
		rc = -errno;
	if (!rc)
		return 0;
	unlinkat(records->dir_fd, tmp, 0);
	return quoll_error_set(err, -rc, "records", r->name, "its driver cannot be recorded: %s", strerror(-rc));
}

/* "key=value\n" at *text, which moves on; an empty value, or one that can be a driver's name */
static bool parse_line(const char **text, const char *key, char value[32])
{
	size_t key_len = strlen(key), len;

	if (strncmp(*text, key, key_len) != 0)
		return false;
	*text += key_len;
	len = strcspn(*text, "\n");
	if ((*text)[len] != '\n' || len >= 32)
		return false;
	memcpy(value, *text, len);
	value[len] = '\0';
	*text += len + 1;
	return !len || driver_name_valid(value);
}

/* Return: NULL, or what is wrong with the file */
static const char *read_file(int fd, char text[RECORD_BYTES])
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return "it is no regular file";
	if (!trusted(&st))
		return "others than root could have written it";
	if (st.st_size >= RECORD_BYTES)
		return "it is too long";
	n = read(fd, text, RECORD_BYTES - 1);
	if (n < 0)
		return strerror(errno);
	text[n] = '\0';
	return strlen(text) == (size_t)n ? NULL : "it is malformed";
}

const char *record_parse(const char *text, struct record *r)
{
	*r = (struct record){0};
	if (strncmp(text, RECORD_HEAD, strlen(RECORD_HEAD)) != 0)
		return "it is malformed";
	text += strlen(RECORD_HEAD);
	if (!parse_line(&text, "driver=", r->driver) || !parse_line(&text, "override=", r->override) ||
	    !parse_line(&text, "bound=", r->bound) || *text)
		return "it is malformed";
	return NULL;
}

int record_read(const struct records *records, const char *name, struct record *r, struct quoll_error *err)
{
	char text[RECORD_BYTES] = "";
	const char *wrong;
	int fd;

	*r = (struct record){0};
	fd = openat(records->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	wrong = fd < 0 ? strerror(errno) : read_file(fd, text);
	if (fd >= 0)
		close(fd);
	if (!wrong)
		wrong = record_parse(text, r);
	if (!wrong && (!is_bdf(name) || strlen(name) >= sizeof(r->name)))
		wrong = "its name is no PCI address";
	if (!wrong) {
		snprintf(r->name, sizeof(r->name), "%s", name);
		return 0;
	}
	quoll_error_set(err, EINVAL, "restore", name, "the record of its driver is not believed: %s", wrong);
	quoll_error_hint(err, "see what " RECORDS_DIR "/%s in the folder of records holds, then remove it", name);
	return -EINVAL;
}

int record_remove(const struct records *records, const char *name)
{
	if (unlinkat(records->dir_fd, name, 0))
		return -errno;
	fsync(records->dir_fd);
	return 0;
}

/* Hidden among the records, which are one a device. */
#define IOMMU_RECORD ".iommu"
#define IOMMU_FORMAT "quoll record 1\nuid=%u was=%u:%u\n"

static void iommu_record_text(char text[RECORD_BYTES], const struct iommu_record *r)
{
	snprintf(text, RECORD_BYTES, IOMMU_FORMAT, (unsigned int)r->uid, (unsigned int)r->old_uid,
		 (unsigned int)r->old_gid);
}

int iommu_record_write(const struct records *records, const struct iommu_record *r)
{
	char text[RECORD_BYTES];
	int rc;

	iommu_record_text(text, r);
	rc = write_file(records->dir_fd, IOMMU_RECORD ".tmp", text);
	if (!rc && renameat(records->dir_fd, IOMMU_RECORD ".tmp", records->dir_fd, IOMMU_RECORD))
		rc = -errno;
	if (rc)
		unlinkat(records->dir_fd, IOMMU_RECORD ".tmp", 0);
	return rc;
}

int iommu_record_read(const struct records *records, struct iommu_record *r)
{
	int fd = openat(records->dir_fd, IOMMU_RECORD, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[RECORD_BYTES] = "", again[RECORD_BYTES];
	const char *wrong;

	if (fd < 0)
		return -errno;
	wrong = read_file(fd, text);
	close(fd);
	if (wrong || sscanf(text, IOMMU_FORMAT, &r->uid, &r->old_uid, &r->old_gid) != 3)
		return -EINVAL;
	iommu_record_text(again, r); /* no other byte, nor a number that wrapped */
	return strcmp(text, again) ? -EINVAL : 0;
}

void iommu_record_remove(const struct records *records)
{
	unlinkat(records->dir_fd, IOMMU_RECORD, 0);
}

int records_list(const struct quoll_env *env, struct name_list *list)
{
	char dir[PATH_BYTES];
	int rc = path_make(dir, "%s/" RECORDS_DIR, quoll_env_run(env));

	*list = (struct name_list){0};
	return rc ? rc : name_list_read(dir, list);
}
