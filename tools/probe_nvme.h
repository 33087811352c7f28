/*
 * What `keel probe` says of an NVMe device.
 */
#ifndef KEEL_TOOLS_PROBE_NVME_H
#define KEEL_TOOLS_PROBE_NVME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include <keel/nvme.h>

struct probe_nvme {
    bool found; /* it is an NVMe namespace, and could be opened */
    int rc;     /* else why not: KEEL_ENOTSUP where it is none */
    struct keel_nvme_info info;
};

/* path: the device; NULL or "": there is none. */
void probe_nvme_ask(const char *path, struct probe_nvme *ret);
/* Nothing where it is no NVMe. */
void probe_nvme_print(const struct probe_nvme *nvme, FILE *out);
json_t *probe_nvme_json(const struct probe_nvme *nvme);

#endif
