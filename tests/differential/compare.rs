//! Makes the records of two servers comparable: what may differ by chance is put in order, what belongs to one server
//! is masked, and what `docs/differences.md` allows is taken out.

use crate::script::{Record, Seen};
use crate::support::differences;
use crate::support::frames::{info, show, Frame};
use std::collections::BTreeMap;

/// What one step came to: lines of text that must be equal on both servers.
pub type Outcome = Vec<String>;

/// One record, step by step.
pub fn outcomes(record: &Record, turnpike: bool) -> Vec<Outcome> {
    record.iter().map(|seen| outcome(seen, turnpike)).collect()
}

/// The place of the first step that differs, with what each side came to in it.
pub fn first_difference(a: &[Outcome], b: &[Outcome]) -> Option<String> {
    let at = a.iter().zip(b).position(|(a, b)| a != b)?;
    let side = |all: &[Outcome], other: &[Outcome]| -> String {
        let lines = all[at].iter().filter(|line| !other[at].contains(line));
        lines.map(|line| format!("\n      {line}")).collect()
    };
    let step = if at == 0 { "the opening".to_string() } else { format!("step {}", at - 1) };
    Some(format!("{step} differs\n    left: {}\n    right:{}", side(a, b), side(b, a)))
}

fn outcome(step: &[Seen], turnpike: bool) -> Outcome {
    let mut lines = Vec::new();
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for (conn, seen) in step.iter().enumerate() {
        let mut streams: BTreeMap<String, Vec<Frame>> = BTreeMap::new();
        let mut frames = seen.frames.clone();
        differences::pedantic_once(&mut frames);
        if turnpike && seen.closed && frames.last() == Some(&differences::malformed()) {
            frames.pop();
        }
        // On both sides: only what came before tells a complete message from an unfinished one.
        if seen.closed {
            differences::pedantic_unfinished(&mut frames);
        }
        // Events of the system account, which turnpike does not offer yet, come to whoever may hear them.
        frames.retain(|frame| !frame.starts_with(b"MSG $SYS."));
        for frame in frames {
            match queue_delivery(&frame) {
                Some(key) => *groups.entry(key).or_default() += 1,
                None => streams.entry(stream(conn, &frame)).or_default().push(frame),
            }
        }
        for (name, frames) in streams {
            lines.push(format!("connection {conn}, {name}: {}", in_order(frames).join(" ")));
        }
        if seen.closed {
            lines.push(format!("connection {conn} closed"));
        }
        if seen.silent {
            lines.push(format!("connection {conn} silent"));
        }
    }
    lines.extend(groups.into_iter().map(|(key, n)| format!("{n} × {key}")));
    lines
}

/// Which of a connection's streams a frame belongs to: what it caused itself is in order with its own commands; what
/// each other connection sent is in order by itself.
fn stream(conn: usize, frame: &[u8]) -> String {
    match publisher(frame) {
        Some(from) if from != conn => format!("from {from}"),
        _ => "own".to_string(),
    }
}

/// One message comes to several subscriptions in any order: runs of the same subject and payload are sorted.
fn in_order(frames: Vec<Frame>) -> Vec<String> {
    let same = |f: &Frame| Some((message(f)?.0.swap_remove(1), body(f)?.to_vec()));
    let mut shown: Vec<_> = frames.iter().map(|f| (same(f), text(f))).collect();
    for run in shown.chunk_by_mut(|a, b| a.0.is_some() && a.0 == b.0) {
        run.sort();
    }
    shown.into_iter().map(|(_, text)| text).collect()
}

/// A frame as it is compared.
fn text(frame: &[u8]) -> String {
    if let Some(info) = info(frame) {
        return format!("INFO {}", differences::masked_info(&info));
    }
    let shown = show(frame);
    // Any matching subscription of the connection may carry a 503 (client-protocol.md §10).
    match (frame.starts_with(b"HMSG ") && shown.contains("⏎NATS/1.0 503⏎"), shown.split_once(' ')) {
        (true, Some((verb, rest))) => {
            let mut words: Vec<&str> = rest.split(' ').collect();
            words[1] = "(sid)";
            format!("{verb} {}", words.join(" "))
        }
        _ => shown,
    }
}

/// A delivery to a queue subscription without what depends on the member picked: its connection, its sid, and whether
/// it takes headers.
fn queue_delivery(frame: &[u8]) -> Option<String> {
    let (words, _) = message(frame)?;
    let sid = words.get(2)?;
    let group = sid.strip_prefix('q')?.split('x').next()?;
    let reply = if words.len() == if words[0] == "HMSG" { 6 } else { 5 } { &words[3] } else { "" };
    Some(format!("group {group}: {} reply {reply:?} {}", words[1], show(body(frame)?)))
}

/// The connection whose message a frame is, from its payload's mark `p<connection>.<number>.`.
fn publisher(frame: &[u8]) -> Option<usize> {
    let mark = std::str::from_utf8(mark(frame)?).ok()?;
    mark.strip_prefix('p')?.split('.').next()?.parse().ok()
}

/// The mark of a message: its payload up to the second dot.
fn mark(frame: &[u8]) -> Option<&[u8]> {
    let body = body(frame)?;
    let second = body.iter().enumerate().filter(|(_, &b)| b == b'.').nth(1)?.0;
    Some(&body[..second])
}

/// The payload without headers.
fn body(frame: &[u8]) -> Option<&[u8]> {
    let (words, payload) = message(frame)?;
    let headers = if words[0] == "HMSG" { words[words.len() - 2].parse().ok()? } else { 0 };
    payload.get(headers..)
}

/// The words of a MSG or HMSG line and what follows it.
fn message(frame: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let line = frame.iter().position(|&b| b == b'\n')?;
    let words: Vec<String> =
        String::from_utf8_lossy(&frame[..line]).split_ascii_whitespace().map(String::from).collect();
    let payload = &frame[line + 1..frame.len().saturating_sub(2).max(line + 1)];
    matches!(words.first().map(String::as_str), Some("MSG" | "HMSG")).then_some((words, payload))
}
