/* The int8 rate of one core: as many vpdpbusd as the ports take, on registers, for about a second.
 *
 *   gcc -O3 -funroll-loops -mavx512f -mavx512vnni benchmarks/int8_peak.c -o peak && ./peak
 *
 * Prints multiply-adds a second in 10^9. Ten accumulators hide the instruction's latency; nothing is loaded.
 */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define CHAINS 10
#define ROUNDS 20000000L

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main(void) {
    __m512i sum[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
    double best = 0;
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_setzero_si512();
    for (int attempt = 0; attempt < 5; attempt++) {
        double started = seconds();
        for (long round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
            __asm__ volatile("" : "+v"(a), "+v"(b)); /* or the compiler would sum up by itself */
        }
        double rate = (double)ROUNDS * CHAINS * 64 / (seconds() - started) / 1e9;
        if (rate > best) best = rate;
    }
    int check = 0;
    for (int i = 0; i < CHAINS; i++) check += _mm512_reduce_add_epi32(sum[i]);
    printf("%.1f\n", best);
    return check == 1;
}
