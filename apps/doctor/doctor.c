/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor.c - `quoll doctor`: runs the checks and prints what they found. They are in kernel.c, kmod.c and resources.c.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "check.h"

static const struct {
	const char *name;
	void (*run)(const struct quoll_env *env, struct check *check);
} checks[] = {
	{"kernel", check_kernel},	{"iommu", check_iommu},
	{"isolation", check_isolation}, {"vfio-pci", check_vfio_module},
	{"vfio-file", check_vfio_file}, {"iommufd", check_iommufd},
	{"kmod", check_kmod},		{"hugepages", check_hugepages},
	{"memlock", check_memlock},	{"clock", check_clock},
	{"nvme", check_nvme},		{"records", check_records},
};

static const char *const status_names[] = {"ok", "warn", "fail"};

void check_found(struct check *check, enum check_status status, const char *fmt, ...)
{
	va_list ap;

	check->status = status;
	va_start(ap, fmt);
	vsnprintf(check->found, sizeof(check->found), fmt, ap);
	va_end(ap);
}

void check_hint(struct check *check, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(check->hint, sizeof(check->hint), fmt, ap);
	va_end(ap);
}

bool check_read(char *line, int line_bytes, const char *fmt, ...)
{
	char path[1024];
	va_list ap;
	bool ok;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, line_bytes, f) != NULL;
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

static json_t *run_checks(const struct quoll_env *env, enum check_status *worst)
{
	json_t *doc = json_pack("{s:n, s:[]}", "worst", "checks"), *list = json_object_get(doc, "checks");

	for (unsigned int i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct check check = {0};
		json_t *one;

		checks[i].run(env, &check);
		if (check.status > *worst)
			*worst = check.status;
		one = json_pack("{s:s, s:s, s:o, s:o, s:o}", "check", checks[i].name, "status",
				status_names[check.status], "found", render_text(check.found), "try",
				check.hint[0] ? render_text(check.hint) : json_null(), "facts",
				check.facts ? check.facts : json_object());
		if (!one || json_array_append_new(list, one)) {
			json_decref(doc);
			return NULL;
		}
	}
	json_object_set_new(doc, "worst", json_string(status_names[*worst]));
	return doc;
}

static void doctor_text(FILE *f, const json_t *doc)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(doc, "checks"), i, one) {
		const char *status = render_string(one, "status"), *hint = render_string(one, "try");
		const char *shown = !strcmp(status, "ok") ? "OK" : !strcmp(status, "warn") ? "WARN" : "FAIL";

		fprintf(f, "%-4s  %-10s  %s\n", shown, render_string(one, "check"), render_string(one, "found"));
		while (hint[0]) {
			size_t len = strcspn(hint, "\n");

			fprintf(f, "%18s%s%.*s\n", "", hint == render_string(one, "try") ? "try: " : "     ", (int)len,
				hint);
			hint += len + (hint[len] == '\n');
		}
	}
}

static int run_doctor(struct cli *cli, const void *values)
{
	enum check_status worst = CHECK_OK;
	json_t *doc;
	int status;

	(void)values;
	doc = run_checks(&cli->env, &worst);
	status = cli_emit(cli, doc, doctor_text);
	return status ? status : worst == CHECK_FAIL ? CLI_FAILED : CLI_DONE;
}

const struct cli_verb verb_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "check what this machine offers and what is missing, each with what mends it",
	.details = "Changes nothing and needs no privilege; run it as the user who will drive the devices.\n"
		   "Exit status 1 if a check fails.",
	.has_json = true,
	.run = run_doctor,
};
