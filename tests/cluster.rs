//! Clusters of real processes: they find each other, deliver as one, and say clearly what is wrong.
//!
//! `TURNPIKE_TEST_SERVER` replaces the binary under test.
#![cfg(feature = "shell")]
// Waiting with a deadline needs the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

#[path = "cluster/beginner.rs"]
mod beginner;
#[path = "cluster/delivery.rs"]
mod delivery;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/freezes.rs"]
mod freezes;
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/links.rs"]
mod links;
#[path = "cluster/mixed.rs"]
mod mixed;
#[path = "cluster/partitions.rs"]
mod partitions;
#[path = "cluster/reloads.rs"]
mod reloads;
#[path = "cluster/roaming.rs"]
mod roaming;
#[path = "cluster/starts.rs"]
mod starts;
#[path = "cluster/strangers.rs"]
mod strangers;
#[path = "cluster/urls.rs"]
mod urls;

use support::cluster::Cluster;
use support::server::Which;

/// So many servers under test with so many shards each.
fn cluster(nodes: usize, shards: usize) -> Cluster {
    Cluster::start(&vec![Which::under_test(); nodes], shards)
}
