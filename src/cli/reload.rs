//! `turnpike reload --dry-run`: asks a running server what it would take over from its configuration as it stands now.

use super::monitoring::Place;
use serde_json::Value;
use std::process::ExitCode;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike reload: what a running server would do if it were told to reload

Usage: turnpike reload --dry-run [--server URL] [--ca FILE] [--json]

  --dry-run     only say it; to reload: turnpike --signal reload=PID
  --server URL  the monitoring of the server, http://HOST:PORT (its http_port, -m); default http://127.0.0.1:8222;
                https:// where it is served over TLS (https_port)
  --ca FILE     authorities to believe then, instead of this system's
  --json        as JSON

The server reads its configuration as it stands now, with the flags it was started with, compares it with what it runs
with, and changes nothing. A reload takes over all or nothing: one key that needs a restart refuses it. What would cross
borders otherwise is said by turnpike -t -c FILE --against URL. Exit code: 0 it would reload, 1 it would refuse, 2 there
is no answer.
";

/// Runs `turnpike reload WORDS`.
pub fn main(words: &[String]) -> ExitCode {
    if words.iter().any(|w| matches!(w.as_str(), "-h" | "-help" | "--help")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match read(words).and_then(|(place, json)| answer(&place, json)) {
        Ok((text, reloads)) => {
            print!("{text}");
            ExitCode::from(u8::from(!reloads))
        }
        Err(why) => {
            eprintln!("turnpike reload: {why}");
            ExitCode::from(2)
        }
    }
}

fn read(words: &[String]) -> Result<(Place, bool), String> {
    let (mut server, mut ca, mut json, mut dry) = ("http://127.0.0.1:8222".to_owned(), None, false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--dry-run" => dry = true,
            "--json" => json = true,
            "--server" | "--ca" => {
                let value = words.next().cloned();
                let value = value.ok_or(format!("{word} needs a value (turnpike reload --help tells more)"))?;
                if word == "--ca" {
                    ca = Some(value);
                } else {
                    server = value;
                }
            }
            other => return Err(format!("unknown word {other:?} (turnpike reload --help tells more)")),
        }
    }
    if !dry {
        return Err("say --dry-run to see what would change; to reload: turnpike --signal reload=PID".into());
    }
    Ok((Place::read(&server)?.believing(ca), json))
}

fn answer(place: &Place, json: bool) -> Result<(String, bool), String> {
    let body = place.get("/reloadz")?;
    let said: Value = serde_json::from_slice(&body).map_err(|_| "the answer is no preview: is this a turnpike?")?;
    let reloads = said["reloads"].as_bool().ok_or("the answer does not say whether it would reload")?;
    let text = if json { format!("{}\n", String::from_utf8_lossy(&body).trim_end()) } else { told(&said, reloads) };
    Ok((text, reloads))
}

fn told(said: &Value, reloads: bool) -> String {
    let lines = |key: &str, word: &str| -> String {
        let all = said[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.map(|line| format!("{word}: {line}\n")).collect()
    };
    let what = lines("applied", "would change");
    let end = match (reloads, what.is_empty()) {
        (true, true) => "nothing would change\n",
        (true, false) => "it would reload\n",
        (false, _) => "it would refuse, and change nothing\n",
    };
    format!("{}{what}{}{end}", lines("notices", "notice"), lines("refused", "refused"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_told() {
        let said = json!({"reloads": true, "applied": ["users"], "notices": ["a:1: old"], "refused": []});
        assert_eq!(told(&said, true), "notice: a:1: old\nwould change: users\nit would reload\n");
        assert_eq!(told(&json!({}), true), "nothing would change\n");
        assert_eq!(told(&json!({"refused": ["x"]}), false), "refused: x\nit would refuse, and change nothing\n");
    }

    #[test]
    fn words_are_read() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (place, json) = read(&words("--dry-run --server http://h:1 --json")).unwrap();
        assert!(json && place == Place::read("http://h:1").unwrap());
        let (place, _) = read(&words("--dry-run --ca c.pem --server https://h:1")).unwrap();
        assert_eq!(place, Place::read("https://h:1").unwrap().believing(Some("c.pem".into())));
        assert!(read(&[]).unwrap_err().contains("--signal reload=PID"));
        assert!(read(&words("--now")).unwrap_err().contains("unknown word"));
    }
}
