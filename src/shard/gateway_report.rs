//! What this shard says of links to other clusters, for monitoring.

use super::core::Shard;
use super::report::{BarrierTally, GatewayAccountRow, GatewayReport, GatewayRow, InterestMode};
use super::walls::{Barrier, Side};
use crate::base::FarId;
use crate::conn::{Client, GatewayLink, Told};

fn mode_told(told: &Told) -> (InterestMode, u64) {
    match told {
        Told::Nothing => (InterestMode::Unknown, 0),
        Told::Refused => (InterestMode::Refused, 0),
        Told::Subjects(subjects) => (InterestMode::Optimistic, subjects.len() as u64),
        Told::Due | Told::Telling(_) => (InterestMode::Transitioning, 0),
        Told::Whole | Told::Retelling(_) => (InterestMode::InterestOnly, 0),
    }
}

impl Shard {
    /// All links of this shard, and what became of messages to other clusters.
    pub(super) fn gateway_report(&self) -> GatewayReport {
        let names: Vec<String> = self.settings.auth.accounts.iter().map(|a| a.name.clone()).collect();
        let published = self.published_by_account();
        let links = self.gateway_links.values().filter_map(|conn| {
            let client = self.outbox.conns.get(*conn)?;
            Some(self.gateway_row(client, client.gateway.as_deref()?))
        });
        GatewayReport {
            links: links.collect(),
            tallies: self.outbox.crossings.report(&names, &published).collect(),
            entries: self.outbox.crossings.entries.report(&names).collect(),
            barriers: self.outbox.crossings.barriers.report().map(|(by, n)| self.barrier_tally(by, n)).collect(),
            awaited: self.grants.held() as u64,
            crowded_out: self.grants.crowded_out,
            walls: self.walls.stand().then(|| self.walls.clone()),
        }
    }

    /// So many messages were held back by this.
    fn barrier_tally(&self, barrier: Barrier, n: u64) -> BarrierTally {
        let rule = self.walls.rule(barrier.side, barrier.rule);
        let by = rule.unwrap_or_else(|| match barrier.side {
            Side::Exports => "no entry of exports admits it".into(),
            Side::Imports => "no entry of imports admits it".into(),
        });
        BarrierTally { by, n }
    }

    fn gateway_row(&self, c: &Client, link: &GatewayLink) -> GatewayRow {
        let intro = &link.intro;
        GatewayRow {
            link: c.cid.0,
            shard: self.id.0,
            outbound: link.far().is_some(),
            cluster: intro.cluster.to_string(),
            remote_id: intro.server_id.to_string(),
            remote_name: intro.server_name.to_string(),
            configured: intro.configured,
            turnpike: intro.turnpike,
            promised: intro.interest_only,
            ip: c.ip.to_string(),
            port: c.port,
            start_ns: c.start_ns,
            last_activity_ns: self.now.wall_ns.saturating_sub(link.pulse.silence(self.now.mono)),
            rtt_ns: link.pulse.rtt_ns,
            pending_bytes: c.out.pending() as u64,
            counts: c.counts,
            accounts: self.gateway_accounts(link),
        }
    }

    /// Accounts about which something was told on a link, or of which something was sent.
    fn gateway_accounts(&self, link: &GatewayLink) -> Vec<GatewayAccountRow> {
        let far: Option<FarId> = link.far();
        let accounts = self.settings.auth.accounts.iter().zip(&self.worlds).enumerate();
        let rows = accounts.map(|(at, (account, world))| {
            let held = far.map(|f| world.fars.held(f)).unwrap_or_default();
            let told = link.told.get(at).filter(|_| far.is_none());
            let (mode, refused) = told.map_or((InterestMode::from(held.mode), held.refused), mode_told);
            let standing = link.standing.get(at).copied().unwrap_or_default();
            let sent = far.map_or(0, |f| self.outbox.crossings.sent_on_link(f, at as u16));
            let (plain, queues) = (held.plain, held.queues);
            let (since_ns, why) = (standing.since_ns, standing.why);
            GatewayAccountRow { account: account.name.clone(), mode, since_ns, why, plain, queues, refused, sent }
        });
        rows.filter(|r| r.since_ns > 0 || r.mode != InterestMode::Unknown || r.queues + r.sent > 0).collect()
    }
}
