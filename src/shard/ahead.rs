//! Publications to ever other subjects. Where there are many, a verdict lies in none of the near caches, and a message
//! waits for one line of it after the other. So some are read ahead, and what they need is fetched for all of them at once.
//! Called by `dispatch`.

use super::core::Shard;
use super::verdict::Verdicts;
use crate::base::limits::AHEAD_MAX;
use crate::base::{same, ConnId, Slot};
use crate::conn::Publisher;
use crate::wire::Message;
use std::hint::black_box;

impl Shard {
    /// Are there so many subjects that it pays to read ahead?
    #[inline]
    pub(super) fn has_many_subjects(&self) -> bool {
        self.verdicts.len() >= self.ahead_verdicts_min
    }

    /// Carries out the publications at the start of `data`, as many as are read ahead; says how many bytes of it are done with,
    /// and whether it pays to go on so. Where a subject repeats it does not: that goes faster another way.
    #[inline(never)]
    pub(super) fn publish_ahead(&mut self, id: ConnId, data: &[u8]) -> (usize, bool) {
        let Some(client) = self.outbox.conns.get(id) else { return (0, false) };
        let account = client.account;
        let mut ahead = [(Message::EMPTY, 0); AHEAD_MAX];
        let (mut n, mut end) = (0, 0);
        while n < AHEAD_MAX {
            let Some((m, used)) = client.parser.publication(&data[end..], &client.rules) else { break };
            if n > 0 && same(ahead[n - 1].0.subject, m.subject) {
                break;
            }
            end += used;
            ahead[n] = (m, end);
            n += 1;
        }
        let ahead = &ahead[..n];
        let found = look_up(&self.verdicts, account, ahead);
        let mut done = 0;
        for ((m, end), found) in ahead.iter().zip(found) {
            let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.ready()) else { break };
            if self.budget == 0 || self.crammed {
                break;
            }
            done = *end;
            let from = Publisher { found, ..client.publishes(m, self.now.mono) };
            self.publish(id, from, m);
            if self.outbox.unsettled() {
                self.settle();
            }
        }
        (done, n == AHEAD_MAX)
    }
}

/// The keys of the verdicts on these subjects, as far as they were reached before. In rounds, so that the processor waits
/// for all of them at the same time.
fn look_up(verdicts: &Verdicts, account: u16, ahead: &[(Message<'_>, usize)]) -> [Slot; AHEAD_MAX] {
    let (mut hashes, mut keys) = ([0; AHEAD_MAX], [Slot::NONE; AHEAD_MAX]);
    for (hash, (m, _)) in hashes.iter_mut().zip(ahead) {
        *hash = verdicts.hash(account, m.subject);
    }
    for (key, hash) in keys.iter_mut().zip(&hashes[..ahead.len()]) {
        *key = verdicts.likely(*hash);
    }
    black_box(keys.iter().fold(0, |all, key| all ^ verdicts.touch(*key)));
    for ((key, hash), (m, _)) in keys.iter_mut().zip(hashes).zip(ahead) {
        *key = verdicts.find_hashed(hash, account, m.subject).unwrap_or(Slot::NONE);
    }
    keys
}

#[cfg(test)]
mod tests;
