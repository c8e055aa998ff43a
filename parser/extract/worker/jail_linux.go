package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// self is the program that runs, also where another one has taken its name.
const self = "/proc/self/exe"

const (
	maxOpen = 32 // files of a process

	// addressSpare is what a Go program reserves, and does not use, beside its
	// memory.
	addressSpare = 4 << 30
)

// bind is the first step of a server: what holds for one thread alone until the
// program is executed anew.
func (t task) bind(name string, _ readFunc) error {
	runtime.LockOSThread()
	t.Do, t.Bound = doServe, append(t.Bound, t.limit(0)...)
	readable := []string{t.CacheDir}
	// The program itself is executed, and its interpreter and libraries where it
	// is not static.
	runnable := append([]string{self}, libraries...)
	t.Bound = append(t.Bound, guard(GuardLandlock, landlock(access{read: readable, run: runnable})))
	return fmt.Errorf("execute the program anew: %w", unix.Exec(self, t.args(name), []string{}))
}

// libraries are where the loader and the libraries of programs are.
var libraries = []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"}

// limit sets the limits of resources. fileSize is that of files that the process
// writes; pipes have none.
func (t task) limit(fileSize uint64) []Guard {
	memory := errors.Join(
		limitTo(unix.RLIMIT_DATA, uint64(t.Memory)),
		limitTo(unix.RLIMIT_AS, uint64(t.Memory)+addressSpare))
	if memory == nil && instrumented() {
		memory = errors.New("the program was built with a detector that needs more")
	}
	return []Guard{
		guard(GuardMemory, memory),
		guard(GuardCPU, limitTo(unix.RLIMIT_CPU, uint64(t.CPU))),
		guard(GuardFiles, errors.Join(limitTo(unix.RLIMIT_NOFILE, maxOpen), limitTo(unix.RLIMIT_FSIZE, fileSize))),
		guard(GuardPrivileges, errors.Join(
			unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
			limitTo(unix.RLIMIT_CORE, 0))),
	}
}

// limitTo lowers a limit for good. One that is lower already stays.
func limitTo(resource int, most uint64) error {
	if instrumented() && (resource == unix.RLIMIT_DATA || resource == unix.RLIMIT_AS) {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	most = min(most, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most})
}

// instrumented reports whether the program was built with -race or the like,
// which reserves terabytes.
func instrumented() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if (s.Key == "-race" || s.Key == "-asan" || s.Key == "-msan") && s.Value == "true" {
			return true
		}
	}
	return false
}

func guard(name string, err error) Guard {
	g := Guard{Name: name}
	if err != nil {
		g.Missing = clean(err.Error(), maxDetail)
	}
	return g
}

// What Landlock may forbid, by the version of its interface (landlock(7)).
const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | landlockRead |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// landlockRules returns what an interface of the version can forbid.
func landlockRules(version uintptr) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: landlockFiles}
	for _, add := range []struct {
		from uintptr
		what func()
	}{
		{2, func() { a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER }},
		{3, func() { a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE }},
		{4, func() {
			a.Handled_access_net |= unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}},
		{5, func() { a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV }},
		{6, func() { a.Scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL }},
	} {
		if version >= add.from {
			add.what()
		}
	}
	return a
}

// access names the files that may be reached, by themselves or by a directory
// above them. Those that do not exist are left out.
type access struct {
	read, run, write []string
}

// landlock lets this thread, and what it executes, reach the files that a names
// and no others.
func landlock(a access) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("the kernel has no Landlock: %w", errno)
	}
	attr := landlockRules(version)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	defer unix.Close(int(fd)) //nolint:errcheck // nothing was written to it
	for _, rule := range []struct {
		paths []string
		may   uint64
	}{
		{a.read, landlockRead}, {a.run, landlockRead | unix.LANDLOCK_ACCESS_FS_EXECUTE}, {a.write, landlockRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE},
	} {
		for _, path := range rule.paths {
			if err := landlockAllow(fd, path, rule.may); err != nil {
				return err
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("enter a Landlock domain: %w", errno)
	}
	return nil
}

func landlockAllow(ruleset uintptr, path string, may uint64) error {
	if path == "" {
		return nil
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written to it
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		may &^= unix.LANDLOCK_ACCESS_FS_READ_DIR
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: may, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}

// computing are the system calls of a Go program that computes: memory,
// threads, clocks, and reading and writing what is open.
var computing = strings.Fields(`read write close fstat
	futex nanosleep clock_nanosleep clock_gettime gettimeofday sched_yield sched_getaffinity getrandom
	munmap madvise mremap brk
	rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall getpid gettid
	epoll_create1 epoll_ctl epoll_pwait eventfd2 pipe2
	set_robust_list rseq exit exit_group getrusage timer_settime timer_delete`)

// allowed is a system call that is let through for some values of an argument.
func allowed(call string, argument uint32, op seccomp.Operation, value uint64) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: call, Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: op, Value: value}}}
}

// filter lets a process compute and nothing else: memory is never executable,
// what is cloned is a thread, and signals go to the process itself. Who a file
// signals (F_SETOWN) is not for it to say either.
func filter() seccomp.Filter {
	some := []seccomp.NameWithConditions{
		allowed("mmap", 2, seccomp.BitsNotSet, unix.PROT_EXEC), allowed("mprotect", 2, seccomp.BitsNotSet, unix.PROT_EXEC),
		allowed("clone", 0, seccomp.BitsSet, unix.CLONE_THREAD), allowed("tgkill", 0, seccomp.Equal, uint64(os.Getpid())),
	}
	for _, command := range []uint64{unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL} {
		some = append(some, allowed("fcntl", 1, seccomp.Equal, command))
	}
	return seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{
				{Action: seccomp.ActionAllow, Names: computing, NamesWithCondtions: some},
				// The C library falls back to clone, whose flags a filter can see, only
				// where the kernel does not know clone3.
				{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
			},
		},
	}
}

// closeJail is the end of the second step: for all threads, for good.
func closeJail() []Guard {
	return []Guard{
		guard(GuardSeccomp, errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), seccomp.LoadFilter(filter()))),
	}
}

// peakMemory returns the most octets that this process had in memory.
func peakMemory() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss << 10
}

// programs are where a program for OCR is, or finds an interpreter.
var programs = []string{"/bin", "/usr/bin", "/usr/local"}

// become binds this process and executes the program for OCR in it: its data
// and its libraries are all that it may read, and nothing that it may write.
func (t task) become() error {
	runtime.LockOSThread()
	t.limit(0)
	run := append(append([]string{t.Program}, libraries...), programs...)
	if err := landlock(access{read: []string{"/usr/share", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu"}, run: run, write: []string{"/dev/null"}}); err != nil {
		fmt.Fprintln(os.Stderr, err) // it goes on: the limits hold, and the program can be killed
	}
	env := []string{"OMP_THREAD_LIMIT=1", "PATH=/usr/bin:/bin"}
	return fmt.Errorf("execute %s: %w", t.Program, unix.Exec(t.Program, append([]string{t.Program}, t.Args...), env))
}
