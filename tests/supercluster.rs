//! Super-clusters of real processes: clusters that find each other through one address, deliver as one, and say clearly
//! what is wrong.
//!
//! `TURNPIKE_TEST_SERVER` replaces the binary under test; a nats-server there shows that what a test demands is what
//! nats-server does. Tests of what nats-server does not promise are skipped then.
#![cfg(feature = "shell")]
// Waiting with a deadline needs the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

#[path = "supercluster/borders.rs"]
mod borders;
#[path = "supercluster/delivery.rs"]
mod delivery;
#[path = "supercluster/faults.rs"]
mod faults;
#[path = "supercluster/links.rs"]
mod links;
#[path = "supercluster/mixed.rs"]
mod mixed;
#[path = "supercluster/modes.rs"]
mod modes;
#[path = "supercluster/monitoring.rs"]
mod monitoring;
#[path = "supercluster/partitions.rs"]
mod partitions;
#[path = "supercluster/troubles.rs"]
mod troubles;

use support::server::Which;

/// Is what follows about a turnpike? It says so where it is not.
fn turnpike_is_tested() -> bool {
    let is = Which::under_test().is_turnpike();
    if !is {
        println!("nats-server promises nothing of the kind: skipped");
    }
    is
}
#[path = "supercluster/unfit.rs"]
mod unfit;
