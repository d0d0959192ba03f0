//! The line by which turnpikes tell each other the rules of their borders (docs/borders.md, "Both sides"): an INFO with
//! `gateway_cmd` 4 and a field `border_rules`, over gateways and over routes alike. Nobody else is sent it. Rules are many
//! and a line is not endless, so they come in parts. What a part means stands a floor higher.

use serde::Serialize;

use super::{Command, GatewayInfo, LINE_MAX};
use crate::wire::json::{folded, Malformed, Reader, Want};
use crate::wire::route::connect::is_default;

/// Bytes of entries in one line; what else stands in it is far shorter.
const ENTRIES_BYTES: usize = LINE_MAX - (8 << 10);

/// One part of a server's rules; what it does not say is false, 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BorderPart {
    /// The digest of all of them, hex.
    pub digest: String,
    /// Which part this is, from 1.
    pub part: i64,
    /// How many there are.
    pub parts: i64,
    /// There is a block of exports.
    #[serde(skip_serializing_if = "is_default")]
    pub exports: bool,
    /// There is a block of imports.
    #[serde(skip_serializing_if = "is_default")]
    pub imports: bool,
    /// Its entries, those of a block in the order written.
    pub entries: Vec<BorderEntry>,
}

/// One rule; what it does not say is false, 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BorderEntry {
    /// It stands in the exports; else in the imports.
    #[serde(skip_serializing_if = "is_default")]
    pub export: bool,
    /// The pattern it is about.
    pub subject: String,
    /// The one cluster it is about; empty: all.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// The one account it is about; empty: all but the system account.
    #[serde(skip_serializing_if = "is_default")]
    pub account: String,
    /// It holds back what it names.
    #[serde(skip_serializing_if = "is_default")]
    pub deny: bool,
    /// The line of the sender's configuration where it is written; 0: none.
    #[serde(skip_serializing_if = "is_default")]
    pub line: i64,
}

impl BorderPart {
    /// Reads the value of the field.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<BorderPart>, Malformed> {
        let mut said = None::<BorderPart>;
        reader.members(|reader, key| {
            let part = said.get_or_insert_default();
            match folded(key).as_str() {
                "entries" => {
                    part.entries.clear();
                    reader.elements(|reader| {
                        let mut entry = BorderEntry::default();
                        reader.members(|reader, key| reader.value(entry.place(&folded(key))))?;
                        part.entries.push(entry);
                        Ok(())
                    })
                }
                key => reader.value(part.place(key)),
            }
        })?;
        Ok(said)
    }

    fn place(&mut self, key: &str) -> Want<'_> {
        match key {
            "digest" => Want::Text(&mut self.digest),
            "part" => Want::Integer(&mut self.part),
            "parts" => Want::Integer(&mut self.parts),
            "exports" => Want::Bool(&mut self.exports),
            "imports" => Want::Bool(&mut self.imports),
            _ => Want::Anything,
        }
    }
}

impl BorderEntry {
    fn place(&mut self, key: &str) -> Want<'_> {
        match key {
            "export" => Want::Bool(&mut self.export),
            "subject" => Want::Text(&mut self.subject),
            "cluster" => Want::Text(&mut self.cluster),
            "account" => Want::Text(&mut self.account),
            "deny" => Want::Bool(&mut self.deny),
            "line" => Want::Integer(&mut self.line),
            _ => Want::Anything,
        }
    }

    /// How many bytes it takes in a line.
    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len() + 1)
    }
}

/// The lines that tell a server's rules, CR LF included. `about` has the digest and which blocks there are; `server_id` and
/// `gateway` are those of the sender. None: an entry fits into no line.
pub fn write_border(
    server_id: &str,
    gateway: &str,
    about: &BorderPart,
    entries: Vec<BorderEntry>,
) -> Option<Vec<Vec<u8>>> {
    let (mut lots, mut room) = (vec![Vec::new()], ENTRIES_BYTES);
    for entry in entries {
        let bytes = entry.bytes();
        if bytes > room && lots.last().is_some_and(|lot| !lot.is_empty()) {
            lots.push(Vec::new());
            room = ENTRIES_BYTES;
        }
        room = room.checked_sub(bytes)?;
        lots.last_mut()?.push(entry);
    }
    let parts = lots.len() as i64;
    let line = |(part, entries)| {
        let info = GatewayInfo {
            server_id: server_id.into(),
            gateway: gateway.into(),
            gateway_cmd: Command::Border as i64,
            border_rules: Some(BorderPart { part, parts, entries, ..about.clone() }),
            ..GatewayInfo::default()
        };
        let mut line = Vec::new();
        info.write(&mut line);
        (line.len() <= LINE_MAX).then_some(line)
    };
    (1..).zip(lots).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(lines: &[Vec<u8>]) -> Vec<BorderPart> {
        let json = |line: &Vec<u8>| line.strip_prefix(b"INFO ").unwrap().trim_ascii_end().to_vec();
        let info = |line| GatewayInfo::parse(&json(line)).unwrap();
        let one = |line| {
            let info = info(line);
            assert_eq!((info.command(), info.gateway.as_str()), (Some(Command::Border), "east"));
            info.border_rules.unwrap()
        };
        lines.iter().map(one).collect()
    }

    #[test]
    fn any_number_of_entries_comes_back_in_lines_that_everybody_reads() {
        let about = BorderPart { digest: "d".into(), exports: true, ..BorderPart::default() };
        for (n, length) in [(0, 1), (1, 16 << 10), (3, 16 << 10), (1000, 5), (100_000, 20), (700, 200)] {
            let entry = |line| BorderEntry {
                export: line % 2 == 0,
                subject: "\"\\".repeat(length / 2) + "x",
                cluster: if line % 3 == 0 { "west".into() } else { String::new() },
                account: if line % 5 == 0 { "A".into() } else { String::new() },
                deny: line % 7 == 0,
                line,
            };
            let entries: Vec<BorderEntry> = (0..n).map(entry).collect();
            let lines = write_border("GWID", "east", &about, entries.clone()).unwrap();
            assert!(lines.iter().all(|l| l.len() <= LINE_MAX && l.ends_with(b"}\r\n")));
            let parts = parts(&lines);
            assert!(parts.iter().zip(1..).all(|(p, n)| p.part == n && p.parts == lines.len() as i64 && p.exports));
            assert!(parts.iter().all(|p| !p.imports && p.digest == "d" && (n == 0 || !p.entries.is_empty())));
            assert_eq!(parts.into_iter().flat_map(|p| p.entries).collect::<Vec<_>>(), entries);
        }
    }

    #[test]
    fn what_fits_into_no_line_is_not_said() {
        let entry = BorderEntry { subject: "x".repeat(LINE_MAX), ..BorderEntry::default() };
        assert_eq!(write_border("GWID", "east", &BorderPart::default(), vec![entry]), None);
    }
}
