/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_discard - what a discard brings along for the device: its ranges, in a page that is
 * mapped whole, whatever it holds, as drivers/nvme/host/core.c does; one range here.
 *
 * Inaccuracies: without memory for the page the discard is tried again; Linux has one page
 * in reserve.
 */
#ifndef WORKLOADS_NVME_DISCARD_H
#define WORKLOADS_NVME_DISCARD_H

#include "workloads/nvme_driver.h"

/* Makes r->io's blocks the range of a page, which becomes the request's memory; false:
 * there is no memory. */
bool nvme_discard_get(struct nvme_request *r);

/* The page is not mapped any more. */
void nvme_discard_put(struct nvme_request *r);

#endif
