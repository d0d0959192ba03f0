//! Several servers in one world: each with shards and a mesh of its own, joined by routes over the same byte pipes that
//! clients use; or several clusters of them, joined by gateways. What can go wrong between them stands in `plan`, what must hold all the same in `paths` and `checks`.

pub mod across;
pub mod borders;
pub mod checks;
pub mod counted;
pub mod faults;
pub mod foreign;
pub mod gateways;
pub mod lame;
pub mod member;
pub mod mixed;
pub mod nats;
pub mod paths;
pub mod plan;
pub mod rogue;
pub mod rogues;
pub mod scenarios;
pub mod server;
pub mod supernats;
pub mod superrogues;
pub mod supers;
pub mod tap;
