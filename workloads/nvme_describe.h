/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_describe - tells the controller where a request's memory is, by the rules of Linux
 * (drivers/nvme/host/pci.c): PRPs or SGLs for data; a pointer or SGLs for metadata.
 */
#ifndef WORKLOADS_NVME_DESCRIBE_H
#define WORKLOADS_NVME_DESCRIBE_H

#include "workloads/nvme_driver.h"

/* Whether two PRPs or one SGL descriptor can describe the request when it is mapped as one
 * segment: else it goes the general way, which has lists. */
bool nvme_describes_single(const struct nvme_request *r);

/* Describes what r->mapping has mapped. 0; -ENOMEM, when there is no memory for a list: to
 * be tried again; -EIO, when the controller takes no such description. What was taken so
 * far is given back by nvme_undescribe. */
int nvme_describe(struct nvme_request *r, struct nvme_sqe *sqe);

/* The same for r->metadata, behind the data's. */
int nvme_describe_metadata(struct nvme_request *r, struct nvme_sqe *sqe);

/* Gives back the lists of both. */
void nvme_undescribe(struct nvme_request *r);

#endif
