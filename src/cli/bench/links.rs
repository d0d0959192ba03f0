//! All connections of one run and the single thread's wait for them. Used by [`super::stream`],
//! [`super::talk`] and [`super::open`].

use super::{
    fault::Fault,
    link::{Dialled, Info, Link, Server},
};
use mio::{unix::SourceFd, Events, Interest, Poll, Token};
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use std::{
    io::ErrorKind,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

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
    /// Wakes the wait to the microsecond, where that is asked for.
    timer: Option<OwnedFd>,
}

/// The timer's number in the poll.
const TIMER: Token = Token(usize::MAX);

/// What a connection of a run is for.
#[derive(Clone, Debug)]
pub struct Seat {
    /// What it subscribes to, if to anything.
    pub subject: Option<String>,
    /// As a member of the bench's queue group.
    pub member: bool,
    /// It is where subscribers connect, which may be another server.
    pub far: bool,
}

impl Seat {
    /// For somebody who publishes.
    pub fn publisher() -> Seat {
        Seat { subject: None, member: false, far: false }
    }

    /// For somebody who listens.
    pub fn subscriber(subject: String) -> Seat {
        Seat { subject: Some(subject), member: false, far: true }
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
                let group = if seat.member { "bench " } else { "" };
                dialled.send(format!("SUB {subject} {group}1\r\n").as_bytes())?;
                dialled.barrier()?;
                if spread {
                    dialled.known_at(&mut Dialled::new(others)?)?;
                }
            }
            info = dialled.info.clone();
            all.push(dialled.watched(poll.registry(), index)?);
        }
        let events = Events::with_capacity(1024);
        Ok(Links { all, buffer: vec![0; READ], info, poll, events, woken: Vec::new(), timer: None })
    }

    /// Refuses payloads that the server would.
    pub fn carries(&self, size: usize) -> Result<(), Fault> {
        match self.info.max_payload.filter(|max| (*max as u128) < size as u128) {
            Some(max) => Err(Fault::Asked(format!("--size {size} is above the server's max_payload of {max}"))),
            None => Ok(()),
        }
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
        for event in self.events.iter().filter(|e| e.token() != TIMER) {
            let index = event.token().0;
            self.all[index].wake(event);
            self.woken.push(index);
        }
        Ok(&self.woken)
    }

    /// The same, but kept to the microsecond: the wait of the poll itself is rounded up to milliseconds.
    pub fn wait_finely(&mut self, time: Duration) -> Result<&[usize], Fault> {
        if self.timer.is_none() {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from)?;
            self.poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
            self.timer = Some(timer);
        }
        if let Some(timer) = &self.timer {
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let at = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos().max(1)) };
            let spec = Itimerspec { it_interval: none, it_value: at };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &spec).map_err(std::io::Error::from)?;
        }
        self.wait(time + Duration::from_millis(1))
    }
}
