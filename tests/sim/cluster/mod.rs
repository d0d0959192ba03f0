//! Several servers in one world: each with shards and a mesh of its own, joined by routes over the same byte pipes that
//! clients use. What can go wrong between them stands in `plan`, what must hold all the same in `paths` and `checks`.

pub mod checks;
pub mod faults;
pub mod member;
pub mod paths;
pub mod plan;
pub mod scenarios;
pub mod server;
pub mod tap;
