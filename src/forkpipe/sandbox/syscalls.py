"""Numbers of system calls on x86-64 and aarch64, by what the filter does with them.

An entry reads name=x86-64/aarch64; a side is empty where that machine has no such call. What stands in no table is
answered with ENOSYS, as a kernel that does not know the call does: libraries then fall back on an older call. `clone3`
is left out for this reason: its flags lie in memory that a filter cannot read, and glibc falls back on `clone`.
"""

ALLOWED = """
read=0/63 write=1/64 readv=19/65 writev=20/66 pread64=17/67 pwrite64=18/68 preadv=295/69 pwritev=296/70
preadv2=327/286 pwritev2=328/287 lseek=8/62 close=3/57 close_range=436/436 dup=32/23 dup2=33/ dup3=292/24
pipe=22/ pipe2=293/59 open=2/ openat=257/56 stat=4/ fstat=5/80 lstat=6/ newfstatat=262/79 statx=332/291
access=21/ faccessat=269/48 faccessat2=439/439 readlink=89/ readlinkat=267/78 getdents=78/ getdents64=217/61
getcwd=79/17 chdir=80/49 fchdir=81/50 ftruncate=77/46 fsync=74/82 fdatasync=75/83 fadvise64=221/223 flock=73/32
umask=95/166 mmap=9/222 munmap=11/215 mremap=25/216 mprotect=10/226 brk=12/214 madvise=28/233 mincore=27/232
msync=26/227 membarrier=324/283 futex=202/98 futex_waitv=449/449 set_robust_list=273/99 get_robust_list=274/100
set_tid_address=218/96 rseq=334/293 sched_yield=24/124 sched_getaffinity=204/123 sched_getparam=143/121
sched_getscheduler=145/120 getpriority=140/141 getcpu=309/168 exit=60/93 exit_group=231/94 wait4=61/260
waitid=247/95 rt_sigaction=13/134 rt_sigprocmask=14/135 rt_sigreturn=15/139 rt_sigpending=127/136
rt_sigtimedwait=128/137 rt_sigsuspend=130/133 sigaltstack=131/132 pause=34/ alarm=37/ setitimer=38/103
getitimer=36/102 restart_syscall=219/128 getpid=39/172 gettid=186/178 getppid=110/173 getuid=102/174
geteuid=107/175 getgid=104/176 getegid=108/177 getpgrp=111/ getpgid=121/155 getsid=124/156 getresuid=118/148
getresgid=120/150 getgroups=115/158 uname=63/160 sysinfo=99/179 getrusage=98/165 times=100/153 getrlimit=97/163
setrlimit=160/164 clock_gettime=228/113 clock_getres=229/114 clock_nanosleep=230/115 nanosleep=35/101
gettimeofday=96/169 time=201/ getrandom=318/278 poll=7/ ppoll=271/73 select=23/ pselect6=270/72
epoll_create=213/ epoll_create1=291/20 epoll_ctl=233/21 epoll_wait=232/ epoll_pwait=281/22 epoll_pwait2=441/441
eventfd=284/ eventfd2=290/19 sendto=44/206 recvfrom=45/207 shutdown=48/210 getsockname=51/204 getpeername=52/205
getsockopt=55/209
"""
"""Calls of a program that computes, reads its input and writes its output."""

CHECKED = """
clone=56/220 kill=62/129 tgkill=234/131 rt_sigqueueinfo=129/138 prlimit64=302/261 ioctl=16/29 fcntl=72/25
prctl=157/167 socketpair=53/199
"""
"""Calls that are allowed with some arguments only, see `seccomp`."""

REFUSED = """
mkdir=83/ mkdirat=258/34 rmdir=84/ unlink=87/ unlinkat=263/35 rename=82/ renameat=264/38 renameat2=316/276
fork=57/ vfork=58/ execve=59/221 execveat=322/281 socket=41/198 connect=42/203 bind=49/200 listen=50/201
accept=43/202 accept4=288/242 sendmsg=46/211 recvmsg=47/212 sendmmsg=307/269 recvmmsg=299/243 setsockopt=54/208
ptrace=101/117 process_vm_readv=310/270 process_vm_writev=311/271 process_madvise=440/440
process_mrelease=448/448 pidfd_open=434/434 pidfd_getfd=438/438 pidfd_send_signal=424/424 tkill=200/130
rt_tgsigqueueinfo=297/240 kcmp=312/272 unshare=272/97 setns=308/268 mount=165/40 umount2=166/39
pivot_root=155/41 chroot=161/51 open_tree=428/428 move_mount=429/429 fsopen=430/430 fsmount=432/432
fsconfig=431/431 fspick=433/433 mount_setattr=442/442 keyctl=250/219 add_key=248/217 request_key=249/218
bpf=321/280 io_uring_setup=425/425 io_uring_enter=426/426 io_uring_register=427/427 perf_event_open=298/241
userfaultfd=323/282 memfd_create=319/279 memfd_secret=447/447 shmget=29/194 shmat=30/196 shmctl=31/195
shmdt=67/197 msgget=68/186 msgsnd=69/189 msgrcv=70/188 msgctl=71/187 semget=64/190 semop=65/193 semctl=66/191
mq_open=240/180 truncate=76/45 fallocate=285/47 chmod=90/ fchmod=91/52 fchmodat=268/53 fchmodat2=452/452
chown=92/ fchown=93/55 lchown=94/ fchownat=260/54 utime=132/ utimes=235/ utimensat=280/88 futimesat=261/
setxattr=188/5 lsetxattr=189/6 fsetxattr=190/7 removexattr=197/14 lremovexattr=198/15 fremovexattr=199/16
link=86/ linkat=265/37 symlink=88/ symlinkat=266/36 mknod=133/ mknodat=259/33 open_by_handle_at=304/265
name_to_handle_at=303/264 fanotify_init=300/262 inotify_init=253/ inotify_init1=294/26 setuid=105/146
setgid=106/144 setreuid=113/145 setregid=114/143 setresuid=117/147 setresgid=119/149 setgroups=116/159
setfsuid=122/151 setfsgid=123/152 capset=126/91 setpgid=109/154 setsid=112/157 setpriority=141/140
ioprio_set=251/30 sched_setaffinity=203/122 sched_setparam=142/118 sched_setscheduler=144/119
sched_setattr=314/274 mlock=149/228 mlock2=325/284 mlockall=151/230 personality=135/92 seccomp=317/277
landlock_create_ruleset=444/444 landlock_add_rule=445/445 landlock_restrict_self=446/446 sethostname=170/161
setdomainname=171/162 reboot=169/142 swapon=167/224 syslog=103/116 init_module=175/105 finit_module=313/273
kexec_load=246/104 quotactl=179/60 acct=163/89 settimeofday=164/170 clock_settime=227/112 adjtimex=159/171
"""
"""Calls that are answered with EPERM, so that a program can be told what was refused: new processes, the network, other
processes, namespaces and mounts, the kernel's doors, shared memory that outlives a process, and changes of files that
Landlock does not cover."""


def numbers(table: str, machine: str) -> dict[str, int]:
    """Return the calls of a table that a machine has, by name.

    >>> numbers("read=0/63 open=2/", "x86_64"), numbers("read=0/63 open=2/", "aarch64")
    ({'read': 0, 'open': 2}, {'read': 63})
    """
    side = ("x86_64", "aarch64").index(machine)
    entries = (entry.partition("=") for entry in table.split())
    return {name: int(number) for name, _, both in entries if (number := both.split("/")[side])}
