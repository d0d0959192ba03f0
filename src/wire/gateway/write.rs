//! What we say over a gateway about interest, as bytes (cluster-protocol.md §§4.6, 4.7). As on routes, what cannot be
//! said is not begun.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use super::{Command, GatewayInfo};
use crate::wire::route::{self, write_line, Unsayable, LINE_MAX};

/// Appends `RS+ <account> <subject>`, or with a queue group `RS+ <account> <subject> <queue> 1`: a weight has to stand
/// there, and has no meaning.
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_interest(out: &mut Vec<u8>, account: &[u8], subject: &[u8], queue: &[u8]) -> Result<(), Unsayable> {
    route::write_interest(out, account, subject, queue, 1)
}

/// Appends `RS- <account> <subject> [<queue>]`.
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_no_interest(out: &mut Vec<u8>, account: &[u8], subject: &[u8], queue: &[u8]) -> Result<(), Unsayable> {
    route::write_no_interest(out, account, subject, queue)
}

/// Appends `A+ <account>`, or `A- <account>` where nothing of the account is `wanted`. Only the accepting side may say
/// it: a nats-server that hears it from a dialer does not survive (cluster-protocol.md §7, T1).
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_account(out: &mut Vec<u8>, account: &[u8], wanted: bool) -> Result<(), Unsayable> {
    write_line(out, &[if wanted { b"A+" } else { b"A-" }, account])
}

/// Appends the INFO that opens or closes the list of an account's interest ([`Command::AllSubsStart`],
/// [`Command::AllSubsComplete`]), of the cluster `gateway` (cluster-protocol.md §8, C7).
///
/// # Errors
/// Nothing is appended if the line would be longer than others read.
pub fn write_command(out: &mut Vec<u8>, gateway: &str, command: Command, account: &[u8]) -> Result<(), Unsayable> {
    let start = out.len();
    let gateway_cmd_payload = STANDARD.encode(account);
    let info = GatewayInfo {
        gateway: gateway.into(),
        gateway_cmd: command as i64,
        gateway_cmd_payload,
        ..GatewayInfo::default()
    };
    info.write(out);
    if out.len() - start > LINE_MAX {
        out.truncate(start);
        return Err(Unsayable::Line);
    }
    Ok(())
}
