//! Answers to monitoring, in slices.

use super::core::Shard;
use super::report::{AccountTally, Answer, Ask, ConnRow, Counted, Issued, RouteRow, SubRow, Tally};
use super::verdict::Sub;
use crate::base::Slot;
use crate::conn::{Client, Counts};
use crate::policy::Pass;
use crate::wire::subject;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Is it a client that people are told of?
fn is_listed(c: &Client) -> bool {
    c.lives() && c.is_client() && !c.service
}

fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut all = Counts::default();
    counts.for_each(|c| all.add(c));
    all
}

impl Shard {
    /// Answers a question.
    pub(super) fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            // An order rather than a question: obeyed where orders are.
            Ask::Part { .. } => Answer::Parted(false),
            Ask::Tally { from, max } => match self.book(from, max) {
                (counted, true) => Answer::Tally(Box::new(self.tally(counted))),
                (counted, false) => Answer::Counted(counted),
            },
            Ask::Connections { from, max, subs } => {
                let places = self.outbox.conns.places();
                let end = from.saturating_add(max).min(places);
                let rows = (from..end).filter_map(|p| self.outbox.conns.at(p));
                let rows = rows.filter(|(_, c)| is_listed(c)).map(|(_, c)| self.row(c, subs)).collect();
                Answer::Connections { rows, next: (end < places).then_some(end) }
            }
            Ask::Closed { from, max } => {
                let (rows, next) = self.past.slice(from, max);
                Answer::Closed { rows, next }
            }
            Ask::Subscriptions { from, max, account, test } => {
                let places = self.outbox.subs.places();
                let end = from.saturating_add(max).min(places);
                let all = (from..end).filter_map(|p| self.outbox.subs.at(p)).map(|(_, s)| s);
                let wanted = all.filter(|s| {
                    let name = &self.settings.auth.accounts[usize::from(s.account)].name;
                    !self.outbox.conns.get(s.conn).is_some_and(|c| c.service)
                        && account.as_ref().is_none_or(|a| a == name)
                        && test.as_ref().is_none_or(|t| subject::matches(&s.pattern, t))
                });
                let rows = wanted.map(|s| self.sub_row(s)).collect();
                Answer::Subscriptions { rows, next: (end < places).then_some(end) }
            }
            Ask::Routes => Answer::Routes(self.route_rows()),
            Ask::Explain(question) => Answer::Explained(Box::new(self.explain(&question))),
            Ask::Gateways { from, max } => match self.book(from, max) {
                (_, true) => Answer::Gateways(Box::new(self.gateway_report())),
                (counted, false) => Answer::Counted(counted),
            },
            Ask::PeerInterest { from, max } => self.peer_interest(from, max),
            Ask::FarInterest { from, max, account } => self.far_interest(from, max, account.as_deref()),
        }
    }

    fn route_rows(&self) -> Vec<RouteRow> {
        let here = self.peers.here().filter_map(|(_, conn)| self.outbox.conns.get(conn));
        let rows = here.filter_map(|c| {
            let route = c.route.as_deref()?;
            Some(RouteRow {
                rid: c.cid.0,
                shard: self.id.0,
                remote_id: route.intro.server_id.to_string(),
                remote_name: route.intro.server_name.to_string(),
                dialed: route.intro.dialed,
                configured: route.intro.configured,
                ip: c.ip.to_string(),
                port: c.port,
                start_ns: c.start_ns,
                last_activity_ns: self.now.wall_ns.saturating_sub(route.pulse.silence(self.now.mono)),
                rtt_ns: route.pulse.rtt_ns,
                pending_bytes: c.out.pending() as u64,
                counts: c.counts,
                interest: route.interest,
            })
        });
        rows.collect()
    }

    /// Books what has passed over some connections where the counters of those that have ended are, so that a question
    /// about ten thousand of them is no walk over all in one turn. True: these were the last.
    pub(super) fn book(&mut self, from: Counted, max: u32) -> (Counted, bool) {
        let places = self.outbox.conns.places();
        let end = from.place.saturating_add(max).min(places);
        let mut found = Counted { place: end, ..from };
        for place in from.place..end {
            let Some(c) = self.outbox.conns.at_mut(place) else { continue };
            found.connections += u64::from(is_listed(c));
            found.ways_back += c.answers.as_ref().map_or(0, |a| a.held() as u64);
            if c.service {
                found.hidden += c.subs.len() as u64;
                continue;
            }
            let passed = c.counts.since(&c.booked);
            c.booked = c.counts;
            match (&c.route, &c.gateway) {
                (Some(_), _) => self.outbox.ledger.routed.add(&passed),
                (None, Some(_)) => self.outbox.ledger.crossed.add(&passed),
                (None, None) => self.worlds[usize::from(c.account)].ledger.passed.add(&passed),
            }
        }
        (found, end == places)
    }

    /// All counters; everything is booked.
    fn tally(&self, counted: Counted) -> Tally {
        let l = &self.outbox.ledger;
        let (routes, crossed) = (l.routed, l.crossed);
        let all = sum(self.worlds.iter().map(|w| &w.ledger.passed).chain([&routes, &crossed]));
        let recent = self.worlds.iter().map(|w| w.recent.held() as u64);
        let named = self.worlds.iter().zip(&self.settings.auth.accounts);
        let own = self.settings.auth.system.unwrap_or(0);
        let hidden = |account| if account == own { counted.hidden } else { 0 };
        let present = named.enumerate().filter(|(_, (_, a))| !a.gone);
        let accounts = present.map(|(i, (w, a))| AccountTally {
            account: a.name.clone(),
            connections: w.ledger.connections,
            total_connections: w.ledger.total_connections,
            subscriptions: w.ledger.subscriptions.saturating_sub(hidden(i)),
            in_msgs: w.ledger.passed.in_msgs,
            in_bytes: w.ledger.passed.in_bytes,
            out_msgs: w.ledger.passed.out_msgs,
            out_bytes: w.ledger.passed.out_bytes,
            slow_consumers: w.ledger.slow_consumers,
        });
        Tally {
            connections: counted.connections,
            subscriptions: (self.outbox.subs.len() as u64).saturating_sub(counted.hidden),
            in_msgs: all.in_msgs,
            in_bytes: all.in_bytes,
            out_msgs: all.out_msgs,
            out_bytes: all.out_bytes,
            routed: routes,
            crossed,
            slow_consumers_pending: l.slow_consumers_pending,
            slow_consumers_deadline: l.slow_consumers_deadline,
            stale_connections: l.stale_connections,
            stale_routes: l.stale_routes,
            stale_gateways: l.stale_gateways,
            stalled_clients: l.stalled_clients,
            failed_logins: l.failed_logins,
            strangers_dropped: l.strangers_dropped,
            scarce: self.scarce,
            scarce_cut: l.scarce_cut,
            scarce_refused: l.scarce_refused,
            malformed_headers: l.malformed_headers,
            interest_refused: l.interest_refused,
            subscriptions_denied: l.subscriptions_denied,
            responses_forgotten: l.responses_forgotten,
            traced: self.outbox.traces.traced,
            traces_refused: self.outbox.traces.refused,
            ways_back: counted.ways_back,
            grants: self.grants.held() as u64,
            recent: recent.sum(),
            inserts: l.inserts,
            removes: l.removes,
            matches: l.matches,
            cache_hits: l.cache_hits,
            cached: self.verdicts.len() as u64,
            max_fanout: l.max_fanout,
            fanout_sum: l.fanout_sum,
            fanout_count: l.fanout_count,
            drops: l.drops(),
            accounts: accounts.collect(),
        }
    }

    /// A connection as monitoring shows it.
    pub(super) fn row(&self, c: &Client, subs: bool) -> ConnRow {
        let said = |f: fn(&crate::wire::hello::Connect) -> &String| {
            c.said.as_deref().filter(|_| c.connected).map(f).cloned().unwrap_or_default()
        };
        let active = c.health.last_activity().0.max(c.since.0);
        let mut keys: Vec<Slot> = if subs { c.subs.iter().copied().collect() } else { Vec::new() };
        keys.sort_unstable();
        let configured = c.user.and_then(|u| self.settings.auth.users.get(u as usize)).map(|u| u.name.clone());
        ConnRow {
            cid: c.cid.0,
            ip: c.ip.to_string(),
            port: c.port,
            start_ns: c.start_ns,
            last_activity_ns: c.start_ns + (active - c.since.0),
            stop_ns: None,
            reason: None,
            rtt_ns: c.health.rtt_ns,
            pending_bytes: c.out.pending() as u64,
            in_msgs: c.counts.in_msgs,
            out_msgs: c.counts.out_msgs,
            in_bytes: c.counts.in_bytes,
            out_bytes: c.counts.out_bytes,
            stalls: c.counts.stalls,
            subscriptions: c.subs.len() as u64,
            name: said(|s| &s.name),
            lang: said(|s| &s.lang),
            version: said(|s| &s.version),
            user: configured
                .or_else(|| c.pass.as_deref().map(|p| p.user.clone()))
                .or_else(|| Some(said(|s| &s.user)).filter(|u| !u.is_empty())),
            account: self.settings.auth.accounts[usize::from(c.account)].name.clone(),
            issued: c.pass.as_deref().map(|pass| Box::new(issued(pass, said(|s| &s.jwt)))),
            tls: c.peer.as_deref().map(|p| (p.version, p.cipher, p.first)),
            lost_msgs: 0,
            subs: keys.iter().filter_map(|k| self.outbox.subs.get(*k)).map(|s| self.sub_row(s)).collect(),
        }
    }

    fn sub_row(&self, s: &Sub) -> SubRow {
        SubRow {
            account: self.settings.auth.accounts[usize::from(s.account)].name.clone(),
            subject: text(&s.pattern),
            queue: (!s.queue.is_empty()).then(|| text(&s.queue)),
            sid: text(&s.sid),
            msgs: s.delivered,
            max: (s.max > 0).then_some(s.max),
            cid: self.outbox.conns.get(s.conn).map_or(0, |c| c.cid.0),
        }
    }
}

/// What is shown of a token: itself only where it lets nobody in who has it and nothing else.
fn issued(pass: &Pass, token: String) -> Issued {
    Issued {
        issuer: pass.issuer.clone(),
        tags: pass.tags.clone(),
        account_name: pass.account_name.clone(),
        token: Some(token).filter(|_| !pass.bearer),
    }
}
