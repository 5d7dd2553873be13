//! How much memory this process may have: the limit of its control group.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups of both kinds are mounted, and what their limit is in.
const V2: (&str, &str) = ("/sys/fs/cgroup", "memory.max");
const V1: (&str, &str) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes");
/// What the first kind says where there is no limit is about this, or more.
const UNLIMITED: usize = 1 << 60;

/// The limit in bytes; `None` where there is none, or none that can be seen.
pub(super) fn limit() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of(&groups, &|file| fs::read_to_string(file).ok())
}

/// The least limit of the group and of those around it: each binds. Seen from inside a container,
/// the group may be named by a path that is not there; the root is.
fn limit_of(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next(), parts.next().unwrap_or_default());
        let kind = match controllers {
            Some("") => Some(V2),
            Some(names) if names.split(',').any(|name| name == "memory") => Some(V1),
            _ => None,
        };
        let path = Path::new(path.trim_start_matches('/'));
        let around = kind.map(|(root, file)| {
            path.ancestors()
                .map(move |group| PathBuf::from(root).join(group).join(file))
        });
        around.into_iter().flatten()
    });
    let limits = limits.filter_map(|file| read(&file)?.trim().parse().ok());
    limits.filter(|limit| *limit < UNLIMITED).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(groups: &str, files: &[(&str, &str)], expected: Option<usize>) {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(limit_of(groups, &read), expected, "{groups}");
    }

    #[test]
    fn the_least_limit_around_the_process_counts() {
        let root = ("/sys/fs/cgroup/memory.max", "268435456\n");
        check("0::/\n", &[root], Some(268_435_456));
        check("0::/../../pod/x\n", &[root], Some(268_435_456));
        check("0::/\n", &[("/sys/fs/cgroup/memory.max", "max\n")], None);
        check("0::/\n", &[], None);
        check("", &[root], None);
        let unit = ("/sys/fs/cgroup/system.slice/x.service/memory.max", "max\n");
        let slice = ("/sys/fs/cgroup/system.slice/memory.max", "4096\n");
        let groups = "0::/system.slice/x.service\n";
        check(groups, &[unit, slice, root], Some(4096));

        let old = "3:cpu:/a\n5:memory:/a\n0::/\n";
        let own = ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n");
        let all = (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        check(old, &[own, all], Some(8192));
        check(old, &[all], None);
    }
}
