//! What the mesh's thread does for the gateways' machine, which it drives beside the mesh.

use super::dial::dial;
use super::{Driver, Note};
use crate::gateways::{Act, Dial};
use crate::shell::rings::Mail;
use crate::shell::tls::Secured;

impl Driver {
    /// Somebody knocks at the gateway listener.
    pub(super) fn gateway_comes_in(&mut self) {
        let Some(listener) = &self.gateway_listener else { return };
        // One at a time: the rest is still there at the next look.
        if let Ok((stream, from)) = listener.accept() {
            self.knocks(stream, from, true);
        }
    }

    /// Word for the gateways' machine alone.
    pub(super) fn gateway_note(&mut self, note: Note) {
        if let Note::GatewayDialed(dial, outcome) = note {
            return self.gateway_dialed(dial, outcome);
        }
        let Some(gateways) = &mut self.gateways else { return };
        match note {
            Note::GatewayTidings(shard, tidings) => gateways.tidings(shard, tidings),
            Note::ReloadGateways(remotes) => gateways.reload(&remotes),
            Note::Borders(borders) => gateways.set_borders(&borders),
            Note::Accounts(accounts) => gateways.set_accounts(accounts),
            Note::GatewayReport(reply) => reply(gateways.report()),
            _ => {}
        }
    }

    fn gateway_dialed(&mut self, dial: Dial, outcome: std::io::Result<Secured>) {
        let connected = self.connected(outcome);
        let link = connected.as_ref().ok().map(|(link, ..)| *link);
        let Some(gateways) = &mut self.gateways else { return };
        gateways.dialed(dial, connected.map_err(|e| e.to_string()));
        link.into_iter().for_each(|link| self.early(link));
    }

    /// Does what the gateways' machine wants done.
    pub(super) fn act_for_gateways(&mut self) {
        while let Some(act) = self.gateways.as_mut().and_then(crate::gateways::Gateways::poll) {
            match act {
                // The end has begun: no link begins any more.
                Act::Dial { .. } if self.leaving => {}
                Act::Give { link, .. } if self.leaving => self.sockets.close(link),
                Act::Dial { dial: number, host, port, cluster } => {
                    let door = self.door.clone();
                    let done = move |outcome| door.send(Note::GatewayDialed(number, outcome));
                    dial(host, port, Some(cluster), self.around.tls.gateways.clone(), done);
                }
                Act::Write { link, bytes } => self.sockets.write(link, &bytes),
                Act::Close { link } => self.sockets.close(link),
                Act::Give { link, shard, intro } => {
                    let door = self.around.doors[shard.index()].clone();
                    self.sockets.give(link, move |socket| door.send(Mail::Gateway(socket, *intro)));
                }
                Act::Tell { shard, instruction } => {
                    self.around.doors[shard.index()].send(Mail::Instruct(instruction));
                }
                Act::Verify { link, ip, proof } => self.verify(link, ip, proof),
                Act::Members { to, line } => self.mesh.say_about_gateways(to, &line),
                Act::Reaches(clusters) => self.mesh.reaches_clusters(clusters),
                Act::Border(digest) => self.mesh.border(digest),
                Act::EndMember { peer, says, why } => self.mesh.end_for_border(peer, &says, &why),
                Act::Log { level, text } => self.around.log.line(level, text),
            }
        }
    }
}
