/* A disk whose syncs take long: fsync and fdatasync sleep first, then do their work.
 *
 * To be preloaded into a broker (LD_PRELOAD), so that both sides of a comparison meet the same
 * disk; the JVM's FileChannel.force comes here too. SLOW_SYNC_US says how long, in microseconds.
 * Only regular files: the delay of a directory's sync would be met where Kafka makes none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static struct timespec delay;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("SLOW_SYNC_US");
    long us = text != NULL ? atol(text) : 0;
    delay.tv_sec = us / 1000000;
    delay.tv_nsec = us % 1000000 * 1000;
    real_fsync = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
}

static void wait_for_disk(int descriptor)
{
    struct stat found;
    struct timespec left = delay;
    if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode))
        return;
    while ((left.tv_sec > 0 || left.tv_nsec > 0) && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

int fsync(int descriptor)
{
    wait_for_disk(descriptor);
    return real_fsync(descriptor);
}

int fdatasync(int descriptor)
{
    wait_for_disk(descriptor);
    return real_fdatasync(descriptor);
}
