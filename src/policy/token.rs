//! The verdict on a user's token (client-protocol.md §15 "JWT"): who he is, what he may do, and what has to be signed for
//! that to hold. Pure; asked by [`Directory`](super::Directory) when a client presents one, and again when a reload changes
//! what his account says.

use super::caller::{Caller, Refusal};
use super::claims::{are_networks, comes_from, granted, limit};
use super::proof::{Hours, Proof, Signed};
use super::settings::ConnectionKinds;
use super::template::{self, Names};
use super::trust::{Charter, Trust};
use crate::base::SECOND;
use crate::interest::permit::Permissions;
use crate::wire::hello::Connect;
use crate::wire::jwt::{self, Claims, Grant};
use crate::wire::nkey::{self, Kind, PublicKey};

/// What a token gave to whom presented it. Held by his connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The user's key.
    pub user: String,
    /// The account's key.
    pub account_key: String,
    /// Index of the account.
    pub account: usize,
    /// Who signed.
    pub issuer: String,
    /// That was a signing key of the account, not its own.
    pub by_signing_key: bool,
    /// Issued at that second.
    pub issued_at: i64,
    /// Good up to this second; 0: for ever.
    pub expires: i64,
    /// The token alone let him in.
    pub bearer: bool,
    /// Free words about him.
    pub tags: Vec<String>,
    /// What the account calls itself.
    pub account_name: String,
    /// What he may do; None: everything.
    pub permissions: Option<Permissions>,
    /// Most subscriptions of the connection; None: no limit of his own.
    pub max_subscriptions: Option<usize>,
    /// Largest payload; None: no limit of his own.
    pub max_payload: Option<usize>,
    /// When the hours at which he may be here end, nanoseconds since 1970, once that is found; None: there are none.
    pub hours_end_ns: Option<u64>,
    /// These hours; none: always.
    hours: Vec<Hours>,
}

impl Pass {
    /// When he has to go, nanoseconds since 1970; None: never.
    pub fn ends_ns(&self) -> Option<u64> {
        let expires = u64::try_from(self.expires).ok().filter(|s| *s > 0).map(|s| s.saturating_mul(SECOND));
        expires.into_iter().chain(self.hours_end_ns).min()
    }
}

/// What becomes of a CONNECT where operators say who may enter: where it leads if the proof holds.
///
/// # Errors
/// Why nothing that could be proved lets him in.
pub(super) fn decide(trust: &Trust, connect: &Connect, caller: &Caller<'_>) -> Result<(Box<Pass>, Proof), Refusal> {
    let sentinel = || trust.sentinel.as_ref().and_then(|s| jwt::read::<jwt::User>(&s.0).ok());
    let token = jwt::read::<jwt::User>(&connect.jwt).ok().or_else(sentinel).ok_or(Refusal::Missing)?;
    let pass = weigh(trust, &token.claims, caller)?;
    let mut signed = vec![Signed { key: token.issuer, text: token.text, signature: token.signature }];
    if !pass.bearer {
        let key = PublicKey::of(Kind::User, &pass.user).ok_or(Refusal::Key)?;
        let signature = nkey::signature(&connect.sig).ok_or(Refusal::Key)?;
        signed.push(Signed { key, text: caller.nonce.into(), signature });
    }
    let proof = match pass.hours.is_empty() {
        true => Proof::Signatures(signed),
        false => Proof::Within { signed, hours: pass.hours.clone() },
    };
    Ok((Box::new(pass), proof))
}

/// The same once more of somebody who is here: what his token, which was proved right, gives him now.
///
/// # Errors
/// Why he may not be here any more.
pub fn again(trust: &Trust, token: &str, caller: &Caller<'_>) -> Result<Box<Pass>, Refusal> {
    let sentinel = || trust.sentinel.as_ref().and_then(|s| jwt::read::<jwt::User>(&s.0).ok());
    let token = jwt::read::<jwt::User>(token).ok().or_else(sentinel).ok_or(Refusal::Missing)?;
    weigh(trust, &token.claims, caller).map(Box::new)
}

/// Everything about a token but its signatures.
fn weigh(trust: &Trust, claims: &Claims<jwt::User>, caller: &Caller<'_>) -> Result<Pass, Refusal> {
    let said = &claims.nats;
    // Good through the whole second that it names; who comes in it is cut at once.
    if (claims.exp > 0 && claims.exp < caller.now_s) || (claims.nbf > 0 && claims.nbf > caller.now_s) {
        return Err(Refusal::Time);
    }
    let account_key = if said.issuer_account.is_empty() { &claims.iss } else { &said.issuer_account };
    let charter = trust.charters.get(account_key).ok_or(Refusal::Account)?;
    if !charter.is_good_at(caller.now_s) || trust.pinned.as_ref().is_some_and(|p| !p.contains(account_key)) {
        return Err(Refusal::Account);
    }
    if charter.decided_elsewhere.as_ref().is_some_and(|users| !users.contains(&claims.sub)) {
        return Err(Refusal::Account);
    }
    let grant = grant(charter, claims, account_key)?;
    if !may(&grant, charter, caller) {
        return Err(Refusal::Grant);
    }
    // What is written of the user himself is looked at even where a template goes before it.
    if charter.has_revoked(&claims.sub, claims.iat) {
        return Err(Refusal::Revoked);
    }
    let permissions = granted(&grant).map_err(|_| Refusal::Grant)?.or_else(|| charter.default.clone());
    let hours: Option<Vec<Hours>> = grant.times.iter().map(|h| Hours::read(h, &grant.times_location)).collect();
    Ok(Pass {
        user: claims.sub.clone(),
        account_key: account_key.clone(),
        account: charter.account,
        issuer: claims.iss.clone(),
        by_signing_key: !said.issuer_account.is_empty(),
        issued_at: claims.iat,
        expires: claims.exp,
        bearer: grant.bearer_token,
        tags: said.tags.clone(),
        account_name: charter.name.clone(),
        permissions,
        max_subscriptions: limit(grant.subs),
        max_payload: limit(grant.payload),
        hours_end_ns: None,
        hours: hours.ok_or(Refusal::Grant)?,
    })
}

/// What the user's issuer gives him: his own claims, or the template of a scoped key.
fn grant(charter: &Charter, claims: &Claims<jwt::User>, account_key: &str) -> Result<Grant, Refusal> {
    let said = &claims.nats;
    let Some(template) = charter.signers.get(&claims.iss).ok_or(Refusal::Issuer)? else {
        return Ok(said.grant.clone());
    };
    // Else somebody who may sign only what the template says could say more.
    if said.grant != Grant::default() {
        return Err(Refusal::Grant);
    }
    let names = Names {
        name: &claims.name,
        subject: &claims.sub,
        tags: &said.tags,
        account_name: &charter.name,
        account_subject: account_key,
        account_tags: &charter.tags,
    };
    template::applied(template, &names).ok_or(Refusal::Grant)
}

fn may(grant: &Grant, charter: &Charter, caller: &Caller<'_>) -> bool {
    let kinds = grant.allowed_connection_types.iter().map(String::as_str);
    ConnectionKinds::of(kinds).standard
        && !(grant.bearer_token && charter.no_bearers)
        && !grant.proxy_required
        && are_networks(&grant.src)
        && comes_from(&grant.src, caller.ip)
}

#[cfg(test)]
mod tests;
