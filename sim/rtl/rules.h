/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules - the RTL's plain bugs, and how a recorded row is known to be touched by one.
 *
 * The model does not have these bugs, so rows that show them are no reference: they are
 * counted apart, each under its rule. A rule is applied only to a row that does not agree
 * (but a row that hung is never compared), and only on what the recording itself shows: its
 * flush pulses (the cycles in which commands took effect), its requests' cycles and
 * answers. It never knows a run or a row.
 *
 * hang: any flush pulse in the very cycle in which a walk fills the IOTLB drops that fill,
 *     and an IODIR.INVAL_DDT pulse that of the device's context. The walk is not begun
 *     again, as it starts on the edge of the miss: the request stays until its device's
 *     context is dropped. The row says watchdog=1, when the bench did that; or a flush
 *     pulse met the fill and a later IODIR of the run's own took the request up again.
 * zero: a flush pulse in the cycle of a hit's look-up (done - 1). The address is computed a
 *     cycle later from an emptied cache: OK with an address below 0x1000.
 * useless: a request that comes while the walk runs that a zero row leaves behind, of the
 *     page after IOTINVAL, of the context after IODIR. It finds the walker busy and hangs,
 *     or finds what that walk has filled.
 * repeat: the same for the repeated walk of the process directory after a fault of it.
 * refetch: a page walk ended in a fault while its context, which had been dropped under it,
 *     was being read again. The RTL answers with the fault at once and writes no record of
 *     it; here the walk is repeated with the new context. The walk
 *     for the context goes on in the RTL after the fault, and those that come meet it.
 * nested_flush: the context of a device with two stages was dropped while its request was
 *     under way: the walk goes on with stages switched off.
 * nested_pa: both stages, agreement in all but bits 12 to 29 of the address: a first-stage
 *     page smaller than the second stage's is put at the wrong place in it.
 * delayed: same result, but the two did not begin with it in the same cycle, as they did
 *     not end in the same cycle with an excluded request, or with one that was late for
 * that reason. Between two flushes it may also find its context or page where the other
 * does not. contents: same result, or the address of another age, but a look-up hit on one
 * side only, or what hit was of another age, and less than four times the IOTLB's entries
 * were filled since an excluded request, which left other contents behind: a walk that the
 *     RTL did not make or made at another time.
 * bus: a command or fault record next to an excluded request, whose reads or faults are
 *     not those of the RTL.
 */
#ifndef SIM_RTL_RULES_H
#define SIM_RTL_RULES_H

/* clang-format off */
#define RTL_RULES(X)                                                                      \
    X(hang,         "a flush met its fill: it hung until its context was dropped")        \
    X(zero,         "a flush met its look-up: address 0")                                 \
    X(useless,      "a useless walk after an address 0 was still running")                \
    X(repeat,       "the repeated walk after a process-directory fault was running")      \
    X(refetch,      "it faulted while its dropped context was being read again")          \
    X(nested_flush, "its context was dropped during a nested walk")                       \
    X(nested_pa,    "wrong address of a small page in a large second-stage page")         \
    X(delayed,      "an excluded one before it took longer here")                         \
    X(contents,     "an excluded one before it left other contents in a cache")           \
    X(bus,          "next to an excluded request")
/* clang-format on */

#define RTL_RULE(name, text) RTL_##name,
enum rtl_verdict { RTL_agrees, RTL_disagrees, RTL_RULES(RTL_RULE) RTL_VERDICTS };

/* The names by verdict, and what they mean. */
extern const char *const rtl_verdict_name[RTL_VERDICTS];
extern const char *const rtl_verdict_text[RTL_VERDICTS];

#endif
