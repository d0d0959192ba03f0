//! Addresses and texts of other servers, as they may be dialed and shown. No state; used by those who greet peers and
//! other clusters.

use crate::base::limits::PEER_TEXT_BYTES_MAX;

/// Splits `host:port`, `[v6]:port`; the host without brackets.
pub fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let fine = !host.is_empty()
        && host.len() <= PEER_TEXT_BYTES_MAX
        && host.chars().all(|c| c.is_alphanumeric() || "-._:%".contains(c));
    let port = port.parse().ok().filter(|p| *p > 0)?;
    fine.then_some((host, port))
}

/// The inverse of [`split_address`].
pub fn join_address(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Text from outside as it may stand in a log or in an `-ERR`: no control characters, no quotes that end the text, not
/// too long.
pub fn shown(text: &str) -> String {
    text.chars()
        .take(PEER_TEXT_BYTES_MAX)
        .flat_map(|c| if c.is_control() || c == '\'' { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_ends_no_line_and_no_quote() {
        assert_eq!(shown("a'\r\nb\u{0}"), "a\\'\\r\\nb\\u{0}");
        assert_eq!(shown(&"x".repeat(1000)).len(), PEER_TEXT_BYTES_MAX);
    }
}
