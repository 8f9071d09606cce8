/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.c - which counter ticks are taken from and how fast it runs.
 *
 * Sources: Intel SDM vol. 2, CPUID leaves 15H and 80000007H; AMD APM vol. 3, Fn8000_0007 (EDX bit 8, TscInvariant);
 * leaf 40000010H as VMware defined it and KVM, QEMU and Firecracker can offer it (EAX: TSC in kHz).
 */
#include <errno.h>

#include <quoll/clock.h>

#define NS_PER_S 1000000000u
#define MEASURE_NS 2000000 /* with about 50 ns between two clocks read together: some 50 ppm */

#if defined(__x86_64__)
#include <cpuid.h>

#define HZ_PLAUSIBLE_MIN 100000000ull
#define HZ_PLAUSIBLE_MAX 20000000000ull

static bool hz_plausible(uint64_t hz)
{
	return hz >= HZ_PLAUSIBLE_MIN && hz <= HZ_PLAUSIBLE_MAX;
}

static bool tsc_invariant(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

/* Leaf 15H counts only with the crystal's frequency in it: 16H's base frequency is rounded to a MHz, worse than ours.
 */
static uint64_t hz_from_crystal(void)
{
	unsigned int denominator, numerator, crystal_hz, unused;

	if (!__get_cpuid(0x15, &denominator, &numerator, &crystal_hz, &unused) || !denominator)
		return 0;
	return (uint64_t)crystal_hz * numerator / denominator;
}

static uint64_t hz_from_hypervisor(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31)))
		return 0;
	__cpuid(0x40000000, a, b, c, d);
	if (a < 0x40000010 || a > 0x400000ff)
		return 0;
	__cpuid(0x40000010, a, b, c, d);
	return (uint64_t)a * 1000;
}

static uint64_t raw_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Both clocks at one moment: the narrowest of a few tries, so that an interruption in between does not count. */
static void read_both(uint64_t *ticks, uint64_t *ns)
{
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t before = __builtin_ia32_rdtsc();
		uint64_t now_ns = raw_ns();
		uint64_t width = __builtin_ia32_rdtsc() - before;

		if (width < narrowest) {
			narrowest = width;
			*ticks = before + width / 2;
			*ns = now_ns;
		}
	}
}

/*
 * One bounded wait, then division: nothing here loops until a clock has moved, so a counter that stands still (or
 * jumps, as virtual time under an emulator may) gives an implausible frequency, not a hang.
 */
static uint64_t hz_measure(void)
{
	struct timespec wait = {.tv_nsec = MEASURE_NS};
	uint64_t ticks0 = 0, ns0 = 0, ticks1 = 0, ns1 = 0;

	read_both(&ticks0, &ns0);
	nanosleep(&wait, NULL); /* a signal may end it early; the true time is measured */
	read_both(&ticks1, &ns1);
	if (ns1 <= ns0 || ns1 - ns0 < MEASURE_NS / 10 || ticks1 <= ticks0)
		return 0;
	return (uint64_t)((unsigned __int128)(ticks1 - ticks0) * NS_PER_S / (ns1 - ns0));
}

/*
 * Once a process: it is a property of the machine, and a program has a clock for each loop, queue and controller. Who
 * comes while another measures does so too, and the first result stands for all, so that their ticks are alike.
 */
static uint64_t hz_measured(void)
{
	static uint64_t known;
	uint64_t hz = __atomic_load_n(&known, __ATOMIC_RELAXED), none = 0;

	if (hz)
		return hz;
	hz = hz_measure();
	if (!hz_plausible(hz) ||
	    __atomic_compare_exchange_n(&known, &none, hz, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return hz;
	return none;
}

static uint64_t tsc_hz(void)
{
	uint64_t hz;

	if (!tsc_invariant())
		return 0;
	hz = hz_from_crystal();
	if (!hz_plausible(hz))
		hz = hz_from_hypervisor();
	if (!hz_plausible(hz))
		hz = hz_measured();
	return hz_plausible(hz) ? hz : 0;
}
#else
static uint64_t tsc_hz(void)
{
	return 0;
}
#endif

/* The largest factor of 32 bits: the conversion is then exact to about one in 2^31. */
static void set_scale(struct quoll_clock *clock)
{
	for (uint32_t shift = 32;; shift--) {
		uint64_t mult = (((uint64_t)NS_PER_S << shift) + clock->tick_hz / 2) / clock->tick_hz;

		if (mult <= UINT32_MAX) {
			clock->mult = (uint32_t)mult;
			clock->shift = shift;
			return;
		}
	}
}

int quoll_clock_init(struct quoll_clock *clock)
{
	clock->tick_hz = tsc_hz();
	clock->from_cpu = clock->tick_hz != 0;
	if (!clock->from_cpu)
		clock->tick_hz = NS_PER_S;
	set_scale(clock);
	return clock->from_cpu ? 0 : -ENOTSUP;
}
