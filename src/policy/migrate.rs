//! A configuration in nats-server's grammar as TOML of the same meaning, with notes on what is left out or spelled anew.
//! What is refused at a start is refused here, too: what is written starts, and does the same. Called by `cli`.

use super::invalid::Invalid;
use super::keys::{self, Scope, Treatment};
use super::load::{load, read};
use super::model::{self, Loaded};
use super::operator;
use super::overrides::Overrides;
use super::settings::Settings;
use super::source::Source;
use super::tree::{At, Node, Table, Tree, Value};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A configuration written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The TOML, its notes as comments at the head.
    pub toml: String,
    /// What is to be known about it, one to a line.
    pub notes: Vec<String>,
}

/// Reads `path` and writes it anew.
///
/// # Errors
/// All mistakes in it, what we do not support among them.
pub fn migrate(path: &Path, source: &mut dyn Source) -> Result<Migrated, Vec<Invalid>> {
    let tree = read(path, source)?;
    let files = operator::files(&tree, source);
    let loaded = model::settings(&tree, &Overrides::default(), files)?;
    let mut writer = Writer { tree: &tree, seconds: seconds(&loaded), notes: Vec::new(), toml: String::new() };
    writer.write();
    let Writer { notes, toml, .. } = writer;
    let mut head = format!("# {} as turnpike has it (turnpike migrate).\n", path.display());
    notes.iter().for_each(|note| head += &format!("# {note}\n"));
    let toml = format!("{head}\n{toml}");
    // Beside the file, so that paths in it lead to the same places.
    let beside = path.with_extension("migrated.toml");
    let anew = load(&beside, &mut Beside { path: &beside, toml: &toml, source })?;
    match plain(anew.settings) == plain(loaded.settings) {
        true => Ok(Migrated { toml, notes }),
        false => {
            Err(vec![Invalid::nowhere("", format!("{}: what it means cannot be written as TOML", path.display()))])
        }
    }
}

/// Without what depends on how it is written.
fn plain(mut settings: Settings) -> Settings {
    settings.digest.clear();
    settings.warnings.clear();
    if let Some(gateway) = &mut settings.gateway {
        // Each rule knows its line.
        gateway.borders = super::settings::Borders::default();
    }
    settings
}

/// Where bare numbers stand that mean seconds, as file, line and column.
fn seconds(loaded: &Loaded) -> BTreeSet<(String, u32, u32)> {
    let bare = loaded.deprecations.iter().filter(|d| d.text.ends_with("should be converted to a duration"));
    bare.map(|d| (d.file.clone(), d.line, d.column)).collect()
}

/// A file that is not there yet, and all others.
struct Beside<'a> {
    path: &'a PathBuf,
    toml: &'a str,
    source: &'a mut dyn Source,
}

impl Source for Beside<'_> {
    fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        if path == self.path {
            return Ok(self.toml.as_bytes().to_vec());
        }
        self.source.read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.source.env(name)
    }
}

struct Writer<'a> {
    tree: &'a Tree,
    seconds: BTreeSet<(String, u32, u32)>,
    notes: Vec<String>,
    toml: String,
}

impl Writer<'_> {
    fn file(&self, at: At) -> &str {
        self.tree.files.get(usize::from(at.file)).map_or("", String::as_str)
    }

    /// The outermost keys: values first, as TOML wants it, then tables.
    fn write(&mut self) {
        if self.tree.files.len() > 1 {
            self.notes.push(format!("Read together: {}", self.tree.files.join(", ")));
        }
        let mut tables = Vec::new();
        for entry in self.tree.root.entries() {
            let at = format!("{}:{}", self.file(entry.node.at), entry.node.at.line);
            let Some(key) = keys::find(Scope::Top, &entry.key) else {
                // The model lets nothing else pass.
                self.notes.push(format!("{at}: the variable {} is filled in where it stood", entry.key));
                continue;
            };
            match (key.treatment, &entry.node.value) {
                (Treatment::Warned(why), _) => self.notes.push(format!("{at}: {} is left out: {why}", entry.key)),
                (_, Value::Table(table)) => tables.push((key.names[0], table)),
                _ => self.pair(key.names[0], &entry.node),
            }
        }
        for (name, table) in tables {
            self.table(name, table);
        }
    }

    fn pair(&mut self, key: &str, node: &Node) {
        let value = self.value(node);
        self.toml += &format!("{} = {value}\n", name(key));
    }

    /// A table under its own head, and those in it.
    fn table(&mut self, path: &str, table: &Table) {
        let (inner, plain): (Vec<_>, Vec<_>) =
            table.entries().iter().partition(|e| matches!(e.node.value, Value::Table(_)));
        if !plain.is_empty() || inner.is_empty() {
            self.toml += &format!("\n[{path}]\n");
        }
        plain.into_iter().for_each(|e| self.pair(&e.key, &e.node));
        for entry in inner {
            if let Value::Table(table) = &entry.node.value {
                self.table(&format!("{path}.{}", name(&entry.key)), table);
            }
        }
    }

    fn value(&mut self, node: &Node) -> String {
        match &node.value {
            Value::String(text) | Value::Datetime(text) => quoted(text),
            Value::Integer(n) if self.means_seconds(node.at) => quoted(&format!("{n}s")),
            Value::Integer(n) => n.to_string(),
            Value::Float(n) => format!("{n:?}"),
            Value::Bool(b) => b.to_string(),
            Value::Array(all) if all.iter().any(|n| matches!(n.value, Value::Table(_) | Value::Array(_))) => {
                let lines: String = all.iter().map(|n| format!("  {},\n", self.value(n))).collect();
                format!("[\n{lines}]")
            }
            Value::Array(all) => format!("[{}]", all.iter().map(|n| self.value(n)).collect::<Vec<_>>().join(", ")),
            Value::Table(table) => {
                let pairs = table.entries().iter().map(|e| format!("{} = {}", name(&e.key), self.value(&e.node)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn means_seconds(&self, at: At) -> bool {
        self.seconds.contains(&(self.file(at).to_owned(), at.line, at.column))
    }
}

/// A key as TOML has it.
fn name(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load_with;
    use std::collections::BTreeMap;

    struct Files(BTreeMap<&'static str, String>);

    impl Source for Files {
        fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
            let text = self.0.get(path.to_str().unwrap_or_default());
            text.map(|t| t.clone().into_bytes()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        }

        fn env(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn of(text: &str) -> Result<Migrated, Vec<Invalid>> {
        let inner = "max_payload: 64KB\n".to_owned();
        migrate(Path::new("a.conf"), &mut Files([("a.conf", text.to_owned()), ("inner.conf", inner)].into()))
    }

    const ALL: &str = r#"
        PASS: "s\"e\\cret"
        Listen: 127.0.0.1:-1
        include inner.conf
        ping_interval: 20
        write_deadline: "5s"
        jetstream { store_dir: /tmp/js }
        pidfile: "/tmp/a b.pid"
        accounts {
          "A.1": { users: [ {user: a, password: $PASS, permissions: {publish: {allow: ["x.>", "y"], deny: "z"}}}, {user: b, password: "c"} ] }
          SYS { users: [ {user: s, password: p} ] }
        }
        system_account: SYS
        no_auth_user: b
        cluster { name: c, listen: "127.0.0.1:-1", routes: [ "nats://u:p@h:6222" ], authorization { user: u, password: p, timeout: 1.5 } }
    "#;

    #[test]
    fn the_same_is_meant() {
        let migrated = of(ALL).unwrap_or_else(|e| panic!("{e:?}"));
        for line in [
            "listen = \"127.0.0.1:-1\"",
            "ping_interval = \"20s\"",
            "max_payload = 65536",
            "pid_file = \"/tmp/a b.pid\"",
            "[accounts.\"A.1\"]",
            "[cluster.authorization]",
            "timeout = 1.5",
        ] {
            assert!(migrated.toml.lines().any(|l| l == line), "{line}: {}", migrated.toml);
        }
        let notes = migrated.notes.join("\n");
        assert!(notes.contains("a.conf:7: jetstream is left out: JetStream is not offered"), "{notes}");
        assert!(notes.contains("Read together: a.conf, inner.conf"), "{notes}");
        assert!(notes.contains("the variable PASS is filled in"), "{notes}");
        assert!(!migrated.toml.contains("[jetstream]"));
        // Nothing in it is spelled as it should not be.
        let mut files = Files([("b.toml", migrated.toml)].into());
        let anew = load_with(Some(Path::new("b.toml")), &Overrides::default(), &mut files).unwrap();
        assert_eq!(
            (anew.deprecations, anew.settings.warnings.iter().any(|w| w.contains("JetStream"))),
            (Vec::new(), false)
        );
    }

    #[test]
    fn what_we_refuse_is_refused() {
        let wrong = of("auth_callout { issuer: x }\nauthorization { auth_callout { issuer: x } }").unwrap_err();
        assert!(!wrong.is_empty());
        assert!(of("no_such_key: 1").unwrap_err()[0].text.contains("unknown field"));
    }

    #[test]
    fn every_sample_can_be_written_anew() {
        for (name, text) in [
            ("accounts.conf", include_str!("../../configs/accounts.conf")),
            ("cluster.conf", include_str!("../../configs/cluster.conf")),
            ("gateway.conf", include_str!("../../configs/gateway.conf")),
            ("borders-a.conf", include_str!("../../configs/borders-a.conf")),
            ("turnpike.toml", include_str!("../../configs/turnpike.toml")),
        ] {
            let migrated = migrate(Path::new(name), &mut Files([(name, text.to_owned())].into()));
            assert!(migrated.is_ok(), "{name}: {migrated:?}");
        }
    }
}
