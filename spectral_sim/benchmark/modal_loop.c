/* The modal loop by hand: every schedule on its own core, vectorised over modes, nothing written but losses. */
#include <math.h>
#include <stdlib.h>

int modal_losses(const float *restrict log_energy, const float *restrict rate, const float *restrict durations,
                 long schedules, long modes, long intervals, float *restrict losses) {
    int failed = 0;
#pragma omp parallel for schedule(static) reduction(| : failed)
    for (long s = 0; s < schedules; s++) {
        float *state = malloc(modes * sizeof(float));
        if (!state) {
            failed = 1;
            continue;
        }
        for (long k = 0; k < modes; k++) state[k] = log_energy[k];
        for (long n = 0; n <= intervals; n++) {
            const float held = n ? durations[n - 1] : 0.0f;
            float sum = 0.0f;
            for (long k = 0; k < modes; k++) {
                state[k] += held * rate[s * modes + k];
                sum += expf(state[k]);
            }
            losses[s * (intervals + 1) + n] = 0.5f * sum;
        }
        free(state);
    }
    return failed;
}
