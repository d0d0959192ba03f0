//! What a connection of the bench speaks through: its socket, or TLS over it. Beneath [`super::link`].

use super::fault::Fault;
use crate::policy::tls::{CertFiles, Tls};
use crate::shell::tls::Dialer;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{ErrorKind, Read, Result, Write};
use std::sync::Arc;

/// How TLS is spoken, for those who do: `ca` believed instead of the system's authorities, `pair` shown.
pub fn config(ca: Option<&str>, pair: Option<(&str, &str)>) -> std::result::Result<Arc<ClientConfig>, Fault> {
    let mut tls = Tls::new("--tls".into());
    tls.ca_file = ca.map(str::to_owned);
    tls.certs = pair.map(|(cert, key)| CertFiles { cert: cert.to_owned(), key: key.to_owned() }).into_iter().collect();
    Dialer::new(&tls).map(|dialer| dialer.config).map_err(Fault::Asked)
}

/// See the file's head.
pub struct Wire<S> {
    /// The socket.
    pub socket: S,
    tls: Option<Box<ClientConnection>>,
}

impl<S: Read + Write> Wire<S> {
    /// In the clear.
    pub fn plain(socket: S) -> Wire<S> {
        Wire { socket, tls: None }
    }

    /// From here on nothing is said in the clear to the host in `address`; `self` still waits for what it reads.
    pub fn secure(&mut self, config: &Arc<ClientConfig>, address: &str) -> std::result::Result<(), Fault> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Fault::Asked(format!("{host} is no name that a certificate could bear")))?;
        let mut tls = ClientConnection::new(config.clone(), name).map_err(|e| Fault::Asked(format!("TLS: {e}")))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// The same over another socket, which has taken the place of this one.
    pub fn moved<T>(self, to: impl FnOnce(S) -> T) -> Wire<T> {
        Wire { socket: to(self.socket), tls: self.tls }
    }

    /// Does a read that fills less than its buffer, or a write that takes less, say that there is no more, or no room?
    pub fn tells(&self) -> bool {
        self.tls.is_none()
    }

    /// Writes what is sealed as far as the socket takes it; true if nothing is left.
    pub fn settle(&mut self) -> Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

impl<S: Read + Write> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Some servers leave without the last record.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(|e| std::io::Error::new(ErrorKind::InvalidData, e))?;
        }
    }
}

impl<S: Read + Write> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if !self.settle()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        let n = tls.writer().write(bytes)?;
        self.settle()?;
        Ok(n)
    }

    fn flush(&mut self) -> Result<()> {
        self.settle().map(drop)
    }
}
