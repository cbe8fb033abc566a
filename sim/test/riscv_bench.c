/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/riscv_bench.h"

#include <string.h>

#include "sim/host/direct.h"
#include "sim/test/shim.h"

struct riscv_bench rv;

/* ---- The registers ------------------------------------------------------------------ */

static uint32_t fake_mask(const struct rv_registers *f)
{
    return (uint32_t)mask_lg2(riscv_queue_lg2(f->cqb));
}

static unsigned consumed(const struct rv_registers *f, sim_time_t now)
{
    unsigned n = 0;
    while (n < f->logged && f->log[n].done <= now)
        n++;
    return n;
}

uint64_t rv_context(const struct rv_registers *f, uint32_t device)
{
    const bool ext        = f->capabilities & RISCV_CAP_MSI_FLAT;
    const unsigned leaf   = ext ? 6 : 7;
    const unsigned levels = (unsigned)RISCV_DDTP_MODE(f->ddtp) - RISCV_DDTP_BARE;
    uint64_t table        = RISCV_PPN_53_10(f->ddtp);
    for (unsigned level = levels - 1; level > 0; level--) {
        const uint64_t index = device >> (leaf + 9 * (level - 1)) & 0x1ff;
        const uint64_t entry = memory_read64(f->memory, table + 8 * index);
        EXPECT_EQUAL(entry & ~(mask_lg2(44) << 10), 1);
        table = RISCV_PPN_53_10(entry);
    }
    return table + (device & mask_lg2(leaf)) * (ext ? 64 : 32);
}

static void ring_doorbell(struct rv_registers *f, uint32_t tail, sim_time_t now)
{
    const uint64_t slot = RISCV_PPN_53_10(f->cqb) + RISCV_COMMAND_BYTES * f->cqt;
    EXPECT(f->cqcsr & RISCV_QUEUE_ON);
    EXPECT_EQUAL(tail, (f->cqt + 1) & fake_mask(f)); /* One command at a time. */
    EXPECT(f->logged - consumed(f, now) < fake_mask(f));
    CHECK(f->logged < RV_LOG_MAX);
    const sim_time_t before = f->logged == 0 ? 0 : f->log[f->logged - 1].done;
    struct rv_command *l    = &f->log[f->logged++];
    l->command.low          = memory_read64(f->memory, slot);
    l->command.high         = memory_read64(f->memory, slot + 8);
    if (RISCV_CMD_OPCODE(l->command.low) == RISCV_IODIR && f->ddtp > RISCV_DDTP_BARE
        && l->command.low & RISCV_DIR_DV)
        l->valid =
            memory_read64(f->memory, rv_context(f, riscv_dir_device(l->command))) & 1;
    l->done = f->dead ? TIME_NEVER : (before > now ? before : now) + f->command_ps;
    f->cqt  = tail;
}

static void write_csr(uint32_t *csr, unsigned *busy, bool stuck, uint32_t value)
{
    const uint32_t on = value & RISCV_QUEUE_ENABLE && !stuck ? RISCV_QUEUE_ON : 0;
    *csr              = (value & (RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE)) | on;
    *busy             = stuck ? 0 : RV_BUSY_READS;
}

static uint64_t ring_kept(const struct rv_registers *f, uint64_t value)
{
    const unsigned lg2 = riscv_queue_lg2(value);
    return (value & ~mask_lg2(5)) | ((lg2 < f->ring_lg2 ? lg2 : f->ring_lg2) - 1);
}

static void fake_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                       sim_time_t now)
{
    struct rv_registers *f = self;
    (void)bytes;
    switch ((enum riscv_register)offset) {
    case RISCV_DDTP:
        f->ddtp      = RISCV_DDTP_MODE(value) <= f->deepest ? value : RISCV_DDTP_BARE;
        f->ddtp_busy = RV_BUSY_READS;
        break;
    case RISCV_CQB:
        f->cqb = ring_kept(f, value);
        break;
    case RISCV_FQB:
        f->fqb = ring_kept(f, value);
        break;
    case RISCV_CQT:
        if (f->cqcsr & RISCV_QUEUE_ON)
            ring_doorbell(f, (uint32_t)value, now);
        else
            EXPECT_EQUAL(value, 0);
        break;
    case RISCV_FQH:
        f->fqh = (uint32_t)value;
        break;
    case RISCV_CQCSR:
        f->errors_cleared += (value & RISCV_CQ_CMD_ILL) != 0;
        if (!(value & RISCV_CQ_CMD_ILL))
            write_csr(&f->cqcsr, &f->cq_busy, f->stuck, (uint32_t)value);
        break;
    case RISCV_FQCSR:
        write_csr(&f->fqcsr, &f->fq_busy, f->stuck, (uint32_t)value);
        break;
    default:
        EXPECT_EQUAL(offset, 0); /* Nothing else is written. */
    }
}

static uint64_t read_csr(const struct rv_registers *f, uint32_t csr, unsigned *busy)
{
    if (*busy == 0)
        return csr;
    *busy -= !f->busy_for_ever;
    return csr | RISCV_QUEUE_BUSY;
}

static uint64_t fake_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct rv_registers *f = self;
    const bool illegal =
        f->illegal_at != 0 && f->errors_cleared == 0 && consumed(f, now) >= f->illegal_at;
    (void)bytes;
    switch ((enum riscv_register)offset) {
    case RISCV_CAPABILITIES:
        return f->capabilities;
    case RISCV_DDTP:
        return f->ddtp_busy > 0 ? (--f->ddtp_busy, f->ddtp | RISCV_DDTP_BUSY) : f->ddtp;
    case RISCV_CQB:
        return f->cqb;
    case RISCV_FQB:
        return f->fqb;
    case RISCV_CQH:
        return (illegal ? f->illegal_at : consumed(f, now)) & fake_mask(f);
    case RISCV_CQCSR:
        return read_csr(f, f->cqcsr, &f->cq_busy) | (illegal ? RISCV_CQ_CMD_ILL : 0);
    case RISCV_FQCSR:
        return read_csr(f, f->fqcsr, &f->fq_busy);
    default:
        EXPECT_EQUAL(offset, 0);
        return 0;
    }
}

static const struct mmio_ops fake_ops = { fake_write, fake_read };

/* ---- The bench ---------------------------------------------------------------------- */

void rv_new(void)
{
    memset(&rv, 0, sizeof rv);
    param_reset(&linux_param_table, &rv.linux_config);
    param_reset(&cpu_param_table, &rv.cpu_config);
    param_reset(&cost_param_table, &rv.cost);
    rv.fake.capabilities = RV_CAP_ALL;
    rv.fake.deepest      = RISCV_DDTP_3LVL;
    rv.fake.ring_lg2     = 16;
    rv.fake.command_ps   = 20 * TIME_NS;
    rv.cpus              = 1;
    rv.attached          = 1;
}

void rv_release(const char *name)
{
    struct error error;
    CHECK(param_set(&linux_param_table, param_find(&linux_param_table, "release"),
                    &rv.linux_config, name, &error));
}

void rv_begin(void)
{
    rv.from   = rv.fake.logged;
    rv.before = rv.kernel.stats;
}

static void bring_up(void)
{
    rv.driver = backend_riscv.probe(&rv.kernel, &rv.window, &rv.error);
    kernel_add_device(&rv.kernel, &rv.device[0], "first", RV_REQUESTER);
    kernel_add_device(&rv.kernel, &rv.device[1], "second", 0x1234);
    if (rv.driver == NULL)
        return;
    rv.domain =
        domain_new(&rv.kernel, &backend_riscv, rv.driver, flush_find("strict"), NULL);
    CHECK(rv.domain != NULL);
    for (unsigned i = 0; i < rv.attached; i++)
        EXPECT(domain_attach(rv.domain, &rv.device[i]));
    rv_begin();
}

static void take_down(void)
{
    if (rv.driver == NULL)
        return;
    while (rv.domain->devices > 0)
        domain_detach(rv.domain, rv.domain->device[0]);
    domain_free(rv.domain);
    backend_riscv.remove(rv.driver);
}

static void program(void *arg)
{
    const bool first = cpu_this()->id == 0;
    (void)arg;
    if (first)
        bring_up();
    barrier_wait(&rv.barrier, cpu_this());
    if (rv.driver != NULL)
        rv.body();
    barrier_wait(&rv.barrier, cpu_this());
    if (first)
        take_down();
    barrier_wait(&rv.barrier, cpu_this());
}

void rv_refuses(void)
{
}

static void check(void)
{
    struct error error = { "" };
    for (unsigned i = 0; i < rv.cpus; i++) {
        EXPECT(rv.cpu[i].finished);
        EXPECT_EQUAL(rv.cpu[i].irq_off, 0);
        EXPECT(cpu_check(&rv.cpu[i], &error));
    }
    EXPECT(stat_check(&kernel_stat_table, &rv.kernel.stats, &error));
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(rv.kernel.pages.out, 0);
    EXPECT_EQUAL(rv.kernel.heap.out, 0);
    EXPECT_EQUAL(rv.kernel.stats.table_freed, rv.kernel.stats.table_allocated);
    EXPECT_EQUAL(rv.driver == NULL, rv.body == rv_refuses);
    if (rv.driver == NULL)
        return;
    EXPECT_EQUAL(RISCV_DDTP_MODE(rv.fake.ddtp), RISCV_DDTP_OFF);
    EXPECT_EQUAL(rv.fake.cqcsr, 0);
    EXPECT_EQUAL(rv.fake.fqcsr, 0);
}

void rv_run(void (*body)(void))
{
    struct direct_host *host = direct_host_new();
    rv.body                  = body;
    rv.fake.memory           = &rv.memory;
    memory_init(&rv.memory);
    engine_init(&rv.engine, direct_host_verbs(host), true);
    mmio_init(&rv.window, &rv.engine, "registers", &fake_ops, &rv.fake, 100 * TIME_NS);
    for (unsigned i = 0; i < rv.cpus; i++) {
        rv.cpu_list[i] = &rv.cpu[i];
        cpu_init(&rv.cpu[i], i, &rv.engine, &rv.memory, &rv.cpu_config, program, NULL);
    }
    kernel_init(&rv.kernel, &rv.linux_config, &rv.cost, &rv.memory, rv.cpu_list, rv.cpus);
    rv.barrier.count = rv.cpus;
    engine_run(&rv.engine);
    check();
    kernel_free(&rv.kernel);
    mmio_free(&rv.window);
    memory_free(&rv.memory);
    engine_free(&rv.engine);
    direct_host_free(host);
}

unsigned rv_commands(void)
{
    return rv.fake.logged - rv.from;
}

struct riscv_command rv_nth(unsigned n)
{
    static const struct riscv_command none;
    return n < rv_commands() ? rv.fake.log[rv.from + n].command : none;
}

bool is_command(struct riscv_command x, struct riscv_command y)
{
    return x.low == y.low && x.high == y.high;
}

bool is_fence(struct riscv_command c)
{
    return is_command(c, riscv_iofence(RISCV_FENCE_PR | RISCV_FENCE_PW, 0, 0));
}

bool is_page(struct riscv_command c, uint32_t pscid, uint64_t iova)
{
    const uint64_t flags = RISCV_INVAL_PSCV | RISCV_INVAL_AV;
    return is_command(c, riscv_iotinval(RISCV_VMA, flags, 0, pscid, iova));
}

bool is_whole(struct riscv_command c, uint32_t pscid)
{
    return is_command(c, riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV, 0, pscid, 0));
}

bool is_everything(struct riscv_command c)
{
    return is_command(c, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
}

bool is_directory(struct riscv_command c, uint32_t device)
{
    return is_command(c, riscv_iodir(RISCV_INVAL_DDT, true, device, 0));
}
