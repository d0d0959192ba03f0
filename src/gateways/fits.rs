//! What was found between the rules of two servers' borders, kept from look to look (`unfit`).

use super::border::Rules;
use super::trouble::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was found between the rules of two servers. To compare many rules takes its time, so it is kept for as long as they
/// are the same.
#[derive(Debug, Default)]
pub(super) struct Fits(BTreeMap<(Kind, String), Kept>);

#[derive(Debug)]
struct Kept {
    between: [Option<Arc<Rules>>; 2],
    lines: Vec<String>,
    /// In this look.
    used: bool,
}

impl Fits {
    /// What `find` finds between these two, or found before. The key is what the finding is about.
    pub(super) fn between(
        &mut self,
        key: (Kind, String),
        rules: [Option<&Arc<Rules>>; 2],
        find: impl FnOnce() -> Vec<String>,
    ) -> &[String] {
        let is =
            |(a, b): (&Option<Arc<Rules>>, &Option<&Arc<Rules>>)| a.as_ref().map(Arc::as_ptr) == b.map(Arc::as_ptr);
        if !self.0.get(&key).is_some_and(|kept| kept.between.iter().zip(&rules).all(is)) {
            let between = rules.map(Option::<&Arc<Rules>>::cloned);
            self.0.insert(key.clone(), Kept { between, lines: find(), used: true });
        }
        let Some(kept) = self.0.get_mut(&key) else { return &[] };
        kept.used = true;
        &kept.lines
    }

    /// Forgets what was not asked for since the last time.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, kept| std::mem::take(&mut kept.used));
    }
}
