//! Where the files of our control groups lie. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folders of the control groups we are in that are about `controller` (`cpu`, `memory`), each from our own up to
/// the root, and whether they are of version 2. `groups` is `/proc/self/cgroup`, `mounts` is `/proc/self/mountinfo`.
pub fn folders(groups: &str, mounts: &str, controller: &str) -> Vec<(PathBuf, bool)> {
    let roots = roots(mounts, controller);
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let v2 = id == "0" && controllers.is_empty();
        if !v2 && !controllers.split(',').any(|c| c == controller) {
            continue;
        }
        let Some(&(root, point)) = roots.get(&v2) else { continue };
        let below = path.strip_prefix(root).unwrap_or("").trim_start_matches('/');
        let mut dir = PathBuf::from(point);
        if !below.contains("..") {
            dir.push(below);
        }
        while dir.starts_with(point) {
            folders.push((dir.clone(), v2));
            if !dir.pop() {
                break;
            }
        }
    }
    folders
}

/// Is version 2 → (root inside the hierarchy, mount point).
fn roots<'m>(mounts: &'m str, controller: &str) -> BTreeMap<bool, (&'m str, &'m str)> {
    let mut roots = BTreeMap::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (mut left, right) = (left.split(' ').skip(3), right.split(' ').collect::<Vec<_>>());
        let (Some(root), Some(point)) = (left.next(), left.next()) else { continue };
        match right.as_slice() {
            ["cgroup2", ..] => roots.insert(true, (root, point)),
            ["cgroup", _, options] if options.split(',').any(|o| o == controller) => roots.insert(false, (root, point)),
            _ => None,
        };
    }
    roots
}
