//! What shards noted of traced messages, put together: one event for each message that this server had to do with, in the
//! words of nats-server. What it has no word for stands in `not_delivered`, which its clients pass over. Pure.

use crate::policy::settings::Account;
use crate::shard::traced::{Egress, Entry, Part, Party, Step, What};
use crate::shell::monitor::stamp;
use crate::wire::traced::fields;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

/// Messages of which parts are awaited; of more nothing is told.
const AWAITED_MAX: usize = 4096;

/// What is known of one message.
#[derive(Debug, Default)]
pub struct Whole {
    /// How it came in; None: that part is not here yet.
    pub entry: Option<Entry>,
    steps: Vec<Step>,
    left_out: u64,
    parts: u32,
    awaited: u32,
}

impl Whole {
    fn add(&mut self, part: Part) {
        self.awaited += part.elsewhere + u32::from(part.entry.is_some());
        self.parts += 1;
        self.left_out += part.left_out;
        self.entry = self.entry.take().or(part.entry);
        self.steps.extend(part.steps);
    }

    fn is_complete(&self) -> bool {
        self.entry.is_some() && self.parts >= self.awaited
    }
}

/// What became of a part.
#[derive(Debug)]
pub enum Added {
    /// It was the last one.
    Complete(Box<Whole>),
    /// It was the first one of several, which are not awaited for ever.
    First,
    /// It was one of several.
    Another,
    /// So many messages are waited for that it was thrown away.
    Refused,
}

/// Messages that are not told of yet.
#[derive(Debug, Default)]
pub struct Traces(BTreeMap<u64, Whole>);

impl Traces {
    /// A shard's part comes.
    pub fn add(&mut self, part: Part) -> Added {
        let id = part.id;
        if self.0.len() >= AWAITED_MAX && !self.0.contains_key(&id) {
            return Added::Refused;
        }
        let whole = self.0.entry(id).or_default();
        whole.add(part);
        match (whole.is_complete(), whole.parts) {
            (true, _) => Added::Complete(Box::new(self.0.remove(&id).unwrap_or_default())),
            (false, 1) => Added::First,
            _ => Added::Another,
        }
    }

    /// A message was waited for long enough: what there is of it, if it is not told yet and there is enough.
    pub fn give_up(&mut self, id: u64) -> Option<Whole> {
        self.0.remove(&id).filter(|whole| whole.entry.is_some())
    }
}

/// The event.
pub fn event(whole: &Whole, server: Value, accounts: &[Account]) -> Value {
    let Some(entry) = &whole.entry else { return Value::Null };
    let name = |account: u16| accounts.get(usize::from(account)).map_or("", |a| a.name.as_str());
    let mut request = Map::new();
    let header = fields(&entry.header);
    if !header.is_empty() {
        request.insert("header".into(), json!(header));
    }
    request.insert("msgsize".into(), json!(entry.size));
    let mut events = vec![ingress(entry, name(entry.account))];
    let (mut kept, mut hops) = (Vec::new(), 0);
    for step in &whole.steps {
        let mut event = json!({"type": "", "ts": stamp(step.at_ns)});
        match &step.what {
            What::Mapped { to } => put(&mut event, "sm", &[("to", json!(text(to)))]),
            What::Exported { account, to } => {
                put(&mut event, "se", &[("acc", json!(name(*account))), ("to", json!(text(to)))]);
            }
            What::Imported { account, from, to } => {
                let fields = [("acc", json!(name(*account))), ("from", json!(text(from))), ("to", json!(text(to)))];
                put(&mut event, "si", &fields);
            }
            What::Egress(to) => {
                hops += u64::from(!to.hop.is_empty());
                egress(&mut event, to, to.account.map(name));
            }
            What::Kept { why, whom, receivers } => {
                kept.push(reason(why, whom, *receivers));
                continue;
            }
        }
        events.push(event);
    }
    let mut out = json!({"server": server, "request": request});
    if hops > 0 {
        out["hops"] = json!(hops);
    }
    out["events"] = Value::Array(events);
    if whole.steps.is_empty() && entry.error.is_none() {
        kept.push(reason("no_interest", b"", 0));
    }
    if !kept.is_empty() {
        out["not_delivered"] = Value::Array(kept);
    }
    if whole.left_out > 0 {
        out["left_out"] = json!(whole.left_out);
    }
    if whole.parts < whole.awaited {
        out["incomplete"] = json!(true);
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn put(event: &mut Value, kind: &str, fields: &[(&str, Value)]) {
    event["type"] = json!(kind);
    for (name, value) in fields {
        event[*name] = value.clone();
    }
}

fn party(event: &mut Value, kind: &str, who: &Party) {
    put(event, kind, &[("kind", json!(who.kind as u8)), ("cid", json!(who.cid))]);
    if !who.name.is_empty() {
        event["name"] = json!(who.name);
    }
}

fn ingress(entry: &Entry, account: &str) -> Value {
    let mut event = json!({"type": "", "ts": stamp(entry.at_ns)});
    party(&mut event, "in", &entry.from);
    event["acc"] = json!(account);
    event["subj"] = json!(text(&entry.subject));
    if let Some(error) = &entry.error {
        event["error"] = json!(error);
    }
    event
}

fn egress(event: &mut Value, to: &Egress, account: Option<&str>) {
    party(event, "eg", &to.to);
    let words = [
        ("hop", to.hop.clone()),
        ("acc", account.unwrap_or_default().to_owned()),
        ("sub", text(&to.pattern)),
        ("queue", text(&to.queue)),
        ("error", to.error.unwrap_or_default().to_owned()),
    ];
    for (name, word) in words.into_iter().filter(|(_, word)| !word.is_empty()) {
        event[name] = json!(word);
    }
}

/// Why somebody was not given it, by the names that `drops` in monitoring has.
fn reason(why: &str, whom: &[u8], receivers: u64) -> Value {
    let mut out = json!({"reason": why});
    if !whom.is_empty() {
        out["of"] = json!(text(whom));
    }
    if receivers > 0 {
        out["receivers"] = json!(receivers);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::traced::Kind;

    fn part(id: u64, entry: bool, elsewhere: u32) -> Part {
        let entry = entry.then(|| Entry {
            at_ns: 0,
            from: Party { kind: Kind::Client, cid: 7, name: "c".into() },
            account: 0,
            subject: b"a".as_slice().into(),
            header: b"NATS/1.0\r\nNats-Trace-Dest: d\r\n\r\n".as_slice().into(),
            size: 31,
            told: 0,
            dest: b"d".as_slice().into(),
            error: None,
        });
        Part { id, entry, steps: Vec::new(), left_out: 0, elsewhere }
    }

    #[test]
    fn parts_are_put_together_in_any_order() {
        let mut traces = Traces::default();
        assert!(matches!(traces.add(part(1, false, 0)), Added::First));
        assert!(matches!(traces.add(part(1, false, 0)), Added::Another));
        assert!(matches!(traces.add(part(1, true, 2)), Added::Complete(_)));
        assert!(matches!(traces.add(part(2, true, 0)), Added::Complete(_)));
        // A queue member had left: it went on from there.
        assert!(matches!(traces.add(part(3, true, 1)), Added::First));
        assert!(matches!(traces.add(part(3, false, 1)), Added::Another));
        assert!(traces.give_up(2).is_none());
        let whole = traces.give_up(3).expect("two of three");
        assert_eq!(event(&whole, Value::Null, &[Account::named("A")])["incomplete"], true);
    }

    #[test]
    fn who_has_no_receiver_is_told_so() {
        let mut traces = Traces::default();
        let Added::Complete(whole) = traces.add(part(1, true, 0)) else { panic!("one part") };
        let told = event(&whole, json!({"name": "s"}), &[Account::named("A")]);
        let expected = json!({
            "server": {"name": "s"},
            "request": {"header": {"Nats-Trace-Dest": ["d"]}, "msgsize": 31},
            "events": [{"type": "in", "ts": "1970-01-01T00:00:00Z", "kind": 0, "cid": 7, "name": "c", "acc": "A", "subj": "a"}],
            "not_delivered": [{"reason": "no_interest"}],
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_awaited_is_bounded() {
        let mut traces = Traces::default();
        (0..AWAITED_MAX as u64).for_each(|id| assert!(matches!(traces.add(part(id, true, 1)), Added::First)));
        assert!(matches!(traces.add(part(u64::MAX, true, 1)), Added::Refused));
        assert!(matches!(traces.add(part(1, false, 0)), Added::Complete(_)));
    }
}
