//! The command line as other processes see it (`ps`, `/proc/<pid>/cmdline`): secrets in it are overwritten in place
//! (operations.md §1). Called by `main` once, before anything else is done with the arguments.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::ops::Range;

use nix::sys::uio::{process_vm_writev, RemoteIoVec};
use nix::unistd::Pid;

/// What stands where a secret stood.
const BLANK: u8 = b'x';

/// Overwrites bytes of arguments, given as the index of the argument (0 being the program) and a range of its bytes;
/// what reaches beyond an argument's end is left out. `args` are the arguments as they were at the start.
///
/// # Errors
/// `/proc` is hidden, or the kernel does not let a process write its own memory: the secrets stay visible.
pub fn overwrite(args: &[OsString], places: &[(usize, Range<usize>)]) -> io::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let stat = std::fs::read("/proc/self/stat")?;
    let memory = arguments(&String::from_utf8_lossy(&stat)).ok_or(io::ErrorKind::InvalidData)?;
    let lengths: Vec<usize> = args.iter().map(|a| a.len()).collect();
    for place in located(&memory, &lengths, places).ok_or(io::ErrorKind::InvalidData)? {
        let blank = vec![BLANK; place.len()];
        // The kernel writes: nobody in this process holds a reference to these bytes, `args` are copies.
        let there = RemoteIoVec { base: place.start, len: place.len() };
        process_vm_writev(Pid::this(), &[IoSlice::new(&blank)], &[there])?;
    }
    Ok(())
}

/// The memory that holds the arguments, from a line of `/proc/<pid>/stat`: its fields 48 and 49. The second, the name,
/// stands in parentheses and may hold blanks and more parentheses.
fn arguments(stat: &str) -> Option<Range<usize>> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(45);
    Some(fields.next()?.parse().ok()?..fields.next()?.parse().ok()?)
}

/// Where the places are in `memory`, in which arguments of these lengths follow each other, each with a NUL behind it.
/// `None` if they do not fill it: then it holds something else.
fn located(memory: &Range<usize>, lengths: &[usize], places: &[(usize, Range<usize>)]) -> Option<Vec<Range<usize>>> {
    let mut starts = Vec::with_capacity(lengths.len());
    let mut next = memory.start;
    for length in lengths {
        starts.push(next);
        next += length + 1;
    }
    if next != memory.end {
        return None;
    }
    let locate = |(index, bytes): &(usize, Range<usize>)| {
        let (start, length) = (starts.get(*index)?, lengths[*index]);
        Some(start + bytes.start.min(length)..start + bytes.end.min(length))
    };
    places.iter().map(locate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let numbers: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        assert_eq!(arguments(&format!("7 (a) S) b) {}", numbers.join(" "))), Some(48..49));
        assert_eq!(arguments("7 (a) S 1 2"), None);
    }

    #[test]
    fn places_are_found_only_where_the_arguments_are() {
        let memory = 100..100 + "prog\0--pass=abc\0x\0".len();
        let at = |places: &[(usize, Range<usize>)]| located(&memory, &[4, 10, 1], places);
        assert_eq!(at(&[(1, 7..usize::MAX), (2, 0..1), (2, 5..9)]), Some(vec![112..115, 116..117, 117..117]));
        assert_eq!(at(&[(3, 0..1)]), None);
        assert_eq!(located(&memory, &[4, 10], &[(1, 0..1)]), None);
    }
}
