//! The process as a whole.

use super::{alone, seconds, Gathered, Sheet};
use crate::{NATS_VERSION, TURNPIKE_VERSION};
use std::sync::atomic::Ordering::Relaxed;

/// Writes them.
pub(super) fn write(g: &Gathered<'_>, sheet: &mut Sheet) {
    let (facts, look) = (g.facts, g.look);
    let labels = [
        ("version", TURNPIKE_VERSION),
        ("nats_version", NATS_VERSION),
        ("server_id", &facts.server_id),
        ("server_name", &facts.server_name),
    ];
    let labels = labels.map(|(key, value)| (key, value.to_owned())).to_vec();
    sheet.gauge("build_info", "Who the server is; always 1", [(labels, 1.0)]);
    sheet.gauge("start_time_seconds", "When the server started, since 1970", alone(seconds(facts.start_ns)));
    sheet.gauge("resident_memory_bytes", "Resident memory of the process", alone(look.mem_bytes as f64));
    let listening = facts.listening.load(Relaxed);
    sheet.gauge(
        "accepts_clients",
        "Whether clients are let in: 0 before the start is over, in a lame duck and at the end",
        alone(f64::from(u8::from(listening))),
    );
    sheet.counter("accepted_connections", "Client connections accepted", alone(facts.accepted.load(Relaxed)));
    sheet.counter(
        "refused_guessers",
        "Connections refused because too many wrong passwords came from their address",
        alone(facts.guessers_refused.load(Relaxed)),
    );
    let memory = &facts.pressure;
    sheet.gauge(
        "memory_limit_bytes",
        "Bytes from which on the server sheds (memory_limit); 0: never",
        alone(memory.limit.load(Relaxed) as f64),
    );
    sheet.gauge("memory_used_bytes", "Bytes that count towards memory_limit", alone(memory.used.load(Relaxed) as f64));
    let scarce = memory.scarce.load(Relaxed) || g.tallies.iter().any(|t| t.scarce);
    sheet.gauge("memory_scarce", "Whether the server sheds now", alone(f64::from(u8::from(scarce))));
    let refused = memory.refused.load(Relaxed);
    sheet.counter("memory_refused_clients", "Clients not let in because memory was scarce", alone(refused));
    let lost = facts.events_lost.load(Relaxed);
    sheet.counter(
        "system_events_lost",
        "Events for the system account, and questions to it, for which there was no room",
        alone(lost),
    );
    let warnings = facts.settings.warnings.len();
    sheet.gauge(
        "configuration_warnings",
        "Warnings about the configuration at the start; /varz has their text",
        alone(warnings as f64),
    );
}
