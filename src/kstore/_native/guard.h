/* Running a few lines of C over a file map so that a failing disk does not kill the process.
 *
 * Touching a mapped page whose file was cut short, or that the disk can't deliver, raises SIGBUS.
 * `kstore_guarded(work, arguments)` runs `work` and returns 0, or gives it up at a SIGBUS and
 * returns -1. `work` is plain C on borrowed bytes: no Python object, no lock, no allocation, since
 * it may be left at any instruction. A SIGBUS from anywhere else goes to the handler that was
 * there before (faulthandler's, or the default: the end of the process). */
#ifndef KSTORE_GUARD_H
#define KSTORE_GUARD_H

#include <setjmp.h>
#include <signal.h>
#include <string.h>

static __thread sigjmp_buf kstore_guard_return;
static __thread volatile sig_atomic_t kstore_guard_armed = 0;
static struct sigaction kstore_guard_previous;
static int kstore_guard_installed = 0;

static void kstore_guard_handler(int number, siginfo_t *info, void *context) {
    if (kstore_guard_armed) {
        kstore_guard_armed = 0;
        siglongjmp(kstore_guard_return, 1);
    }
    if (kstore_guard_previous.sa_flags & SA_SIGINFO) {
        kstore_guard_previous.sa_sigaction(number, info, context);
    } else if (kstore_guard_previous.sa_handler == SIG_DFL ||
               kstore_guard_previous.sa_handler == SIG_IGN) {
        /* The faulting instruction runs again, now with nobody to catch it. */
        signal(number, SIG_DFL);
    } else {
        kstore_guard_previous.sa_handler(number);
    }
}

/* Idempotent. SA_NODEFER: the handler is left by a jump, which restores no signal mask. */
static int kstore_guard_install(void) {
    struct sigaction action;
    if (kstore_guard_installed) return 0;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = kstore_guard_handler;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &kstore_guard_previous) != 0) return -1;
    kstore_guard_installed = 1;
    return 0;
}

static int kstore_guarded(void (*work)(void *), void *arguments) {
    if (sigsetjmp(kstore_guard_return, 0)) return -1;
    kstore_guard_armed = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* no access to the map moves out of the guard */
    work(arguments);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    kstore_guard_armed = 0;
    return 0;
}

#endif
