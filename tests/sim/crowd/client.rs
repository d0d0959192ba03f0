//! A client of a crowd: it says what it is told to say, and counts what it hears.

/// See the file's head.
#[derive(Debug, Default)]
pub struct Client {
    /// Whose client it is.
    pub server: usize,
    /// Which of the accounts it belongs to.
    pub account: usize,
    /// Its connection.
    pub wire: usize,
    /// Messages heard, by sid.
    pub heard: [u64; 16],
    /// PONGs heard.
    pub pongs: u64,
    rest: Vec<u8>,
}

impl Client {
    /// A client of a server, in an account.
    pub fn of(server: usize, account: usize) -> Client {
        Client { server, account, ..Client::default() }
    }

    /// What it says first.
    pub fn hello(&self) -> Vec<u8> {
        let user = self.account;
        format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":true,\"headers\":true,\"user\":\"u{user}\",\
             \"pass\":\"p\"}}\r\nPING\r\n"
        )
        .into_bytes()
    }

    /// Bytes came; what it answers.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.rest.extend_from_slice(bytes);
        let (mut at, mut answer) = (0, Vec::new());
        while let Some(end) = memchr::memchr(b'\n', &self.rest[at..]).map(|n| at + n) {
            let line = std::str::from_utf8(&self.rest[at..end]).map_err(|e| e.to_string())?.trim_end();
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "INFO" => {}
                "PING" => answer.extend_from_slice(b"PONG\r\n"),
                "PONG" => self.pongs += 1,
                "MSG" => {
                    let number = |word: Option<&&str>| word.and_then(|w| w.parse::<usize>().ok());
                    let (Some(sid), Some(size)) = (number(words.get(2)), number(words.last())) else {
                        return Err(format!("hears {line:?}"));
                    };
                    if self.rest.len() < end + 1 + size + 2 {
                        break;
                    }
                    *self.heard.get_mut(sid).ok_or_else(|| format!("hears {line:?}"))? += 1;
                    at = end + 1 + size + 2;
                    continue;
                }
                _ => return Err(format!("hears {line:?}")),
            }
            at = end + 1;
        }
        self.rest.drain(..at);
        Ok(answer)
    }
}
