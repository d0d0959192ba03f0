//! Which server knew what when: the part of the oracle that PONGs cannot tell, for they speak of one server. Whenever the
//! world is at rest nothing is under way, so what any server had said by then has arrived wherever its routes lead. The
//! moments of rest are remembered with the state of every pair of servers; a fault ends what was so.

use super::super::oracle::Tick;

/// A time in which nothing disturbed two servers, from one moment of rest to another.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Tick,
    last: Tick,
    /// They had a route; if not, neither had one.
    joined: bool,
    over: bool,
}

/// How two servers are to each other when the world is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They have a route, and nothing is under way on it.
    Joined,
    /// Neither has one.
    Apart,
    /// They have one, and what is on it waits; it will arrive.
    Waiting,
    /// None of these.
    Unsure,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Paths {
    servers: usize,
    /// For each pair the moments at which nothing was under way.
    rests: Vec<Vec<Tick>>,
    spans: Vec<Vec<Span>>,
}

impl Paths {
    /// For so many servers.
    pub fn new(servers: usize) -> Paths {
        Paths { servers, rests: vec![Vec::new(); servers * servers], spans: vec![Vec::new(); servers * servers] }
    }

    fn pair(&self, a: usize, b: usize) -> usize {
        a.min(b) * self.servers + a.max(b)
    }

    /// The world is at rest: how is every pair?
    pub fn rest(&mut self, now: Tick, state: impl Fn(usize, usize) -> State) {
        for a in 0..self.servers {
            for b in a + 1..self.servers {
                let pair = self.pair(a, b);
                let state = state(a, b);
                if state == State::Waiting {
                    continue;
                }
                self.rests[pair].push(now);
                let joined = (state != State::Unsure).then_some(state == State::Joined);
                let spans = &mut self.spans[pair];
                let open = spans.last_mut().filter(|s| !s.over);
                match (open, joined) {
                    (Some(span), Some(joined)) if span.joined == joined => span.last = now,
                    (open, state) => {
                        if let Some(span) = open {
                            span.over = true;
                        }
                        spans.extend(state.map(|joined| Span { since: now, last: now, joined, over: false }));
                    }
                }
            }
        }
    }

    /// Something happens between two servers.
    pub fn touch(&mut self, a: usize, b: usize) {
        let pair = self.pair(a, b);
        if let Some(span) = self.spans[pair].last_mut() {
            span.over = true;
        }
    }

    /// The first moment of rest after `t`.
    fn after(&self, a: usize, b: usize, t: Tick) -> Option<Tick> {
        let rests = &self.rests[self.pair(a, b)];
        rests.get(rests.partition_point(|r| *r <= t)).copied()
    }

    fn spans(&self, a: usize, b: usize, joined: bool) -> impl Iterator<Item = &Span> {
        self.spans[self.pair(a, b)].iter().filter(move |s| s.joined == joined)
    }

    /// When what `a` sent at `sent` and had finished at `accepted` was at `b`, if nothing disturbed them meanwhile.
    pub fn arrival(&self, a: usize, b: usize, sent: Tick, accepted: Tick) -> Option<Tick> {
        let arrived = self.after(a, b, accepted)?;
        self.spans(a, b, true).any(|s| s.since < sent && arrived <= s.last).then_some(arrived)
    }

    /// Did `a` know at `sent` what had been so at `b` since `live`, and was that so until it arrived?
    pub fn known(&self, a: usize, b: usize, live: Tick, sent: Tick, accepted: Tick) -> bool {
        let Some(arrived) = self.after(a, b, accepted) else { return false };
        self.spans(a, b, true).any(|s| {
            let told = self.after(a, b, live.max(s.since - 1));
            told.is_some_and(|t| t < sent) && arrived <= s.last
        })
    }

    /// Were they without a route all the time?
    pub fn apart(&self, a: usize, b: usize, sent: Tick, accepted: Tick) -> bool {
        let Some(arrived) = self.after(a, b, accepted) else { return false };
        self.spans(a, b, false).any(|s| s.since < sent && arrived <= s.last)
    }

    /// Has anything happened between them since `sent`, or not been over then?
    pub fn disturbed(&self, a: usize, b: usize, sent: Tick) -> bool {
        let last = self.spans[self.pair(a, b)].last();
        !last.is_some_and(|s| s.joined && !s.over && s.since < sent)
    }

    /// Was there a moment between two at which nothing was under way from one to the other?
    pub fn rested(&self, a: usize, b: usize, from: Tick, to: Tick) -> bool {
        let spans = self.spans[self.pair(a, b)].iter();
        spans.filter(|s| s.since < to && s.last > from).any(|s| {
            let at = self.after(a, b, from.max(s.since - 1));
            at.is_some_and(|t| t < to && t <= s.last)
        })
    }
}
