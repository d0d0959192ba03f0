//! What an unquoted word of a `.conf` text means: variable, boolean, number, size, date or plain text
//! (operations.md §2). Called by the parser only.

use crate::policy::quantity;
use crate::policy::tree::Value;

#[derive(Debug, PartialEq)]
pub(super) enum Bare {
    Value(Value),
    /// `$name`, to be looked up.
    Variable(String),
}

/// The meaning of a word without escapes. Errors are what nats-server refuses, with the remedy: quotes.
pub(super) fn classify(text: String) -> Result<Bare, String> {
    if let Some(name) = text.strip_prefix('$') {
        // The one bcrypt form that needs no quotes.
        let bcrypt = name.starts_with("2a$");
        return Ok(if bcrypt { Bare::Value(Value::String(text)) } else { Bare::Variable(name.to_string()) });
    }
    let value = match text.as_bytes().first().copied().unwrap_or_default() {
        b'0'..=b'9' | b'-' => number(text)?,
        b'.' => return Err("floats must start with a digit; quote it if it is text".into()),
        _ => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Value::Bool(true),
            "false" | "no" | "off" => Value::Bool(false),
            _ => Value::String(text),
        },
    };
    Ok(Bare::Value(value))
}

fn number(text: String) -> Result<Value, String> {
    let (sign, unsigned) = if let Some(rest) = text.strip_prefix('-') { ("-", rest) } else { ("", text.as_str()) };
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err("expected a digit after '-'; quote it if it is text".into());
    }
    let (whole, rest) = unsigned.split_at(digits);
    if rest.starts_with('-') {
        return if is_zulu(unsigned) && sign.is_empty() {
            Ok(Value::Datetime(text))
        } else {
            Err("dates must be in full Zulu form, as 2026-01-02T03:04:05Z; quote it if it is text".into())
        };
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = fraction.bytes().take_while(u8::is_ascii_digit).count();
        return match fraction[n..].chars().next() {
            _ if n == 0 => Err("floats must have a digit after the '.'; quote it if it is text".into()),
            None => float(&text),
            Some('.') => Ok(Value::String(text)),
            Some(_) => Err("a fraction takes no suffix; quote it if it is text".into()),
        };
    }
    let Some(unit) = quantity::unit(rest) else { return Ok(Value::String(text)) };
    let n = format!("{sign}{whole}").parse::<i64>().ok().and_then(|n| n.checked_mul(unit));
    n.map(Value::Integer).ok_or_else(|| format!("integer '{text}' is out of the range"))
}

fn float(text: &str) -> Result<Value, String> {
    match text.parse::<f64>() {
        Ok(f) if f.is_finite() => Ok(Value::Float(f)),
        _ => Err(format!("float '{text}' is out of the range")),
    }
}

/// `2026-01-02T03:04:05Z`, by shape and rough ranges.
fn is_zulu(text: &str) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(&c, &s): (&u8, &u8)| if s == b'd' { c.is_ascii_digit() } else { c == s };
    let part = |i: usize| text[i..i + 2].parse::<u32>().unwrap_or(u32::MAX);
    text.len() == shape.len()
        && text.as_bytes().iter().zip(shape).all(fits)
        && (1..=12).contains(&part(5))
        && (1..=31).contains(&part(8))
        && part(11) < 24
        && part(14) < 60
        && part(17) < 60
}
