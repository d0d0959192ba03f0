//! Floor 3: who may do what, and configuration as written → validated settings.

pub mod settings;

pub use settings::{Account, Auth, Idle, Limits, Listen, Log, Secret, Settings, Timers, User};
