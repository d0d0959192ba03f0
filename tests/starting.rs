//! How the real process starts, why it refuses to, and how it ends: exit codes, texts with the line that fixes what is
//! wrong, the files by which others find it, signals (operations.md §§1, 12–14, 23).
#![cfg(feature = "shell")]
// Waiting with a deadline needs the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

#[path = "starting/cluster.rs"]
mod cluster;
#[path = "starting/commands.rs"]
mod commands;
#[path = "starting/files.rs"]
mod files;
#[path = "starting/leaving.rs"]
mod leaving;
#[path = "starting/limits.rs"]
mod limits;
#[path = "starting/papers.rs"]
mod papers;
#[path = "starting/refused.rs"]
mod refused;
#[path = "starting/reloading.rs"]
mod reloading;
#[path = "starting/said.rs"]
mod said;
#[path = "starting/stopping.rs"]
mod stopping;
#[path = "starting/systemd.rs"]
mod systemd;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::process::until;
use support::server::{shard_args, Server, Which};

/// How long a command that says something and ends may take. It takes some milliseconds; the machine may be busy.
const AT_ONCE: Duration = Duration::from_secs(30);

/// What a command came to.
struct Ended {
    /// `None`: a signal ended it.
    code: Option<i32>,
    /// Standard output.
    out: String,
    /// Standard error.
    err: String,
}

impl Ended {
    /// Panics unless the start was refused with all these words.
    fn refused_with(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
        assert!(!self.err.contains("Server is ready") && !self.err.contains("panic"), "{}", self.err);
    }
}

/// Runs a command to its end, which must come at once.
fn run(command: &mut Command) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut running = Running(child.expect("cannot start it"));
    until("the end of the command", AT_ONCE, || running.0.try_wait().expect("cannot wait"));
    let text = |from: Option<&mut dyn std::io::Read>| {
        let mut text = String::new();
        from.expect("a pipe").read_to_string(&mut text).expect("it speaks UTF-8");
        text
    };
    let code = running.0.wait().expect("cannot wait").code();
    let out = text(running.0.stdout.as_mut().map(|s| s as _));
    let err = text(running.0.stderr.as_mut().map(|s| s as _));
    Ended { code, out, err }
}

/// The binary with these arguments.
fn turnpike(args: &[&str]) -> Command {
    let mut command = Command::new(Which::under_test().path());
    command.args(args);
    command
}

/// A process that dies with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("starting-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("cannot make a folder");
        Folder(path)
    }

    /// The path of `name` in here, as text.
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("paths are UTF-8").into()
    }

    /// Writes `name`; its path.
    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("cannot write");
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A server with two shards, this configuration and these arguments.
fn server(conf: &str, args: &[&str]) -> Server {
    let which = Which::under_test();
    let mut all = shard_args(&which, 2);
    all.extend(args.iter().map(|a| a.to_string()));
    Server::start(&which, conf, &all)
}
