//! What the mesh's thread does for the gateways' machine, which it drives beside the mesh.

use super::dial::dial;
use super::{Driver, Note};
use crate::base::{Cid, Level};
use crate::gateways::{Act, Dial};
use crate::shell::rings::Mail;
use std::net::TcpStream;
use std::sync::atomic::Ordering;

impl Driver {
    /// Somebody knocks at the gateway listener.
    pub(super) fn gateway_comes_in(&mut self) {
        let (Some(listener), Some(gateways)) = (&self.gateway_listener, &mut self.gateways) else { return };
        // One at a time: the rest is still there at the next look.
        let Ok((stream, from)) = listener.accept() else { return };
        let link = Cid(self.around.numbers.fetch_add(1, Ordering::Relaxed));
        match self.sockets.add(link, stream) {
            Ok(()) => gateways.accepted(link, &from.ip().to_canonical().to_string(), from.port()),
            Err(e) => self.around.log.line(Level::Error, format!("cannot take in a gateway from {from}: {e}")),
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
            Note::GatewayReport(reply) => reply(gateways.report()),
            _ => {}
        }
    }

    fn gateway_dialed(&mut self, dial: Dial, outcome: std::io::Result<TcpStream>) {
        let Some(gateways) = &mut self.gateways else { return };
        let connected = outcome.and_then(|stream| {
            let at = stream.peer_addr()?;
            let link = Cid(self.around.numbers.fetch_add(1, Ordering::Relaxed));
            self.sockets.add(link, stream)?;
            Ok((link, at.ip().to_canonical().to_string(), at.port()))
        });
        gateways.dialed(dial, connected.map_err(|e| e.to_string()));
    }

    /// Does what the gateways' machine wants done.
    pub(super) fn act_for_gateways(&mut self) {
        while let Some(act) = self.gateways.as_mut().and_then(crate::gateways::Gateways::poll) {
            match act {
                // The end has begun: no link begins any more.
                Act::Dial { .. } if self.leaving => {}
                Act::Give { link, .. } if self.leaving => self.sockets.close(link),
                Act::Dial { dial: number, host, port } => {
                    let door = self.door.clone();
                    dial(host, port, move |outcome| door.send(Note::GatewayDialed(number, outcome)));
                }
                Act::Write { link, bytes } => self.sockets.write(link, &bytes),
                Act::Close { link } => self.sockets.close(link),
                Act::Give { link, shard, intro } => {
                    let door = self.around.doors[shard.index()].clone();
                    self.sockets.give(link, move |stream| door.send(Mail::Gateway(stream, *intro)));
                }
                Act::Tell { shard, instruction } => {
                    self.around.doors[shard.index()].send(Mail::Instruct(instruction));
                }
                Act::Verify { link, ip, hash, password } => self.verify(link, ip, hash, password),
                Act::Members { to, line } => self.mesh.say_about_gateways(to, &line),
                Act::Reaches(clusters) => self.mesh.reaches_clusters(clusters),
                Act::Border(digest) => self.mesh.border(digest),
                Act::EndMember { peer, says, why } => self.mesh.end_for_border(peer, &says, &why),
                Act::Log { level, text } => self.around.log.line(level, text),
            }
        }
    }
}
