//! What is known of the configuration's readings: which is in force since when, and what a reload would change. Kept
//! current, and asked for the latter, by the boot thread.

use crate::policy::Settings;
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Between two previews: each reads all files again.
const PREVIEW_EVERY: Duration = Duration::from_secs(1);

/// Asks what a reload would do; the answer comes back.
pub type Preview = Box<dyn Fn(oneshot::Sender<Value>) + Send + Sync>;

/// See the file's head.
#[derive(Default)]
pub struct Loads {
    /// What was taken over last, and when; None: nothing was read since the start.
    last: Mutex<Option<(Arc<Settings>, u64)>>,
    preview: OnceLock<Preview>,
    previewed: Mutex<Option<Instant>>,
}

impl fmt::Debug for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loads").field("previewed", &self.previewed).finish_non_exhaustive()
    }
}

impl Loads {
    /// With somebody who can say what a reload would do.
    pub fn with(preview: Preview) -> Loads {
        Loads { preview: OnceLock::from(preview), ..Loads::default() }
    }

    /// These settings are in force from now on.
    pub fn reloaded(&self, settings: Arc<Settings>, now_ns: u64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((settings, now_ns));
    }

    /// The settings in force; these were at the start.
    pub fn in_force(&self, at_start: &Arc<Settings>) -> Arc<Settings> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map_or(at_start, |(settings, _)| settings).clone()
    }

    /// Since when it is; the server started then.
    pub fn since(&self, start_ns: u64) -> u64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(start_ns, |(_, at)| *at)
    }

    /// Asks what a reload would do.
    ///
    /// # Errors
    /// Why nobody is asked.
    pub fn preview(&self) -> Result<oneshot::Receiver<Value>, String> {
        let ask = self.preview.get().ok_or("there is no configuration to be read again")?;
        let mut previewed = self.previewed.lock().unwrap_or_else(PoisonError::into_inner);
        if previewed.is_some_and(|at| at.elapsed() < PREVIEW_EVERY) {
            return Err("asked less than a second ago: ask again".into());
        }
        *previewed = Some(Instant::now());
        let (say, answer) = oneshot::channel();
        ask(say);
        Ok(answer)
    }
}
