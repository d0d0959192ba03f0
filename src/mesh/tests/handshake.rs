//! One handshake.
