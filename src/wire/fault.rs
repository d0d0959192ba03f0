//! What a peer did wrong, and the exact words it is told (client-protocol.md §17). Clients match these texts; an
//! unknown one closes some of them, so nothing non-fatal may be added.

use super::quote::quote;

/// An error that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A byte that no operation has at this place.
    UnknownOperation,
    /// A control line's argument longer than `max_control_line`.
    ControlLine,
    /// A size above `max_payload`.
    Payload,
    /// Arguments, a size, JSON, or `HPUB` without headers: nats-server closes here without a word, we say one.
    Malformed,
    /// A peer's interest in what is no pattern (cluster-protocol.md §3.5); on a route every `-ERR` is the last word.
    InvalidSubscription,
    /// Something other than `CONNECT` came first where authentication is required, or the credentials are wrong.
    Authorization,
    /// No `CONNECT` in time.
    AuthTimeout,
    /// The user's token is over.
    Expired,
    /// The token of the user's account is.
    AccountExpired,
    /// The user's token is void.
    Revoked,
    /// `protocol` is neither 0 nor 1.
    ClientProtocol,
    /// `no_responders` without headers.
    NoRespondersNeedsHeaders,
    /// The server is full.
    Connections,
    /// More handshakes were begun than may be.
    Throttled,
    /// The account is full.
    AccountConnections,
    /// Pings went unanswered.
    Stale,
    /// `RS+`, `RS-`, `A+` or `A-` of whoever dialed a gateway: they come from the other side only (cluster-protocol.md
    /// §1.2).
    InterestFromDialer,
    /// A message of whoever accepted a gateway's connection: a link carries messages one way.
    MessageFromAcceptor,
    /// The peer sent `-ERR`: closed without an answer.
    PeerError,
}

impl Fault {
    /// The text between the quotes of `-ERR`; empty where nothing is said.
    pub fn text(self) -> &'static str {
        match self {
            Fault::UnknownOperation => "Unknown Protocol Operation",
            Fault::ControlLine => "maximum control line exceeded",
            Fault::Payload => "Maximum Payload Violation",
            Fault::Malformed => "Parser Error",
            Fault::InvalidSubscription => "Invalid Subscription",
            Fault::Authorization => "Authorization Violation",
            Fault::AuthTimeout => "Authentication Timeout",
            Fault::Expired => "User Authentication Expired",
            Fault::AccountExpired => "Account Authentication Expired",
            Fault::Revoked => "User Authentication Revoked",
            Fault::ClientProtocol => "invalid client protocol",
            Fault::NoRespondersNeedsHeaders => "no responders requires headers support",
            Fault::Connections => "maximum connections exceeded",
            Fault::Throttled => "Connection throttled is active. Please try again later.",
            Fault::AccountConnections => "maximum account active connections exceeded",
            Fault::Stale => "Stale Connection",
            Fault::InterestFromDialer => "the dialing side of a gateway sends no RS+, RS-, A+ or A-",
            Fault::MessageFromAcceptor => "the accepting side of a gateway sends no messages",
            Fault::PeerError => "",
        }
    }
}

/// Errors that leave the connection open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint<'a> {
    /// `SUB` with a malformed subject.
    InvalidSubject,
    /// Pedantic: a malformed or wildcard subject in `PUB`. The message is processed all the same.
    InvalidPublishSubject,
    /// One more subscription than allowed.
    Subscriptions,
    /// Publishing here is denied.
    Publish(&'a [u8]),
    /// A message to this subject with malformed headers, where those are refused. Begins as a denial does, since client
    /// libraries keep the connection then.
    Headers(&'a [u8]),
    /// A reserved reply subject.
    Reply(&'a [u8]),
    /// Subscribing is denied; subject and queue group (or empty).
    Subscribe(&'a [u8], &'a [u8]),
    /// A subscription is no longer allowed; subject, queue group (or empty) and sid.
    Revoked(&'a [u8], &'a [u8], &'a [u8]),
    /// A subject with more tokens than `max_subscription_tokens`.
    Tokens(&'a [u8]),
}

/// Appends `-ERR '<text>'\r\n`.
pub fn write_fatal(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

/// Appends the `-ERR` line of a complaint.
pub fn write_complaint(out: &mut Vec<u8>, c: Complaint<'_>) {
    out.extend_from_slice(b"-ERR '");
    match c {
        Complaint::InvalidSubject => out.extend_from_slice(b"Invalid Subject"),
        Complaint::InvalidPublishSubject => out.extend_from_slice(b"Invalid Publish Subject"),
        Complaint::Subscriptions => out.extend_from_slice(b"maximum subscriptions exceeded"),
        Complaint::Publish(s) => write_quoted(out, "Permissions Violation for Publish to ", s),
        Complaint::Headers(s) => {
            write_quoted(out, "Permissions Violation for Publish to ", s);
            out.extend_from_slice(b", malformed headers");
        }
        Complaint::Reply(s) => write_quoted(out, "Permissions Violation for Publish with Reply of ", s),
        Complaint::Subscribe(s, q) => write_subscription(out, s, q),
        Complaint::Revoked(s, q, sid) => {
            write_subscription(out, s, q);
            write_quoted(out, " (sid ", sid);
            out.push(b')');
        }
        Complaint::Tokens(s) => {
            write_quoted(out, "Permissions Violation for Subscription to ", s);
            out.extend_from_slice(b", too many tokens");
        }
    }
    out.extend_from_slice(b"'\r\n");
}

fn write_subscription(out: &mut Vec<u8>, subject: &[u8], queue: &[u8]) {
    write_quoted(out, "Permissions Violation for Subscription to ", subject);
    if !queue.is_empty() {
        write_quoted(out, " using queue ", queue);
    }
}

/// `text` and then `subject` in Go's quotes (client-protocol.md §16).
pub(super) fn write_quoted(out: &mut Vec<u8>, text: &str, subject: &[u8]) {
    out.extend_from_slice(text.as_bytes());
    quote(out, subject);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_in_errors_are_quoted_as_go_quotes_them() {
        let say = |s: &[u8]| {
            let mut out = Vec::new();
            write_complaint(&mut out, Complaint::Publish(s));
            String::from_utf8(out).unwrap()
        };
        let line = |q: &str| format!("-ERR 'Permissions Violation for Publish to \"{q}\"'\r\n");
        assert_eq!(say(b"nope"), line("nope"));
        assert_eq!(say(b"fo\"o"), line("fo\\\"o"));
        assert_eq!(say(b"a\x00b"), line("a\\x00b"));
        assert_eq!(say(b"\xff"), line("\\xff"));
        assert_eq!(say("foo.é".as_bytes()), line("foo.é"));
        let mut out = Vec::new();
        write_complaint(&mut out, Complaint::Subscribe(b"foo", b"_sys_"));
        assert_eq!(out, b"-ERR 'Permissions Violation for Subscription to \"foo\" using queue \"_sys_\"'\r\n");
        let mut out = Vec::new();
        write_complaint(&mut out, Complaint::Revoked(b"a.2", b"q", b"2"));
        let text = b"-ERR 'Permissions Violation for Subscription to \"a.2\" using queue \"q\" (sid \"2\")'\r\n";
        assert_eq!(out, text);
    }
}
