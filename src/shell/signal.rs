//! Signals: those sent to the server ([`listen`], one thread that waits for them) and those the command line sends to
//! a running one ([`send`], `--signal cmd[=target]`; operations.md §14).

use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::Refusal;

/// Names a server may run under: ours, and the one it has where it stands in for nats-server.
const PROCESS_NAMES: [&str; 2] = ["turnpike", "nats-server"];

/// A signal the server acts on (operations.md §14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: graceful shutdown, during lame duck too.
    Interrupt,
    /// SIGTERM: the same. nats-server ignores it in a lame duck.
    Terminate,
    /// SIGHUP: reload the configuration.
    Hangup,
    /// SIGUSR1: reopen the log file.
    User1,
    /// SIGUSR2: lame duck.
    User2,
}

impl Signal {
    /// Its name in the line `Trapped "<name>" signal` (operations.md §12).
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "interrupt",
            Signal::Terminate => "terminated",
            Signal::Hangup => "hangup",
            Signal::User1 => "user defined signal 1",
            Signal::User2 => "user defined signal 2",
        }
    }

    fn of(number: i32) -> Option<Signal> {
        match number {
            SIGINT => Some(Signal::Interrupt),
            SIGTERM => Some(Signal::Terminate),
            SIGHUP => Some(Signal::Hangup),
            SIGUSR1 => Some(Signal::User1),
            SIGUSR2 => Some(Signal::User2),
            _ => None,
        }
    }
}

/// The thread that waits for signals. Dropping it ends the thread; signals that come later are swallowed, not fatal.
#[derive(Debug)]
pub struct Signals {
    handle: signal_hook::iterator::Handle,
    thread: Option<JoinHandle<()>>,
}

/// From now on the five signals no longer end the process; each is handed to `heard` on a thread of its own.
///
/// # Errors
/// The kernel has no thread or descriptor left.
pub fn listen(mut heard: impl FnMut(Signal) + Send + 'static) -> io::Result<Signals> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    let handle = signals.handle();
    let thread = std::thread::Builder::new().name("turnpike-signal".into()).spawn(move || {
        for number in signals.forever() {
            if let Some(signal) = Signal::of(number) {
                heard(signal);
            }
        }
    })?;
    Ok(Signals { handle, thread: Some(thread) })
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        let own = std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != own) {
            // A panic in there was reported when it happened; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// Sends a signal to a running server: `quit`, `term`, `stop`, `reopen`, `ldm` or `reload`, alone or as
/// `cmd=<pid>`, `cmd=<pid prefix>*`, `cmd=<pid file>`. Alone it looks for the one process called like a server.
///
/// # Errors
/// nats-server's texts, without the `nats-server: ` that stands before them: an unknown command or process, several
/// processes, a signal that could not be sent.
pub fn send(argument: &str) -> Result<(), Refusal> {
    send_through(argument, &running, &mut |pid, signal| kill(Pid::from_raw(pid), signal))
}

fn send_through(
    argument: &str,
    running: &dyn Fn() -> Vec<i32>,
    kill: &mut dyn FnMut(i32, nix::sys::signal::Signal) -> Result<(), Errno>,
) -> Result<(), Refusal> {
    let (command, target) = argument.split_once('=').unwrap_or((argument, ""));
    let refusal = |text: String| Refusal::new(text, String::new());
    let signal = match command {
        "stop" => nix::sys::signal::Signal::SIGKILL,
        "quit" => nix::sys::signal::Signal::SIGINT,
        "term" => nix::sys::signal::Signal::SIGTERM,
        "reopen" => nix::sys::signal::Signal::SIGUSR1,
        "reload" => nix::sys::signal::Signal::SIGHUP,
        "ldm" => nix::sys::signal::Signal::SIGUSR2,
        other => return Err(refusal(format!("unknown signal {other:?}"))),
    };
    let pids = match target {
        "" => match running() {
            found if found.len() > 1 => {
                let list: String = found.iter().map(|pid| format!("\n{pid}")).collect();
                return Err(refusal(format!("multiple {} processes running:{list}", names())));
            }
            found => found,
        },
        target => match target.strip_suffix('*') {
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                running().into_iter().filter(|pid| pid.to_string().starts_with(prefix)).collect()
            }
            Some(prefix) => return Err(refusal(format!("invalid pid: {prefix}"))),
            None => vec![pid_of(target)?],
        },
    };
    if pids.is_empty() {
        return Err(refusal(format!("no {} processes running", names())));
    }
    let mut failed = String::new();
    for pid in pids {
        if let Err(errno) = kill(pid, signal) {
            failed.push_str(&format!("\nsignal {command:?} {pid}: {}", errno.desc().to_lowercase()));
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(refusal(failed)),
    }
}

/// The process meant by a number or by a file that holds one. 0 and negative numbers, which the kernel takes for
/// groups of processes, are no process.
fn pid_of(target: &str) -> Result<i32, Refusal> {
    let parse = |text: &str| text.trim().parse::<i32>().ok().filter(|&pid| pid > 0);
    if let Some(pid) = parse(target) {
        return Ok(pid);
    }
    let invalid = |text: &str| Refusal::new(format!("invalid pid: {text}"), String::new());
    if !Path::new(target).is_file() {
        return Err(invalid(target));
    }
    let held = std::fs::read_to_string(target)
        .map_err(|e| Refusal::new(format!("cannot read the pid file {target}: {e}"), String::new()))?;
    parse(&held).ok_or_else(|| invalid(held.trim()))
}

fn names() -> String {
    PROCESS_NAMES.join(" or ")
}

/// Running servers other than ourselves, by the names in [`PROCESS_NAMES`], ascending. A process's name is what it was
/// started as (`comm`); the kernel cuts it at 15 bytes, which both names are below.
fn running() -> Vec<i32> {
    let own = std::process::id();
    let mut pids: Vec<i32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| u32::try_from(pid).is_ok_and(|p| p != own) && is_server(pid))
        .collect();
    pids.sort_unstable();
    pids
}

fn is_server(pid: i32) -> bool {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name in brackets; a zombie only waits to be buried.
    let zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    PROCESS_NAMES.contains(&comm.trim_end()) && !zombie
}

#[cfg(test)]
mod tests;
