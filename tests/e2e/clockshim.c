/* Preloaded into a daemon under test: steps its wall clock and its boot clock.

   $TEST_CLOCK_STEPS names a file of two doubles, the seconds by which each is ahead; the test maps
   it too and writes them. Waits and the monotonic clock stay true, as in a suspend of the machine. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile double *steps;

__attribute__((constructor)) static void map_steps(void)
{
    const char *path = getenv("TEST_CLOCK_STEPS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, 2 * sizeof(double), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        steps = at;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result != 0 || steps == NULL)
        return result;
    double ahead = which == CLOCK_REALTIME ? steps[0] : which == CLOCK_BOOTTIME ? steps[1] : 0.0;
    double whole = floor(ahead);
    now->tv_sec += (time_t)whole;
    now->tv_nsec += (long)((ahead - whole) * 1e9);
    if (now->tv_nsec >= 1000000000L) {
        now->tv_nsec -= 1000000000L;
        now->tv_sec += 1;
    }
    return 0;
}

time_t time(time_t *told)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}
