//! TCP as the simulator sees it: a link is two byte pipes, one per direction, each with a bounded window. Bytes
//! wait "in flight" until an event of the world moves some of them on, so that they tear anywhere and are delayed
//! freely. One per connection; the world owns them, clients and nodes read and write their ends.

use std::collections::VecDeque;
use turnpike::base::Rng;

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    flight: VecDeque<u8>,
    ready: VecDeque<u8>,
    /// Most bytes in flight and ready together; a writer blocks beyond.
    window: usize,
    /// Nothing moves while this holds.
    pub stalled: bool,
    /// The same, by a fault of the network between two servers.
    pub blocked: bool,
    /// Nobody reads at the other end any more: what arrives there is gone.
    void: bool,
    /// The writer has shut its side.
    shut: bool,
    /// Bytes of a way that takes time: how many, and until when they are under way.
    waves: VecDeque<(usize, u64)>,
    /// How long it takes, nanoseconds.
    distance: u64,
    /// How many bytes in flight have been so for long enough.
    loose: usize,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes (at least 1) were appended.
    Some(usize),
    /// Nothing yet.
    Empty,
    /// The writer has shut its side, and all it wrote was read.
    End,
    /// The link was reset.
    Reset,
}

impl Pipe {
    fn new(window: usize) -> Pipe {
        Pipe {
            flight: VecDeque::new(),
            ready: VecDeque::new(),
            window,
            stalled: false,
            blocked: false,
            void: false,
            shut: false,
            waves: VecDeque::new(),
            distance: 0,
            loose: 0,
        }
    }

    /// It is now: which bytes have been under way for long enough?
    fn pass(&mut self, now: u64) {
        let known = self.waves.iter().map(|w| w.0).sum::<usize>() + self.loose;
        // A reset takes away what is in flight.
        if known > self.flight.len() {
            (self.loose, self.waves) = (0, VecDeque::from([(self.flight.len(), now + self.distance)]));
        } else if known < self.flight.len() {
            self.waves.push_back((self.flight.len() - known, now + self.distance));
        }
        while self.waves.front().is_some_and(|w| w.1 <= now) {
            self.loose += self.waves.pop_front().map_or(0, |w| w.0);
        }
    }

    /// Bytes that may move on.
    fn movable(&self) -> usize {
        if self.distance == 0 {
            self.flight.len()
        } else {
            self.loose
        }
    }

    /// Both ends are gone: nothing more comes, and what is under way arrives.
    pub fn shut_for_good(&mut self) {
        self.shut = true;
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.flight.len() + self.ready.len())
    }
}

/// A connection's two directions and what has become of it.
#[derive(Debug)]
pub struct Link {
    /// Client to server.
    pub up: Pipe,
    /// Server to client.
    pub down: Pipe,
    /// Reset by one of the sides.
    pub reset: bool,
    /// Cut silently: nothing moves any more and nobody is told.
    pub cut: bool,
    /// The servers at its ends, the one that dialed first, if both are servers.
    pub servers: Option<(usize, usize)>,
    /// It is one between clusters.
    pub gateway: bool,
}

/// Which pipe of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

impl Way {
    /// The other one.
    pub fn other(self) -> Way {
        match self {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        }
    }
}

impl Link {
    /// A link whose pipes hold `window` bytes each.
    pub fn new(window: usize) -> Link {
        let (up, down) = (Pipe::new(window), Pipe::new(window));
        Link { up, down, reset: false, cut: false, servers: None, gateway: false }
    }

    /// The same, and each direction takes so many nanoseconds.
    pub fn long(window: usize, distance: u64) -> Link {
        let mut link = Link::new(window);
        (link.up.distance, link.down.distance) = (distance, distance);
        link
    }

    /// It is now; when the next bytes arrive that are under way, if any are.
    pub fn pass(&mut self, now: u64) -> Option<u64> {
        if self.up.distance == 0 || self.cut || self.reset {
            return None;
        }
        let next = |p: &mut Pipe| {
            p.pass(now);
            p.waves.front().filter(|_| !p.blocked && !p.stalled).map(|w| w.1)
        };
        let next = [next(&mut self.up), next(&mut self.down)];
        next.into_iter().flatten().min()
    }

    /// Is nothing under way?
    pub fn is_still(&self) -> bool {
        self.up.flight.is_empty() && self.down.flight.is_empty()
    }

    /// The pipe of a direction.
    pub fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Can bytes of this direction move on?
    pub fn can_move(&self, way: Way) -> bool {
        let p = if way == Way::Up { &self.up } else { &self.down };
        !self.cut && !self.reset && !p.stalled && !p.blocked && p.movable() > 0
    }

    /// Moves 1 to all bytes that are in flight on.
    pub fn advance(&mut self, way: Way, rng: &mut Rng) {
        let p = self.pipe(way);
        let n = p.movable() as u64;
        // Mostly whole, often torn anywhere, sometimes a few bytes.
        let take = match rng.below(4) {
            0 => 1 + rng.below(n.min(7)),
            1 => 1 + rng.below(n),
            _ => n,
        };
        p.loose = p.loose.saturating_sub(take as usize);
        let moved = p.flight.drain(..take as usize);
        if !p.void {
            p.ready.extend(moved);
        }
    }

    /// Has the writer of this direction room?
    pub fn room(&self, way: Way) -> usize {
        if way == Way::Up { &self.up } else { &self.down }.room()
    }

    /// Writes up to `max` bytes of `data` and says how many; 0: blocked.
    pub fn write(&mut self, way: Way, data: &[u8], max: usize) -> usize {
        let p = self.pipe(way);
        let n = data.len().min(p.room()).min(max);
        p.flight.extend(&data[..n]);
        n
    }

    /// Is there something for the reader of this direction: bytes, the end, a reset?
    pub fn readable(&self, way: Way) -> bool {
        let p = if way == Way::Up { &self.up } else { &self.down };
        if self.cut {
            return false;
        }
        self.reset || !p.ready.is_empty() || (p.shut && p.flight.is_empty() && !p.stalled && !p.blocked)
    }

    /// Appends up to `max` ready bytes to `into`.
    pub fn read(&mut self, way: Way, max: usize, into: &mut Vec<u8>) -> Read {
        if !self.readable(way) {
            return Read::Empty;
        }
        let reset = self.reset;
        let p = self.pipe(way);
        if !p.ready.is_empty() {
            let n = max.clamp(1, p.ready.len());
            into.extend(p.ready.drain(..n));
            return Read::Some(n);
        }
        if reset {
            Read::Reset
        } else {
            Read::End
        }
    }

    /// The writer of this direction says no more.
    pub fn shut(&mut self, way: Way) {
        self.pipe(way).shut = true;
    }

    /// Bytes that were written and have not reached the other end's system.
    pub fn under_way(&self, way: Way) -> usize {
        if way == Way::Up { &self.up } else { &self.down }.flight.len()
    }

    /// One end of a connection between servers is closed: its writer says no more, and nobody reads what comes there.
    pub fn closed_by(&mut self, writer: Way) {
        self.shut(writer);
        let p = self.pipe(writer.other());
        p.void = true;
        p.ready.clear();
    }

    /// One side resets: what is in flight is gone, what was received may still be read.
    pub fn reset(&mut self) {
        self.reset = true;
        self.up.flight.clear();
        self.down.flight.clear();
    }

    /// The server closes its socket: unread input turns the end into a reset, as TCP does.
    pub fn closed_by_server(&mut self) {
        if !self.up.ready.is_empty() {
            self.reset();
        } else {
            self.down.shut = true;
            self.up.stalled = true;
            self.up.flight.clear();
        }
    }
}
