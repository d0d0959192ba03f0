//! The row that measures how interest travels: many subscriptions at one server, until another knows the last of them.

use super::{
    fault::Fault,
    link::{Dialled, Info, Server},
    process::Process,
};
use std::time::{Duration, Instant};

/// Lines are sent in pieces of about this size.
const PIECE: usize = 64 << 10;

/// What was found.
pub struct Spread {
    /// Subscriptions.
    pub count: usize,
    /// From the first SUB until the other server reached the last subscription.
    pub time: Duration,
    /// What the servers' memory grew by, bytes; none where it was not to be observed.
    pub grown: Option<i64>,
    /// What the server said of itself.
    pub info: Info,
}

/// Makes `count` subscriptions at the server of the subscribers, each on a subject of its own.
pub fn subscriptions(server: &Server, process: Option<&Process>, count: usize) -> Result<Spread, Fault> {
    if server.to.is_none() {
        return Err(Fault::Asked("this row needs two servers: give the one where clients subscribe as --to".into()));
    }
    let (mut here, mut there) = (Dialled::new(server)?, Dialled::new(&server.of_subscribers())?);
    let before = process.map(Process::settled).transpose()?;
    let begun = Instant::now();
    let mut lines = String::new();
    for i in 0..count {
        lines += &format!("SUB bench.{i:09} {i}\r\n");
        if lines.len() > PIECE || i + 1 == count {
            there.send(lines.as_bytes())?;
            lines.clear();
        }
    }
    there.known_at(&mut here)?;
    let time = begun.elapsed();
    let grown = match (process, before) {
        (Some(process), Some(before)) => Some(process.settled()? as i64 - before as i64),
        _ => None,
    };
    Ok(Spread { count, time, grown, info: here.info })
}
