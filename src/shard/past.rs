//! What is remembered of connections that ended: monitoring asks for them (`state=closed` of `/connz`). Filled by
//! `ending`, read by `answer`.

use super::report::ConnRow;
use std::collections::VecDeque;

/// The last connections that ended, for monitoring.
#[derive(Debug)]
pub(super) struct Past {
    rows: VecDeque<ConnRow>,
    max: usize,
    /// How many were forgotten: the cursor of the oldest kept.
    forgotten: u32,
}

impl Past {
    /// Remembers at most `max`.
    pub(super) fn new(max: usize) -> Past {
        Past { rows: VecDeque::new(), max, forgotten: 0 }
    }

    /// One more has ended; the oldest makes room for it.
    pub(super) fn push(&mut self, row: ConnRow) {
        if self.max == 0 {
            return;
        }
        if self.rows.len() >= self.max {
            self.rows.pop_front();
            self.forgotten += 1;
        }
        self.rows.push_back(row);
    }

    /// At most `max` rows from the cursor on, and the next cursor.
    pub(super) fn slice(&self, from: u32, max: u32) -> (Vec<ConnRow>, Option<u32>) {
        let start = from.max(self.forgotten) - self.forgotten;
        let rows: Vec<ConnRow> = self.rows.iter().skip(start as usize).take(max as usize).cloned().collect();
        let end = start as usize + rows.len();
        let next = (end < self.rows.len()).then(|| self.forgotten + end as u32);
        (rows, next)
    }
}
