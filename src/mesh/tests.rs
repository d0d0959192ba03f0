//! The mesh as a whole: rules of one handshake (`handshake`, `accounts`, `orders`, `strangers`), and worlds of several meshes
//! (`worlds`), some with nats-servers among them (`nats`), and with configurations that change (`reload`).

mod accounts;
mod gateways;
mod handshake;
mod nats;
mod orders;
mod reload;
mod strangers;
mod world;
mod worlds;
