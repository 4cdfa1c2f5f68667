/* A closed loop by hand, sampling in proportion to energy^power: every schedule on its own core, its state in the first
   cache, vectorised over modes. The passes at each refresh: exponential and sums, power, normalisation and step. */
#include <math.h>

void closed_losses(const float *restrict share, const float *restrict log_energy, const float *restrict rate,
                   const float *restrict mass, const float *restrict powers, const float *restrict durations,
                   long schedules, long modes, long count, float *restrict losses) {
#pragma omp parallel for schedule(static)
    for (long s = 0; s < schedules; s++) {
        float state[modes], score[modes];
        for (long k = 0; k < modes; k++) state[k] = log_energy[k];
        for (long n = 0; n <= count; n++) {
            float loss = 0.0f, mean = 0.0f;
            for (long k = 0; k < modes; k++) {
                const float energy = expf(state[k]);
                loss += share[k] * energy;
                score[k] = expf(powers[s] * state[k]);
                mean += mass[k] * score[k];
            }
            losses[s * (count + 1) + n] = loss;
            if (n == count) break;
            const float step = durations[n] / mean;
            for (long k = 0; k < modes; k++) state[k] += step * rate[k] * score[k];
        }
    }
}
