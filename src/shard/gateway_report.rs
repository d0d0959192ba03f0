//! What this shard says of links to other clusters, for monitoring.

use super::core::Shard;
use super::report::{BarrierTally, GatewayAccountRow, GatewayReport, GatewayRow, InterestMode};
use crate::base::FarId;
use crate::conn::{Client, GatewayLink, Told};
use crate::policy::walls::{imports_of, no_entry, rule_words, Side};

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
        let barriers = self.barrier_tallies();
        let borders = self.walls.stand() || self.gates.any_imports() || !barriers.is_empty();
        GatewayReport {
            links: links.collect(),
            tallies: self.outbox.crossings.report(&names, &published).collect(),
            entries: self.outbox.crossings.entries.report(&names).collect(),
            barriers,
            awaited: self.grants.held() as u64,
            crowded_out: self.grants.crowded_out,
            walls: borders.then(|| self.walls.clone()),
        }
    }

    /// What each rule has held back, ours and those of other clusters.
    fn barrier_tallies(&self) -> Vec<BarrierTally> {
        let barriers = &self.outbox.crossings.barriers;
        let ours = barriers.report().map(|(barrier, n)| {
            let block = if barrier.side == Side::Exports { "exports" } else { "imports" };
            let rule = self.walls.rule(barrier.side, barrier.rule);
            BarrierTally { by: rule.unwrap_or_else(|| no_entry(block)), n }
        });
        let theirs = barriers.report_theirs().map(|(cluster, rule, n)| {
            let block = imports_of(cluster);
            BarrierTally { by: rule.map_or_else(|| no_entry(&block), |rule| rule_words(&block, rule)), n }
        });
        ours.chain(theirs).collect()
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
        let all = self.settings.auth.accounts.iter().zip(&self.worlds).enumerate();
        let accounts = all.filter(|(_, (account, _))| !account.gone);
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
