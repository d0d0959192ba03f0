//! The same bytes to two servers, and the same bytes back: random scripts, compared after each step.
//!
//! Without further ado it compares the server under test with itself on another number of shards. `scripts/differential`
//! runs the ignored tests, which compare it with nats-server (`TURNPIKE_PEER`): `TURNPIKE_DIFF_SECONDS` and
//! `TURNPIKE_DIFF_SCRIPTS` say how long (whichever ends last), `TURNPIKE_DIFF_SEED` where the seeds begin.

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/script.rs"]
mod script;
mod support;

use compare::{first_difference, outcomes, Outcome};
use script::{play, Script, Step};
use std::cell::RefCell;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use support::differences;
use support::raw::Raw;
use support::server::{shard_args, Server, Which};

/// Server configurations: the defaults, and limits that random scripts reach.
const CONFIGS: [&str; 3] =
    ["", "max_payload: 48\nmax_control_line: 256\nmax_subscriptions: 7\nmax_subscription_tokens: 3\n", PERMISSIONS];

/// What anonymous clients may do. Nothing of what they may subscribe to is denied to them on delivery: from whom a message is
/// kept back is known to his shard only, and whoever asked hears of nobody, or in vain.
const PERMISSIONS: &str = r#"no_auth_user: u
authorization { users: [{user: u, password: p, permissions: {
    publish: {allow: ["a.>", "b", "*.b", "_INBOX.>", "c.*", "a", "_R_.>", "$NRG.>"], deny: ["a.b", "a.a.>"]}
    subscribe: {allow: ["a.>", "b", "*.b", "_INBOX.>", "a", "b.*.c", "c.> group.0", "c.>", "*.*.b group.*", "é"]}
}}] }
"#;

/// The same where wildcards have something in common with what is denied.
const DENIALS: &str = r#"no_auth_user: u
authorization { users: [{user: u, password: p, permissions: {
    publish: {deny: ["c.*", "b"]}
    subscribe: {deny: ["a.b", "b.>", "*.a.b", "a group.0", "*.c >"]}
}}] }
"#;

/// How often a script is played again when its outcome depends on chance.
const AGAIN: usize = 6;

/// How long a culprit is made smaller.
const SHRINK: Duration = Duration::from_secs(30);

/// Culprits made small before a run is given up.
const TOLD: u64 = 5;

/// What the scripts of a long run must have brought about, or the comparison compares nothing.
const REACHED: [&str; 15] = [
    " MSG ",
    " HMSG ",
    "NATS/1.0 503",
    ", from ",
    " × group ",
    " closed",
    "+OK⏎",
    "'Invalid Subject'",
    "'Invalid Publish Subject'",
    "'Unknown Protocol Operation'",
    "'maximum subscriptions exceeded'",
    "Permissions Violation for Publish with Reply",
    "Permissions Violation for Publish to \"a.b\"",
    "Permissions Violation for Subscription to \"*\"",
    "using queue \"group.1\"",
];

/// Two servers.
struct Pair {
    title: String,
    left: Server,
    right: Server,
    /// How many lines of the right side's outcomes had each of `REACHED`.
    reached: RefCell<[usize; REACHED.len()]>,
}

impl Pair {
    fn start(left: &Which, right: &Which, shards: [usize; 2], conf: [&str; 2]) -> Pair {
        Pair {
            title: format!("{} and {} shards, {conf:?}", shards[0], shards[1]),
            left: Server::start(left, conf[0], &shard_args(left, shards[0])),
            right: Server::start(right, conf[1], &shard_args(right, shards[1])),
            reached: RefCell::default(),
        }
    }

    /// What both make of a script.
    fn play(&self, script: &Script) -> [Vec<Outcome>; 2] {
        let one = move |server: &Server| outcomes(&play(script, server.clients()), server.which().is_turnpike());
        let both = thread::scope(|scope| {
            let (left, right) = (&self.left, &self.right);
            let left = scope.spawn(move || one(left));
            let right = one(right);
            [left.join().expect("the left side's words stand above"), right]
        });
        for (count, what) in self.reached.borrow_mut().iter_mut().zip(REACHED) {
            *count += both[1].iter().flatten().filter(|line| line.contains(what)).count();
        }
        both
    }

    /// How the two differ on a script.
    ///
    /// Where a connection is closed, the moment at which its subscriptions end is chance: such a script is played
    /// several times, and differs when no outcome of one server is an outcome of the other.
    fn difference(&self, script: &Script) -> Option<String> {
        let [left, right] = self.play(script);
        let found = first_difference(&left, &right)?;
        let chance = |all: &[Outcome]| all.iter().flatten().any(|line| line.ends_with(" closed"));
        if !chance(&left) && !chance(&right) {
            return Some(found);
        }
        let (mut lefts, mut rights) = (vec![left], vec![right]);
        for _ in 0..AGAIN {
            let [left, right] = self.play(script);
            lefts.push(left);
            rights.push(right);
            if lefts.iter().any(|l| rights.contains(l)) {
                return None;
            }
        }
        Some(found)
    }
}

/// Takes steps, connections' turns and the end away as long as the servers still differ.
fn shrink(pair: &Pair, script: &Script) -> Script {
    let begun = Instant::now();
    let mut small = script.clone();
    let mut width = small.steps.len().div_ceil(2);
    while width > 0 {
        let mut at = 0;
        while at < small.steps.len() && begun.elapsed() < SHRINK {
            let mut fewer = small.clone();
            fewer.steps.drain(at..(at + width).min(small.steps.len()));
            if pair.difference(&fewer).is_some() {
                small = fewer;
            } else {
                at += width;
            }
        }
        width /= 2;
    }
    // Connections that no step uses, from the last: the numbers of the others stay.
    let used = |conn: usize, script: &Script| {
        script.steps.iter().any(|step| match step {
            Step::Write(turns) => turns.iter().any(|t| t.conn == conn),
            Step::Last(c, _) => *c == conn,
        })
    };
    while small.preludes.len() > 1 && !used(small.preludes.len() - 1, &small) {
        let mut fewer = small.clone();
        fewer.preludes.pop();
        if pair.difference(&fewer).is_none() {
            break;
        }
        small = fewer;
    }
    small
}

/// Compares the two on scripts of consecutive seeds; the error tells the culprit made small.
fn compare_on_scripts(pair: &Pair, seeds: impl Iterator<Item = u64>) -> Result<(), String> {
    for seed in seeds {
        let script = generate::script(seed);
        // The difference late-connect.
        if pair.title.contains("no_auth_user") && script.preludes.iter().any(Vec::is_empty) {
            continue;
        }
        let Some(first) = pair.difference(&script) else { continue };
        if let Some(Step::Last(_, bytes)) = script.steps.last() {
            if differences::stray_cr(bytes) || differences::newline_argument(bytes) {
                println!("seed {seed}: a difference let pass as stray-cr or newline-argument ({})", pair.title);
                continue;
            }
        }
        let small = shrink(pair, &script);
        let (what, script) = match pair.difference(&small) {
            Some(what) => (what, small),
            None => (format!("now and then only, {first}"), script),
        };
        let again = format!("again: scripts/differential scripts --seed {seed} --scripts 1 --seconds 0");
        return Err(format!("seed {seed} ({}): {what}\n  script:\n{script}  {again}", pair.title));
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn peer() -> Which {
    let path = std::env::var_os("TURNPIKE_PEER").expect("TURNPIKE_PEER names no nats-server; run scripts/differential");
    Which::at(PathBuf::from(path))
}

/// One shard and four are the same server to whoever talks to it.
#[test]
fn shards_make_no_difference() {
    let which = Which::under_test();
    for conf in CONFIGS {
        let pair = Pair::start(&which, &which, [1, 4], [conf; 2]);
        if let Err(why) = compare_on_scripts(&pair, 0..40) {
            panic!("{why}");
        }
    }
}

/// The comparison sees a limit that is set otherwise, and a few steps remain of the script that showed it.
#[test]
fn a_difference_is_found() {
    let which = Which::under_test();
    let pair = Pair::start(&which, &which, [1, 1], ["max_subscriptions: 5\n", "max_subscriptions: 6\n"]);
    let seed = (0..200).find(|&seed| pair.difference(&generate::script(seed)).is_some()).expect("no script shows it");
    let small = shrink(&pair, &generate::script(seed));
    assert!(pair.difference(&small).expect("it still shows").contains("maximum subscriptions exceeded"));
    assert!(small.steps.len() <= 6, "not small:\n{small}");
}

/// Keys of INFO: those of `docs/differences.md` and no others differ, before and after CONNECT.
#[test]
#[ignore = "needs nats-server: scripts/differential"]
fn info_agrees_with_nats_server() {
    let (left, right) = (Which::under_test(), peer());
    let pair = Pair::start(&left, &right, [1, 1], [""; 2]);
    let greet = |s: &Server| differences::masked_info(Raw::connect(s.clients()).verbatim().greeting());
    assert_eq!(greet(&pair.left), greet(&pair.right));
}

#[test]
#[ignore = "needs nats-server: scripts/differential"]
fn scripts_agree_with_nats_server() {
    let (left, right) = (Which::under_test(), peer());
    let seconds = Duration::from_secs(number("TURNPIKE_DIFF_SECONDS").unwrap_or(30));
    let scripts = number("TURNPIKE_DIFF_SCRIPTS").unwrap_or(200);
    let seed = number("TURNPIKE_DIFF_SEED").unwrap_or(1);
    let begun = Instant::now();
    let pairs: Vec<Pair> = CONFIGS
        .iter()
        .flat_map(|conf| [1, 4].map(|shards| Pair::start(&left, &right, [shards, 1], [conf; 2])))
        .chain([Pair::start(&left, &right, [1, 1], [DENIALS; 2])])
        .collect();
    let (mut played, mut differing) = (0, 0);
    while played < scripts || begun.elapsed() < seconds {
        for pair in &pairs {
            if let Err(why) = compare_on_scripts(pair, std::iter::once(seed + played)) {
                println!("{} and {} differ on {why}", left.path().display(), right.path().display());
                differing += 1;
                break;
            }
        }
        played += 1;
        assert!(differing < TOLD, "{differing} scripts differ among the first {played}");
    }
    assert!(differing == 0, "{differing} scripts of {played} differ");
    for (i, what) in REACHED.iter().enumerate() {
        let count: usize = pairs.iter().map(|p| p.reached.borrow()[i]).sum();
        println!("{count:>8} lines with {what:?}");
        assert!(count > 0 || played < 200, "no script reached {what:?}");
    }
    println!("{played} scripts from seed {seed}, {} pairs of servers, {:?}: equal", pairs.len(), begun.elapsed());
}
