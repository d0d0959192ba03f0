//! `/subsz`: subscriptions and the tables that hold them (operations.md §16.6). Pure, as `connz`.

use super::facts::Facts;
use super::json::{ratio, Float};
use super::query::Query;
use super::time::stamp;
use crate::shard::report::{SubRow, Tally};
use crate::wire::subject::valid_publish;
use serde::Serialize;

/// Entries of a page that names no limit.
const LIMIT: usize = 1024;

/// What ends a subject on a protocol line, so that no message can have it in its subject.
const WHITE: [char; 5] = [' ', '\t', '\r', '\n', '\u{c}'];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// With a list?
    pub subs: bool,
    /// Only of this account.
    pub account: Option<String>,
    /// Only those that a message with this subject would reach.
    pub test: Option<Vec<u8>>,
    offset: usize,
    limit: usize,
}

impl Request {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn read(q: &Query) -> Result<Request, String> {
        let subs = q.boolean("subs")?;
        let (offset, limit) = q.page(LIMIT)?;
        let named = |name| Some(q.text(name)).filter(|t| !t.is_empty());
        let test = named("test");
        if let Some(subject) = test.filter(|t| !valid_publish(t.as_bytes()) || t.contains(WHITE)) {
            return Err(format!("invalid test subject, must be valid publish subject: {subject}"));
        }
        let test = test.map(|t| t.as_bytes().to_vec());
        Ok(Request { subs, account: named("acc").map(str::to_owned), test, offset, limit })
    }
}

/// Collects the rows of all shards.
#[derive(Debug)]
pub struct Gather {
    request: Request,
    total: u64,
    kept: Vec<SubRow>,
}

impl Gather {
    /// Nothing yet.
    pub fn new(request: Request) -> Gather {
        Gather { request, total: 0, kept: Vec::new() }
    }

    /// A shard's row, already filtered there.
    pub fn take(&mut self, row: SubRow) {
        self.total += 1;
        self.kept.push(row);
        let room = self.request.offset.saturating_add(self.request.limit);
        if self.kept.len() >= room.saturating_mul(2).max(LIMIT) {
            self.sort();
            self.kept.truncate(room);
        }
    }

    fn sort(&mut self) {
        self.kept.sort_by(|a, b| (&a.account, &a.subject, a.cid, &a.sid).cmp(&(&b.account, &b.subject, b.cid, &b.sid)));
    }

    /// The page; `tallies` are those of all shards.
    pub fn page(mut self, facts: &Facts, now_ns: u64, tallies: &[Tally]) -> Subsz {
        self.sort();
        let Gather { request, total, kept } = self;
        let page = kept.into_iter().skip(request.offset).take(request.limit);
        Subsz {
            server_id: facts.server_id.clone(),
            now: stamp(now_ns),
            table: match &request.account {
                None => Table::of_all(tallies),
                Some(account) => Table::of_account(tallies, account),
            },
            total,
            offset: request.offset,
            limit: request.limit,
            subscriptions_list: page.map(|row| SubDetail::new(row, true)).collect(),
        }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Subsz {
    server_id: String,
    now: String,
    #[serde(flatten)]
    table: Table,
    total: u64,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubDetail>,
}

/// How the tables of interest do, over all shards.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    num_subscriptions: u64,
    num_cache: u64,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: Float,
    max_fanout: u64,
    avg_fanout: Float,
}

impl Table {
    fn of_all(tallies: &[Tally]) -> Table {
        let sum = |field: fn(&Tally) -> u64| tallies.iter().map(field).sum::<u64>();
        let (hits, looks) = (sum(|t| t.cache_hits), sum(|t| t.cache_hits + t.matches));
        Table {
            num_subscriptions: sum(|t| t.subscriptions),
            num_cache: sum(|t| t.cached),
            num_inserts: sum(|t| t.inserts),
            num_removes: sum(|t| t.removes),
            num_matches: looks,
            cache_hit_rate: ratio(hits, looks),
            max_fanout: tallies.iter().map(|t| t.max_fanout).max().unwrap_or(0),
            avg_fanout: ratio(sum(|t| t.fanout_sum), sum(|t| t.fanout_count)),
        }
    }

    /// Shards count subscriptions per account, the work of their tables only as a whole.
    pub fn of_account(tallies: &[Tally], account: &str) -> Table {
        let rows = tallies.iter().flat_map(|t| &t.accounts).filter(|a| a.account == account);
        Table { num_subscriptions: rows.map(|a| a.subscriptions).sum(), ..Table::default() }
    }
}

/// One subscription.
#[derive(Debug, Serialize)]
pub struct SubDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_tag: Option<String>,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    qgroup: Option<String>,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    cid: u64,
}

impl SubDetail {
    /// From a shard's row; in a listing of connections the account is not repeated.
    pub fn new(row: SubRow, with_account: bool) -> SubDetail {
        let account = with_account.then_some(row.account);
        SubDetail {
            account_tag: account.clone(),
            account,
            subject: row.subject,
            qgroup: row.queue,
            sid: row.sid,
            msgs: row.msgs,
            max: row.max.filter(|m| *m > 0),
            cid: row.cid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Request, String> {
        Request::read(&Query::parse(Some(raw)))
    }

    #[test]
    fn only_a_literal_subject_can_be_tested() {
        for bad in ["foo.*", ">", "a..b", "a.", "a%20b"] {
            let shown = bad.replace("%20", " ");
            let text = format!("invalid test subject, must be valid publish subject: {shown}");
            assert_eq!(read(&format!("test={bad}")).unwrap_err(), text);
        }
        assert_eq!(read("test=foo.bar").unwrap().test.as_deref(), Some(&b"foo.bar"[..]));
        assert_eq!(read("test=").unwrap().test, None);
        assert!(read("subs=detail").unwrap_err().starts_with("Error decoding boolean for 'subs'"));
    }

    #[test]
    fn many_rows_leave_the_first_page_in_order() {
        let mut gather = Gather::new(read("subs=1&offset=1&limit=2").unwrap());
        for n in (0..5000).rev() {
            gather.take(SubRow { subject: format!("s.{n:04}"), cid: n, ..SubRow::default() });
        }
        assert!(gather.kept.len() <= LIMIT);
        assert_eq!(gather.total, 5000);
        gather.sort();
        let first: Vec<_> = gather.kept.iter().take(3).map(|r| r.subject.as_str()).collect();
        assert_eq!(first, ["s.0000", "s.0001", "s.0002"]);
    }

    #[test]
    fn rates_count_hits_among_all_looks() {
        let tally = Tally { matches: 3, cache_hits: 9, fanout_sum: 8, fanout_count: 4, ..Tally::default() };
        let table = Table::of_all(&[tally.clone(), tally]);
        assert_eq!((table.num_matches, table.cache_hit_rate, table.avg_fanout), (24, Float(0.75), Float(2.0)));
    }
}
