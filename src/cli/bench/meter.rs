//! How long a run lasts and what is read at its two ends. Used by [`super::stream`],
//! [`super::talk`] and [`super::open`].

use super::{fault::Fault, link::Info, opened::Opened, process::Process};
use hdrhistogram::Histogram;
use std::time::Duration;

/// The length of a run.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// So long.
    Time(Duration),
    /// So many messages sent (or requests).
    Count(u64),
}

impl Extent {
    /// True once a run that has lasted `so_far` is over by time.
    pub fn over(self, so_far: Duration) -> bool {
        matches!(self, Extent::Time(time) if so_far >= time)
    }
}

/// What a run is measured with.
pub struct Meter {
    /// Sends so long before it counts.
    pub warm_up: Duration,
    /// Then measures so long.
    pub extent: Extent,
    /// Messages count as lost when nothing has come for so long.
    pub patience: Duration,
    /// The server, if its processor time is asked for.
    pub server: Option<Process>,
}

/// A measurement that has begun.
pub struct Lap {
    server: Option<(Process, Duration)>,
    own: Duration,
}

/// Messages that came, but not as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disorder {
    /// Had come before.
    pub duplicates: u64,
    /// Came behind a later one.
    pub reordered: u64,
}

/// What a run has shown.
pub struct Measured {
    /// From the first message sent to the last received.
    pub time: Duration,
    /// Received (where nobody receives: sent and confirmed).
    pub messages: u64,
    /// Sent and never received.
    pub lost: u64,
    /// Processor time of the server in that time.
    pub server_cpu: Option<Duration>,
    /// Processor time of the generator.
    pub own_cpu: Duration,
    /// What the server said of itself.
    pub info: Info,
    /// Round trips in nanoseconds, where the row has any.
    pub round_trips: Option<Histogram<u64>>,
    /// Duplicates and disorder, where they were looked for.
    pub disorder: Option<Disorder>,
    /// What only an open loop can say.
    pub opened: Option<Box<Opened>>,
}

impl Meter {
    /// Begins to measure.
    pub fn lap(&self) -> Result<Lap, Fault> {
        let server = self.server.clone().map(|p| p.cpu().map(|cpu| (p, cpu))).transpose()?;
        Ok(Lap { server, own: Process::own().cpu()? })
    }
}

impl Lap {
    /// Ends the measurement.
    pub fn done(
        self,
        time: Duration,
        messages: u64,
        lost: u64,
        info: Info,
        round_trips: Option<Histogram<u64>>,
    ) -> Result<Measured, Fault> {
        let server_cpu = self.server.map(|(p, before)| p.cpu().map(|now| now - before)).transpose()?;
        let own_cpu = Process::own().cpu()? - self.own;
        Ok(Measured { time, messages, lost, server_cpu, own_cpu, info, round_trips, disorder: None, opened: None })
    }
}
