//! The mesh as a whole: rules of one handshake (`handshake`, `orders`), and worlds of several meshes (`worlds`), some
//! with nats-servers among them (`nats`).

mod gateways;
mod handshake;
mod nats;
mod orders;
mod world;
mod worlds;
