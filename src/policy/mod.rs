//! Floor 3: who may do what, and configuration as written → validated settings.

pub mod login;
pub mod settings;

pub use login::{designation, Directory, Refusal, Verdict};
pub use settings::{Account, Auth, Idle, Limits, Listen, Log, Secret, Settings, Timers, User};
