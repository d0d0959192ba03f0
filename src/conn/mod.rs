//! Floor 4: the manners of one connection. Knows nothing of other connections, of interest or of shards.

mod answers;
mod client;
mod close;
mod cut;
mod foreign;
mod gateway;
mod gateway_link;
mod health;
mod outbuf;
mod rights;
mod route;

pub use answers::{Answers, WayBack, WAY_KNOWN_NS};
pub use client::{give_back, Client, Counts, Entry, Memo, Publisher, Stage};
pub use close::Close;
pub use cut::Cut;
pub use foreign::{ForeignFars, ForeignWants};
pub use gateway::{
    GatewayInstruction, GatewayIntroduction, GatewayTidings, RouteNews, TheirImports, TheirRules, Way, ORDERED_LINKS,
};
pub use gateway_link::{GatewayLink, Hold, Standing, Told};
pub use health::{Beat, Health};
pub use outbuf::{OutBuf, Spares};
pub use rights::{Replies, Rights};
pub use route::{Bearer, Instruction, Introduction, Pulse, Route, Telling, Tidings};
