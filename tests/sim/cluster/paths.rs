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
    /// By which way.
    by: usize,
    over: bool,
}

/// How two servers are to each other when the world is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They have a route, or a way from the first's cluster to the second; nothing is under way on it. Ways have numbers,
    /// routes 0.
    Joined(usize),
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
    /// There are several clusters: ways lead over other servers.
    several: bool,
    /// From each server to each other the moments at which nothing was under way.
    rests: Vec<Vec<Tick>>,
    spans: Vec<Vec<Span>>,
}

impl Paths {
    /// For so many servers.
    pub fn new(servers: usize, several: bool) -> Paths {
        let (rests, spans) = (vec![Vec::new(); servers * servers], vec![Vec::new(); servers * servers]);
        Paths { servers, several, rests, spans }
    }

    fn pair(&self, a: usize, b: usize) -> usize {
        a * self.servers + b
    }

    /// The world is at rest: how is every pair?
    pub fn rest(&mut self, now: Tick, state: impl Fn(usize, usize) -> State) {
        for a in 0..self.servers {
            for b in (0..self.servers).filter(|b| *b != a) {
                let pair = self.pair(a, b);
                let state = state(a, b);
                if state == State::Waiting {
                    continue;
                }
                self.rests[pair].push(now);
                let known = match state {
                    State::Joined(by) => Some((true, by)),
                    State::Apart => Some((false, 0)),
                    _ => None,
                };
                let spans = &mut self.spans[pair];
                let open = spans.last_mut().filter(|s| !s.over);
                match (open, known) {
                    (Some(span), Some(known)) if (span.joined, span.by) == known => span.last = now,
                    (open, state) => {
                        if let Some(span) = open {
                            span.over = true;
                        }
                        let begun = |(joined, by)| Span { since: now, last: now, joined, by, over: false };
                        spans.extend(state.map(begun));
                    }
                }
            }
        }
    }

    /// Something happens between two servers.
    pub fn touch(&mut self, a: usize, b: usize) {
        let pairs = [self.pair(a, b), self.pair(b, a)];
        // Where ways lead over other servers anything may be disturbed.
        let meant = |at: &usize| self.several || pairs.contains(at);
        for at in (0..self.spans.len()).filter(meant).collect::<Vec<_>>() {
            if let Some(span) = self.spans[at].last_mut() {
                span.over = true;
            }
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
