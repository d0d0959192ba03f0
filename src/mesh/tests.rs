//! The mesh as a whole: rules of one handshake (`handshake`, `accounts`, `orders`), and worlds of several meshes (`worlds`), some
//! with nats-servers among them (`nats`).

mod accounts;
mod gateways;
mod handshake;
mod nats;
mod orders;
mod world;
mod worlds;
