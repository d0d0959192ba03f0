//! How the service of the system account is reached from shards and the boot thread, without ever waiting.

use crate::shard::traced::Part;
use crate::shard::{Happening, SystemQuestion};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Words that may wait: past it they are lost, and counted.
const WAITING_MAX: usize = 4096;

/// What the service is told.
#[derive(Debug)]
pub enum Word {
    /// Something happened to a connection.
    Happened(Box<Happening>),
    /// A client of an ordinary account asks.
    Asked(Box<SystemQuestion>),
    /// What a shard noted of a traced message.
    Traced(Box<Part>),
    /// The server is a lame duck.
    LameDuck,
    /// The server ends; said back when all of it has been told.
    Shutdown(crossbeam_channel::Sender<()>),
}

/// How the service is reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SystemDoor {
    sender: mpsc::Sender<Word>,
    lost: Arc<AtomicU64>,
}

/// The other end of [`SystemDoor`].
#[derive(Debug)]
pub struct Words {
    pub(super) receiver: mpsc::Receiver<Word>,
}

/// A door, and what lies behind it.
pub fn door() -> (SystemDoor, Words) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (SystemDoor { sender, lost: Arc::default() }, Words { receiver })
}

impl SystemDoor {
    /// Says it. False: too much waits, or nobody is there.
    pub fn say(&self, word: Word) -> bool {
        let said = self.sender.try_send(word).is_ok();
        self.lost.fetch_add(u64::from(!said), Relaxed);
        said
    }

    /// How many words were lost, to be counted on by monitoring.
    pub fn lost(&self) -> Arc<AtomicU64> {
        self.lost.clone()
    }
}
