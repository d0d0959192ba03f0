//! Plays rows of the table to a server and tells what differed: whole, cut in two at a byte, or byte by byte.

use crate::support::differences;
use crate::support::frames::{info, show, show_all, split, Frame};
use crate::support::raw::{Raw, PATIENCE};
use crate::table::{Act, End, Play, Want};
use std::net::SocketAddr;

/// Beyond this length an input is cut only near its ends and now and then between.
const CUT_ALL: usize = 400;

/// How the input of a play is cut into writes the server reads one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As the row says.
    Whole,
    /// The write at this place of the acts, in two, before this byte.
    At { act: usize, byte: usize },
    /// Each byte alone.
    EveryByte,
}

impl Cut {
    /// Every cut in two of a play.
    pub fn every(play: &Play) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for (act, what) in play.acts.iter().enumerate() {
            if let Act::Write(_, bytes) = what {
                cuts.extend(places(bytes.len()).into_iter().map(|byte| Cut::At { act, byte }));
            }
        }
        cuts
    }
}

/// Where an input of `len` bytes is cut: everywhere, or near both ends and at every 997th byte when it is long.
fn places(len: usize) -> Vec<usize> {
    let near = |at: &usize| len <= CUT_ALL || *at < 48 || *at + 48 > len || (len < 20_000 && at.is_multiple_of(997));
    (1..len).filter(near).collect()
}

/// One connection while it is played.
struct Line {
    raw: Raw,
    unsent: Vec<u8>,
    got: Vec<Frame>,
    finished: bool,
}

/// Plays `play` to the server at `to`; the error says what was wanted and what came.
pub fn run(to: SocketAddr, turnpike: bool, play: &Play, cut: Cut) -> Result<(), String> {
    let mut lines: Vec<Line> = Vec::new();
    for (place, act) in play.acts.iter().enumerate() {
        match act {
            Act::Open(prelude) => {
                let (raw, unsent) = (Raw::connect(to).verbatim(), prelude.clone());
                raw.reset_at_end();
                lines.push(Line { raw, unsent, got: Vec::new(), finished: false });
            }
            Act::Write(conn, bytes) => write(&mut lines[*conn], bytes, place, cut),
            Act::Barrier(conn) => barrier(&mut lines[*conn])?,
            Act::Finish(conn) => {
                lines[*conn].raw.finish();
                lines[*conn].finished = true;
            }
        }
    }
    // What turnpike promises at b's PONG is on its way to a: b first.
    for (conn, line) in lines.iter_mut().enumerate().rev() {
        let side = &play.sides[conn];
        let wants = side.wants(turnpike);
        finish(line, &wants, side.end).map_err(|e| format!("connection {}: {e}", ["a", "b"][conn]))?;
        if !turnpike {
            differences::pedantic_once(&mut line.got);
        }
        compare(&line.got, &wants).map_err(|e| format!("connection {}: {e}", ["a", "b"][conn]))?;
    }
    for line in lines.iter_mut().filter(|l| !l.raw.is_closed()) {
        clear(line)?;
    }
    Ok(())
}

/// Ends all subscriptions of an open connection, for certain before the next row (row 61).
fn clear(line: &mut Line) -> Result<(), String> {
    line.raw.write(b"CONNECT {\"verbose\":false,\"protocol\":0}\r\nPING\r\n");
    match line.raw.try_until_pongs(1, PATIENCE) {
        Ok((_, false)) => Ok(()),
        Ok((frames, true)) | Err(frames) => Err(format!("a second CONNECT ends in {}", show_all(&frames))),
    }
}

fn write(line: &mut Line, bytes: &[u8], place: usize, cut: Cut) {
    let mut head = std::mem::take(&mut line.unsent);
    match cut {
        Cut::At { act, byte } if act == place => {
            head.extend_from_slice(&bytes[..byte]);
            line.raw.write(&head);
            line.raw.await_read();
            line.raw.write(&bytes[byte..]);
        }
        Cut::Whole | Cut::At { .. } => {
            head.extend_from_slice(bytes);
            line.raw.write(&head);
        }
        Cut::EveryByte => {
            line.raw.write(&head);
            let mut from = 0;
            for at in places(bytes.len()).into_iter().chain([bytes.len()]) {
                line.raw.await_read();
                line.raw.write(&bytes[from..at]);
                from = at;
            }
        }
    }
    line.raw.await_read();
}

fn barrier(line: &mut Line) -> Result<(), String> {
    let mut bytes = std::mem::take(&mut line.unsent);
    bytes.extend_from_slice(b"PING\r\n");
    line.raw.write(&bytes);
    match line.raw.try_until_pongs(1, PATIENCE) {
        Ok((frames, false)) => line.got.extend_from_slice(&frames[..frames.len() - 1]),
        Ok((frames, true)) => return Err(format!("closed at a barrier after {}", show_all(&frames))),
        Err(frames) => return Err(format!("no PONG at a barrier; came {}", show_all(&frames))),
    }
    Ok(())
}

/// Reads what is left on the connection, up to its end or to the PONG that proves it open.
fn finish(line: &mut Line, wants: &[Want], end: End) -> Result<(), String> {
    let head = std::mem::take(&mut line.unsent);
    line.raw.write(&head);
    let count = |frame: &[u8]| wants.iter().filter(|w| matches!(w, Want::Frame(f) if f == frame)).count();
    let open = end == End::Open && !line.finished;
    if open {
        line.raw.write(b"PING\r\n");
    }
    let pongs = if open { count(b"PONG\r\n") + 1 } else { usize::MAX };
    let answer = line.raw.try_until_pongs(pongs, PATIENCE);
    let (Ok((frames, _)) | Err(frames)) = &answer;
    line.got.extend_from_slice(frames);
    // The server asks for a round trip when two seconds have passed (client-protocol.md §12).
    if count(b"PING\r\n") == 0 {
        line.got.retain(|f| f != b"PING\r\n");
    }
    match (answer, open) {
        (Ok((_, false)), true) => {
            line.got.pop();
            Ok(())
        }
        (Ok((_, true)), false) => Ok(()),
        (Ok((_, true)), true) => Err(format!("it closed; {}", told(&line.got, wants))),
        (_, false) => Err(format!("it stays open; {}", told(&line.got, wants))),
        (Err(_), true) => Err(format!("it is silent; {}", told(&line.got, wants))),
    }
}

fn compare(got: &[Frame], wants: &[Want]) -> Result<(), String> {
    let mut left = got;
    for want in wants {
        let n = match want {
            Want::AnyOrder(frames) => frames.len(),
            Want::Frame(_) | Want::OneOf(_) => 1,
        };
        if left.len() < n {
            return Err(told(got, wants));
        }
        let (these, rest) = left.split_at(n);
        let fits = match want {
            Want::Frame(frame) => same(&these[0], frame),
            Want::OneOf(frames) => frames.contains(&these[0]),
            Want::AnyOrder(frames) => {
                let (mut a, mut b) = (frames.clone(), these.to_vec());
                a.sort();
                b.sort();
                a == b
            }
        };
        if !fits {
            return Err(told(got, wants));
        }
        left = rest;
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(told(got, wants))
    }
}

/// Equal bytes; an INFO needs only the keys and values the wanted one names.
fn same(got: &[u8], want: &[u8]) -> bool {
    match (info(want), info(got)) {
        (Some(want), Some(got)) => {
            let want = want.as_object().expect("INFO {…} in the table");
            want.iter().all(|(key, value)| got.get(key) == Some(value))
        }
        (None, None) => got == want,
        _ => false,
    }
}

fn told(got: &[Frame], wants: &[Want]) -> String {
    let text: Vec<String> = wants
        .iter()
        .map(|want| match want {
            Want::Frame(f) => show(f),
            Want::AnyOrder(f) => format!("[in any order: {}]", show_all(f)),
            Want::OneOf(f) => format!("[one of: {}]", show_all(f)),
        })
        .collect();
    format!("\n    wanted {}\n    came   {}", text.join(" "), show_all(&split(&got.concat())))
}
