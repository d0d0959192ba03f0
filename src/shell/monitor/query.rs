//! The query string of a monitoring request: values by name, with the words nats-server uses for a bad one
//! (operations.md §16, "General"). Pure; called by every endpoint.

/// A parsed query string. Of several values with one name the first counts.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// What a listing shows of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subs {
    /// Nothing.
    #[default]
    No,
    /// Their subjects.
    Subjects,
    /// All about them.
    Detail,
}

impl Query {
    /// Reads `a=1&b=2`. A pair with a bad escape or a `;` is left out, as Go's parser does.
    pub fn parse(raw: Option<&str>) -> Query {
        let pairs = raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let pairs = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name, true)?, unescape(value, true)?))
        });
        Query { pairs: pairs.collect() }
    }

    /// Of values that are at hand already.
    pub fn of(pairs: Vec<(String, String)>) -> Query {
        Query { pairs }
    }

    /// With this value before all others of its name.
    pub fn with(mut self, name: &str, value: &str) -> Query {
        self.pairs.insert(0, (name.into(), value.into()));
        self
    }

    /// The value of `name`; empty when it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// A truth value; false when it is missing.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn boolean(&self, name: &str) -> Result<bool, String> {
        match self.text(name) {
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            other => Err(format!(
                "Error decoding boolean for '{name}': strconv.ParseBool: parsing {}: invalid syntax",
                quote(other)
            )),
        }
    }

    /// A whole number; 0 when it is missing.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn int(&self, name: &str) -> Result<i64, String> {
        let text = self.text(name);
        let fault = |why| format!("Error decoding int for '{name}': strconv.Atoi: parsing {}: {why}", quote(text));
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        match text {
            "" => Ok(0),
            _ if !all_digits(digits) => Err(fault("invalid syntax")),
            _ => text.parse().map_err(|_| fault("value out of range")),
        }
    }

    /// A number without a sign; 0 when it is missing.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn uint(&self, name: &str) -> Result<u64, String> {
        let text = self.text(name);
        let fault =
            |why| format!("Error decoding uint64 for '{name}': strconv.ParseUint: parsing {}: {why}", quote(text));
        match text {
            "" => Ok(0),
            _ if !all_digits(text) => Err(fault("invalid syntax")),
            _ => text.parse().map_err(|_| fault("value out of range")),
        }
    }

    /// `subs`: a truth value or the word "detail".
    ///
    /// # Errors
    /// The text of the 400.
    pub fn subs(&self) -> Result<Subs, String> {
        if self.text("subs").eq_ignore_ascii_case("detail") {
            return Ok(Subs::Detail);
        }
        Ok(if self.boolean("subs")? { Subs::Subjects } else { Subs::No })
    }

    /// `offset`, never negative, and `limit`, `usual` when it is missing or not positive.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn page(&self, usual: usize) -> Result<(usize, usize), String> {
        let offset = usize::try_from(self.int("offset")?).unwrap_or(0);
        let limit = usize::try_from(self.int("limit")?).unwrap_or(0);
        Ok((offset, if limit == 0 { usual } else { limit }))
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Undoes `%41` and, in a query, `+`. None: a bad escape.
pub fn unescape(text: &str, query: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (hex, after) = rest.split_at_checked(2)?;
                let digit = |b: u8| char::from(b).to_digit(16);
                out.push((digit(hex[0])? * 16 + digit(hex[1])?) as u8);
                rest = after;
            }
            b'+' if query => out.push(b' '),
            _ => out.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// A string as Go's `%q` shows it.
fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(Some(raw))
    }

    #[test]
    fn values_are_unescaped_and_the_first_of_a_name_counts() {
        let q = query("acc=%24G&user=a+b&limit=1&limit=x&bad=%zz&semi=1;2&lone");
        assert_eq!((q.text("acc"), q.text("user"), q.int("limit")), ("$G", "a b", Ok(1)));
        assert_eq!((q.text("bad"), q.text("semi"), q.text("lone"), q.text("none")), ("", "", "", ""));
        assert_eq!(query("limit=%zz&limit=3").int("limit"), Ok(3));
        assert_eq!(unescape("%4", true), None);
        assert_eq!(unescape("%+1", true), None);
        assert_eq!(unescape("a+%62", false).as_deref(), Some("a+b"));
        assert_eq!(Query::parse(None).boolean("subs"), Ok(false));
    }

    #[test]
    fn bad_values_are_refused_in_nats_server_s_words() {
        let q = query("subs=zz&limit=x%0ay&offset=99999999999999999999&cid=-1&s=+1&t=%2b5&q=%22");
        let boolean = "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"zz\": invalid syntax";
        assert_eq!(q.boolean("subs").unwrap_err(), boolean);
        assert_eq!(q.subs().unwrap_err(), boolean);
        let atoi = "strconv.Atoi: parsing";
        assert_eq!(
            q.int("limit").unwrap_err(),
            format!("Error decoding int for 'limit': {atoi} \"x\\ny\": invalid syntax")
        );
        assert_eq!(
            q.int("offset").unwrap_err(),
            format!("Error decoding int for 'offset': {atoi} \"99999999999999999999\": value out of range")
        );
        assert_eq!(q.int("s").unwrap_err(), format!("Error decoding int for 's': {atoi} \" 1\": invalid syntax"));
        assert_eq!(q.int("q").unwrap_err(), format!("Error decoding int for 'q': {atoi} \"\\\"\": invalid syntax"));
        assert_eq!(q.int("t"), Ok(5));
        assert_eq!(
            q.uint("cid").unwrap_err(),
            "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"
        );
    }

    #[test]
    fn pages_and_subs() {
        assert_eq!(query("").page(1024), Ok((0, 1024)));
        assert_eq!(query("offset=-3&limit=-5").page(1024), Ok((0, 1024)));
        assert_eq!(query("offset=7&limit=2").page(1024), Ok((7, 2)));
        assert_eq!(query("subs=DETAIL").subs(), Ok(Subs::Detail));
        assert_eq!(query("subs=t").subs(), Ok(Subs::Subjects));
        assert_eq!(query("subs=").subs(), Ok(Subs::No));
    }
}
