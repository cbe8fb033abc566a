/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage - what makes two hosts of a fabric a client and a server of NVMe over RDMA: a
 * drive at the server, the programs of both ends, and the block trace that is replayed.
 *
 *     host 0: replay -- nvmf_host -- RDMA NIC -- wire -- RDMA NIC -- nvmf_target -- drive
 *
 * The drive is a device of its own beside the server's NIC: own link, own domain.
 */
#ifndef SIM_APP_STORAGE_H
#define SIM_APP_STORAGE_H

#include "sim/app/hostile.h"
#include "sim/app/machine.h"
#include "sim/app/series.h"
#include "sim/system/system.h"
#include "workloads/nvmf_host.h"
#include "workloads/nvmf_target.h"
#include "workloads/nvmf_verify.h"

enum { STORAGE_CLIENT, STORAGE_SERVER, STORAGE_HOSTS };

struct storage {
    const struct config *config;
    const struct machine_run *run;
    struct slot slot;
    struct nvme_ctrl nvme;
    struct nvme_driver driver;
    struct hostile hostile; /* With run->attacker: beside the drive. */
    struct nvmf_target target;
    struct nvmf_host host;
    struct replay replay;
    struct nvmf_verify verify;
    bool checks;
    uint8_t *medium;
    size_t medium_bytes;
    unsigned finished; /* CPUs of the client. */
};

/* Whether what is asked for can be run at all. */
bool storage_check_run(const struct config *config, const struct machine_run *run,
                       struct error *error);

/* Puts the drive into the server's system, whose extension has been built. config and run
 * are kept. */
bool storage_build(struct storage *s, const struct config *config,
                   const struct machine_run *run, struct system *server,
                   struct error *error);
void storage_destroy(struct storage *s);

/* On CPU 0 of the server: the drive and its driver. */
bool storage_bring_up(struct storage *s, struct error *error);
void storage_take_down(struct storage *s);

/* On CPU 0 of either host: its end; then, when both are there, their connections. */
bool storage_probe(struct storage *s, unsigned host, struct verbs_device *verbs,
                   struct error *error);
bool storage_connect(struct storage *s, unsigned host, struct error *error);
void storage_remove(struct storage *s, unsigned host);

/* On every CPU, all of them between two barriers: the client makes the server's controller
 * ready, or shuts it down. False where it could not be made ready. */
bool storage_start(struct storage *s, unsigned host, struct error *error);
void storage_stop(struct storage *s, unsigned host);
/* On one CPU, behind the barrier: the server's programs may run again. */
void storage_again(struct storage *s);

/* On CPU 0 of the client, before the replay. */
bool storage_begin(struct storage *s, struct system *client, struct error *error);
/* The program of a host's CPU. */
void storage_run(struct storage *s, unsigned host);

/* All of it has run: compares the medium, when data has contents. */
void storage_end(struct storage *s);

/* Adds what is counted on that host. */
void storage_count(const struct storage *s, unsigned host, struct machine_counters *c);
void storage_look(const struct storage *s, uint64_t *value);
/* Whether a queue has failed, or data was lost. */
bool storage_check(struct storage *s, struct error *error);

#endif
