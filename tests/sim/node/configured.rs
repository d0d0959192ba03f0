//! The settings of the servers of a run.

use super::super::case::{Broken, Plan};
use super::super::cluster::gateways::gateway;
use std::sync::Arc;
use std::time::Duration;
use turnpike::base::Cid;
use turnpike::policy::settings::{Account, Secret, User};
use turnpike::policy::{Found, Permits, Proof, Settings, Signed};
use turnpike::shard::Opening;

/// What stands for the bcrypt hash of a password.
fn hash_of(password: &str) -> String {
    format!("$2a$04$of-{}", password.len() * 1000 + usize::from(*password.as_bytes().last().unwrap_or(&0)))
}

/// What the verifying threads find of something presented, and what is found of the run by that.
pub(super) fn looked_at(proof: &Proof) -> (Found, &'static str) {
    let (holds, label) = match proof {
        Proof::Password { hash, password } => (*hash == hash_of(password), "bcrypt password checked"),
        Proof::Signatures(all) | Proof::Within { signed: all, .. } => {
            (!all.is_empty() && all.iter().all(Signed::holds), "signatures checked")
        }
    };
    (Found::plainly(holds), label)
}

/// A client's connection as it is accepted. What it is given to sign is as random as a run may be that is to be repeated.
pub(super) fn opening_of(link: usize) -> Opening {
    let seed = (link as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let nonce = std::array::from_fn(|n| seed[n % 8] ^ n as u8);
    Opening {
        cid: Cid(link as u64 + 1),
        ip: "127.0.0.1".into(),
        port: 5000,
        over_limit: false,
        privacy: Default::default(),
        nonce,
    }
}

/// Settings of a server.
pub fn settings(plan: &Plan, server: usize) -> Settings {
    let mut s = Settings { cluster: plan.cluster.as_ref().map(|_| Default::default()), ..Settings::default() };
    s.gateway = plan.cluster.as_ref().and_then(|c| gateway(c, server));
    match (&mut s.gateway, plan.broken) {
        (Some(gateway), Broken::NoExports) => gateway.borders.exports = None,
        (Some(gateway), Broken::NoImports | Broken::TakesAll) => gateway.borders.imports = None,
        (Some(gateway), Broken::NoReplyMax) => gateway.borders.reply_max = None,
        (Some(gateway), Broken::NoReplyWindow) => gateway.borders.reply_window = Duration::from_secs(10),
        _ => {}
    }
    s.limits.max_payload = plan.max_payload;
    s.limits.max_pending = plan.max_pending;
    s.limits.max_peer_interest = if plan.broken == Broken::NoLimit { u64::MAX } else { plan.peer_interest_max };
    s.strict_headers = plan.strict_headers;
    s.no_fast_producer_stall = plan.skips || plan.broken == Broken::NeverWaits;
    if plan.accounts > 0 {
        // Where there are secrets, all is logged: none may show.
        (s.log.debug, s.log.trace) = (true, true);
        s.auth.required = true;
        s.auth.announced = true;
    }
    if let Some(last) = plan.latecomers.checked_sub(1).filter(|_| plan.accounts > 0) {
        s.auth.accounts.push(Account::named(&format!("LATE{last}")));
    }
    let mut may = vec![None; plan.latecomers];
    for i in 0..plan.latecomers {
        s.auth.users.push(User::named(&format!("late{i}"), Secret::Plain("late".into()), s.auth.accounts.len()));
    }
    let before = s.auth.accounts.len();
    for i in 0..plan.accounts {
        let password = format!("secret{i}");
        let mut named = Account::named(&format!("ACC{i}"));
        if let Some((shares, rewrites)) = plan.shared.as_ref().map(|shared| shared.written(i, before)) {
            named.shares = if plan.broken == Broken::NoShares { Default::default() } else { Arc::new(shares) };
            named.rewrites = if plan.broken == Broken::NoRewrites { Default::default() } else { Arc::new(rewrites) };
        }
        s.auth.accounts.push(named);
        // Some passwords are hashed. Nobody here compares hashes for real: see `Act::Verify` above.
        let password = if i % 2 == 1 { Secret::Bcrypt(hash_of(&password)) } else { Secret::Plain(password) };
        let account = s.auth.accounts.len() - 1;
        s.auth.users.push(User::named(&format!("user{i}"), password.clone(), account));
        may.push(None);
        for (r, user) in plan.rights.iter().enumerate() {
            s.auth.users.push(User::named(&format!("user{i}r{r}"), password.clone(), account));
            may.push(Some(user.written()).filter(|_| plan.broken != Broken::NoPermissions));
        }
    }
    if plan.traced {
        // Without it nobody is told.
        s.auth.system = Some(s.auth.accounts.len());
        s.auth.accounts.push(Account::named("SYS"));
    }
    s.auth.permits = Arc::new(Permits::new(may));
    s.timers.ping_interval = Duration::from_secs(20);
    s.timers.ping_max = 2;
    s.timers.write_deadline = Duration::from_secs(2);
    s
}
