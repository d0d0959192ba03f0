//! Servers in network namespaces of their own, joined by cables that can be cut or lose what is sent one way.
//!
//! Any two nodes have a cable; the hub, where the test itself runs, has one to each node for clients and monitoring. A
//! node takes routes at an address of its own that is reached over the cable between the two. Nothing of this is seen
//! from outside: all namespaces are those of processes that end with the test, however it ends.
//!
//! Needs root and `ip`, `nsenter`, `unshare`. Where that is not to be had the test is skipped, and says so past the
//! harness's capture; with `TURNPIKE_NO_SKIP` it fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to enter its namespace.
const ENTRY_LIMIT: Duration = Duration::from_secs(20);

/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:01";

/// A process that holds a namespace. It reads its input, which ends with the test.
struct Holder(Child);

impl Holder {
    fn new() -> io::Result<Holder> {
        let own = fs::read_link("/proc/thread-self/ns/net")?;
        let mut child = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let end = Instant::now() + ENTRY_LIMIT;
        let holder = format!("/proc/{}/ns/net", child.id());
        while fs::read_link(&holder).is_ok_and(|is| is == own) {
            if child.try_wait()?.is_some() || Instant::now() > end {
                let out = child.wait_with_output()?;
                return Err(io::Error::other(String::from_utf8_lossy(&out.stderr).trim().to_string()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Holder(child))
    }

    fn file(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
    }

    /// Runs lines of `ip` inside.
    fn ip(&self, lines: &str) -> io::Result<()> {
        let net = format!("--net={}", self.file().display());
        let mut child = Command::new("nsenter")
            .args([&net, "ip", "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().expect("a pipe").write_all(lines.as_bytes())?;
        let out = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        out.status.success().then_some(()).ok_or_else(|| io::Error::other(format!("ip: {}\n{lines}", said.trim())))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Some nodes and their cables.
pub struct Net {
    hub: Holder,
    nodes: Vec<Holder>,
}

impl Net {
    /// Runs `work` in the hub of `n` nodes.
    pub fn with(n: usize, work: impl FnOnce(&Net) + Send + 'static) {
        // A thread of its own: the harness may run tests on its main one.
        let inside = thread::spawn(move || match Net::new(n) {
            Ok(net) => {
                let hub = File::open(net.hub.file()).expect("the hub's namespace");
                nix::sched::setns(hub, nix::sched::CloneFlags::CLONE_NEWNET).expect("cannot enter the hub");
                work(&net);
            }
            Err(e) => {
                assert!(std::env::var_os("TURNPIKE_NO_SKIP").is_none(), "no network namespaces: {e}");
                let line = format!("\nSKIPPED, NOT TESTED: network namespaces cannot be made here: {e}\n");
                io::stderr().write_all(line.as_bytes()).ok();
            }
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn new(n: usize) -> io::Result<Net> {
        let hub = Holder::new()?;
        hub.ip("link set lo up\n")?;
        let nodes = (0..n).map(|_| Holder::new()).collect::<io::Result<Vec<_>>>()?;
        let net = Net { hub, nodes };
        for (a, node) in net.nodes.iter().enumerate() {
            node.ip(&format!("link set lo up\naddr add {}/32 dev lo\n", net.routes_at(a)))?;
            // To the hub.
            let pid = node.0.id();
            net.hub.ip(&format!(
                "link add h{a} type veth peer name hub netns {pid}\naddr add 10.78.{a}.1/30 dev h{a}\nlink set h{a} up\n"
            ))?;
            node.ip(&format!("addr add {}/30 dev hub\nlink set hub up\n", net.clients_at(a)))?;
            for b in 0..a {
                let (low, pid) = (&net.nodes[b], node.0.id());
                low.ip(&format!("link add to{a} type veth peer name to{b} netns {pid}\n"))?;
                net.nodes[a].ip(&format!("addr add {}/30 dev to{b}\n", end(a, b)))?;
                low.ip(&format!("addr add {}/30 dev to{a}\n", end(b, a)))?;
                net.plug_in(a, b)?;
                net.plug_in(b, a)?;
            }
        }
        Ok(net)
    }

    /// The namespace of a node.
    pub fn namespace(&self, node: usize) -> PathBuf {
        self.nodes[node].file()
    }

    /// Where a node's clients come in.
    pub fn clients_at(&self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, node as u8, 2)
    }

    /// Where a node takes routes.
    pub fn routes_at(&self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, node as u8 + 1)
    }

    /// Node `at` takes its end of the cable to `to` into use.
    fn plug_in(&self, at: usize, to: usize) -> io::Result<()> {
        let (there, own) = (self.routes_at(to), self.routes_at(at));
        self.nodes[at]
            .ip(&format!("link set to{to} up\nroute replace {there}/32 via {} dev to{to} src {own}\n", end(to, at)))
    }

    /// Takes the cable between two nodes down, as `at` sees it: its system knows that there is no way.
    pub fn unplug(&self, at: usize, to: usize) {
        self.nodes[at].ip(&format!("link set to{to} down\n")).expect("cannot take a link down");
    }

    /// Plugs it in again.
    pub fn plug(&self, at: usize, to: usize) {
        self.plug_in(at, to).expect("cannot take a link up");
    }

    /// What `from` sends to `to` is lost from now on, without a word.
    pub fn lose(&self, from: usize, to: usize) {
        let line = format!("neigh replace {} lladdr {NOBODY} nud permanent dev to{to}\n", end(to, from));
        self.nodes[from].ip(&line).expect("cannot set a neighbour");
    }

    /// It arrives again.
    pub fn find(&self, from: usize, to: usize) {
        let line = format!("neigh del {} dev to{to}\n", end(to, from));
        self.nodes[from].ip(&line).expect("cannot unset a neighbour");
    }
}

/// The address of `at` on the cable to `to`.
fn end(at: usize, to: usize) -> Ipv4Addr {
    let (low, high) = (at.min(to), at.max(to));
    Ipv4Addr::new(10, 79, (low * 16 + high) as u8, if at == low { 1 } else { 2 })
}
