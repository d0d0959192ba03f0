//! What a user may do: a permit agrees with a plain reading of its entries, and nobody is given what is denied to him. The
//! input is lines: `+pattern queue` is allowed, `-pattern queue` denied (the queue group may be missing), `?pattern queue`
//! is asked for, anything else is a subject that is published.

use turnpike::interest::permit::{Entry, Lists, Permissions, Permit};
use turnpike::wire::subject::{has_empty_token, valid_subscription};

/// Token by token, with the wildcards of `s` as ordinary tokens, or (`whole`) as wildcards that have to be contained.
fn covered(p: &[u8], s: &[u8], whole: bool) -> bool {
    let (p, s): (Vec<&[u8]>, Vec<&[u8]>) = (p.split(|b| *b == b'.').collect(), s.split(|b| *b == b'.').collect());
    let open = p.last() == Some(&b">".as_slice());
    let fixed = p.len() - usize::from(open);
    let long_enough = if open { s.len() > fixed } else { s.len() == fixed };
    long_enough && (0..fixed).all(|i| p[i] == s[i] || p[i] == b"*" && !(whole && s[i] == b">"))
}

/// The entries as they stand.
struct Plain {
    allow: Option<Vec<Entry>>,
    deny: Vec<Entry>,
}

impl Plain {
    fn publish(&self, subject: &[u8]) -> bool {
        let any =
            |list: &Vec<Entry>| !has_empty_token(subject) && list.iter().any(|e| covered(&e.subject, subject, false));
        self.allow.as_ref().is_none_or(any) && !any(&self.deny)
    }

    fn delivers(&self, subject: &[u8], queue: &[u8]) -> bool {
        has_empty_token(subject)
            || !self.deny.iter().any(|e| {
                let about = e.queue.is_empty() || !queue.is_empty() && covered(&e.queue, queue, true);
                about && covered(&e.subject, subject, false)
            })
    }

    fn subscribes(&self, pattern: &[u8], queue: &[u8]) -> bool {
        let Some(allow) = &self.allow else { return self.delivers(pattern, queue) };
        let near = allow.iter().filter(|e| covered(&e.subject, pattern, false));
        let whole = |e: &&Entry| covered(&e.subject, pattern, true);
        let about_groups = !queue.is_empty() && near.clone().any(|e| !e.queue.is_empty());
        let allowed = match about_groups {
            true => near.filter(|e| !e.queue.is_empty() && covered(&e.queue, queue, true)).any(|e| whole(&e)),
            false => near.filter(|e| e.queue.is_empty()).any(|e| whole(&e)),
        };
        allowed && self.delivers(pattern, queue)
    }
}

/// A pattern and a queue group.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    (&line[..at], line.get(at + 1..).unwrap_or_default())
}

/// See the file's head.
pub fn check(input: &[u8]) {
    let (mut plain, mut asked, mut subjects) = (Plain { allow: None, deny: Vec::new() }, Vec::new(), Vec::new());
    for line in input.split(|b| *b == b'\n').take(64) {
        let (verb, rest) = line.split_first().unwrap_or((&b' ', &[]));
        let (pattern, queue) = split(rest);
        // A group `>.x` counts as `>`, as at nats-server: the plain reading below does not know that.
        let sound = valid_subscription(pattern) && (queue.is_empty() || valid_subscription(queue));
        let entry = || sound.then(|| Entry { subject: pattern.into(), queue: queue.into() });
        match verb {
            b'+' => plain.allow.get_or_insert_default().extend(entry()),
            b'-' => plain.deny.extend(entry()),
            b'?' if valid_subscription(pattern) => asked.push((pattern, queue)),
            _ => subjects.push(line),
        }
    }
    let lists = Lists { allow: plain.allow.clone(), deny: plain.deny.clone() };
    let permit = Permit::new(Permissions { publish: lists.clone(), subscribe: lists, responses: None });
    for subject in &subjects {
        assert_eq!(permit.publish(subject), plain.publish(subject), "published to {}", subject.escape_ascii());
    }
    for (pattern, queue) in asked {
        let may = permit.subscribe(pattern, queue);
        let shown = || format!("{} of {}", pattern.escape_ascii(), queue.escape_ascii());
        assert_eq!(may, plain.subscribes(pattern, queue), "subscribed to {}", shown());
        for subject in subjects.iter().filter(|s| !has_empty_token(s) && covered(pattern, s, false)) {
            let delivers = plain.delivers(subject, queue);
            assert_eq!(permit.deliver(subject, queue), delivers, "{} to {}", subject.escape_ascii(), shown());
            // Of what nobody looks at when it is delivered nothing may be denied.
            assert!(!may || permit.guards(pattern) || delivers, "{} to {}", subject.escape_ascii(), shown());
        }
    }
}
