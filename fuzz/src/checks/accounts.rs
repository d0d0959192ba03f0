//! Accounts that share, as any configuration may say it: it is refused or accepted in finite time, imports are said to lead
//! back only if they do, and no message comes to an account that did not agree to it. The input is lines, each of an
//! account `0…3`: `0 stream a.*` and `0 service a.*` export, `1 < 0 stream a.* x.$1` imports (the name may be missing),
//! `0 = a.* b.$1` maps; anything else is a subject that all publish to.

use super::house::House;
use std::io;
use std::path::Path;
use turnpike::policy::{load, Settings, Source};
use turnpike::wire::subject::{contains, valid_publish};

const ACCOUNTS: usize = 4;
/// Lines that are read, and bytes of a word.
const LINES_MAX: usize = 40;
const WORD_MAX: usize = 40;

struct Text<'t>(&'t str);

impl Source for Text<'_> {
    fn read(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

/// What one account says.
#[derive(Default)]
struct Said<'i> {
    /// Is it a service, and the subjects.
    exports: Vec<(bool, &'i str)>,
    /// From whom, is it a service, and the subjects.
    imports: Vec<(usize, bool, &'i str)>,
    text: [String; 3],
}

/// See the file's head.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (mut said, mut subjects) = (<[Said<'_>; ACCOUNTS]>::default(), Vec::new());
    for line in text.split('\n').take(LINES_MAX) {
        read(line, &mut said, &mut subjects);
    }
    let accounts = said.iter().enumerate().map(|(n, s)| {
        let [exports, imports, mappings] = &s.text;
        format!("A{n} {{ users: [{{user: u{n}, password: p}}], exports: [{exports}], imports: [{imports}], mappings {{ {mappings} }} }}\n")
    });
    let conf = format!("accounts {{ {} }}", accounts.collect::<String>());
    match load(Path::new("f.conf"), &mut Text(&conf)) {
        Err(all) => {
            let leads_back = |service| (0..ACCOUNTS).any(|n| way(&said, n, n, service));
            for why in all.iter().map(|i| i.to_string()).filter(|why| why.contains("cycle")) {
                assert!(leads_back(false) || leads_back(true), "{why}\n{conf}");
            }
        }
        Ok(loaded) => {
            agreed(&said, &loaded.settings, &conf);
            crosses(&said, loaded.settings, &subjects, &conf);
        }
    }
}

/// What a line means; one that cannot be written into a configuration means nothing.
fn read<'i>(line: &'i str, said: &mut [Said<'i>; ACCOUNTS], subjects: &mut Vec<&'i str>) {
    let fits = |w: &&str| w.len() <= WORD_MAX && w.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    let words: Vec<&str> = line.split(' ').filter(|w| !w.is_empty()).collect();
    if !words.iter().all(fits) {
        return;
    }
    let account = |w: &str| w.parse::<usize>().ok().filter(|n| *n < ACCOUNTS);
    let kind = |w: &str| ["stream", "service"].iter().position(|k| *k == w).map(|k| k == 1);
    match words[..] {
        [by, word, subject] if account(by).is_some() && kind(word).is_some() => {
            let by = &mut said[account(by).unwrap_or_default()];
            by.exports.push((word == "service", subject));
            by.text[0] += &format!("{{{word}: \"{subject}\"}},");
        }
        [by, "<", from, word, subject, ..]
            if account(by).is_some() && account(from).is_some() && kind(word).is_some() =>
        {
            let (by, from) = (&mut said[account(by).unwrap_or_default()], account(from).unwrap_or_default());
            by.imports.push((from, word == "service", subject));
            let name = words.get(5).map(|to| format!(", to: \"{to}\"")).unwrap_or_default();
            by.text[1] += &format!("{{{word}: {{account: A{from}, subject: \"{subject}\"}}{name}}},");
        }
        [by, "=", subject, to] if account(by).is_some() => {
            said[account(by).unwrap_or_default()].text[2] += &format!("\"{subject}\": \"{to}\"\n");
        }
        [subject] if valid_publish(subject.as_bytes()) => subjects.push(subject),
        _ => {}
    }
}

/// Do imports of this kind, one after the other, lead from the one to the other?
fn way(said: &[Said<'_>; ACCOUNTS], from: usize, to: usize, service: bool) -> bool {
    let mut reached = [false; ACCOUNTS];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (next, ..) in said[at].imports.iter().filter(|i| i.1 == service) {
            if !std::mem::replace(&mut reached[*next], true) {
                open.push(*next);
            }
        }
    }
    reached[to]
}

/// Whatever an account is given was exported there and imported here.
fn agreed(said: &[Said<'_>; ACCOUNTS], settings: &Settings, conf: &str) {
    for (by, s) in said.iter().enumerate() {
        let name = |n: u16| settings.auth.accounts[usize::from(n)].name.as_str();
        let shares = &settings.auth.accounts.iter().find(|a| a.name == format!("A{by}")).expect("it is there").shares;
        let streams = shares.streams.iter().map(|i| (i.from, false, i.names.their_pattern()));
        for (from, service, theirs) in
            streams.chain(shares.services.iter().map(|i| (i.to, true, i.names.their_pattern())))
        {
            let asked = s.imports.iter().any(|(n, k, _)| name(from) == format!("A{n}") && *k == service);
            let other = name(from)[1..].parse::<usize>().expect("one of ours");
            let offered = said[other].exports.iter().any(|(k, p)| *k == service && contains(p.as_bytes(), &theirs));
            assert!(asked && offered, "A{by} is given {} of {}\n{conf}", theirs.escape_ascii(), name(from));
        }
    }
}

/// Each account publishes, and each says what it heard of whom.
fn crosses(said: &[Said<'_>; ACCOUNTS], settings: Settings, subjects: &[&str], conf: &str) {
    let mut house = House::new(2, 8, 1000, settings);
    let clients: Vec<usize> = (0..ACCOUNTS)
        .map(|n| {
            let client = house.open(n % 2);
            house.say(
                client,
                format!("CONNECT {{\"verbose\":false,\"user\":\"u{n}\",\"pass\":\"p\"}}\r\nSUB > 1\r\n").as_bytes(),
            );
            client
        })
        .collect();
    house.settle();
    for subject in subjects.iter().take(4) {
        for (n, client) in clients.iter().enumerate() {
            // Said by whom.
            house.say(*client, format!("PUB {subject} 1\r\n{n}\r\n").as_bytes());
            house.settle();
        }
    }
    for (n, client) in clients.iter().enumerate() {
        let text = String::from_utf8_lossy(&house.clients[*client].read).into_owned();
        assert!(!text.contains("-ERR") && text.len() < 100_000, "{}\n{conf}", &text[..text.len().min(1000)]);
        let lines: Vec<&str> = text.split("\r\n").collect();
        let of = |l: &[&str]| l[0].starts_with("MSG ").then(|| l[1].parse::<usize>().expect("a publisher"));
        for from in lines.windows(2).filter_map(of) {
            // A request goes on from account to account; what is published on the way may be imported from there.
            let asked = |at: usize| at == from || way(said, from, at, true);
            let gives = |at: usize| at == n || said[n].imports.iter().any(|i| i.0 == at && !i.1);
            assert!((0..ACCOUNTS).any(|at| asked(at) && gives(at)), "A{n} heard A{from}\n{text}\n{conf}");
        }
    }
}
