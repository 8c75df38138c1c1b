/* Writes down what a process does to the files of one folder: loaded before it starts (LD_PRELOAD), it has the kernel stop
 * every system call that changes files (seccomp), carries it out, and appends a record of it to a log. System calls that
 * a program makes without the C library are seen as well. Environment: RECORD_FOLDER, RECORD_LOG.
 *
 * With RECORD_AHEAD, who asks where it is in a journal it writes is told that it is so many bytes further: the engine
 * begins another after 64 MB and has no setting for that.
 *
 * A record: kind (u32), payload length (u32), a, b, c (i64 each), payload. Records of the test itself have other kinds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum { START, OPEN, CLOSE, DUP, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RENAME, LINK, UNLINK, MKDIR, ALLOCATE, MAP };

/* The sixth argument of our own system calls, which lets them through. */
#define PASS 0x5a17c0deL
#define CALL(number, a, b, c, d, e) syscall(number, a, b, c, d, e, PASS)
#define FDS 65536

static char folder[4096];
static size_t folder_length;
static int log_fd;
static unsigned char tracked[FDS], journal[FDS];
static long ahead;
static int locked;

static void lock(void) { while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE)) CALL(SYS_sched_yield, 0, 0, 0, 0, 0); }
static void unlock(void) { __atomic_store_n(&locked, 0, __ATOMIC_RELEASE); }

static void die(const char *why) {
    CALL(SYS_write, 2, (long)why, strlen(why), 0, 0);
    CALL(SYS_exit_group, 99, 0, 0, 0, 0);
}

/* Appends a record whose payload is up to three pieces, in one write, so that records do not mix. */
static void record(uint32_t kind, int64_t a, int64_t b, int64_t c, const struct iovec *pieces, int count) {
    struct { uint32_t kind, length; int64_t a, b, c; } head = {kind, 0, a, b, c};
    struct iovec all[64] = {{&head, sizeof head}};
    size_t total = sizeof head;
    if (count > 63) die("too many pieces\n");
    for (int i = 0; i < count; i++) {
        all[i + 1] = pieces[i];
        head.length += pieces[i].iov_len;
        total += pieces[i].iov_len;
    }
    if (CALL(SYS_writev, log_fd, (long)all, count + 1, 0, 0) != (long)total) die("cannot record\n");
}

static void record_paths(uint32_t kind, int64_t a, int64_t b, const char *one, const char *other) {
    struct iovec pieces[2] = {{(char *)one, strlen(one) + 1}, {(char *)(other ? other : ""), other ? strlen(other) + 1 : 0}};
    record(kind, a, b, 0, pieces, other ? 2 : 1);
}

/* Makes a path whole; whether it is below the folder, where it starts then. */
static const char *place(int at, const char *path, char *whole) {
    if (path[0] == '/') {
        snprintf(whole, 8192, "%s", path);
    } else {
        char link[64];
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        long length = CALL(SYS_readlink, (long)link, (long)whole, 4000, 0, 0);
        if (length < 0) return NULL;
        snprintf(whole + length, 4096, "/%s", path);
    }
    if (strncmp(whole, folder, folder_length) || (whole[folder_length] != '/' && whole[folder_length])) return NULL;
    const char *rest = whole + folder_length;
    while (*rest == '/') rest++;
    return rest;
}

static int is_tracked(long fd) { return fd >= 0 && fd < FDS && tracked[fd]; }

static long opened(int at, const char *path, long flags, long mode) {
    char whole[8192];
    const char *rest = place(at, path, whole);
    if (!rest || flags & O_PATH) return CALL(SYS_openat, at, (long)path, flags, mode, 0);
    lock();
    long fd = CALL(SYS_openat, at, (long)path, flags, mode, 0);
    if (fd >= FDS) die("too many files\n");
    if (fd >= 0) {
        tracked[fd] = 1;
        size_t length = strlen(rest);
        int writer = (flags & O_ACCMODE) == O_WRONLY || flags & O_EXCL;
        journal[fd] = writer && length > 4 && !strcmp(rest + length - 4, ".jnl");
        record_paths(OPEN, fd, flags, rest, NULL);
    }
    unlock();
    return fd;
}

static long written(long number, long fd, long a, long b, long c, long d) {
    if (!is_tracked(fd)) return CALL(number, fd, a, b, c, d);
    lock();
    long done = CALL(number, fd, a, b, c, d);
    if (done > 0) {
        int positioned = number == SYS_pwrite64 || number == SYS_pwritev;
        long start = positioned ? c : CALL(SYS_lseek, fd, 0, SEEK_CUR, 0, 0) - done;
        struct iovec one = {(void *)a, done};
        struct iovec pieces[63];
        int count = 0;
        if (number == SYS_write || number == SYS_pwrite64) {
            pieces[count++] = one;
        } else {
            size_t left = done;
            for (const struct iovec *piece = (void *)a; left > 0; piece++) {
                if (count == 63) die("too many pieces\n");
                size_t taken = piece->iov_len < left ? piece->iov_len : left;
                pieces[count++] = (struct iovec){piece->iov_base, taken};
                left -= taken;
            }
        }
        record(WRITE, fd, start, 0, pieces, count);
    }
    unlock();
    return done;
}

/* Changes of names: all of them keep others waiting, so that the log has their order. */
static long renamed(uint32_t kind, long number, int from_at, const char *from, int to_at, const char *to, long flags) {
    char one[8192], other[8192];
    const char *from_rest = place(from_at, from, one);
    const char *to_rest = to ? place(to_at, to, other) : NULL;
    lock();
    long done = to ? CALL(number, from_at, (long)from, to_at, (long)to, flags) : CALL(number, from_at, (long)from, flags, 0, 0);
    if (!done && to && !from_rest != !to_rest) die("a file crosses the border of the folder\n");
    if (!done && from_rest) record_paths(kind, flags, 0, from_rest, to_rest);
    unlock();
    return done;
}

static long dispatch(long number, long a, long b, long c, long d, long e) {
    long done;
    switch (number) {
#ifdef SYS_open
    case SYS_open: return opened(AT_FDCWD, (char *)a, b, c);
    case SYS_creat: return opened(AT_FDCWD, (char *)a, O_CREAT | O_WRONLY | O_TRUNC, b);
    case SYS_rename: return renamed(RENAME, SYS_renameat2, AT_FDCWD, (char *)a, AT_FDCWD, (char *)b, 0);
    case SYS_link: return renamed(LINK, SYS_linkat, AT_FDCWD, (char *)a, AT_FDCWD, (char *)b, 0);
    case SYS_unlink: return renamed(UNLINK, SYS_unlinkat, AT_FDCWD, (char *)a, 0, NULL, 0);
    case SYS_rmdir: return renamed(UNLINK, SYS_unlinkat, AT_FDCWD, (char *)a, 0, NULL, AT_REMOVEDIR);
    case SYS_mkdir: return renamed(MKDIR, SYS_mkdirat, AT_FDCWD, (char *)a, 0, NULL, b);
#endif
    case SYS_openat: return opened(a, (char *)b, c, d);
    case SYS_renameat: return renamed(RENAME, SYS_renameat2, a, (char *)b, c, (char *)d, 0);
    case SYS_renameat2: return renamed(RENAME, SYS_renameat2, a, (char *)b, c, (char *)d, e);
    case SYS_linkat: return renamed(LINK, SYS_linkat, a, (char *)b, c, (char *)d, e);
    case SYS_unlinkat: return renamed(UNLINK, SYS_unlinkat, a, (char *)b, 0, NULL, c);
    case SYS_mkdirat: return renamed(MKDIR, SYS_mkdirat, a, (char *)b, 0, NULL, c);
    case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_pwritev: return written(number, a, b, c, d, e);
    case SYS_fsync: case SYS_fdatasync:
        if (!is_tracked(a)) return CALL(number, a, 0, 0, 0, 0);
        lock();
        record(SYNC_BEGIN, a, 0, 0, NULL, 0);
        unlock();
        done = CALL(number, a, 0, 0, 0, 0);
        if (!done) {
            lock();
            record(SYNC_END, a, 0, 0, NULL, 0);
            unlock();
        }
        return done;
    case SYS_ftruncate: case SYS_fallocate:
        lock();
        done = CALL(number, a, b, c, d, 0);
        if (!done && is_tracked(a)) {
            if (number == SYS_fallocate && b) die("a kind of allocation that is not understood\n");
            if (number == SYS_ftruncate) record(TRUNCATE, a, b, 0, NULL, 0);
            else record(ALLOCATE, a, c + d, 0, NULL, 0);
        }
        unlock();
        return done;
    case SYS_close:
        if (!is_tracked(a)) return CALL(number, a, 0, 0, 0, 0);
        lock();
        tracked[a] = 0;
        record(CLOSE, a, 0, 0, NULL, 0);
        done = CALL(number, a, 0, 0, 0, 0);
        unlock();
        return done;
    case SYS_fcntl: case SYS_dup:
        lock();
        done = CALL(number, a, b, c, 0, 0);
        if (is_tracked(a) && done >= 0 && (number == SYS_dup || b == F_DUPFD || b == F_DUPFD_CLOEXEC)) {
            tracked[done] = 1;
            record(DUP, a, done, 0, NULL, 0);
        }
        unlock();
        return done;
    }
    die("a system call that is not understood\n");
    return -1;
}

/* In the place of the C library's: nothing is recorded of it. The recorder asks the kernel. It is called by the program, where
 * PASS would stay in a register: the program's next write would pass, too, if nothing else had used that register. */
off64_t lseek64(int fd, off64_t offset, int whence) {
    long at = syscall(SYS_lseek, fd, offset, whence, 0L, 0L, 0L);
    return at >= 0 && whence == SEEK_CUR && is_tracked(fd) && journal[fd] ? at + ahead : at;
}

static void trapped(int signal, siginfo_t *info, void *context) {
    (void)signal;
    ucontext_t *user = context;
    int before = errno;
#if defined(__x86_64__)
    greg_t *r = user->uc_mcontext.gregs;
    long done = dispatch(info->si_syscall, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8]);
    r[REG_RAX] = done < 0 ? -errno : done;
#elif defined(__aarch64__)
    unsigned long long *r = user->uc_mcontext.regs;
    long done = dispatch(info->si_syscall, r[0], r[1], r[2], r[3], r[4]);
    r[0] = done < 0 ? -errno : done;
#endif
    errno = before;
}

/* SIGUSR2 is a kill between two system calls and never within one, which would have changed files and not be recorded: what
 * the program does next would build on what the log does not have. It waits while a system call is carried out, because
 * all signals do. */
static void killed(int signal) {
    (void)signal;
    lock();
    CALL(SYS_kill, CALL(SYS_getpid, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0);
    for (;;) CALL(SYS_sched_yield, 0, 0, 0, 0, 0);
}

#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define CASE(number, what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), RETURN(what)
#define TRAP(number) CASE(number, SECCOMP_RET_TRAP)
#define REFUSE(number) CASE(number, SECCOMP_RET_ERRNO | ENOSYS)

__attribute__((constructor)) static void begin(void) {
    const char *root = getenv("RECORD_FOLDER"), *log = getenv("RECORD_LOG");
    if (!root || !log) return;
    if (getenv("RECORD_AHEAD")) ahead = atol(getenv("RECORD_AHEAD"));
    folder_length = snprintf(folder, sizeof folder, "%s", root);
    int fd = open(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
    if (log_fd < 0) die("no log\n");
    close(fd);
    record(START, getpid(), 0, 0, NULL, 0);
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    struct sigaction kill_action = {.sa_handler = killed};
    sigfillset(&kill_action.sa_mask);
    sigaction(SIGUSR2, &kill_action, NULL);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PASS, 0, 1), RETURN(SECCOMP_RET_ALLOW),
        NUMBER,
#ifdef SYS_open
        TRAP(open), TRAP(creat), TRAP(rename), TRAP(link), TRAP(unlink), TRAP(rmdir), TRAP(mkdir),
#endif
        TRAP(openat), TRAP(renameat2), TRAP(linkat), TRAP(unlinkat), TRAP(mkdirat), TRAP(renameat), TRAP(write),
        TRAP(pwrite64), TRAP(writev), TRAP(pwritev), TRAP(fsync), TRAP(fdatasync), TRAP(ftruncate), TRAP(fallocate),
        TRAP(close), TRAP(dup),
        /* Ways around: callers have others. */
        REFUSE(copy_file_range), REFUSE(sendfile), REFUSE(splice), REFUSE(io_uring_setup), REFUSE(pwritev2),
        REFUSE(truncate), REFUSE(openat2), REFUSE(close_range),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_DUPFD_CLOEXEC, 0, 1), RETURN(SECCOMP_RET_TRAP),
        NUMBER,
        /* Shared memory that can be written would be seen by nobody. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1), RETURN(SECCOMP_RET_ERRNO | ENODEV),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("no filter\n");
}
