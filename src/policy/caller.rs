//! Who asks to enter, and why he may not. Made by a connection for each CONNECT; used by the verdicts on it.

use super::certificate::Peer;

/// Who asks: what a shard knows of a connection beside what it says.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// What it was given to sign, as it was said.
    pub nonce: &'a str,
    /// The peer's address.
    pub ip: &'a str,
    /// How the connection is secured; None: it is in the clear.
    pub peer: Option<&'a Peer>,
    /// The time, seconds since 1970.
    pub now_s: i64,
}

/// Why somebody may not enter; for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Credentials are required and none were presented that could be used.
    Missing,
    /// The user is unknown or the password is wrong; which of them is not told, even here.
    UserOrPassword,
    /// The token is wrong.
    Token,
    /// The key is unknown, or there is no signature that could be one.
    Key,
    /// The user may not come over this kind of connection.
    ConnectionKind,
    /// The token is not good yet, or not any more.
    Time,
    /// The token's account is unknown, not trusted, or not to be entered now.
    Account,
    /// The token's issuer may not sign for its account.
    Issuer,
    /// What the token gives cannot be given, or not to a connection from there.
    Grant,
    /// The token is void.
    Revoked,
    /// The certificate names nobody who is known, or none was shown.
    Certificate,
    /// The client asked for an account by name, or for a new one (obsolete).
    Designation,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::Missing => "nothing was presented that could be used",
            Refusal::UserOrPassword => "user or password are wrong",
            Refusal::Token => "the token is wrong",
            Refusal::Key => "the key is unknown, or there is no signature",
            Refusal::ConnectionKind => "the user may not come over this kind of connection",
            Refusal::Time => "the JWT is not good yet, or not any more",
            Refusal::Account => "the JWT's account is unknown, not trusted, or not to be entered now",
            Refusal::Issuer => "the JWT's issuer may not sign for its account",
            Refusal::Grant => "what the JWT gives cannot be given, or not to a connection from there",
            Refusal::Revoked => "the JWT is revoked",
            Refusal::Certificate => "the certificate names nobody who is known, or none was shown",
            Refusal::Designation => "an account was asked for by name",
        })
    }
}
