//! A question about what crosses, and its answer: `shard::explain` answers.

use crate::interest::border::Judgement;
use crate::policy::walls::no_entry;
use crate::policy::Settings;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The account.
    pub account: String,
    /// The subject of the message.
    pub subject: String,
    /// The other cluster.
    pub cluster: String,
    /// The message is published there; otherwise here.
    pub enters: bool,
}

/// A question as it is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// Of the message.
    pub subject: String,
    /// Empty: `$G`.
    pub account: String,
    /// A cluster in which it is published; empty: this one.
    pub from: String,
    /// A cluster that it would reach; empty: this one.
    pub to: String,
}

impl Asked {
    /// What is meant on a server with these settings.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn question(self, settings: &Settings) -> Result<Question, String> {
        let Some(gateway) = &settings.gateway else {
            return Err("this server has no gateway, so nothing crosses".into());
        };
        let Asked { subject, account, from, to } = self;
        if subject.is_empty() {
            return Err("name a subject".into());
        }
        let account = if account.is_empty() { "$G".to_owned() } else { account };
        let other = |name: String| Some(name).filter(|n| !n.is_empty() && *n != gateway.name);
        match (other(from), other(to)) {
            (None, Some(cluster)) => Ok(Question { account, subject, cluster, enters: false }),
            (Some(cluster), None) => Ok(Question { account, subject, cluster, enters: true }),
            (None, None) => Err("name the other cluster: to, or from for what is published there".into()),
            (Some(_), Some(_)) => Err("from and to both name other clusters: ask a server of one of them".into()),
        }
    }
}

/// One thing that the answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ground {
    /// What was looked at: `subject`, `account`, `exports`, `imports`, `link`, `interest`.
    pub of: &'static str,
    /// It lets the message cross.
    pub lets: bool,
    /// In words.
    pub says: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The subject asked about.
    pub subject: String,
    /// The account.
    pub account: String,
    /// Where it would be published.
    pub from: String,
    /// Where it would arrive.
    pub to: String,
    /// It would cross.
    pub crosses: bool,
    /// How the other cluster's interest in the account is known, where the message leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// All that it rests on, in the order in which it is looked at.
    pub grounds: Vec<Ground>,
    /// The whole answer in one line.
    pub words: String,
}

impl Explanation {
    /// One more ground.
    pub fn because(&mut self, of: &'static str, lets: bool, says: String) {
        self.grounds.push(Ground { of, lets, says });
    }

    /// What a block says of it, called `block` for people; `rule` is that which decided, in words.
    pub fn judged(&mut self, what: &'static str, block: &str, judgement: Judgement, rule: Option<String>) {
        let rule = rule.unwrap_or_default();
        let says = match judgement {
            Judgement::Open => format!("{block} hold nothing back here"),
            Judgement::Admitted(_) => format!("{rule} admits it"),
            Judgement::Denied(_) => format!("{rule} denies it"),
            Judgement::Unnamed => no_entry(block),
        };
        self.because(what, judgement.crosses(), says);
    }
}
