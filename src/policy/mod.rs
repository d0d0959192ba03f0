//! Floor 3: who may do what, and configuration as written → validated settings.
//!
//! A configuration takes one way whatever its spelling: `conf` or `file` (TOML) read a [`tree::Tree`]; `model`, obeying
//! the table in [`keys`], makes [`Settings`] of it and of the command line, or a list of everything [`Invalid`].
//! [`load`] and [`load_with`] are the door; [`reload`] says what a new configuration changes.

mod access;
mod activation;
mod address;
mod agreements;
mod border;
mod caller;
pub mod certificate;
mod claimed;
mod claims;
mod cluster;
pub mod conf;
pub mod cores;
pub mod doors;
mod file;
pub mod fleet;
mod gateway;
pub mod invalid;
pub mod keys;
mod lasting;
mod load;
pub mod login;
mod mappings;
pub mod migrate;
mod model;
mod offered;
mod operator;
mod overrides;
mod permissions;
mod permits;
pub mod places;
pub mod proof;
pub mod quantity;
mod reading;
pub mod reload;
pub mod rewrites;
mod route_url;
pub mod settings;
pub mod shares;
mod source;
mod template;
pub mod tls;
mod tls_block;
pub mod token;
pub mod tracing;
pub mod tree;
pub mod trust;
pub mod walls;

pub use access::secret;
pub use certificate::{Names, Peer};
pub use invalid::Invalid;
pub use load::{load, load_with};
pub use login::{designation, Caller, Directory, Refusal, Verdict};
pub use model::Loaded;
pub use overrides::{Overrides, Text, TlsFlags};
pub use permits::{PermitId, Permits};
pub use proof::{Found, Hours, Proof, Signed};
pub use settings::{
    Account, Auth, Borders, Cluster, Gateway, GatewayInterest, Idle, Limits, Listen, Log, RemoteGateway, RouteLogin,
    RoutePermissions, RouteUrl, Secret, Settings, SubjectRules, Timers, User, GLOBAL, SYSTEM,
};
pub use source::Source;
pub use tls::Tls;
pub use token::Pass;
pub use trust::Trust;
