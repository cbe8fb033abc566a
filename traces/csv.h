/* SPDX-License-Identifier: Apache-2.0 */
/* csv - the columns of the table that export_csv writes and import_csv reads. */
#ifndef TRACES_CSV_H
#define TRACES_CSV_H

#define CSV_HEADER                                                                         \
    "time_ns,latency_ns,op,lba,bytes,device,queue,cpu,completion_cpu,depth,segments,"      \
    "qp,peer,peer_qp,key,address,region_bytes,local_key,local_address"

#endif
