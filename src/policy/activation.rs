//! Tokens that let an account import what another exports only to those who have one (client-protocol.md §16). Read by
//! `claimed` and `offered`, weighed by `agreements` where exports and imports are fitted together, once per configuration.
//!
//! A token opens what it names and nothing beside it: it has to be signed, for this importer, for this kind, for all of
//! the subject, by the exporter or one of his signing keys, and neither revoked nor over.

use super::shares::Term;
use crate::wire::jwt::{self, Activation, Claims, Import, Shared};
use crate::wire::nkey::{Kind, PublicKey};
use crate::wire::subject::contains;
use std::collections::{BTreeMap, BTreeSet};

/// The token of an import, as far as it says itself that it is one for this import of `importer`; None: there is none.
///
/// # Errors
/// What is wrong with it, in nats-server's words where it has some.
pub(super) fn read(import: &Import, importer: &str) -> Result<Option<Claims<Activation>>, String> {
    if import.token.is_empty() {
        return Ok(None);
    }
    let subject = import.subject.escape_debug();
    let token = jwt::read::<Activation>(&import.token).ok().filter(|t| t.is_signed() && t.claims.nats.shared.is_some());
    let claims = token.ok_or_else(|| format!("import \"{subject}\" contains an invalid activation token"))?.claims;
    let said = &claims.nats;
    if claims.iss != import.account && said.issuer_account != import.account {
        return Err(format!("activation token doesn't match account for import \"{subject}\""));
    }
    if claims.sub != importer {
        return Err(format!("activation token doesn't match account it is being included in, \"{subject}\""));
    }
    if said.shared != import.kind {
        return Err(format!("mismatch between token import type and type of import \"{subject}\""));
    }
    if !said.issuer_account.is_empty() && PublicKey::of(Kind::Account, &said.issuer_account).is_none() {
        return Err("account_id is not an account public key".into());
    }
    let renamed = import.kind == Some(Shared::Service) && !import.to.is_empty();
    let wanted = if renamed { &import.to } else { &import.subject };
    if !contains(said.subject.as_bytes(), wanted.as_bytes()) {
        let granted = said.subject.escape_debug();
        return Err(format!("activation token import subject \"{granted}\" doesn't match import \"{subject}\""));
    }
    Ok(Some(claims))
}

/// What makes such a token good for an export.
pub(super) struct Guard {
    signers: BTreeSet<String>,
    revoked: BTreeMap<String, i64>,
}

impl Guard {
    /// `signers` are the exporting account's keys; `revoked` are accounts' keys, or `*`, and the second up to which all that
    /// was issued for them is void.
    pub(super) fn new<'k>(signers: impl Iterator<Item = &'k String>, revoked: &BTreeMap<String, i64>) -> Guard {
        Guard { signers: signers.cloned().collect(), revoked: revoked.clone() }
    }

    /// When a token lets `importer` have what `exporter` guards; it was [read](read()) for that.
    ///
    /// # Errors
    /// It never does, for this reason.
    pub(super) fn admits(
        &self,
        token: Option<&Claims<Activation>>,
        exporter: &str,
        importer: &str,
    ) -> Result<Term, &'static str> {
        let claims = token.ok_or("the export requires an activation token, and there is none")?;
        let issuer_account = claims.nats.issuer_account.as_str();
        let own = issuer_account.is_empty() && claims.iss == exporter;
        if !own && (issuer_account != exporter || !self.signers.contains(&claims.iss)) {
            return Err("the exporting account has not issued the activation token");
        }
        let revoked = [importer, "*"].into_iter().filter_map(|key| self.revoked.get(key)).any(|at| *at >= claims.iat);
        match revoked {
            true => Err("the activation token is revoked"),
            false => Ok(Term { from: claims.nbf, until: claims.exp }),
        }
    }
}
