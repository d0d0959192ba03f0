//! What peers and other clusters want, as `/routez` and `/gatewayz` list it.

use super::query::Subs;
use super::subsz::SubDetail;
use crate::shard::report::SubRow;
use serde::Serialize;
use std::collections::BTreeMap;

/// Subscriptions of all routes or links together that one answer lists; the others are counted.
const LISTED_MAX: usize = 100_000;

/// Collects them, by the number of the route or link, and by account.
#[derive(Debug, Default)]
pub struct Wanted {
    rows: BTreeMap<(u64, String), Vec<SubRow>>,
    listed: usize,
    left_out: usize,
}

impl Wanted {
    /// One that a shard tells of.
    pub fn take(&mut self, row: SubRow) {
        if self.listed == LISTED_MAX {
            self.left_out += 1;
            return;
        }
        self.listed += 1;
        self.rows.entry((row.cid, row.account.clone())).or_default().push(row);
    }

    /// Those that the lists leave out.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Over one route or link, of all accounts, which are named.
    pub fn list(&self, cid: u64, subs: Subs) -> List {
        let rows = self.rows.range((cid, String::new())..).take_while(|((c, _), _)| *c == cid);
        List::of(rows.flat_map(|(_, rows)| rows), subs, true)
    }

    /// Over one route or link, of one account, which is not named again.
    pub fn list_of(&self, cid: u64, account: &str, subs: Subs) -> List {
        List::of(self.rows.get(&(cid, account.to_owned())).into_iter().flatten(), subs, false)
    }
}

/// A list as nats-server has it: of patterns, or with more about each.
#[derive(Debug, Default, Serialize)]
pub struct List {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
}

impl List {
    fn of<'a>(rows: impl Iterator<Item = &'a SubRow>, subs: Subs, with_account: bool) -> List {
        let mut list = List::default();
        match subs {
            Subs::No => {}
            Subs::Subjects => list.subscriptions_list = rows.map(|row| row.subject.clone()).collect(),
            Subs::Detail => {
                list.subscriptions_list_detail = rows.map(|row| SubDetail::new(row.clone(), with_account)).collect();
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_one_answer_is_counted() {
        let mut wanted = Wanted::default();
        for n in 0..LISTED_MAX as u64 + 3 {
            wanted.take(SubRow { account: "A".into(), cid: n % 2, ..SubRow::default() });
        }
        assert_eq!(wanted.left_out(), 3);
        assert_eq!(wanted.list(1, Subs::Subjects).subscriptions_list.len(), LISTED_MAX / 2);
        assert_eq!(wanted.list_of(1, "A", Subs::Detail).subscriptions_list_detail.len(), LISTED_MAX / 2);
        assert!(wanted.list_of(1, "B", Subs::Subjects).subscriptions_list.is_empty());
        assert!(wanted.list(2, Subs::Subjects).subscriptions_list.is_empty());
    }
}
