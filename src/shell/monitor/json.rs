//! JSON as nats-server writes it: indented by two spaces, whole floats without a fraction.

use serde::{Serialize, Serializer};

/// A float that is written as a whole number where it is one, as Go does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Float(pub f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Float(value) = *self;
        // Below 2^53 every whole float is that very integer.
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return out.serialize_i64(value as i64);
        }
        out.serialize_f64(value)
    }
}

/// `part / whole`, 0 when there is nothing to divide by.
pub fn ratio(part: u64, whole: u64) -> Float {
    Float(if whole == 0 { 0.0 } else { part as f64 / whole as f64 })
}

/// Indented JSON. The endpoints' structs hold nothing that cannot be written; an empty body would say otherwise.
pub fn pretty(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// A value without fields as one word in lower case.
pub fn one_word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// For `skip_serializing_if`.
pub fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// For `skip_serializing_if`.
pub fn is_false(b: &bool) -> bool {
    !*b
}

/// An object without members.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_and_empty_objects_look_as_in_go() {
        let text = |v| String::from_utf8(pretty(&v)).unwrap();
        assert_eq!(text(Float(2.0)), "2");
        assert_eq!(text(Float(0.5)), "0.5");
        assert_eq!(text(ratio(1, 3)), "0.3333333333333333");
        assert_eq!(text(ratio(1, 0)), "0");
        assert_eq!(text(Float(1e300)), "1e+300");
        assert_eq!(pretty(&Nothing {}), b"{}");
    }
}
