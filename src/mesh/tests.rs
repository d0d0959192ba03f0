//! The mesh as a whole: rules of one handshake (`handshake`), and worlds of several meshes (`worlds`).

mod handshake;
mod world;
mod worlds;
