//! The choice of cores, on machines made up for it.

use super::*;
use crate::policy::settings::Settings;

fn machine(cpus: u16) -> Machine {
    let all: Vec<u16> = (0..cpus).collect();
    Machine {
        affinity: all.clone(),
        existing: all.clone(),
        pinnable: all,
        cgroup_cpus: None,
        memlock: Memlock { limit: None, exempt: false },
        page_bytes: 4096,
    }
}

fn cores(shards: Option<u16>, cpus: Option<&[u16]>) -> Cores {
    Cores { shards, cpus: cpus.map(<[u16]>::to_vec), ..Settings::default().cores }
}

fn some(cpus: &[u16]) -> Vec<Option<u16>> {
    cpus.iter().copied().map(Some).collect()
}

#[test]
fn auto_takes_the_affinity() {
    let mut m = machine(8);
    m.affinity = vec![2, 3, 6];
    let plan = plan(&cores(None, None), &m).unwrap();
    assert_eq!(plan.cpus, some(&[2, 3, 6]));
    assert_eq!(plan.why, "3 shards on cores 2-3,6: one for each of the 3 cores of the process's affinity");
    assert_eq!(plan.warning, None);
}

#[test]
fn auto_honours_the_control_groups_share_rounded_up() {
    let mut m = machine(8);
    for (share, n) in [(0.2, 1), (1.0, 1), (1.5, 2), (7.99, 8), (64.0, 8)] {
        m.cgroup_cpus = Some(share);
        assert_eq!(plan(&cores(None, None), &m).unwrap().cpus.len(), n, "{share}");
    }
    m.cgroup_cpus = Some(1.5);
    assert!(plan(&cores(None, None), &m).unwrap().why.ends_with("the control group's share is 1.50 of 8 cores"));
    // A number the operator gave is his own affair.
    assert_eq!(plan(&cores(Some(4), None), &m).unwrap().cpus.len(), 4);
}

#[test]
fn auto_takes_what_locked_memory_carries() {
    let mut m = machine(16);
    m.memlock.limit = Some(8 << 20);
    let five = plan(&cores(None, None), &m).unwrap();
    assert_eq!(five.cpus.len(), 5);
    assert!(five.why.contains("RLIMIT_MEMLOCK 8 MiB"), "{}", five.why);
    assert!(five.warning.unwrap().contains("only 5 of 16 cores"));
    m.memlock.exempt = true;
    assert_eq!(plan(&cores(None, None), &m).unwrap().cpus.len(), 16);
}

#[test]
fn below_glommios_floor_nobody_starts_privileged_or_not() {
    let mut m = machine(4);
    m.memlock = Memlock { limit: Some(64 << 10), exempt: true };
    let refusal = plan(&cores(None, None), &m).unwrap_err();
    assert!(refusal.what.contains("RLIMIT_MEMLOCK is 64 KiB"), "{refusal}");
    assert!(refusal.remedy.starts_with("set LimitMEMLOCK="), "{refusal}");
}

#[test]
fn every_number_of_shards_either_fits_or_names_the_limit_that_would_do() {
    for limit in [0u64, 64 << 10, 8 << 20, 64 << 20] {
        for n in 1..=64u16 {
            let mut m = machine(64);
            m.memlock.limit = Some(limit);
            let Err(refusal) = plan(&cores(Some(n), None), &m) else { continue };
            let fix = refusal.remedy.split_once("LimitMEMLOCK=").unwrap().1.split_once('M').unwrap().0;
            m.memlock.limit = Some(fix.parse::<u64>().unwrap() << 20);
            assert!(m.memlock.limit > Some(limit), "{refusal}");
            assert_eq!(plan(&cores(Some(n), None), &m).unwrap().cpus.len(), usize::from(n), "{refusal}");
        }
    }
}

#[test]
fn more_shards_than_cores_are_allowed_with_a_word() {
    let unpinned = plan(&cores(Some(5), None), &machine(2)).unwrap();
    assert_eq!(unpinned.cpus, vec![None; 5]);
    assert!(unpinned.warning.unwrap().contains("5 shards on 2 cores: none is pinned"));
    let repeated = plan(&cores(Some(5), Some(&[1, 0])), &machine(2)).unwrap();
    assert_eq!(repeated.cpus, some(&[1, 0, 1, 0, 1]));
    assert!(repeated.warning.unwrap().contains("several share a core"));
}

#[test]
fn named_cores_keep_their_order() {
    let p = plan(&cores(None, Some(&[3, 1])), &machine(4)).unwrap();
    assert_eq!(p.cpus, some(&[3, 1]));
    assert_eq!(p.why, "2 shards on cores 3,1: one for each of the 2 cores named");
    assert_eq!(plan(&cores(Some(1), Some(&[3, 1])), &machine(4)).unwrap().cpus, some(&[3]));
}

#[test]
fn cores_that_do_not_exist_are_named_with_those_that_do() {
    let refusal = plan(&cores(None, Some(&[0, 8, 9, 12])), &machine(4)).unwrap_err();
    assert_eq!(refusal.what, "cpus: 8-9,12 do not exist; this machine has 0-3");
    assert_eq!(refusal.remedy, "give cpus = \"0-3\" or part of it");
}

#[test]
fn cores_withheld_by_a_cpuset_are_named() {
    let mut m = machine(4);
    m.pinnable = vec![0, 1];
    let refusal = plan(&cores(None, Some(&[1, 3])), &m).unwrap_err();
    assert!(refusal.what.contains("3 may not be used") && refusal.what.ends_with("allows 0-1"), "{refusal}");
}

#[test]
fn no_shards_and_too_many_are_refused() {
    assert!(plan(&cores(Some(0), None), &machine(4)).is_err());
    assert!(plan(&cores(Some(129), None), &machine(4)).is_err());
    assert_eq!(plan(&cores(None, None), &machine(200)).unwrap().cpus.len(), SHARDS_MAX);
}

#[test]
fn this_machine_can_be_read() {
    let m = Machine::read().unwrap();
    assert!(!m.affinity.is_empty() && m.affinity.iter().all(|c| m.existing.contains(c)));
    assert!(m.affinity.iter().all(|c| m.pinnable.contains(c)), "{m:?}");
}

#[test]
fn the_tightest_group_on_the_way_up_counts() {
    let mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n";
    let read = |p: &Path| match p.to_str().unwrap() {
        "/sys/fs/cgroup/a/b/cpu.max" => Some("max 100000\n".to_string()),
        "/sys/fs/cgroup/a/cpu.max" => Some("150000 100000\n".to_string()),
        _ => None,
    };
    assert_eq!(cgroup_share("0::/a/b\n", mounts, &read), Some(1.5));
    assert_eq!(cgroup_share("0::/c\n", mounts, &read), None);
    // A container that sees its own group as the root of the mount.
    let bound = "31 23 0:28 /a/b /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
    let own = |p: &Path| (p == Path::new("/sys/fs/cgroup/cpu.max")).then(|| "50000 100000".to_string());
    assert_eq!(cgroup_share("0::/a/b\n", bound, &own), Some(0.5));
    assert_eq!(cgroup_share("0::/../../x\n", bound, &own), Some(0.5));
}

#[test]
fn version_1_groups_count_too() {
    let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
    let read = |p: &Path| match p.to_str().unwrap() {
        "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us" => Some("200000\n".to_string()),
        "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us" => Some("100000\n".to_string()),
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us" => Some("-1\n".to_string()),
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us" => Some("100000\n".to_string()),
        _ => None,
    };
    assert_eq!(cgroup_share("4:memory:/x\n1:cpu,cpuacct:/x\n0::/\n", mounts, &read), Some(2.0));
}

#[test]
fn privilege_counts_in_the_first_user_namespace_only() {
    let root = "Name:\tx\nCapEff:\t000001fffeffffff\n";
    assert!(exempt(root, "         0          0 4294967295\n"));
    assert!(!exempt(root, "         0     100000      65536\n"));
    assert!(!exempt("CapEff:\t00000000a80425fb\n", "0 0 4294967295")); // Docker's default set
    assert!(!exempt("", ""));
}

#[test]
fn ranges_read_and_write() {
    assert_eq!(parse_ranges("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
    assert_eq!(parse_ranges(""), None);
    assert_eq!(parse_ranges("a-b"), None);
    assert_eq!(ranges(&[8, 1, 0, 2, 2]), "0-2,8");
}
