//! What the words of a row come to: who sends what to whom. A job can be run any number of times. Made by [`super`].

use super::{
    args::{Common, Pace, Row},
    arrivals::Arrivals,
    fault::Fault,
    link::Server,
    memory,
    meter::Meter,
    open::{Cast, Open},
    opened::Load,
    progress::Progress,
    report::Figures,
    spread,
    stream::{Plan, Stream},
    talk::{Talk, Topic},
};

/// Where a sweep begins, in messages a second, unless the words say otherwise.
const LOWEST: f64 = 1000.0;
/// Messages a second beside the row `churn`, unless the words say otherwise.
const BESIDE: f64 = 10_000.0;

/// A row that is ready to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The row, as on the command line.
    pub row: &'static str,
    /// What was asked for, in words.
    pub what: String,
    /// How it is done.
    pub kind: Kind,
}

/// How a row is done.
#[derive(Clone, Debug)]
pub enum Kind {
    /// As fast as the server takes it.
    Stream(Plan),
    /// One message under way for each client, of so many bytes; the generator spins.
    Talk(Topic, usize, bool),
    /// When a schedule says so.
    Open(Cast, Load),
    /// Memory of idle connections.
    Idle(usize),
    /// Memory of subscriptions.
    Subs(usize),
    /// The time that interest takes to another server.
    Spread(usize),
}

impl Job {
    /// What `row` asks for; none for a row that measures nothing.
    pub fn new(row: &Row, common: &Common) -> Result<Option<Job>, Fault> {
        let mut job = match row {
            Row::Compare { .. } => return Ok(None),
            Row::Idle { connections } => {
                Job { row: "idle", what: format!("{connections} idle connections"), kind: Kind::Idle(*connections) }
            }
            Row::Subs { subscriptions } => {
                let what = format!("{subscriptions} subscriptions on one connection");
                Job { row: "subs", what, kind: Kind::Subs(*subscriptions) }
            }
            Row::Spread { subscriptions } => {
                let what = format!("{subscriptions} subscriptions of the one server's clients, known at the other");
                Job { row: "spread", what, kind: Kind::Spread(*subscriptions) }
            }
            Row::Request { .. } | Row::Conns { .. } => Job::talk(row)?,
            _ => Job::stream(row, common)?,
        };
        if let Some(size) = job.size() {
            job.what = format!("{}, {size} B", job.what);
        }
        if row.pace().is_some_and(|pace| pace.sweep) {
            job.what += ", from rate to rate";
        } else if let Kind::Open(_, load) = &job.kind {
            let unit = if job.row == "request" { "requests" } else { "messages" };
            job.what = format!("{}, {} {unit}/s sent ({})", job.what, load.rate, load.arrivals);
        }
        Ok(Some(job))
    }

    /// A row in which publishers send to subscribers.
    fn stream(row: &Row, common: &Common) -> Result<Job, Fault> {
        let Common { in_flight, check, .. } = *common;
        let one = Plan { flows: 1, subscribers: 1, queue: false, subjects: 1, size: 0, in_flight, check };
        let (name, what, payload, plan) = match row {
            Row::Sub { payload, .. } => ("sub", "1 publisher, 1 subscriber".to_owned(), payload, one),
            Row::Fan { payload, subscribers, .. } => {
                let what = format!("1 publisher, {subscribers} subscribers");
                ("fan", what, payload, Plan { subscribers: *subscribers, ..one })
            }
            Row::Pairs { payload, pairs, .. } => {
                ("pairs", format!("{pairs} publishers, a subscriber each"), payload, Plan { flows: *pairs, ..one })
            }
            Row::Queue { payload, members, .. } => {
                let what = format!("1 publisher, {members} members of a queue group");
                ("queue", what, payload, Plan { subscribers: *members, queue: true, ..one })
            }
            Row::Subjects { payload, subjects } => {
                let what = format!("1 publisher over {subjects} subjects, 1 subscriber on a wildcard");
                ("subjects", what, payload, Plan { subjects: *subjects as usize, ..one })
            }
            Row::Churn { payload, subscriptions, .. } => {
                let beside = "1 publisher, 1 subscriber";
                ("churn", format!("{subscriptions} subscriptions made and taken back in turn, {beside}"), payload, one)
            }
            Row::Pub { payload } => {
                ("pub", "publish only".to_owned(), payload, Plan { subscribers: 0, check: false, ..one })
            }
            _ => return Err(Fault::Asked("this row has no publishers".into())),
        };
        let plan = Plan { size: payload.bytes(), ..plan };
        let cast = Cast::Stream { flows: plan.flows, subscribers: plan.subscribers, queue: plan.queue };
        let mut load = row.pace().map(|pace| load(pace, row, plan.size)).transpose()?.flatten();
        if let (Row::Churn { subscriptions, .. }, Some(load)) = (row, &mut load) {
            load.churn = Some(*subscriptions);
        }
        let kind = load.map_or(Kind::Stream(plan), |load| Kind::Open(cast, load));
        Ok(Job { row: name, what, kind })
    }

    /// A row in which clients have an answer to wait for.
    fn talk(row: &Row) -> Result<Job, Fault> {
        let (name, what, payload, pace, topic, cast, spin) = match row {
            Row::Conns { payload, pace, connections, spin } => {
                let what = format!("{connections} connections, a message each");
                ("conns", what, payload, pace, Topic::Echo(*connections), Cast::Echo(*connections), *spin)
            }
            Row::Request { payload, pace, spin } => {
                ("request", "request and reply".to_owned(), payload, pace, Topic::Request, Cast::Request, *spin)
            }
            _ => return Err(Fault::Asked("this row has no answers".into())),
        };
        let kind = match load(pace, row, payload.bytes())? {
            Some(load) => Kind::Open(cast, load),
            None => Kind::Talk(topic, payload.bytes(), spin),
        };
        Ok(Job { row: name, what, kind })
    }

    /// The length of its payloads in bytes, if it sends messages.
    pub fn size(&self) -> Option<usize> {
        match &self.kind {
            Kind::Stream(plan) => Some(plan.size),
            Kind::Talk(_, size, _) => Some(*size),
            Kind::Open(_, load) => Some(load.size),
            Kind::Idle(_) | Kind::Subs(_) | Kind::Spread(_) => None,
        }
    }

    /// Messages (or requests) a second that an open loop sends.
    pub fn rate(&self) -> Option<f64> {
        match &self.kind {
            Kind::Open(_, load) => Some(load.rate),
            _ => None,
        }
    }

    /// The same at another rate; only for an open loop.
    pub fn at(&self, rate: f64) -> Job {
        match self.kind {
            Kind::Open(cast, load) => Job { kind: Kind::Open(cast, Load { rate, ..load }), ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Connects, warms up, measures.
    pub fn run(&self, server: &Server, meter: &Meter, progress: &mut Progress) -> Result<Figures, Fault> {
        let process = &meter.server;
        let weighed =
            || process.clone().ok_or_else(|| Fault::Asked("this row reads the server's memory: give its --pid".into()));
        let result = match &self.kind {
            Kind::Stream(plan) => Figures::traffic(plan.size, Stream::new(server, plan)?.run(meter, progress)?),
            Kind::Talk(topic, size, spin) => {
                Figures::traffic(*size, Talk::new(server, *topic, *size, *spin)?.run(meter, progress)?)
            }
            Kind::Open(cast, load) => {
                Figures::traffic(load.size, Open::new(server, *cast, *load)?.run(meter, progress)?)
            }
            Kind::Idle(connections) => Figures::memory(memory::idle(server, weighed()?, *connections)?),
            Kind::Subs(subscriptions) => Figures::memory(memory::subscriptions(server, weighed()?, *subscriptions)?),
            Kind::Spread(subscriptions) => {
                Figures::spread(spread::subscriptions(server, process.as_ref(), *subscriptions)?)
            }
        };
        progress.end();
        Ok(result)
    }
}

/// The load of an open loop; none for a closed one. A sweep sets its rates itself.
fn load(pace: &Pace, row: &Row, size: usize) -> Result<Option<Load>, Fault> {
    let Pace { rate, arrivals, sleep, sweep, knee } = *pace;
    let rate = rate.or(Some(BESIDE).filter(|_| matches!(row, Row::Churn { .. }) && !sweep));
    if knee.is_some() && !sweep {
        return Err(Fault::Asked("--knee ends a --sweep, and there is none".into()));
    }
    if rate.is_none() && !sweep {
        let alone = [(arrivals.is_some(), "--arrivals"), (sleep, "--sleep")];
        return match alone.iter().find(|(given, _)| *given) {
            Some((_, word)) => Err(Fault::Asked(format!("{word} is about an open loop: give its --rate"))),
            None => Ok(None),
        };
    }
    let arrivals = arrivals.unwrap_or(Arrivals::Constant);
    Ok(Some(Load { rate: rate.unwrap_or(LOWEST), arrivals, sleep, size, churn: None }))
}
