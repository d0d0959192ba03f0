//! The machine as a whole: rules of one handshake (`handshake`, `orders`), and worlds of several clusters (`worlds`,
//! `amiss`, `borders`), some with nats-servers among them (`nats`).

mod amiss;
mod borders;
mod handshake;
mod nats;
mod orders;
mod world;
mod worlds;
