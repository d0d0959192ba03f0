//! Does io_uring work here? Asked once before anything is started, with a throw-away ring and a throw-away executor,
//! so that a container's seccomp profile, a sysctl, a kernel too old or a limit is one clear sentence and not a panic
//! of some shard's thread. Called by the boot after [`super::cores::plan`]; [`explain`] also turns the failure of a
//! shard's executor into the same sentences.

use std::fmt;
use std::io;

use glommio::{LocalExecutorBuilder, Placement};
use io_uring::{opcode, IoUring};
use nix::sys::resource::{getrlimit, Resource, RLIM_INFINITY};

use super::{cores, Refusal};

/// The oldest kernel whose io_uring has every operation we use.
const KERNEL_MIN: (u32, u32) = (5, 8);

/// The operations that glommio's executor and our use of it need.
const OPERATIONS: [(&str, u8); 10] = [
    ("NOP", opcode::Nop::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("POLL_REMOVE", opcode::PollRemove::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("TIMEOUT_REMOVE", opcode::TimeoutRemove::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::Recv::CODE),
];

/// Makes one io_uring by hand and one executor with the I/O memory configured, and throws both away.
///
/// # Errors
/// What the kernel refused, why in all likelihood, and what to do about it.
pub fn probe(io_memory: usize) -> Result<(), Refusal> {
    let facts = Facts::read();
    // All three system calls of io_uring are tried here, where a refusal is a value: an executor panics on some.
    let ring = IoUring::new(8).map_err(|e| facts.refusal("io_uring_setup", &e))?;
    ring.submitter().submit_and_wait(0).map_err(|e| facts.refusal("io_uring_enter", &e))?;
    let mut known = io_uring::Probe::new();
    ring.submitter().register_probe(&mut known).map_err(|e| facts.refusal("io_uring_register", &e))?;
    let missing: Vec<&str> = OPERATIONS.iter().filter(|(_, c)| !known.is_supported(*c)).map(|(n, _)| *n).collect();
    if !missing.is_empty() {
        return Err(facts.too_old(&format!("its io_uring has no {}", missing.join(", "))));
    }
    drop(ring);

    let executor = std::thread::Builder::new().name("turnpike-probe".into()).spawn(move || {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(io_memory).ring_depth(cores::RING_DEPTH);
        builder.make().map(|executor| executor.run(async {}))
    });
    let executor = executor.map_err(|e| Refusal::new(format!("cannot start a thread: {e}"), THREADS_REMEDY))?;
    match executor.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(facts.refusal("an executor", &errno_of(&e))),
        Err(_) => Err(Refusal::new("cannot start io_uring: an executor panicked on its first turn", String::new())),
    }
}

/// What to do when no thread can be started.
const THREADS_REMEDY: &str = "raise TasksMax= in the systemd unit, pids.max of the container, or `ulimit -u`";

/// The same sentences for an executor of a shard that could not be made, `error` being what glommio said.
pub fn explain(error: &dyn fmt::Display) -> Refusal {
    Facts::read().refusal("an executor", &errno_of(error))
}

/// glommio wraps the kernel's error in texts of its own; the number stands at their end.
fn errno_of(error: &dyn fmt::Display) -> io::Error {
    let text = error.to_string();
    let code = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error)
}

/// What the texts of a refusal are made of.
struct Facts {
    /// `kernel.io_uring_disabled`; `None`: the sysctl does not exist here or `/proc/sys` is hidden.
    disabled: Option<u8>,
    /// Release of the running kernel, e.g. "5.4.0-150-generic".
    kernel: String,
    /// Soft `RLIMIT_MEMLOCK` in bytes; `None`: unlimited.
    memlock: Option<u64>,
}

impl Facts {
    fn read() -> Facts {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
        let memlock = getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft).filter(|&s| s != RLIM_INFINITY);
        Facts {
            disabled: disabled.ok().and_then(|s| s.trim().parse().ok()),
            kernel: release.unwrap_or_else(|_| "unknown".into()),
            memlock,
        }
    }

    /// The sentence for `error`, met while making `stage`.
    fn refusal(&self, stage: &str, error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => self.forbidden(stage),
            Some(libc::ENOSYS | libc::EINVAL) if self.is_old() => self.too_old("io_uring is missing or incomplete"),
            Some(libc::ENOSYS) => Refusal::new(
                format!(
                    "cannot start io_uring: ENOSYS from {stage} although Linux {} has it — blocked by a seccomp \
                     profile, or the kernel was built without CONFIG_IO_URING",
                    self.kernel
                ),
                SECCOMP_REMEDY,
            ),
            Some(libc::ENOMEM) => self.no_memory(stage),
            Some(libc::EMFILE | libc::ENFILE) => Refusal::new(
                format!("cannot start io_uring: no file descriptor left for {stage} ({error})"),
                "set LimitNOFILE=800000 in the systemd unit, or `ulimit -n 65536`",
            ),
            _ => Refusal::new(
                format!("cannot start io_uring: {stage} failed on Linux {}: {error}", self.kernel),
                format!("turnpike needs Linux {}.{} or newer with io_uring", KERNEL_MIN.0, KERNEL_MIN.1),
            ),
        }
    }

    fn forbidden(&self, stage: &str) -> Refusal {
        match self.disabled {
            Some(2) => Refusal::new(
                "cannot start io_uring: EPERM — kernel.io_uring_disabled = 2 forbids it to every process",
                "sysctl -w kernel.io_uring_disabled=0 (and in /etc/sysctl.d/ to keep it)",
            ),
            Some(1) => Refusal::new(
                "cannot start io_uring: EPERM — kernel.io_uring_disabled = 1 allows it to the group \
                 kernel.io_uring_group and to CAP_SYS_ADMIN only",
                "sysctl -w kernel.io_uring_disabled=0, or sysctl -w kernel.io_uring_group=<gid of turnpike's group>",
            ),
            Some(_) => Refusal::new(
                format!("cannot start io_uring: EPERM from {stage} — blocked by seccomp ({PROFILES})"),
                SECCOMP_REMEDY,
            ),
            None => Refusal::new(
                format!(
                    "cannot start io_uring: EPERM from {stage} — blocked by seccomp ({PROFILES}) or by the sysctl \
                     kernel.io_uring_disabled"
                ),
                format!("{SECCOMP_REMEDY}; sysctl -w kernel.io_uring_disabled=0"),
            ),
        }
    }

    fn no_memory(&self, stage: &str) -> Refusal {
        let limit = self.memlock.map_or("unlimited".to_string(), |b| format!("{} KiB", b >> 10));
        Refusal::new(
            format!(
                "cannot start io_uring: ENOMEM from {stage} — locked memory is used up (RLIMIT_MEMLOCK {limit}, counted \
                 over all processes of this user) or the machine is out of memory"
            ),
            "raise LimitMEMLOCK= in the systemd unit or `ulimit -l`, use fewer shards (--shards), or end what else \
             locks memory as this user",
        )
    }

    fn too_old(&self, missing: &str) -> Refusal {
        Refusal::new(
            format!(
                "cannot start io_uring: Linux {} is too old ({missing}); {}.{} is the minimum",
                self.kernel, KERNEL_MIN.0, KERNEL_MIN.1
            ),
            format!("boot Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1),
        )
    }

    /// Is this kernel known to be older than the minimum?
    fn is_old(&self) -> bool {
        let mut numbers = self.kernel.split(['.', '-']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < KERNEL_MIN,
            _ => false,
        }
    }
}

/// Who blocks io_uring without being asked.
const PROFILES: &str = "the default of Docker and containerd since 2023";
/// How to let it through.
const SECCOMP_REMEDY: &str = "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp \
                              profile (docker: --security-opt seccomp=<profile>.json; Kubernetes: securityContext.\
                              seccompProfile; systemd: SystemCallFilter=@aio)";

#[cfg(test)]
mod tests;
