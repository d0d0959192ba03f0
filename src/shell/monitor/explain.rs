//! `/explain`: would a message cross to or from another cluster now, and why (docs/borders.md). Ours. Pure: reads what is
//! asked, a shard answers.

use super::query::Query;
use crate::shard::report::Asked;

/// Reads the parameters: `subject`; `to` (published here) or `from` (published there), a cluster; `acc`, an account, `$G`
/// where it is missing.
pub fn asked(q: &Query) -> Asked {
    let text = |name: &str| q.text(name).to_owned();
    Asked { subject: text("subject"), account: text("acc"), from: text("from"), to: text("to") }
}
