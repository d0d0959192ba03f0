//! What an account is given of others' subjects, as the shards hold it. Made by `agreements`, immutable.

use crate::wire::mapping::Mapping;
use std::time::Duration;

/// What an account is given of others' subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Messages that are published there and heard here.
    pub streams: Vec<StreamImport>,
    /// Requests that are published here and heard there.
    pub services: Vec<ServiceImport>,
}

/// A stream of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamImport {
    /// Index of the account that exports it.
    pub from: u16,
    /// What its subjects are called here.
    pub names: Mapping,
    /// Whoever traces a message there is told who is given it here.
    pub allow_trace: bool,
}

/// A service of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceImport {
    /// Index of the account that exports it.
    pub to: u16,
    /// What its subjects are called here.
    pub names: Mapping,
    /// Is the service told who asks?
    pub share: bool,
    /// How many answers a request has.
    pub answers: Answers,
    /// How long a request waits for its answer, or the next one.
    pub patience: Duration,
    /// Whoever traces a request is told who is given it there.
    pub allow_trace: bool,
}

/// How many answers a request has (`response_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// One.
    #[default]
    One,
    /// Any number, until there is an empty one or none comes in time.
    Many,
    /// The same.
    Chunks,
}
