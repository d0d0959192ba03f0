//! Addresses of routes as people write them: `nats://[user:pass@]host:port`, the scheme optional. Used for the entries
//! of `routes` and for the flags `--routes` and `--cluster` (operations.md §§1, 8). What is wrong is said without the
//! text itself, which may hold a password.

use super::settings::{RouteLogin, RouteUrl};

/// A URL taken apart. A port of −1 is left as it is: only who listens can leave the choice to the system.
pub(super) struct Parts {
    pub(super) host: String,
    pub(super) port: i64,
    pub(super) login: Option<RouteLogin>,
}

/// The entry of `routes` that `text` is.
///
/// # Errors
/// What is wrong with it, and how it should look.
pub(super) fn route(text: &str) -> Result<RouteUrl, String> {
    let Parts { host, port, login } = parts(text)?;
    match u16::try_from(port) {
        Ok(port @ 1..) if !host.is_empty() => Ok(RouteUrl { host, port, login }),
        Ok(1..) => Err(expected("it names no host")),
        _ => Err(expected(&format!("{port} is not a port from 1 to 65535"))),
    }
}

/// Does it say that TLS is spoken there? Where there is a `tls` block it is, whatever the URL says.
pub(super) fn says_tls(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("tls"))
}

/// Takes a URL apart.
///
/// # Errors
/// What is wrong with it, and how it should look.
pub(super) fn parts(text: &str) -> Result<Parts, String> {
    let rest = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) if ["nats", "nats-route", "tls"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) => rest,
        Some(_) => return Err(expected("its scheme is another")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, address) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((who, address)) => (Some(login(who)?), address),
    };
    let clean = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"');
    if !matches!(path, "" | "/") || !address.chars().all(clean) {
        return Err(expected("there is more behind or in its host and port"));
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(six) => six.split_once(']').and_then(|(h, p)| Some((h, p.strip_prefix(':')?))),
        None => address.split_once(':').filter(|(_, port)| !port.contains(':')),
    }
    .ok_or_else(|| expected("it names no port"))?;
    let port = port.parse().map_err(|_| expected("its port is no number"))?;
    Ok(Parts { host: host.into(), port, login })
}

fn login(who: &str) -> Result<RouteLogin, String> {
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let plain = |text: &str| {
        decoded(text).ok_or_else(|| expected("a '%' in its user or password must begin an escape, as %40"))
    };
    let (user, password) = (plain(user)?, plain(password)?);
    match user.is_empty() {
        true => Err(expected("there is no user before its '@'")),
        false => Ok(RouteLogin { user, password }),
    }
}

fn expected(why: &str) -> String {
    format!("expected nats://[user:password@]host:port, but {why}")
}

/// `%40` → `@`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_and_without_what_may_be_left_out() {
        let shown = |text: &str| {
            let r = route(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            (r.host, r.port, r.login.map(|l| (l.user, l.password)))
        };
        let login = |u: &str, p: &str| Some((u.to_string(), p.to_string()));
        assert_eq!(shown("nats://192.168.1.101:4222"), ("192.168.1.101".into(), 4222, None));
        assert_eq!(shown("NATS://h:1/"), ("h".into(), 1, None));
        assert_eq!(shown("nats-route://h:1"), ("h".into(), 1, None));
        assert_eq!(shown("h:1"), ("h".into(), 1, None));
        assert_eq!(shown("nats://[::1]:1"), ("::1".into(), 1, None));
        assert_eq!(shown("nats://a:b@h:1"), ("h".into(), 1, login("a", "b")));
        assert_eq!(shown("nats://a:p%40%3a@h:1"), ("h".into(), 1, login("a", "p@:")));
        assert_eq!(shown("a@h:1"), ("h".into(), 1, login("a", "")));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, why) in [
            ("nats://u:secret@h", "names no port"),
            ("nats://u:secret@::1", "names no port"),
            ("nats://u:secret@[::1]", "names no port"),
            ("nats://u:secret@:1", "names no host"),
            ("nats://u:secret@h:0", "0 is not a port"),
            ("nats://u:secret@h:-1", "-1 is not a port"),
            ("nats://u:secret@h:70000", "70000 is not a port"),
            ("nats://u:secret@h:x", "port is no number"),
            ("nats://:secret@h:1", "no user"),
            ("nats://u:%4secret@h:1", "'%'"),
            ("nats://u:secret@h:1/secret", "more behind"),
            ("nats://u:secret@h:1,nats://u:secret@i:1", "more behind"),
            ("nats://u:secret@h h:1", "more behind"),
            ("http://u:secret@h:1", "scheme"),
            ("", "names no port"),
        ] {
            let found = route(text).unwrap_err();
            assert!(found.contains(why) && !found.contains("secret"), "{text}: {found}");
        }
    }
}
