//! Tokens of operators, accounts and users (client-protocol.md §15 "JWT"): what they claim, and what of them is signed. A
//! token that was read is not to be believed yet: the signature is for others to look at, and whether whoever signed had
//! the right to. No state; called where configuration names tokens, and when a client presents one.
//!
//! Tokens come from anybody: sizes are bounded, a field of another type is an error, unknown fields are passed over.

use super::nkey::{Kind, PublicKey, SIGNATURE_BYTES, URL};
use crate::base::limits::TOKEN_BYTES_MAX;
use base64::Engine;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not three parts in base 64, or too long.
    Form,
    /// Not signed as tokens of NATS are.
    Algorithm,
    /// Not the JSON of such claims.
    Claims,
    /// Claims of something else, or of an earlier or later version.
    Kind,
    /// The issuer is nobody who could issue such a token.
    Issuer,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Form => "it is not three parts in base 64",
            Flaw::Algorithm => "it is not signed with ed25519-nkey",
            Flaw::Claims => "its claims cannot be read",
            Flaw::Kind => "it claims something else, or in another version than 2",
            Flaw::Issuer => "nobody could issue it who is named as its issuer",
        })
    }
}

/// What is claimed, by whom, and what the issuer is to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<C> {
    /// What is claimed.
    pub claims: Claims<C>,
    /// Who is to have signed it.
    pub issuer: PublicKey,
    /// The part of the text that is signed.
    pub text: Vec<u8>,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl<C> Token<C> {
    /// Did the issuer sign it? Takes some 50 µs.
    pub fn is_signed(&self) -> bool {
        self.issuer.verifies(&self.text, &self.signature)
    }
}

/// What every token claims. Times are seconds since 1970; 0: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims<C> {
    /// Good up to this second.
    #[serde(deserialize_with = "given")]
    pub exp: i64,
    /// Issued then.
    #[serde(deserialize_with = "given")]
    pub iat: i64,
    /// Good from this second on.
    #[serde(deserialize_with = "given")]
    pub nbf: i64,
    /// The issuer's key.
    #[serde(deserialize_with = "given")]
    pub iss: String,
    /// The key of whom it is about.
    #[serde(deserialize_with = "given")]
    pub sub: String,
    /// His name.
    #[serde(deserialize_with = "given")]
    pub name: String,
    /// Said by version 1, which had its kind here.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The rest.
    pub nats: C,
}

/// What is claimed of something of a kind.
pub trait Subject: Default + for<'de> Deserialize<'de> {
    /// The word for the kind.
    const WORD: &'static str;
    /// Who may issue such tokens.
    const ISSUERS: &'static [Kind];
    /// Whose key the subject is.
    const SUBJECT: Kind;
    /// Kind and version, as claimed.
    fn kind(&self) -> (&str, i64);
}

/// Reads a token; nothing is believed of it yet.
///
/// # Errors
/// It is none, or claims something else than was asked for.
pub fn read<C: Subject>(token: &str) -> Result<Token<C>, Flaw> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Flaw::Form);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(body), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Flaw::Form);
    };
    let plain = |part: &str| URL.decode(part).map_err(|_| Flaw::Form);
    let header: Header = serde_json::from_slice(&plain(header)?).map_err(|_| Flaw::Algorithm)?;
    if !header.typ.eq_ignore_ascii_case("JWT") || !header.alg.eq_ignore_ascii_case("ed25519-nkey") {
        return Err(Flaw::Algorithm);
    }
    let claims: Claims<C> = serde_json::from_slice(&plain(body)?).map_err(|_| Flaw::Claims)?;
    if claims.kind.is_some() || claims.nats.kind() != (C::WORD, 2) {
        return Err(Flaw::Kind);
    }
    let issuer = PublicKey::decode(&claims.iss).filter(|key| C::ISSUERS.contains(&key.kind())).ok_or(Flaw::Issuer)?;
    PublicKey::of(C::SUBJECT, &claims.sub).ok_or(Flaw::Claims)?;
    let signature = plain(signature)?.try_into().map_err(|_| Flaw::Form)?;
    let signed = token.rfind('.').unwrap_or(0);
    Ok(Token { claims, issuer, text: token.as_bytes()[..signed].to_vec(), signature })
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    typ: String,
    #[serde(default)]
    alg: String,
}

/// `null` is as good as nothing, as it is to Go.
fn given<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// What an operator's token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// Other keys that sign for him.
    #[serde(deserialize_with = "given")]
    pub signing_keys: Vec<String>,
    /// Where accounts could be asked for.
    #[serde(deserialize_with = "given")]
    pub account_server_url: String,
    /// The system account.
    #[serde(deserialize_with = "given")]
    pub system_account: String,
    /// The least version of a server, three numbers.
    #[serde(deserialize_with = "given")]
    pub assert_server_version: String,
    /// Accounts and users are signed with signing keys only.
    #[serde(deserialize_with = "given")]
    pub strict_signing_key_usage: bool,
    #[serde(rename = "type")]
    kind: String,
    version: i64,
}

/// What an account's token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Account {
    /// What other accounts share with it; `null` among them is none.
    #[serde(deserialize_with = "given")]
    pub imports: Vec<Option<Import>>,
    /// What it shares; `null` among them is none.
    #[serde(deserialize_with = "given")]
    pub exports: Vec<Option<Export>>,
    /// Subjects that stand for others.
    #[serde(deserialize_with = "given")]
    pub mappings: BTreeMap<String, Vec<WeightedMapping>>,
    /// Where is told of messages that others trace.
    #[serde(deserialize_with = "given")]
    pub trace: crate::wire::traced::Told,
    /// What it may have.
    #[serde(deserialize_with = "given")]
    pub limits: AccountLimits,
    /// Other keys that sign users of it.
    #[serde(deserialize_with = "given")]
    pub signing_keys: Vec<Signer>,
    /// Users' keys, or `*` → everything issued for them up to this second is void.
    #[serde(deserialize_with = "given")]
    pub revocations: BTreeMap<String, i64>,
    /// What users may do of whom nothing else is said.
    #[serde(deserialize_with = "given")]
    pub default_permissions: Permissions,
    /// Who decides about its users instead of the tokens.
    #[serde(deserialize_with = "given")]
    pub authorization: Authorization,
    /// Free words about it.
    #[serde(deserialize_with = "given")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: i64,
}

/// A subject that stands for another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WeightedMapping {
    /// What is published instead.
    #[serde(deserialize_with = "given")]
    pub subject: String,
    /// How many of a hundred; 0: all.
    #[serde(deserialize_with = "given")]
    pub weight: u8,
    /// In this cluster only.
    #[serde(deserialize_with = "given")]
    pub cluster: String,
}

/// Something that is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Anything, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Anything)
    }
}

/// What an account may have; negative: any number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Subscriptions of a connection.
    #[serde(deserialize_with = "given")]
    pub subs: i64,
    /// Bytes of a message.
    #[serde(deserialize_with = "given")]
    pub payload: i64,
    /// Connections.
    #[serde(deserialize_with = "given")]
    pub conn: i64,
    /// Imports.
    #[serde(deserialize_with = "given")]
    pub imports: i64,
    /// Exports.
    #[serde(deserialize_with = "given")]
    pub exports: i64,
    /// Where exports are counted: may they have wildcards?
    #[serde(deserialize_with = "given")]
    pub wildcards: bool,
    /// Users whose token alone lets them in are not let in.
    #[serde(deserialize_with = "given")]
    pub disallow_bearer: bool,
}

/// Kinds of what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shared {
    /// Messages.
    Stream,
    /// Requests, and their answers.
    Service,
}

impl Shared {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Shared::Stream => "stream",
            Shared::Service => "service",
        }
    }
}

/// Something an account shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Export {
    /// The subjects.
    #[serde(deserialize_with = "given")]
    pub subject: String,
    /// What they are.
    #[serde(rename = "type")]
    pub kind: Option<Shared>,
    /// Only for those who have a token for it.
    #[serde(deserialize_with = "given")]
    pub token_req: bool,
    /// Accounts' keys, or `*` → tokens issued for them up to this second are void.
    #[serde(deserialize_with = "given")]
    pub revocations: BTreeMap<String, i64>,
    /// `Singleton`, `Stream` or `Chunked`.
    #[serde(deserialize_with = "given")]
    pub response_type: String,
    /// How long an answer is waited for, nanoseconds; 0: as usual.
    #[serde(deserialize_with = "given")]
    pub response_threshold: i64,
    /// The token that is the importing account's key; 0: none.
    #[serde(deserialize_with = "given")]
    pub account_token_position: u32,
    /// Who is told how long answers take.
    pub latency: Option<Anything>,
    /// May those who trace messages look into the account?
    #[serde(deserialize_with = "given")]
    pub allow_trace: bool,
    /// Words about it.
    #[serde(deserialize_with = "given")]
    pub description: String,
    /// Where there are more.
    #[serde(deserialize_with = "given")]
    pub info_url: String,
}

/// Something that is shared with an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Import {
    /// The subjects, as the exporting account calls them; of a service with `to`, as this one does.
    #[serde(deserialize_with = "given")]
    pub subject: String,
    /// The account that exports them.
    #[serde(deserialize_with = "given")]
    pub account: String,
    /// The token that says it may.
    #[serde(deserialize_with = "given")]
    pub token: String,
    /// As older tools write it: of a stream a prefix, of a service what the exporting account calls it.
    #[serde(deserialize_with = "given")]
    pub to: String,
    /// What they are called here.
    #[serde(deserialize_with = "given")]
    pub local_subject: String,
    /// What they are.
    #[serde(rename = "type")]
    pub kind: Option<Shared>,
    /// The service is told who asks.
    #[serde(deserialize_with = "given")]
    pub share: bool,
    /// May those who trace messages look into the account?
    #[serde(deserialize_with = "given")]
    pub allow_trace: bool,
}

/// What a token says that lets an account, its subject, import something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Activation {
    /// The subjects.
    #[serde(deserialize_with = "given")]
    pub subject: String,
    /// What they are.
    #[serde(rename = "kind")]
    pub shared: Option<Shared>,
    /// The exporting account, where one of its signing keys is the issuer.
    #[serde(deserialize_with = "given")]
    pub issuer_account: String,
    #[serde(rename = "type")]
    kind: String,
    version: i64,
}

/// Who decides about users from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Authorization {
    /// About whom nobody else decides.
    #[serde(deserialize_with = "given")]
    pub auth_users: Vec<String>,
}

/// A further key of an account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Signer {
    /// It signs any user.
    Plain(String),
    /// It signs users that may do what the template says.
    Scoped(Box<Scope>),
}

/// What a scoped key gives to whom it signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Scope {
    /// `user_scope`, the only kind there is.
    pub kind: ScopeKind,
    /// The key.
    pub key: String,
    /// What its users may do.
    #[serde(default = "Grant::unlimited", deserialize_with = "template")]
    pub template: Grant,
}

/// Kinds of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ScopeKind {
    /// For users.
    #[serde(rename = "user_scope")]
    User,
}

/// A template's limits that are not written are none, other than a user's.
fn template<'de, D: Deserializer<'de>>(from: D) -> Result<Grant, D::Error> {
    #[derive(Deserialize)]
    struct Limits {
        subs: Option<i64>,
        data: Option<i64>,
        payload: Option<i64>,
        #[serde(flatten)]
        rest: Grant,
    }
    let Some(read) = Option::<Limits>::deserialize(from)? else { return Ok(Grant::unlimited()) };
    let or_none = |limit: Option<i64>| limit.unwrap_or(-1);
    Ok(Grant { subs: or_none(read.subs), data: or_none(read.data), payload: or_none(read.payload), ..read.rest })
}

/// What a user may do, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// Subjects to publish to.
    #[serde(rename = "pub", deserialize_with = "given")]
    pub publish: Permission,
    /// Subjects to subscribe to.
    #[serde(rename = "sub", deserialize_with = "given")]
    pub subscribe: Permission,
    /// May he answer what he is asked?
    pub resp: Option<Responses>,
    /// Networks he may come from; none: from anywhere.
    #[serde(deserialize_with = "networks")]
    pub src: Vec<String>,
    /// Hours at which he may be here; none: always.
    #[serde(deserialize_with = "given")]
    pub times: Vec<Hours>,
    /// Whose hours they are; empty: this machine's.
    #[serde(deserialize_with = "given")]
    pub times_location: String,
    /// Subscriptions of a connection; negative: any number.
    #[serde(deserialize_with = "given")]
    pub subs: i64,
    /// Without effect, as in nats-server.
    #[serde(deserialize_with = "given")]
    pub data: i64,
    /// Bytes of a message; negative: any number.
    #[serde(deserialize_with = "given")]
    pub payload: i64,
    /// The token alone lets him in.
    #[serde(deserialize_with = "given")]
    pub bearer_token: bool,
    /// He has to come through a proxy that is trusted.
    #[serde(deserialize_with = "given")]
    pub proxy_required: bool,
    /// Kinds of connections; none: all.
    #[serde(deserialize_with = "given")]
    pub allowed_connection_types: Vec<String>,
}

impl Grant {
    /// A template in which nothing is written.
    fn unlimited() -> Grant {
        Grant { subs: -1, data: -1, payload: -1, ..Grant::default() }
    }
}

/// From one hour to another, `15:04:05`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hours {
    /// From then.
    pub start: String,
    /// Up to then; an earlier one is the next day's.
    pub end: String,
}

/// Subjects, also with a queue group behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Permission {
    /// Allowed; none: all.
    #[serde(deserialize_with = "given")]
    pub allow: Vec<String>,
    /// Denied.
    #[serde(deserialize_with = "given")]
    pub deny: Vec<String>,
}

/// What a user may do of whom nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Subjects to publish to.
    #[serde(rename = "pub", deserialize_with = "given")]
    pub publish: Permission,
    /// Subjects to subscribe to.
    #[serde(rename = "sub", deserialize_with = "given")]
    pub subscribe: Permission,
    /// May he answer what he is asked?
    pub resp: Option<Responses>,
}

/// How often and how long answers may be published; 0: as usual, negative: without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Responses {
    /// So often.
    #[serde(deserialize_with = "given")]
    pub max: i64,
    /// So long, nanoseconds.
    #[serde(deserialize_with = "given")]
    pub ttl: i64,
}

/// A list, or one text with commas.
fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Option::<Either>::deserialize(from)? {
        None => Vec::new(),
        Some(Either::List(list)) => list,
        Some(Either::Text(text)) => {
            text.split(',').map(|n| n.trim().to_lowercase()).filter(|n| !n.is_empty()).collect()
        }
    })
}

/// What a user's token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct User {
    /// What he may do.
    #[serde(flatten)]
    pub grant: Grant,
    /// The account, where one of its signing keys is the issuer.
    #[serde(deserialize_with = "given")]
    pub issuer_account: String,
    /// Free words about him.
    #[serde(deserialize_with = "given")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: i64,
}

impl Subject for Operator {
    const WORD: &'static str = "operator";
    const ISSUERS: &'static [Kind] = &[Kind::Operator];
    const SUBJECT: Kind = Kind::Operator;

    fn kind(&self) -> (&str, i64) {
        (&self.kind, self.version)
    }
}

impl Subject for Account {
    const WORD: &'static str = "account";
    const ISSUERS: &'static [Kind] = &[Kind::Account, Kind::Operator];
    const SUBJECT: Kind = Kind::Account;

    fn kind(&self) -> (&str, i64) {
        (&self.kind, self.version)
    }
}

impl Subject for Activation {
    const WORD: &'static str = "activation";
    const ISSUERS: &'static [Kind] = &[Kind::Account, Kind::Operator];
    const SUBJECT: Kind = Kind::Account;

    fn kind(&self) -> (&str, i64) {
        (&self.kind, self.version)
    }
}

impl Subject for User {
    const WORD: &'static str = "user";
    const ISSUERS: &'static [Kind] = &[Kind::Account];
    const SUBJECT: Kind = Kind::User;

    fn kind(&self) -> (&str, i64) {
        (&self.kind, self.version)
    }
}

/// The token in a file as the tools write it, between lines of dashes, or alone.
pub fn undecorated(contents: &str) -> &str {
    let mut lines = contents.lines().map(str::trim).skip_while(|line| !line.starts_with("---")).skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with("---")).unwrap_or_else(|| contents.trim())
}

#[cfg(test)]
mod tests;
