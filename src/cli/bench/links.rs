//! All connections of one run and the single thread's wait for them. Used by [`super::stream`] and [`super::talk`].

use super::{
    fault::Fault,
    link::{Dialled, Info, Link, Server},
};
use mio::{Events, Poll};
use std::{io::ErrorKind, time::Duration};

/// Bytes per read: large, because a broker at full speed fills the socket faster than small reads empty it.
const READ: usize = 1 << 19;

/// The connections of a run.
pub struct Links {
    /// By number.
    pub all: Vec<Link>,
    /// What every connection reads into.
    pub buffer: Vec<u8>,
    /// What the server says of itself.
    pub info: Info,
    poll: Poll,
    events: Events,
    woken: Vec<usize>,
}

/// What a connection of a run is for.
#[derive(Clone, Debug)]
pub struct Seat {
    /// What it subscribes to, if to anything.
    pub subject: Option<String>,
    /// It is where subscribers connect, which may be another server.
    pub far: bool,
}

impl Seat {
    /// For somebody who publishes.
    pub fn publisher() -> Seat {
        Seat { subject: None, far: false }
    }

    /// For somebody who listens.
    pub fn subscriber(subject: String) -> Seat {
        Seat { subject: Some(subject), far: true }
    }
}

impl Links {
    /// Dials one connection for each seat; returns once the servers know all their subscriptions.
    pub fn new(server: &Server, seats: &[Seat]) -> Result<Links, Fault> {
        let (far, spread) = (server.of_subscribers(), server.to.is_some());
        let poll = Poll::new()?;
        let (mut all, mut info) = (Vec::with_capacity(seats.len()), Info::default());
        for (index, seat) in seats.iter().enumerate() {
            let (its, others) = if seat.far { (&far, server) } else { (server, &far) };
            let mut dialled = Dialled::new(its)?;
            if let Some(subject) = &seat.subject {
                dialled.send(format!("SUB {subject} 1\r\n").as_bytes())?;
                dialled.barrier()?;
                if spread {
                    dialled.known_at(&mut Dialled::new(others)?)?;
                }
            }
            info = dialled.info.clone();
            all.push(dialled.watched(poll.registry(), index)?);
        }
        let events = Events::with_capacity(1024);
        Ok(Links { all, buffer: vec![0; READ], info, poll, events, woken: Vec::new() })
    }

    /// Waits until something happens or `time` is over; zero only looks. Returns the numbers of the links where
    /// something has happened.
    pub fn wait(&mut self, time: Duration) -> Result<&[usize], Fault> {
        self.woken.clear();
        match self.poll.poll(&mut self.events, Some(time)) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(&self.woken),
            Err(e) => return Err(e.into()),
        }
        for event in &self.events {
            let index = event.token().0;
            self.all[index].wake(event);
            self.woken.push(index);
        }
        Ok(&self.woken)
    }
}
