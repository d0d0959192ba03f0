//! What tokens say about rights, limits and networks, in this server's own words. Pure; used for accounts when a
//! configuration is read, and for users when they present a token.

use crate::interest::permit::{Entry, Lists, Permissions, Responses};
use crate::wire::jwt;
use crate::wire::subject;
use std::net::IpAddr;

/// What users may do; None: everything.
///
/// # Errors
/// A subject that is none, in words.
pub(super) fn permissions(said: &jwt::Permissions) -> Result<Option<Permissions>, String> {
    rights(&said.publish, &said.subscribe, said.resp)
}

/// The same of one user, or of a template.
///
/// # Errors
/// A subject that is none, in words.
pub(super) fn granted(said: &jwt::Grant) -> Result<Option<Permissions>, String> {
    rights(&said.publish, &said.subscribe, said.resp)
}

fn rights(
    publish: &jwt::Permission,
    subscribe: &jwt::Permission,
    resp: Option<jwt::Responses>,
) -> Result<Option<Permissions>, String> {
    let silent = |p: &jwt::Permission| p.allow.is_empty() && p.deny.is_empty();
    if silent(publish) && silent(subscribe) && resp.is_none() {
        return Ok(None);
    }
    let mut out = Permissions { publish: lists(publish, false)?, subscribe: lists(subscribe, true)?, responses: None };
    if let Some(resp) = resp {
        let usual = Responses::DEFAULT;
        let or = |said: i64, usual| match said {
            0 => usual,
            n => u64::try_from(n).ok(),
        };
        let max = or(resp.max, usual.max.map(u64::from)).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        out.responses = Some(Responses { max, within_ns: or(resp.ttl, usual.within_ns) });
        // Who may answer what he is asked may do nothing else but what is allowed in so many words.
        out.publish.allow.get_or_insert_default();
    }
    Ok(Some(out))
}

fn lists(said: &jwt::Permission, queues: bool) -> Result<Lists, String> {
    let entries = |list: &[String]| list.iter().map(|text| entry(text, queues)).collect::<Result<Vec<_>, _>>();
    let allow = entries(&said.allow)?;
    Ok(Lists { allow: (!allow.is_empty()).then_some(allow), deny: entries(&said.deny)? })
}

fn entry(text: &str, queues: bool) -> Result<Entry, String> {
    let (subject, queue) = match text.split_once(' ') {
        Some((subject, queue)) if queues => (subject, Some(queue)),
        _ => (text, None),
    };
    let blank = |s: &str| s.chars().any(|c| c.is_whitespace() || c.is_control());
    let good = |s: &str| !blank(s) && subject::valid_subscription(s.as_bytes());
    if good(subject) && queue.is_none_or(good) {
        return Ok(Entry { subject: subject.as_bytes().into(), queue: queue.unwrap_or_default().as_bytes().into() });
    }
    let shown: String = text.chars().take(64).collect();
    Err(format!("subject \"{}\" is not a valid subject", shown.escape_debug()))
}

/// A limit: negative is none.
pub(super) fn limit(said: i64) -> Option<usize> {
    usize::try_from(said).ok()
}

/// Does this address lie in one of these networks? None named: wherever it lies. A network that is none contains nobody.
pub(super) fn comes_from(networks: &[String], ip: &str) -> bool {
    networks.is_empty()
        || ip.parse().is_ok_and(|ip: IpAddr| networks.iter().any(|n| network(n).is_some_and(|n| n.has(ip))))
}

/// Are all of these networks?
pub(super) fn are_networks(networks: &[String]) -> bool {
    networks.iter().all(|n| network(n).is_some())
}

struct Network {
    ip: IpAddr,
    bits: u32,
}

fn network(text: &str) -> Option<Network> {
    let (ip, bits) = text.split_once('/')?;
    let (ip, bits): (IpAddr, u32) = (ip.parse().ok()?, bits.parse().ok()?);
    let most = if ip.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(Network { ip, bits })
}

impl Network {
    fn has(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same(u32::from(net).into(), u32::from(ip).into(), 32),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same(net.into(), ip.into(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_whom_they_contain() {
        let from = |nets: &[&str], ip: &str| comes_from(&nets.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), ip);
        assert!(from(&[], "1.2.3.4") && from(&["1.2.3.0/24"], "1.2.3.4") && !from(&["1.2.3.0/24"], "1.2.4.4"));
        assert!(from(&["9.9.9.9/32", "0.0.0.0/0"], "1.2.3.4") && from(&["1.2.3.0/24"], "::ffff:1.2.3.4"));
        assert!(from(&["::1/128"], "::1") && !from(&["::1/128"], "::2") && !from(&["::/0"], "1.2.3.4"));
        assert!(from(&["fd00::/8"], "fd12::1") && !from(&["0.0.0.0/0"], "nonsense") && !from(&["1.2.3.4"], "1.2.3.4"));
        for none in ["1.2.3.4/33", "::/129", "/8", "a/8", "1.2.3.4/-1", "1.2.3.4/"] {
            assert!(!are_networks(&[none.into()]) && !from(&[none], "1.2.3.4"), "{none}");
        }
    }

    #[test]
    fn rights_are_what_nats_server_makes_of_them() {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let said = |allow: &[&str], deny: &[&str]| jwt::Permission { allow: list(allow), deny: list(deny) };
        let none = jwt::Permission::default();
        assert_eq!(rights(&none, &none, None), Ok(None));
        let only = rights(&none, &said(&["a", "b q"], &[]), None).unwrap().unwrap();
        assert_eq!((only.publish.allow, only.subscribe.allow.unwrap().len()), (None, 2));
        let answers = rights(&none, &none, Some(jwt::Responses::default())).unwrap().unwrap();
        assert_eq!((answers.publish.allow, answers.responses), (Some(vec![]), Some(Responses::DEFAULT)));
        let ever = rights(&none, &none, Some(jwt::Responses { max: -1, ttl: -1 })).unwrap().unwrap();
        assert_eq!(ever.responses, Some(Responses { max: None, within_ns: None }));
        for bad in ["", "a b", ".a", "a..b", "a.", "a\r\nb", "a\tb", "a.>.b"] {
            assert!(rights(&said(&[bad], &[]), &none, None).is_err(), "{bad:?}");
            assert!(rights(&said(&[], &[bad]), &none, None).is_err(), "{bad:?}");
        }
        assert!(rights(&none, &said(&["a b c"], &[]), None).is_err());
    }
}
