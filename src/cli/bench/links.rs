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

impl Links {
    /// Dials one connection for each of `subscriptions`, each of which is either subscribed to its subject or only
    /// publishes; returns once the server knows all of them.
    pub fn new(server: &Server, subscriptions: &[Option<String>]) -> Result<Links, Fault> {
        let poll = Poll::new()?;
        let (mut all, mut info) = (Vec::with_capacity(subscriptions.len()), Info::default());
        for (index, subject) in subscriptions.iter().enumerate() {
            let mut dialled = Dialled::new(server)?;
            if let Some(subject) = subject {
                dialled.send(format!("SUB {subject} 1\r\n").as_bytes())?;
                dialled.barrier()?;
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
