//! Scenarios in which some messages ask to be traced. Nothing else may be different of them, and all that happens to them is
//! told, of each server once.

use super::case::Case;
use super::cluster::{scenarios as cluster, supers};
use super::scenarios;
use turnpike::base::Rng;

fn tracing(mut case: Case) -> Case {
    case.plan.traced = true;
    case
}

/// On one server.
pub fn traced(rng: &mut Rng) -> Case {
    tracing(match rng.below(6) {
        0 => scenarios::crossing(rng),
        1 => scenarios::group_races(rng),
        2 => scenarios::nobody(rng),
        3 => scenarios::maxima(rng),
        4 => scenarios::interest_races(rng),
        _ => scenarios::swarm(rng),
    })
}

/// On several.
pub fn routed_traced(rng: &mut Rng) -> Case {
    tracing(cluster::routed(rng))
}

/// Over gateways.
pub fn super_traced(rng: &mut Rng) -> Case {
    tracing(supers::super_routed(rng))
}
