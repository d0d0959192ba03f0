//! Templates in the permissions of a scoped signing key: `{{name()}}`, `{{subject()}}`, `{{account-name()}}`,
//! `{{account-subject()}}`, `{{tag(x)}}` and `{{account-tag(x)}}` stand for what the user and his account are called. As
//! nats-server has it, with its limit; every value comes from a token, so what is made of it is looked at again.

use crate::base::limits::TEMPLATE_SUBJECTS_MAX;
use crate::wire::jwt::Grant;

/// Who the values are taken from.
pub(super) struct Names<'a> {
    pub name: &'a str,
    pub subject: &'a str,
    pub tags: &'a [String],
    pub account_name: &'a str,
    pub account_subject: &'a str,
    pub account_tags: &'a [String],
}

/// A template made into what it is for one user. None: it cannot be.
pub(super) fn applied(template: &Grant, names: &Names<'_>) -> Option<Grant> {
    let mut grant = template.clone();
    for lists in [&mut grant.subscribe, &mut grant.publish] {
        let any_allowed = !lists.allow.is_empty();
        lists.allow = expanded(&lists.allow, names, false)?;
        lists.deny = expanded(&lists.deny, names, true)?;
        // Nothing is left of what was allowed: that is not the same as a list in which nothing stands.
        if any_allowed && lists.allow.is_empty() {
            lists.deny.push(">".into());
        }
    }
    Some(grant)
}

/// A list with its templates replaced. Subjects that are none then are left out, or, where leaving out would allow more
/// (`strict`), make the whole void.
fn expanded(list: &[String], names: &Names<'_>, strict: bool) -> Option<Vec<String>> {
    if !list.iter().any(|subject| !templates(subject).is_empty()) {
        return Some(list.to_vec());
    }
    let mut out = Vec::new();
    for subject in list {
        let found = templates(subject);
        let values: Option<Vec<Vec<String>>> = found.iter().map(|t| values(t, names, strict)).collect();
        let mut made = vec![subject.clone()];
        for (template, values) in found.iter().zip(values?) {
            if out.len() + made.len().saturating_mul(values.len()) > TEMPLATE_SUBJECTS_MAX {
                return None;
            }
            made = made.iter().flat_map(|s| values.iter().map(|v| s.replace(template, v))).collect();
        }
        for subject in made {
            if is_subject(&subject) {
                out.push(subject);
            } else if strict {
                return None;
            }
        }
    }
    Some(out)
}

/// Every `{{…}}` of a subject, braces included.
fn templates(subject: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = subject;
    while let Some(at) = rest.find("{{") {
        let inner = &rest[at + 2..];
        match inner.find('}').filter(|end| *end > 0 && inner[*end..].starts_with("}}")) {
            Some(end) => {
                found.push(&rest[at..at + end + 4]);
                rest = &inner[end + 2..];
            }
            None => rest = &rest[at + 1..],
        }
    }
    found
}

/// What a template stands for. None: nothing is known by that name.
fn values(template: &str, names: &Names<'_>, strict: bool) -> Option<Vec<String>> {
    let word = template.get(2..template.len().saturating_sub(2))?.trim();
    let one = |value: &str| Some(vec![value.to_owned()]);
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("name()") {
        return one(names.name);
    } else if is("subject()") {
        return one(names.subject);
    } else if is("account-name()") {
        return one(names.account_name);
    } else if is("account-subject()") {
        return one(names.account_subject);
    }
    let called = |name: &str| {
        let head = word.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        word[name.len().min(word.len())..].strip_suffix(')').filter(|_| head)
    };
    let (tags, tag) = match (called("tag("), called("account-tag(")) {
        (Some(tag), _) => (names.tags, tag),
        (_, Some(tag)) => (names.account_tags, tag),
        _ => return None,
    };
    let prefix = format!("{}:", tag.to_lowercase());
    let found: Vec<String> = tags.iter().filter_map(|t| t.strip_prefix(&prefix)).map(str::to_owned).collect();
    match found.is_empty() {
        true if strict => None,
        // No subject is made of that.
        true => one(" "),
        false => Some(found),
    }
}

/// No empty token, no blank, `>` only last.
fn is_subject(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let blank = token.contains(['\t', '\n', '\x0c', '\r', ' ']);
        if token.is_empty() || blank || (token == ">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::jwt::Permission;

    fn names() -> Names<'static> {
        let tags = ["dept:a", "dept:b", "x:1", "wild:>", "bad:a b"].map(String::from);
        let tags: &'static [String] = Vec::leak(tags.to_vec());
        Names {
            name: "bob",
            subject: "UBOB",
            tags,
            account_name: "acme",
            account_subject: "AACME",
            account_tags: &tags[2..3],
        }
    }

    fn lists(allow: &[&str], deny: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        let publish = Permission { allow: list(allow), deny: list(deny) };
        let made = applied(&Grant { publish, ..Grant::default() }, &names())?;
        Some((made.publish.allow, made.publish.deny))
    }

    #[test]
    fn each_template_stands_for_its_values() {
        let (allow, _) = lists(
            &[
                "a.{{name()}}.{{ Subject() }}",
                "{{account-name()}}.{{account-subject()}}",
                "{{account-tag(x)}}.>",
                "plain",
            ],
            &[],
        )
        .unwrap();
        assert_eq!(allow, ["a.bob.UBOB", "acme.AACME", "1.>", "plain"]);
        let (allow, deny) = lists(&["{{tag(dept)}}.{{tag(x)}}.{{tag(DEPT)}}"], &["no.{{tag(dept)}}"]).unwrap();
        assert_eq!(allow, ["a.1.a", "a.1.b", "b.1.a", "b.1.b"]);
        assert_eq!(deny, ["no.a", "no.b"]);
    }

    #[test]
    fn what_makes_no_subject_allows_nothing_and_denies_everything() {
        assert_eq!(lists(&["{{tag(none)}}"], &[]), Some((vec![], vec![">".into()])));
        assert_eq!(lists(&["{{tag(bad)}}", "b"], &[]), Some((vec!["b".into()], vec![])));
        assert_eq!(lists(&["a"], &["{{tag(none)}}"]), None, "what cannot be denied lets nobody in");
        assert_eq!(lists(&["a"], &["{{tag(bad)}}"]), None);
        assert_eq!(lists(&["{{unknown()}}"], &[]), None);
        assert_eq!(lists(&["{{tag(wild)}}.b"], &[]), Some((vec![], vec![">".into()])));
        assert_eq!(lists(&["{{{name()}}}"], &[]), None);
        let none = ["{name()}", "{{}}", "{{a}", "}}{{", "{{"];
        assert_eq!(lists(&none, &[]), Some((none.map(String::from).to_vec(), vec![])));
    }

    #[test]
    fn expansion_is_bounded() {
        let tags: Vec<String> = (0..65).map(|n| format!("t:{n}")).collect();
        let names = Names { tags: &tags, ..names() };
        assert_eq!(expanded(&["{{tag(t)}}".into()], &names, false).map(|l| l.len()), Some(65));
        let two = "{{tag(t)}}.{{tag(T)}}";
        assert_eq!(expanded(&[two.into()], &names, false), None, "65 times 65");
        let names = Names { tags: &tags[..64], ..names };
        assert_eq!(expanded(&[two.into()], &names, false).map(|l| l.len()), Some(4096));
        assert_eq!(expanded(&[two.into(), two.into()], &names, false), None);
    }
}
