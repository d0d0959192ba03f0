//! Cuts what a server sends into frames: one control line each, with its payload where it has one.

/// One frame as it came, terminator included.
pub type Frame = Vec<u8>;

/// Takes the first whole frame of `bytes` and returns its length; `None` while it is incomplete.
///
/// Only what servers send is known: MSG and HMSG carry a payload whose size is the last word of the line.
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    let line = bytes.iter().position(|&b| b == b'\n')? + 1;
    if !bytes.starts_with(b"MSG ") && !bytes.starts_with(b"HMSG ") {
        return Some(line);
    }
    let text = String::from_utf8_lossy(&bytes[..line]);
    let size: usize = text.split_ascii_whitespace().last()?.parse().ok()?;
    let whole = line + size + 2;
    (bytes.len() >= whole).then_some(whole)
}

/// All frames of `bytes`; an incomplete rest is the last frame.
pub fn split(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(n) = frame_len(bytes) {
        frames.push(bytes[..n].to_vec());
        bytes = &bytes[n..];
    }
    if !bytes.is_empty() {
        frames.push(bytes.to_vec());
    }
    frames
}

/// The JSON of an INFO frame.
pub fn info(frame: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(frame.strip_prefix(b"INFO ")?.trim_ascii()).ok()
}

/// Bytes as the table and the differential write them: readable, one line.
pub fn show(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\r' if bytes.get(i + 1) == Some(&b'\n') => {
                text.push('⏎');
                i += 1;
            }
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b if (b' '..0x7f).contains(&b) => text.push(b as char),
            b => text.push_str(&format!("\\x{b:02x}")),
        }
        i += 1;
        if text.len() > 400 {
            text.push_str(&format!("… ({} bytes)", bytes.len()));
            break;
        }
    }
    text
}

/// Frames as one readable line.
pub fn show_all(frames: &[Frame]) -> String {
    let all: Vec<String> = frames.iter().map(|f| show(f)).collect();
    if all.is_empty() {
        "(nothing)".into()
    } else {
        all.join(" ")
    }
}
